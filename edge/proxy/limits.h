/* limits.h -- what a tenant may take of this edge: judged before anything is spent on a request.
 *
 * Counters stand in the tenant's state (routing/endpoint_state.h), shared by all workers. A connection
 * belongs to the tenant of its last request; a request to its own, until it ends, or its tunnel does. */
#ifndef PROXY_LIMITS_H
#define PROXY_LIMITS_H

#include <stdbool.h>

#include "base/fault.h"

struct exchange;
struct session;
struct tenant_state;

/* What a client's connection counts as. */
struct limits_hold {
    struct tenant_state *state; /* NULL: nobody's that has limits */
    bool request;               /* it is a tunnel, and its request's place is held */
};

/* The layers of the request are pinned, and at least one has limits, or its connection is somebody's. The
 * fault that refuses it; else it is counted until limits_over. */
enum fault limits_admit(struct exchange *x);

/* One of those that limits_admit and the counting of bodies give. */
bool limits_is_refusal(enum fault fault);

/* More of the request's body came: true when it is too much by now. Of an exchange with limits. */
bool limits_body_is_over(const struct exchange *x);
void limits_count_refusal(struct exchange *x, enum fault fault);

/* It is counted no more: its client is about to know that it has ended. */
void limits_leave(struct exchange *x);
/* The exchange has ended, or is about to become a tunnel: then its place goes with its connection. */
void limits_over(struct exchange *x);
void limits_recycle(struct exchange *x);
void limits_tunnel(struct exchange *x);

/* The connection has ended. Again: harmless. */
void limits_release(struct limits_hold *hold);

#endif
