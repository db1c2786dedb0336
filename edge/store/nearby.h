/* nearby.h -- how far away an address is: the time that a connection takes. */
#ifndef STORE_NEARBY_H
#define STORE_NEARBY_H

#include "net/loop.h"
#include "settings.h"

struct nearby;
/* UINT64_MAX: not reached. 0: on this host. */
typedef void (*nearby_fn)(void *owner, const struct redis_place *at, uint64_t latency_us);

struct nearby *nearby_open(struct loop *l, nearby_fn fn, void *owner);
/* Names are not looked up: what is not a literal address is not measured. */
void nearby_measure(struct nearby *n, const struct redis_place *at);
void nearby_close(struct nearby *n); /* run the loop on, then nearby_free */
void nearby_free(struct nearby *n);

#endif
