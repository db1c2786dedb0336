/* outlier.h -- endpoints that this edge has found wanting by the way its own requests went: left alone
 * for a while (ejected). What is known lies in struct endpoint_state, and expires by itself. */
#ifndef ROUTING_OUTLIER_H
#define ROUTING_OUTLIER_H

#include "routing/endpoint_state.h"

/* `now_ms` by the monotonic clock, as loop_now_ms has it. NULL: nothing is known of it. */
static inline bool outlier_is_ejected(const struct endpoint_state *state, uint64_t now_ms)
{
    return state != NULL &&
           now_ms < atomic_load_explicit(&state->outlier.until_ms, memory_order_relaxed);
}

#endif
