/* check.c -- the end of a process that found a mistake of its own.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: every room.
 * Not here: expected failures (bool or enum fault); logging (log.c). */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void check_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "usher: %s:%d: this must hold: %s\n", file, line, condition);
    abort();
}

void *check_alloc(size_t bytes)
{
    void *ptr = calloc(1, bytes ? bytes : 1);

    CHECK(ptr != NULL);
    return ptr;
}

void *check_realloc(void *ptr, size_t bytes)
{
    void *moved = realloc(ptr, bytes ? bytes : 1);

    CHECK(moved != NULL);
    return moved;
}
