/* upstream_pool.c -- idle upstreams of one worker.
 *
 * Owns:    the buckets; idle upstreams hang in them.
 * Thread:  its worker; no locks.
 * Used by: exchange.c (takes), upstream.c (puts, removes).
 * Not here: choosing an endpoint (routing/balance.c), speaking HTTP (upstream.c). */
#include "proxy/upstream_pool.h"

#include <stdlib.h>

#include "base/check.h"
#include "proxy/upstream.h"

#define IDLE_MOST_PER_ENDPOINT 1024
#define IDLE_MOST 4096

static bool bucket_has_address(const void *value, struct str key)
{
    const struct pool_bucket *b = value;

    return str_equals(address_bytes(&b->address), key);
}

void upstream_pool_init(struct upstream_pool *p)
{
    *p = (struct upstream_pool){ 0 };
    map_init(&p->buckets, bucket_has_address);
}

void upstream_pool_free(struct upstream_pool *p)
{
    CHECK(p->buckets.count == 0);
    map_free(&p->buckets);
}

struct pool_bucket *upstream_pool_hold(struct upstream_pool *p, const struct address *a)
{
    struct str key = address_bytes(a);
    uint64_t hash = map_hash(key);
    struct pool_bucket *b = map_find(&p->buckets, hash, key);

    if (b == NULL) {
        b = check_alloc(sizeof(*b));
        b->address = *a;
        b->hash = hash;
        list_init(&b->idle);
        map_add(&p->buckets, hash, b);
    }
    b->upstreams++;
    return b;
}

void upstream_pool_release(struct upstream_pool *p, struct pool_bucket *b)
{
    if (--b->upstreams > 0)
        return;
    map_remove(&p->buckets, b->hash, b);
    free(b);
}

struct upstream *upstream_pool_take(struct upstream_pool *p, struct pool_bucket *b)
{
    struct list *node = list_take_first(&b->idle);

    if (node == NULL)
        return NULL;
    b->idle_count--;
    p->idle_count--;
    return LIST_ITEM(node, struct upstream, node);
}

bool upstream_pool_put(struct upstream_pool *p, struct upstream *u)
{
    if (p->closing || u->bucket->idle_count >= IDLE_MOST_PER_ENDPOINT || p->idle_count >= IDLE_MOST)
        return false;
    list_prepend(&u->bucket->idle, &u->node);
    u->bucket->idle_count++;
    p->idle_count++;
    return true;
}

void upstream_pool_remove(struct upstream_pool *p, struct upstream *u)
{
    list_remove(&u->node);
    u->bucket->idle_count--;
    p->idle_count--;
}

struct upstream *upstream_pool_oldest(struct upstream_pool *p)
{
    struct pool_bucket *b;

    for (size_t at = 0; (b = map_next(&p->buckets, &at)) != NULL;)
        if (!list_is_empty(&b->idle))
            return LIST_ITEM(b->idle.prev, struct upstream, node);
    return NULL;
}

void upstream_pool_close_all(struct upstream_pool *p)
{
    struct upstream *u;

    p->closing = true;
    while ((u = upstream_pool_oldest(p)) != NULL)
        upstream_close(u);
}

void upstream_pool_dump(const struct upstream_pool *p, struct buf *json)
{
    const struct pool_bucket *b;
    char text[ADDRESS_TEXT_SIZE];
    bool first = true;

    buf_add_text(json, "[");
    for (size_t at = 0; (b = map_next(&p->buckets, &at)) != NULL;) {
        buf_printf(json, "%s{\"address\":\"%s\",\"idle\":%u,\"open\":%u}", first ? "" : ",",
                   address_text(&b->address, text), b->idle_count, b->upstreams);
        first = false;
    }
    buf_add_text(json, "]");
}
