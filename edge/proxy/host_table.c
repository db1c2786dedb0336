/* host_table.c -- linear probing over lines of half a cache line.
 *
 * Owns:    the lines and their names.
 * Thread:  its worker.
 * Used by: host_cache.c.
 * Not here: what a line means, how many there may be (host_cache.c). */
#include "proxy/host_table.h"

#include <stdlib.h>

#include "base/check.h"

#define LINES_LEAST 1024

_Static_assert(sizeof(struct host_line) == 32, "two to a cache line");

void host_table_free(struct host_table *t)
{
    for (size_t i = 0; t->lines != NULL && i <= t->mask; i++)
        free(t->sides[i].name);
    free(t->lines);
    free(t->sides);
    *t = (struct host_table){ 0 };
}

static bool is_print(const struct host_line *line, struct map_print print)
{
    return line->print.low == print.low && line->print.high == print.high;
}

struct host_line *host_table_find(const struct host_table *t, struct map_print print)
{
    if (t->lines == NULL)
        return NULL;
    for (size_t i = print.low & t->mask;; i = (i + 1) & t->mask) {
        struct host_line *line = &t->lines[i];

        if (!line->taken)
            return NULL;
        if (is_print(line, print))
            return line;
    }
}

void host_table_fetch(const struct host_table *t, struct map_print print)
{
    if (t->lines != NULL)
        __builtin_prefetch(&t->lines[print.low & t->mask]);
}

static size_t free_place(const struct host_table *t, struct map_print print)
{
    size_t i = print.low & t->mask;

    while (t->lines[i].taken)
        i = (i + 1) & t->mask;
    return i;
}

static void set_room(struct host_table *t, size_t lines)
{
    struct host_table was = *t;

    /* Aligned, so that no line lies across two cache lines. */
    t->lines = aligned_alloc(64, lines * sizeof(*t->lines));
    CHECK(t->lines != NULL);
    memset(t->lines, 0, lines * sizeof(*t->lines));
    t->sides = check_alloc(lines * sizeof(*t->sides));
    t->mask = lines - 1;
    for (size_t i = 0; was.lines != NULL && i <= was.mask; i++) {
        size_t to;

        if (!was.lines[i].taken)
            continue;
        to = free_place(t, was.lines[i].print);
        t->lines[to] = was.lines[i];
        t->sides[to] = was.sides[i];
    }
    free(was.lines);
    free(was.sides);
}

struct host_line *host_table_add(struct host_table *t, struct map_print print, struct str name)
{
    size_t at;

    if (t->lines == NULL)
        set_room(t, LINES_LEAST);
    else if ((t->count + 1) * 5 > (t->mask + 1) * 4)
        set_room(t, (t->mask + 1) * 2);
    at = free_place(t, print);
    t->lines[at] = (struct host_line){ .print = print, .taken = true };
    t->sides[at] = (struct host_side){ .name = check_alloc(name.len + 1) };
    memcpy(t->sides[at].name, name.ptr, name.len);
    t->count++;
    return &t->lines[at];
}

/* What stands behind it and was pushed there by it moves up: no mark of the removed one is left. */
void host_table_remove(struct host_table *t, struct host_line *line)
{
    size_t hole = (size_t)(line - t->lines), i = hole;

    free(t->sides[hole].name);
    for (;;) {
        size_t home;

        i = (i + 1) & t->mask;
        if (!t->lines[i].taken)
            break;
        home = t->lines[i].print.low & t->mask;
        if (((i - home) & t->mask) < ((i - hole) & t->mask))
            continue; /* it would come to stand before its home */
        t->lines[hole] = t->lines[i];
        t->sides[hole] = t->sides[i];
        hole = i;
    }
    t->lines[hole] = (struct host_line){ .taken = false };
    t->sides[hole] = (struct host_side){ .name = NULL };
    t->count--;
}

struct host_line *host_table_next(const struct host_table *t, size_t *at)
{
    while (t->lines != NULL && *at <= t->mask) {
        struct host_line *line = &t->lines[(*at)++];

        if (line->taken)
            return line;
    }
    return NULL;
}

struct host_side *host_table_side(const struct host_table *t, const struct host_line *line)
{
    return &t->sides[line - t->lines];
}
