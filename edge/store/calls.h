/* calls.h -- what this edge asks of Redis for the cluster's sake (leases, shares, states of others): one
 * command or script, one answer, within a time. On a link of its own, which the first call opens. */
#ifndef STORE_CALLS_H
#define STORE_CALLS_H

#include "store/flights.h"
#include "store/store.h"

void calls_init(struct store *s); /* s->calls, by LINK_CALLS */

/* What the reading link tracks for it, beside configuration. */
#define CALLS_FAMILIES 2
void calls_add_prefix(struct buf *to, struct str prefix, unsigned family);
/* A key that was pushed: true when it belongs to a family that is shared between edges. */
bool calls_pushed(struct store *s, struct str key);
void calls_all_changed(struct store *s); /* the reading link is new, or all keys were deleted */

#endif
