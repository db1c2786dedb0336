/* breaker.c -- opens, half-opens and closes.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: proxy/attempt.c.
 * Not here: which failures count (proxy/attempt.c); single endpoints (outlier.c). */
#include "routing/breaker.h"

static unsigned read_now(atomic_uint *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static uint64_t until_of(const struct breaker *b)
{
    return atomic_load_explicit((atomic_uint_fast64_t *)&b->until_ms, memory_order_relaxed);
}

static uint64_t open_ms_of(const struct breaker_policy *p)
{
    return p->open_ms != 0 ? p->open_ms : BREAKER_OPEN_STANDARD_MS;
}

static void forget_window(struct breaker *b, unsigned place)
{
    atomic_store_explicit(&b->requests[place], 0, memory_order_relaxed);
    atomic_store_explicit(&b->failures[place], 0, memory_order_relaxed);
}

/* The place of this window's counts; the first who comes in it clears what is too old. */
static unsigned place_of(struct breaker *b, uint64_t now_ms)
{
    uint_fast64_t was = atomic_load_explicit(&b->window, memory_order_relaxed);
    uint64_t window = now_ms / BREAKER_WINDOW_MS;

    if (window > was && atomic_compare_exchange_strong(&b->window, &was, window)) {
        forget_window(b, window & 1);
        if (window - was > 1)
            forget_window(b, ~window & 1);
    }
    return window & 1;
}

static void forget_trials(struct breaker *b)
{
    atomic_store(&b->trials, 0);
    atomic_store(&b->successes, 0);
}

enum breaker_say breaker_ask(struct breaker *b, const struct breaker_policy *p, uint64_t now_ms,
                             uint64_t *wait_ms)
{
    uint_fast64_t until = until_of(b);

    if (until == 0)
        return BREAKER_PASS;
    *wait_ms = until > now_ms ? until - now_ms : 0;
    if (now_ms < until)
        return BREAKER_REFUSE;
    /* Trials that have told nothing for as long as it was open are given up. */
    if (now_ms - until >= open_ms_of(p) &&
        atomic_compare_exchange_strong(&b->until_ms, &until, now_ms))
        forget_trials(b);
    if (atomic_fetch_add(&b->trials, 1) < BREAKER_TRIALS)
        return BREAKER_TRIAL;
    atomic_fetch_sub(&b->trials, 1);
    return BREAKER_REFUSE;
}

static enum breaker_turn open_again(struct breaker *b, const struct breaker_policy *p,
                                    uint64_t now_ms)
{
    uint_fast64_t until = until_of(b);

    if (until == 0 || now_ms < until ||
        !atomic_compare_exchange_strong(&b->until_ms, &until, now_ms + open_ms_of(p)))
        return BREAKER_AS_IT_WAS; /* another trial has told already */
    forget_trials(b);
    return BREAKER_OPENED;
}

static enum breaker_turn close_if_all_went_well(struct breaker *b, uint64_t now_ms)
{
    uint_fast64_t until = until_of(b);

    if (until == 0 || now_ms < until || atomic_fetch_add(&b->successes, 1) + 1 < BREAKER_TRIALS)
        return BREAKER_AS_IT_WAS;
    forget_window(b, 0);
    forget_window(b, 1);
    if (!atomic_compare_exchange_strong(&b->until_ms, &until, 0))
        return BREAKER_AS_IT_WAS;
    forget_trials(b);
    return BREAKER_CLOSED;
}

enum breaker_turn breaker_tell(struct breaker *b, const struct breaker_policy *p, bool trial,
                               bool failed, uint64_t now_ms)
{
    unsigned place, requests, failures;
    uint_fast64_t closed = 0;

    if (trial)
        return failed ? open_again(b, p, now_ms) : close_if_all_went_well(b, now_ms);
    if (until_of(b) != 0) /* let through before it opened: it knows already */
        return BREAKER_AS_IT_WAS;
    place = place_of(b, now_ms);
    atomic_fetch_add_explicit(&b->requests[place], 1, memory_order_relaxed);
    if (!failed)
        return BREAKER_AS_IT_WAS;
    atomic_fetch_add_explicit(&b->failures[place], 1, memory_order_relaxed);
    requests = read_now(&b->requests[0]) + read_now(&b->requests[1]);
    failures = read_now(&b->failures[0]) + read_now(&b->failures[1]);
    if (requests < (p->least != 0 ? p->least : BREAKER_MIN_STANDARD) ||
        (uint64_t)failures * 100 < (uint64_t)requests * p->percent)
        return BREAKER_AS_IT_WAS;
    forget_trials(b);
    return atomic_compare_exchange_strong(&b->until_ms, &closed, now_ms + open_ms_of(p))
               ? BREAKER_OPENED
               : BREAKER_AS_IT_WAS;
}

void breaker_untell(struct breaker *b)
{
    unsigned trials = read_now(&b->trials);

    while (trials > 0 && !atomic_compare_exchange_weak(&b->trials, &trials, trials - 1))
        continue;
}

const char *breaker_state_name(const struct breaker *b, uint64_t now_ms)
{
    uint64_t until = until_of(b);

    return until == 0 ? "closed" : now_ms < until ? "open" : "half-open";
}
