/* arena.h -- many small pieces that are freed together. Aborts when memory is out; so never sized by
 * a client. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/str.h"

struct arena {
    struct arena_block *last; /* the one that pieces are taken from now */
    size_t used;              /* of it */
};

void *arena_alloc(struct arena *a, size_t bytes); /* zeroed, aligned for anything */
/* `items` with room for one more behind `count`: moved to twice the room when it is full. */
void *arena_grown(struct arena *a, void *items, uint32_t count, uint32_t *room, size_t item_bytes);
struct str arena_copy(struct arena *a, struct str s); /* with a NUL behind it; ptr never NULL */
void arena_free(struct arena *a);

#endif
