/* calls.h -- what this edge asks of Redis for the cluster's sake (leases, shares, states of others): one
 * command or script, one answer, within a time. On a link of its own, which the first call opens. */
#ifndef STORE_CALLS_H
#define STORE_CALLS_H

#include "base/list.h"
#include "net/timer.h"
#include "store/store.h"

struct redis_link;

struct calls {
    struct redis_link *link; /* NULL: nobody has called yet */
    bool tried;              /* it has been up, or has failed: while it is not up, Redis is away */
    struct list open;        /* struct store_call, not yet answered; the oldest first */
    struct list sent;        /* struct store_call, from sending to Redis's answer, however late */
    size_t count;
    struct timer limit;
};

void calls_init(struct store *s);
void calls_try_now(struct store *s); /* another link is up: this one may be, too */
void calls_close(struct store *s);   /* all are answered */
void calls_free(struct store *s);

/* What the reading link tracks for it, beside configuration. */
#define CALLS_FAMILIES 2
void calls_add_prefix(struct buf *to, struct str prefix, unsigned family);
/* A key that was pushed: true when it belongs to a family that is shared between edges. */
bool calls_pushed(struct store *s, struct str key);
void calls_all_changed(struct store *s); /* the reading link is new, or all keys were deleted */

#endif
