/* arena.c -- blocks, from which pieces are cut.
 *
 * Owns:    its blocks.
 * Thread:  any, one at a time.
 * Used by: routing (what a record decodes to).
 * Not here: text that grows (buf.c). */
#include "base/arena.h"

#include <stdlib.h>

#include "base/check.h"

#define FIRST_BYTES 1024u
#define BLOCK_MOST_BYTES (256u * 1024)

struct arena_block {
    struct arena_block *before;
    size_t room;
    _Alignas(16) char bytes[];
};

static size_t rounded(size_t bytes)
{
    return (bytes + 15) & ~(size_t)15;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    void *piece;

    bytes = rounded(bytes);
    if (a->last == NULL || a->last->room - a->used < bytes) {
        size_t room = a->last ? a->last->room * 2 : FIRST_BYTES;
        struct arena_block *block;

        if (room > BLOCK_MOST_BYTES)
            room = BLOCK_MOST_BYTES;
        if (room < bytes)
            room = bytes;
        block = check_alloc(sizeof(*block) + room);
        block->before = a->last;
        block->room = room;
        a->last = block;
        a->used = 0;
    }
    piece = a->last->bytes + a->used;
    a->used += bytes;
    return piece;
}

void *arena_grown(struct arena *a, void *items, uint32_t count, uint32_t *room, size_t item_bytes)
{
    void *grown;

    if (count < *room)
        return items;
    *room = *room ? *room * 2 : 4;
    grown = arena_alloc(a, *room * item_bytes);
    if (count > 0)
        memcpy(grown, items, count * item_bytes);
    return grown;
}

struct str arena_copy(struct arena *a, struct str s)
{
    char *copy = arena_alloc(a, s.len + 1);

    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return str_slice(copy, s.len);
}

void arena_free(struct arena *a)
{
    while (a->last != NULL) {
        struct arena_block *before = a->last->before;

        free(a->last);
        a->last = before;
    }
    a->used = 0;
}
