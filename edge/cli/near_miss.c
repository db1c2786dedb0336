/* near_miss.c -- how far one word is from another, in slips of the fingers.
 *
 * Owns:    nothing.
 * Thread:  control (pure: any would do)
 * Used by: lint.c, keyspace.c.
 * Not here: which words there are. */
#include "cli/near_miss.h"

#define WORD_MAX 32u

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Letters put in, left out, changed, or two neighbours swapped. Both have at most WORD_MAX. */
static unsigned distance(struct str a, struct str b)
{
    unsigned rows[3][WORD_MAX + 1], *before = rows[0], *above = rows[1], *row = rows[2];

    for (unsigned j = 0; j <= b.len; j++)
        above[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *reused = before;

        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            char x = str_lower(a.ptr[i - 1]), y = str_lower(b.ptr[j - 1]);

            row[j] = least(above[j - 1] + (x != y), least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && x == str_lower(b.ptr[j - 2]) && str_lower(a.ptr[i - 2]) == y)
                row[j] = least(row[j], before[j - 2] + 1);
        }
        before = above;
        above = row;
        row = reused;
    }
    return above[b.len];
}

const char *near_miss(struct str word, const char *const *known, size_t count)
{
    unsigned best = word.len < 4 ? 2 : 3; /* nearer than this */
    const char *nearest = NULL;

    if (word.len < 2 || word.len > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct str candidate = str_from(known[i]);
        unsigned d;

        if (candidate.len > WORD_MAX)
            continue;
        d = distance(word, candidate);
        if (d < best && d < candidate.len) {
            best = d;
            nearest = known[i];
        }
    }
    return nearest;
}
