/* token_bucket.h -- what comes steadily and may be spent at once up to a burst: a rate, held exactly by any
 * number of threads with one atomic number.
 *
 * GCRA: the number is the moment at which all that was spent is paid for. Each piece costs time; who would
 * be further ahead of now than the burst's time must wait. Nothing is written when nothing is taken. */
#ifndef BASE_TOKEN_BUCKET_H
#define BASE_TOKEN_BUCKET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* All zero: nothing was spent. */
struct token_bucket {
    _Atomic uint64_t paid_ns;
};

/* Takes what costs `cost_ns`; false: it would be more than the burst (at least the cost) allows, and
 * *wait_ns says when it will not be. A debt that is larger than the burst, from when that was another, is
 * forgiven down to it. */
bool token_bucket_take(struct token_bucket *b, uint64_t now_ns, uint64_t cost_ns, uint64_t burst_ns,
                       uint64_t *wait_ns);

/* Spends in any case; how long to wait until that is within the burst. 0: it is. */
uint64_t token_bucket_spend(struct token_bucket *b, uint64_t now_ns, uint64_t cost_ns,
                            uint64_t burst_ns);

/* Gives back what was taken and not used. */
void token_bucket_return(struct token_bucket *b, uint64_t cost_ns);

/* What is spent and not paid for. */
uint64_t token_bucket_debt(const struct token_bucket *b, uint64_t now_ns);

#endif
