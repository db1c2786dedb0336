/* explain_endpoints.h -- whom of a service's endpoints a request may get. */
#ifndef CONTROL_EXPLAIN_ENDPOINTS_H
#define CONTROL_EXPLAIN_ENDPOINTS_H

#include "control/explain.h"
#include "routing/route.h"

/* `q` as the request is. What is known of their states is found with source->states. False: the request
 * may get none of them. */
bool explain_endpoints(struct explanation *e, const struct explain_source *source,
                       const struct service *service, const struct route_request *q);

#endif
