/* outlier.h -- endpoints that this edge has found wanting by the way its own requests went: left alone
 * for a while (ejected). What is known lies in struct endpoint_state, is this edge's alone, and expires
 * by itself. */
#ifndef ROUTING_OUTLIER_H
#define ROUTING_OUTLIER_H

#include "routing/endpoint_state.h"

#define OUTLIER_FAILURES_STANDARD 5
#define OUTLIER_EJECT_STANDARD_MS 30000
#define OUTLIER_MAX_EJECTED_STANDARD 50 /* percent */
#define OUTLIER_GROWTH_MOST 10          /* times outlier_eject */

enum outlier_reason {
    OUTLIER_NONE,
    OUTLIER_FAILURES,
    OUTLIER_GATEWAY_ERRORS,
    OUTLIER_LATENCY,
    OUTLIER_REASONS
};

/* Of service.def; all zero: not said. */
struct outlier_policy {
    uint16_t failures, gateway_errors; /* plus one */
    uint8_t max_ejected;               /* percent, plus one */
    uint32_t eject_ms;
    uint32_t latency_ms;      /* more than this is too slow; 0: not looked at */
    uint32_t latency_percent; /* more than this of the others' median; 0: not looked at */
};

struct outlier_ejection {
    enum outlier_reason reason; /* NONE: not ejected now */
    uint64_t lasts_ms;
};

/* `now_ms` by the monotonic clock, as loop_now_ms has it. NULL: nothing is known of it. */
static inline bool outlier_is_ejected(const struct endpoint_state *state, uint64_t now_ms)
{
    return state != NULL &&
           now_ms < atomic_load_explicit(&state->outlier.until_ms, memory_order_relaxed);
}

/* An attempt at an endpoint of this service has failed, or was answered by a gateway error. */
struct outlier_ejection outlier_failed(const struct service *service, struct endpoint_state *state,
                                       enum outlier_reason how, uint64_t now_ms);
/* It came to a good end, and state->outlier.trouble is not 0. True: the endpoint is back. */
bool outlier_went_well(struct endpoint_state *state, uint64_t now_ms);
/* Its response began after so long; for services whose policy looks at it. */
struct outlier_ejection outlier_took(const struct service *service, struct endpoint_state *state,
                                     uint32_t us, uint64_t now_ms);

const char *outlier_reason_name(enum outlier_reason reason);

#endif
