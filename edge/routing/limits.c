/* limits.c -- which of a tenant's ranges has the word on an address.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: fields_limits.c (sorts), proxy/limits.c, control/explain_limits.c.
 * Not here: reading the fields (fields_limits.c); counting (proxy/limits.c). */
#include "routing/limits.h"

#include <stdlib.h>

static int longer_first(const void *a, const void *b)
{
    const struct cidr *one = a, *two = b;

    return (int)two->bits - (int)one->bits;
}

void limit_ranges_sort(struct cidr *ranges, uint32_t count)
{
    if (count > 1)
        qsort(ranges, count, sizeof(*ranges), longer_first);
}

/* Bits of the most specific range that holds the address; -1: none does. */
static int find_bits(const struct limit_ranges *ranges, const struct address *client)
{
    for (uint32_t i = 0; ranges != NULL && i < ranges->count; i++)
        if (cidr_holds(&ranges->items[i], client))
            return ranges->items[i].bits;
    return -1;
}

bool limits_let_in(const struct limit_ranges *allow, const struct limit_ranges *deny,
                   const struct address *client)
{
    int allowed = find_bits(allow, client), denied = find_bits(deny, client);

    if (allow == NULL || allow->count == 0)
        return denied < 0;
    return allowed > denied;
}
