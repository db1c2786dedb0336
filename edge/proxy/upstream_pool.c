/* upstream_pool.c -- idle upstreams of one worker.
 *
 * Owns:    the buckets; idle upstreams hang in them.
 * Thread:  its worker; no locks.
 * Used by: exchange.c (takes), upstream.c (puts, removes).
 * Not here: choosing an endpoint (routing/balance.c), what is spoken (upstream_protocol.h). */
#include "proxy/upstream_pool.h"

#include <stdlib.h>

#include "base/check.h"
#include "proxy/upstream_protocol.h"

#define IDLE_MOST_PER_ENDPOINT 1024
#define IDLE_MOST 4096

/* Keys begin with the family of their address; a variant's is longer than that of any address. */
static bool bucket_has_key(const void *value, struct str key)
{
    const struct pool_bucket *b = value;

    return str_equals(b->key.ptr != NULL ? b->key : address_bytes(&b->address), key);
}

void upstream_pool_init(struct upstream_pool *p)
{
    *p = (struct upstream_pool){ 0 };
    map_init(&p->buckets, bucket_has_key);
}

void upstream_pool_free(struct upstream_pool *p)
{
    CHECK(p->buckets.count == 0);
    map_free(&p->buckets);
}

static struct pool_bucket *find_or_make(struct upstream_pool *p, struct str key, size_t kept)
{
    uint64_t hash = map_hash(key);
    struct pool_bucket *b = map_find(&p->buckets, hash, key);

    if (b == NULL) {
        b = check_alloc(sizeof(*b) + kept);
        b->hash = hash;
        list_init(&b->idle);
    }
    b->upstreams++;
    return b;
}

static struct pool_bucket *hold_variant(struct upstream_pool *p, const struct address *a,
                                        const struct pool_variant *variant)
{
    char bytes[sizeof(*a) + sizeof(variant->protocol) + UNIX_PATH_SIZE];
    struct str where = address_bytes(a), path = variant->unix_path;
    size_t len = where.len;
    struct pool_bucket *b;

    memcpy(bytes, where.ptr, len);
    memcpy(bytes + len, &variant->protocol, sizeof(variant->protocol));
    len += sizeof(variant->protocol);
    CHECK(path.len < UNIX_PATH_SIZE);
    if (path.len > 0)
        memcpy(bytes + len, path.ptr, path.len);
    len += path.len;
    b = find_or_make(p, str_slice(bytes, len), len + 1);
    if (b->upstreams > 1)
        return b;
    memcpy(b->kept, bytes, len);
    b->kept[len] = '\0';
    b->key = str_slice(b->kept, len);
    b->address = *a;
    b->protocol = variant->protocol;
    if (path.ptr != NULL)
        b->unix_path = b->kept + len - path.len;
    map_add(&p->buckets, b->hash, b);
    return b;
}

struct pool_bucket *upstream_pool_hold(struct upstream_pool *p, const struct address *a,
                                       const struct pool_variant *variant)
{
    struct pool_bucket *b;

    if (variant != NULL)
        return hold_variant(p, a, variant);
    b = find_or_make(p, address_bytes(a), 0);
    if (b->upstreams > 1)
        return b;
    b->address = *a;
    b->protocol = &upstream_http1;
    map_add(&p->buckets, b->hash, b);
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
        buf_printf(json, "%s{\"address\":", first ? "" : ",");
        buf_add_json(json, str_from(b->unix_path ? b->unix_path : address_text(&b->address, text)));
        buf_printf(json, ",\"protocol\":\"%s\",\"idle\":%u,\"open\":%u}", b->protocol->name,
                   b->idle_count, b->upstreams);
        first = false;
    }
    buf_add_text(json, "]");
}
