/* route_index.h -- which rules of a tenant a path can meet at all. */
#ifndef ROUTING_ROUTE_INDEX_H
#define ROUTING_ROUTE_INDEX_H

#include "base/map.h"
#include "routing/rule.h"

/* Rules by their place in routes->items, which is their rank: the smaller goes first. */
struct route_list {
    const uint32_t *ranks; /* growing */
    uint32_t count;
};

/* The rules that share one path. Half a cache line, so that a look at one waits for memory once. */
struct route_bucket {
    uint64_t hash;
    const char *path;
    uint32_t path_len;
    uint32_t count; /* of its rules; 0: a free bucket */
    union {
        uint32_t rank;         /* of the only one */
        const uint32_t *ranks; /* of several */
    };
};

/* Open addressing; at most half of it is used. */
struct route_table {
    struct route_bucket *buckets;
    uint32_t mask; /* buckets - 1 */
};

struct route_index {
    struct route_table exact, prefix;
    struct route_list regex, any;
    size_t prefix_most_bytes; /* of the longest prefix */
    uint64_t prefix_depths;   /* bit n: there is one of n + 1 segments */
    uint32_t prefix_first;    /* the smallest rank among prefixes; UINT32_MAX: none */
};

/* The hash of a prefix with one more segment, so that those of all prefixes of a path cost one walk
 * over it. */
static inline uint64_t route_hash_segment(uint64_t before, struct str segment)
{
    uint64_t h = (before << 23 | before >> 41) ^ map_hash(segment);

    return h * 0x9e3779b97f4a7c15u;
}

/* Takes the next "/segment" of a path from *at on, and moves *at behind it; false at its end. */
static inline bool route_segment(struct str path, size_t *at, struct str *segment)
{
    const char *slash;

    if (*at >= path.len)
        return false;
    *segment = str_slice(path.ptr + *at + 1, path.len - *at - 1);
    slash = memchr(segment->ptr, '/', segment->len);
    if (slash != NULL)
        segment->len = (size_t)(slash - segment->ptr);
    *at += segment->len + 1;
    return true;
}

static inline struct route_list route_bucket_rules(const struct route_bucket *b)
{
    return (struct route_list){ b->count == 1 ? &b->rank : b->ranks, b->count };
}

static inline const struct route_bucket *route_table_find(const struct route_table *t,
                                                          uint64_t hash, struct str path)
{
    for (uint32_t at = (uint32_t)hash & t->mask;; at = (at + 1) & t->mask) {
        const struct route_bucket *b = &t->buckets[at];

        if (b->count == 0)
            return NULL;
        if (b->hash == hash && str_equals(str_slice(b->path, b->path_len), path))
            return b;
    }
}

#endif
