/* check.h -- programmer mistakes end the process, in every build.
 *
 * CHECK is for what cannot happen if our own code is right; never for input. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stddef.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            check_failed(#condition, __FILE__, __LINE__);                                          \
    } while (0)

#define MUST_CHECK __attribute__((warn_unused_result))

_Noreturn void check_failed(const char *condition, const char *file, int line);

/* Small fixed allocations: they abort when memory is out. Zeroed. */
void *check_alloc(size_t bytes);
void *check_realloc(void *ptr, size_t bytes);

#endif
