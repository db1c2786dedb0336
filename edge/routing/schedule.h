/* schedule.h -- the rota of a service: each endpoint as often as its weight says, spread evenly. */
#ifndef ROUTING_SCHEDULE_H
#define ROUTING_SCHEDULE_H

#include <stdint.h>

#include "routing/service.h"

/* More places than this are not worth their memory: then weights are scaled down, each one above
 * zero keeping at least one place. */
#define SCHEDULE_MOST 8192u

uint32_t schedule_count(const struct endpoint *endpoints, uint32_t count);

/* Fills the rota: service->schedule has room for service->schedule_count places. `zone` is this edge's;
 * len 0: it is in none. Before the service is published. */
void service_arrange(struct service *service, struct str zone);

/* Fills in what prints say of the rota. */
void schedule_prints(struct service *service);

#endif
