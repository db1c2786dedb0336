/* cidr_set.h -- many ranges of addresses, asked as one: does any of them hold this address?
 *
 * Immutable. A look takes at most 6 steps for an IPv4 address and 8 for an IPv6 one, whatever the
 * number of ranges. */
#ifndef BASE_CIDR_SET_H
#define BASE_CIDR_SET_H

#include <stddef.h>

#include "base/cidr.h"

struct cidr_set;

/* Copies the ranges, which may overlap. Aborts when memory is out. */
struct cidr_set *cidr_set_new(const struct cidr *ranges, size_t count);
void cidr_set_free(struct cidr_set *s); /* NULL: harmless */

bool cidr_set_holds(const struct cidr_set *s, const struct address *a); /* whatever its port */
size_t cidr_set_count(const struct cidr_set *s); /* ranges that no other one holds */

#endif
