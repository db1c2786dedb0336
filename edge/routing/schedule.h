/* schedule.h -- the rota of a service: each endpoint as often as its weight says, spread evenly. */
#ifndef ROUTING_SCHEDULE_H
#define ROUTING_SCHEDULE_H

#include <stdint.h>

#include "routing/service.h"

/* More places than this are not worth their memory: then weights are scaled down, each one above
 * zero keeping at least one place. */
#define SCHEDULE_MOST 8192u

uint32_t schedule_count(const struct endpoint *endpoints, uint32_t count);
void schedule_fill(const struct endpoint *endpoints, uint32_t count, uint16_t *places,
                   uint32_t place_count);

#endif
