/* outlier.c -- tells endpoints how attempts went.
 *
 * Owns:    nothing.
 * Thread:  its worker.
 * Used by: attempt.c, for attempts that are watched.
 * Not here: when an endpoint is ejected (routing/outlier.c). */
#include "proxy/outlier.h"

#include "base/clock.h"
#include "proxy/exchange.h"
#include "proxy/worker_state.h"
#include "routing/endpoint.h"

static void log_ejection(struct exchange *x, struct outlier_ejection ejection)
{
    const char *name = x->service != NULL ? x->service->name : "-";
    char text[ENDPOINT_TEXT_SIZE];

    if (ejection.reason == OUTLIER_NONE)
        return;
    counter_add(&x->w->counters->ejections[ejection.reason], 1);
    log_line(LOG_WARN, "endpoint_ejected", "endpoint=%s service=%s reason=%s for_ms=%llu",
             endpoint_text(x->endpoint, text), name, outlier_reason_name(ejection.reason),
             (unsigned long long)ejection.lasts_ms);
}

static void log_return(const struct exchange *x)
{
    char text[ENDPOINT_TEXT_SIZE];

    log_line(LOG_INFO, "endpoint_back", "endpoint=%s service=%s", endpoint_text(x->endpoint, text),
             x->service != NULL ? x->service->name : "-");
}

void outlier_answered(struct exchange *x)
{
    uint64_t took;

    if (x->attempt.begun_ns == 0)
        return;
    took = (clock_now_ns() - x->attempt.begun_ns) / 1000;
    x->attempt.begun_ns = 0;
    log_ejection(x, outlier_took(x->balanced, x->endpoint->state,
                                 took < UINT32_MAX ? (uint32_t)took : UINT32_MAX,
                                 loop_now_ms(&x->w->loop)));
}

void outlier_judge(struct exchange *x, enum fault fault)
{
    struct endpoint_state *state = x->endpoint->state;
    uint64_t now = loop_now_ms(&x->w->loop);
    bool failed = fault != FAULT_NONE && fault_row(fault)->blame == BLAME_ENDPOINT;

    if (failed && fault == FAULT_response_closed && x->attempt.stale)
        return;
    if (failed) {
        log_ejection(x, outlier_failed(x->balanced, state, OUTLIER_FAILURES, now));
    } else if (fault == FAULT_NONE && retry_on_status(x->attempt.status) != 0) {
        log_ejection(x, outlier_failed(x->balanced, state, OUTLIER_GATEWAY_ERRORS, now));
    } else if (fault == FAULT_NONE &&
               atomic_load_explicit(&state->outlier.trouble, memory_order_relaxed) != 0 &&
               outlier_went_well(state, now)) {
        log_return(x);
    }
}
