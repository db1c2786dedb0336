/* token_bucket.c -- rates by one atomic number.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: proxy/limits.c, proxy/pace.c; control/ reads debts.
 * Not here: whose rate it is, and what time it is. */
#include "base/token_bucket.h"

bool token_bucket_take(struct token_bucket *b, uint64_t now_ns, uint64_t cost_ns, uint64_t burst_ns,
                       uint64_t *wait_ns)
{
    uint64_t seen = atomic_load_explicit(&b->paid_ns, memory_order_relaxed), paid, most;

    if (burst_ns < cost_ns)
        burst_ns = cost_ns;
    most = now_ns + burst_ns;
    for (;;) {
        paid = seen > now_ns ? seen : now_ns;
        if (paid > most)
            paid = most;
        if (paid + cost_ns > most) {
            *wait_ns = paid + cost_ns - most;
            if (paid < seen)
                atomic_compare_exchange_strong_explicit(&b->paid_ns, &seen, paid,
                                                        memory_order_relaxed, memory_order_relaxed);
            return false;
        }
        if (atomic_compare_exchange_weak_explicit(&b->paid_ns, &seen, paid + cost_ns,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    }
}

uint64_t token_bucket_spend(struct token_bucket *b, uint64_t now_ns, uint64_t cost_ns,
                            uint64_t burst_ns)
{
    uint64_t seen = atomic_load_explicit(&b->paid_ns, memory_order_relaxed), paid;

    do {
        paid = (seen > now_ns ? seen : now_ns) + cost_ns;
    } while (!atomic_compare_exchange_weak_explicit(&b->paid_ns, &seen, paid, memory_order_relaxed,
                                                    memory_order_relaxed));
    return paid > now_ns + burst_ns ? paid - now_ns - burst_ns : 0;
}

void token_bucket_return(struct token_bucket *b, uint64_t cost_ns)
{
    atomic_fetch_sub_explicit(&b->paid_ns, cost_ns, memory_order_relaxed);
}

uint64_t token_bucket_debt(const struct token_bucket *b, uint64_t now_ns)
{
    uint64_t paid = atomic_load_explicit(&b->paid_ns, memory_order_relaxed);

    return paid > now_ns ? paid - now_ns : 0;
}
