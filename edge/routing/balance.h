/* balance.h -- which endpoint of a service takes this request. */
#ifndef ROUTING_BALANCE_H
#define ROUTING_BALANCE_H

#include "base/random.h"
#include "routing/service.h"

/* NULL when no endpoint may be chosen. `cursor` is the caller's own, one per service and worker. */
const struct endpoint *balance_choose(const struct service *service, uint32_t *cursor,
                                      struct random *random);

#endif
