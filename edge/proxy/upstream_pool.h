/* upstream_pool.h -- the idle upstreams of one worker, by where they lead and what is spoken there.
 *
 * Keyed by address and variant, never by service or position: a change of anything else leaves warm
 * connections alone. */
#ifndef PROXY_UPSTREAM_POOL_H
#define PROXY_UPSTREAM_POOL_H

#include "base/address.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"

struct upstream;
struct upstream_protocol;

/* What makes connections to one address no exchangeable ones. */
struct pool_variant {
    const struct upstream_protocol *protocol;
    struct str unix_path; /* ptr NULL: the address says where */
};

struct pool_bucket {
    struct address address;
    const struct upstream_protocol *protocol;
    const char *unix_path; /* NULL: the address says where */
    uint64_t hash;
    struct list idle; /* newest first */
    unsigned idle_count;
    unsigned upstreams; /* all that name this bucket; it is freed with the last */
    struct str key;     /* of a variant; ptr NULL: the address alone */
    char kept[];        /* the key, and the path */
};

struct upstream_pool {
    struct map buckets;
    unsigned idle_count;
    bool closing; /* nothing is kept any more */
};

void upstream_pool_init(struct upstream_pool *p);
void upstream_pool_free(struct upstream_pool *p); /* must be empty */

/* The bucket of an address, made when it is the first; held once for the caller. `variant` NULL: HTTP/1
 * to the address. */
struct pool_bucket *upstream_pool_hold(struct upstream_pool *p, const struct address *a,
                                       const struct pool_variant *variant);
void upstream_pool_release(struct upstream_pool *p, struct pool_bucket *b);

/* Takes the newest idle one: the least likely to have been closed by the other side. */
struct upstream *upstream_pool_take(struct upstream_pool *p, struct pool_bucket *b);
/* false: the pool is full, the caller closes it. */
bool upstream_pool_put(struct upstream_pool *p, struct upstream *u);
void upstream_pool_remove(struct upstream_pool *p, struct upstream *u);
/* The upstream idle for longest in any bucket looked at; NULL when none is idle. */
struct upstream *upstream_pool_oldest(struct upstream_pool *p);
void upstream_pool_close_all(struct upstream_pool *p);

void upstream_pool_dump(const struct upstream_pool *p, struct buf *json);

#endif
