/* map.h -- a hash map from bytes to pointers: open addressing, the values own their keys.
 *
 * The hash is XXH3 with a seed drawn at start (map_hash), so that nobody outside can aim at one
 * bucket. The caller hashes once and may use the hash for several maps. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Is `key` the key of `value`? */
typedef bool (*map_equals_fn)(const void *value, struct str key);

struct map_slot {
    uint64_t hash;
    void *value; /* NULL: free */
};

struct map {
    struct map_slot *slots;
    size_t mask; /* slots - 1 */
    size_t count;
    map_equals_fn equals;
};

uint64_t map_hash(struct str key);

/* Wide enough to stand for its text: two texts with one print are not to be had (same seed). */
struct map_print {
    uint64_t low, high;
};
struct map_print map_print_of(struct str text);

void map_init(struct map *m, map_equals_fn equals);
void map_free(struct map *m);                                       /* not the values */
void *map_find(const struct map *m, uint64_t hash, struct str key); /* NULL when absent */
void map_add(struct map *m, uint64_t hash, void *value);            /* the key must be absent */
void map_remove(struct map *m, uint64_t hash, const void *value);   /* by identity; must be there */

/* The next value from position *at on (start with 0); NULL at the end. Not while changing m. */
void *map_next(const struct map *m, size_t *at);

#endif
