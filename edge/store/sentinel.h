/* sentinel.h -- listens to one Sentinel at a time, and asks it where the primary is. */
#ifndef STORE_SENTINEL_H
#define STORE_SENTINEL_H

#include <stdbool.h>

#include "net/loop.h"
#include "store/redis_link.h"

struct sentinel;

#define SENTINEL_ANNOUNCED UINT64_MAX /* by +switch-master: newer than all before */

struct sentinel_events {
    void *owner;
    /* `epoch`: of the configuration that says so, which grows with each switch. */
    void (*primary)(void *owner, const struct redis_place *at, uint64_t epoch);
    void (*no_primary)(void *owner); /* it knows none of that name */
    void (*replicas)(void *owner, const redisReply *list);
    void (*sentinels)(void *owner, const redisReply *list);
    void (*failed)(void *owner, const char *reason); /* not reached, or lost */
};

struct sentinel *sentinel_open(struct loop *l, const struct redis_url *url,
                               struct topology *topology, struct guard *guard,
                               const struct sentinel_events *e);
bool sentinel_is_up(const struct sentinel *s);
void sentinel_ask(struct sentinel *s); /* everything, now; nothing when it is not up */
/* This one's answers lead nowhere: on to the next, which the topology names. */
void sentinel_leave(struct sentinel *s, const char *reason);
void sentinel_close(struct sentinel *s);
void sentinel_free(struct sentinel *s);

#endif
