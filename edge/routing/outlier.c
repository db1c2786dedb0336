/* outlier.c -- when an endpoint is ejected, for how long, and when it is not.
 *
 * Written by all workers at once, with nothing but atomics: a count may be off by one when two meet, an
 * ejection is made by one of them.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: proxy/outlier.c.
 * Not here: who is chosen instead (balance.c); logging it (proxy/outlier.c). */
#include "routing/outlier.h"

#include <stdlib.h>

#include "routing/service.h"

#define SAMPLES_LEAST                                                                              \
    16 /* of an endpoint's latency, before it says anything; then each 8th is judged */
#define SAMPLES_EVERY 8
#define SMOOTHING 8
#define OTHERS_MOST 64        /* endpoints whose median is taken */
#define LATENCY_FLOOR_US 5000 /* whatever the others take: this is not slow */

static unsigned read_now(atomic_uint *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void write_now(atomic_uint *n, unsigned value)
{
    atomic_store_explicit(n, value, memory_order_relaxed);
}

/* --- what the policy says, or what holds when it does not --- */

static unsigned failures_of(const struct outlier_policy *p)
{
    return p->failures != 0 ? p->failures - 1u : OUTLIER_FAILURES_STANDARD;
}

static unsigned gateway_errors_of(const struct outlier_policy *p)
{
    return p->gateway_errors != 0 ? p->gateway_errors - 1u : 0;
}

static uint64_t eject_ms_of(const struct outlier_policy *p)
{
    return p->eject_ms != 0 ? p->eject_ms : OUTLIER_EJECT_STANDARD_MS;
}

/* Of so many that take requests; one at least stays. */
static unsigned most_ejected(const struct outlier_policy *p, unsigned endpoints)
{
    unsigned percent = p->max_ejected != 0 ? p->max_ejected - 1u : OUTLIER_MAX_EJECTED_STANDARD;
    unsigned most = endpoints * percent / 100;

    if (most == 0 && percent > 0)
        most = 1;
    return most < endpoints ? most : endpoints > 0 ? endpoints - 1 : 0;
}

/* --- ejecting --- */

/* Would it be within the cap with `more` ejected ones? */
static bool is_within_cap(const struct service *service, unsigned more, uint64_t now_ms)
{
    unsigned endpoints = 0, ejected = more;

    for (uint32_t i = 0; i < service->endpoint_count; i++) {
        const struct endpoint *e = &service->endpoints[i];

        if (endpoint_weight(e) == 0)
            continue;
        endpoints++;
        ejected += outlier_is_ejected(e->state, now_ms);
    }
    return ejected <= most_ejected(&service->policy.outlier, endpoints);
}

/* For each base time that it was let be since the last ejection ended, one fewer. */
static unsigned ejections_of_late(struct outlier_state *o, uint64_t until_ms, uint64_t now_ms,
                                  uint64_t base_ms)
{
    uint64_t count = read_now(&o->ejections), fewer = (now_ms - until_ms) / base_ms;

    return until_ms == 0 || fewer >= count ? 0 : (unsigned)(count - fewer);
}

static struct outlier_ejection eject(const struct service *service, struct outlier_state *o,
                                     enum outlier_reason reason, uint64_t now_ms)
{
    const struct outlier_policy *policy = &service->policy.outlier;
    struct outlier_ejection none = { OUTLIER_NONE, 0 }, now = { reason, 0 };
    uint_fast64_t until = atomic_load_explicit(&o->until_ms, memory_order_relaxed);
    unsigned count;

    if (now_ms < until || !is_within_cap(service, 1, now_ms))
        return none;
    count = ejections_of_late(o, until, now_ms, eject_ms_of(policy)) + 1;
    now.lasts_ms =
        eject_ms_of(policy) * (count < OUTLIER_GROWTH_MOST ? count : OUTLIER_GROWTH_MOST);
    if (!atomic_compare_exchange_strong(&o->until_ms, &until, now_ms + now.lasts_ms))
        return none;                          /* another worker was first */
    if (!is_within_cap(service, 0, now_ms)) { /* and another one ejected another endpoint */
        atomic_store(&o->until_ms, until);
        return none;
    }
    write_now(&o->ejections, count);
    write_now(&o->reason, reason);
    write_now(&o->latency_samples, 0);
    write_now(&o->latency_us, 0);
    write_now(&o->trouble, 1);
    return now;
}

struct outlier_ejection outlier_failed(const struct service *service, struct endpoint_state *state,
                                       enum outlier_reason how, uint64_t now_ms)
{
    struct outlier_state *o = &state->outlier;
    bool gateway = how == OUTLIER_GATEWAY_ERRORS;
    unsigned most = gateway ? gateway_errors_of(&service->policy.outlier)
                            : failures_of(&service->policy.outlier);
    atomic_uint *count = gateway ? &o->gateway_errors : &o->failures;
    struct outlier_ejection ejection = { OUTLIER_NONE, 0 };
    unsigned seen;

    if (gateway && read_now(&o->failures) != 0) /* it was reached */
        write_now(&o->failures, 0);
    if (most == 0)
        return ejection;
    seen = atomic_fetch_add_explicit(count, 1, memory_order_relaxed) + 1;
    write_now(&o->trouble, 1);
    if (seen < most)
        return ejection;
    ejection = eject(service, o, how, now_ms);
    if (ejection.reason != OUTLIER_NONE) /* when it comes back, one more is enough */
        write_now(count, most - 1);
    return ejection;
}

bool outlier_went_well(struct endpoint_state *state, uint64_t now_ms)
{
    struct outlier_state *o = &state->outlier;

    write_now(&o->failures, 0);
    write_now(&o->gateway_errors, 0);
    if (outlier_is_ejected(state, now_ms)) /* trouble stays: its coming back is to be told */
        return false;
    write_now(&o->trouble, 0);
    return atomic_exchange_explicit(&o->reason, OUTLIER_NONE, memory_order_relaxed) != OUTLIER_NONE;
}

/* --- latency --- */

static int compare(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

    return (x > y) - (x < y);
}

/* Of the others that have been timed often enough; 0: there are none. */
static unsigned median_of_others(const struct service *service, const struct endpoint_state *state,
                                 uint64_t now_ms)
{
    uint32_t step = (service->endpoint_count + OTHERS_MOST - 1) / OTHERS_MOST;
    unsigned took[OTHERS_MOST], count = 0;

    for (uint32_t i = 0; i < service->endpoint_count; i += step) {
        struct endpoint_state *other = service->endpoints[i].state;

        if (other == NULL || other == state || outlier_is_ejected(other, now_ms) ||
            read_now(&other->outlier.latency_samples) < SAMPLES_LEAST)
            continue;
        took[count++] = read_now(&other->outlier.latency_us);
    }
    if (count == 0)
        return 0;
    qsort(took, count, sizeof(took[0]), compare);
    return took[count / 2];
}

struct outlier_ejection outlier_took(const struct service *service, struct endpoint_state *state,
                                     uint32_t us, uint64_t now_ms)
{
    const struct outlier_policy *policy = &service->policy.outlier;
    struct outlier_state *o = &state->outlier;
    unsigned samples = atomic_fetch_add_explicit(&o->latency_samples, 1, memory_order_relaxed) + 1;
    unsigned was = read_now(&o->latency_us);
    unsigned now =
        samples == 1 ? us : (unsigned)(((uint64_t)was * (SMOOTHING - 1) + us) / SMOOTHING);
    uint64_t median;

    write_now(&o->latency_us, now);
    if (samples < SAMPLES_LEAST || samples % SAMPLES_EVERY != 0)
        return (struct outlier_ejection){ OUTLIER_NONE, 0 };
    if (policy->latency_ms > 0 && now > (uint64_t)policy->latency_ms * 1000)
        return eject(service, o, OUTLIER_LATENCY, now_ms);
    if (policy->latency_percent > 0 && now > LATENCY_FLOOR_US &&
        (median = median_of_others(service, state, now_ms)) > 0 &&
        (uint64_t)now * 100 > median * policy->latency_percent)
        return eject(service, o, OUTLIER_LATENCY, now_ms);
    return (struct outlier_ejection){ OUTLIER_NONE, 0 };
}

const char *outlier_reason_name(enum outlier_reason reason)
{
    static const char *const names[] = { "none", "failures", "gateway_errors", "latency" };

    return names[reason];
}
