/* map.c -- bytes to pointers, linear probing, backward-shift removal (no tombstones).
 *
 * Owns:    the slot arrays; values and their keys are the caller's.
 * Thread:  any (a map belongs to one).
 * Used by: mirror, worker tables, pools.
 * Not here: eviction; whoever bounds a map does it. */
#include "base/map.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/check.h"
#include "base/random.h"

uint64_t map_hash(struct str key)
{
    return XXH3_64bits_withSeed(key.ptr, key.len, random_process_seed());
}

struct map_print map_print_of(struct str text)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(text.ptr, text.len, random_process_seed());

    return (struct map_print){ h.low64, h.high64 };
}

void map_init(struct map *m, map_equals_fn equals)
{
    *m = (struct map){ .equals = equals };
}

void map_free(struct map *m)
{
    free(m->slots);
    m->slots = NULL;
    m->mask = m->count = 0;
}

void *map_find(const struct map *m, uint64_t hash, struct str key)
{
    if (m->slots == NULL)
        return NULL;
    for (size_t i = hash & m->mask;; i = (i + 1) & m->mask) {
        const struct map_slot *slot = &m->slots[i];

        if (slot->value == NULL)
            return NULL;
        if (slot->hash == hash && m->equals(slot->value, key))
            return slot->value;
    }
}

static void place(struct map *m, uint64_t hash, void *value)
{
    size_t i = hash & m->mask;

    while (m->slots[i].value != NULL)
        i = (i + 1) & m->mask;
    m->slots[i] = (struct map_slot){ hash, value };
}

static void grow(struct map *m)
{
    struct map_slot *old = m->slots;
    size_t old_size = old ? m->mask + 1 : 0;
    size_t size = old ? old_size * 2 : 16;

    m->slots = check_alloc(size * sizeof(*m->slots));
    m->mask = size - 1;
    for (size_t i = 0; i < old_size; i++)
        if (old[i].value != NULL)
            place(m, old[i].hash, old[i].value);
    free(old);
}

void map_add(struct map *m, uint64_t hash, void *value)
{
    CHECK(value != NULL);
    if (m->slots == NULL || (m->count + 1) * 4 > (m->mask + 1) * 3)
        grow(m);
    place(m, hash, value);
    m->count++;
}

void map_remove(struct map *m, uint64_t hash, const void *value)
{
    size_t hole, i;

    CHECK(m->slots != NULL);
    for (hole = hash & m->mask; m->slots[hole].value != value; hole = (hole + 1) & m->mask)
        CHECK(m->slots[hole].value != NULL);
    for (i = (hole + 1) & m->mask; m->slots[i].value != NULL; i = (i + 1) & m->mask) {
        size_t home = m->slots[i].hash & m->mask;

        /* Whoever does not have its home between the hole and itself moves into the hole. */
        if (((i - home) & m->mask) >= ((i - hole) & m->mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_slot){ 0, NULL };
    m->count--;
}

void *map_next(const struct map *m, size_t *at)
{
    size_t size = m->slots ? m->mask + 1 : 0;

    while (*at < size) {
        void *value = m->slots[(*at)++].value;

        if (value != NULL)
            return value;
    }
    return NULL;
}
