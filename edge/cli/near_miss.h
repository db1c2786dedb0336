/* near_miss.h -- the known word that somebody may have meant. */
#ifndef CLI_NEAR_MISS_H
#define CLI_NEAR_MISS_H

#include "base/str.h"

/* The nearest of `known`, when it is so near that a slip of the fingers explains it; else NULL. In
 * any case of letters. */
const char *near_miss(struct str word, const char *const *known, size_t count);

#endif
