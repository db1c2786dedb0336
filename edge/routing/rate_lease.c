/* rate_lease.c -- the arithmetic of leased tokens.
 *
 * Owns:    nothing.
 * Thread:  spending: any worker; asking and answers: control.
 * Used by: proxy/limits.c, control/rates.c.
 * Not here: what is said to Redis (control/rates.c); this edge's own rate (base/token_bucket.h). */
#include "routing/rate_lease.h"

#define MS 1000000ull
#define LIVES_NS (1000 * MS)      /* a token */
#define KNOWN_NS (1000 * MS)      /* an answer */
#define AWAY_NS (1000 * MS)       /* so long Redis is not asked when it did not answer */
#define BATCH_LASTS_NS (250 * MS) /* about so long; smaller ones grow, others shrink */
#define DRY_MOST_NS (200 * MS)    /* asked again by then at the latest, if a token can be there */

static uint64_t get(const _Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static void set(_Atomic uint64_t *to, uint64_t value)
{
    atomic_store_explicit(to, value, memory_order_relaxed);
}

/* How low the tokens may go. */
static int64_t floor_at(const struct rate_lease *l, uint64_t now_ns, uint32_t rps, uint32_t burst)
{
    if (now_ns < get(&l->dry_until_ns))
        return 0;
    if (now_ns >= get(&l->known_until_ns))
        return -((int64_t)rps + burst);
    return -atomic_load_explicit(&l->credit, memory_order_relaxed);
}

/* One is asked for all. */
static bool may_ask(struct rate_lease *l, int64_t left, uint64_t now_ns)
{
    return left <= atomic_load_explicit(&l->low, memory_order_relaxed) &&
           now_ns >= get(&l->dry_until_ns) &&
           !atomic_load_explicit(&l->asking, memory_order_relaxed) &&
           !atomic_exchange_explicit(&l->asking, true, memory_order_acquire);
}

enum lease_word rate_lease_spend(struct rate_lease *l, uint64_t now_ns, uint32_t rps,
                                 uint32_t burst, uint64_t *wait_ns, bool *ask)
{
    int64_t tokens = atomic_load_explicit(&l->tokens, memory_order_relaxed), have, least;
    uint64_t dry_until = get(&l->dry_until_ns);

    *ask = false;
    if (now_ns < get(&l->away_until_ns))
        return LEASE_AWAY;
    least = floor_at(l, now_ns, rps, burst);
    do {
        have = tokens > 0 && now_ns >= get(&l->expires_ns) ? 0 : tokens;
        if (have > least)
            continue;
        *wait_ns = dry_until > now_ns ? dry_until - now_ns : MS;
        *ask = may_ask(l, have, now_ns);
        return LEASE_DRY;
    } while (!atomic_compare_exchange_weak_explicit(&l->tokens, &tokens, have - 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    *ask = may_ask(l, have - 1, now_ns);
    return LEASE_SPENT;
}

/* Batches last a quarter of a second: few questions, and little that is left over. */
static void fit_batch(struct rate_lease *l, uint64_t now_ns, uint32_t rps)
{
    uint64_t since = now_ns - l->asked_ns;
    int64_t most = rps / 4;

    if (since < BATCH_LASTS_NS)
        l->batch = l->batch * 2 + 1;
    else if (since > 3 * BATCH_LASTS_NS)
        l->batch = since > 10 * BATCH_LASTS_NS ? 0 : l->batch / 2;
    if (l->batch > most)
        l->batch = most;
    l->asked_ns = now_ns;
}

struct lease_question rate_lease_ask(struct rate_lease *l, uint64_t now_ns, uint32_t rps)
{
    int64_t tokens = atomic_load_explicit(&l->tokens, memory_order_relaxed);
    struct lease_question q = { 0 };

    fit_batch(l, now_ns, rps);
    q.owed = tokens < 0 ? -tokens : 0;
    q.wanted = l->batch;
    if (tokens <= 0 && q.wanted == 0 && now_ns < get(&l->known_until_ns))
        q.wanted = 1; /* somebody was just refused, or will be */
    return q;
}

/* Until what was wanted can be there; who got nothing looks again sooner, so that no edge comes second
 * each time. */
static uint64_t dry_for(const struct lease_question *q, const struct lease_answer *a, uint32_t rps)
{
    uint64_t fill = (uint64_t)q->wanted * (1000 * MS) / rps;

    if (fill > DRY_MOST_NS)
        fill = DRY_MOST_NS;
    return a->given > 0 ? fill : fill / 4;
}

void rate_lease_answered(struct rate_lease *l, uint64_t now_ns, uint32_t rps,
                         const struct lease_question *q, const struct lease_answer *a)
{
    int64_t tokens = atomic_load_explicit(&l->tokens, memory_order_relaxed);
    uint64_t dry = 0, fill = dry_for(q, a, rps);

    while (!atomic_compare_exchange_weak_explicit(
        &l->tokens, &tokens,
        (tokens > 0 && now_ns >= get(&l->expires_ns) ? 0 : tokens) + q->owed + a->given,
        memory_order_relaxed, memory_order_relaxed))
        continue;
    if (a->given < q->wanted || a->left < 1)
        dry = a->wait_ns > fill ? a->wait_ns : fill;
    atomic_store_explicit(&l->credit, a->left / (a->edges > 0 ? a->edges : 1) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&l->low, l->batch / 2, memory_order_relaxed);
    atomic_store_explicit(&l->edges, a->edges, memory_order_relaxed);
    set(&l->expires_ns, now_ns + LIVES_NS);
    set(&l->dry_until_ns, dry > 0 ? now_ns + dry : 0);
    set(&l->known_until_ns, now_ns + dry + KNOWN_NS);
    atomic_store_explicit(&l->asking, false, memory_order_release);
}

void rate_lease_away(struct rate_lease *l, uint64_t now_ns)
{
    set(&l->away_until_ns, now_ns + AWAY_NS);
    atomic_store_explicit(&l->asking, false, memory_order_release);
}
