/* rate_lease.h -- a tenant's share of a rate that all edges of one Redis hold together: tokens leased from Redis
 * in batches, spent by the workers, and asked for again before they run out.
 *
 * Everything spent is told to Redis sooner or later, so that what passes in the long run is the rate. What
 * is spent before Redis has answered is on credit: as much as it said is left, or, of a tenant that nobody has
 * asked for here of late, as this edge alone would let pass. Tokens that nobody spends expire. */
#ifndef ROUTING_RATE_LEASE_H
#define ROUTING_RATE_LEASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Shared by the workers; control fills in answers. All zero: nothing is known yet. */
struct rate_lease {
    _Atomic int64_t tokens;          /* below 0: spent on credit, and not yet told to Redis */
    _Atomic int64_t credit;          /* how far below 0 it may go while Redis is being asked */
    _Atomic int64_t low;             /* with so few left, more are asked for */
    _Atomic uint64_t expires_ns;     /* tokens that are left then are void */
    _Atomic uint64_t dry_until_ns;   /* Redis has no more before that */
    _Atomic uint64_t known_until_ns; /* what Redis said holds so long */
    _Atomic uint64_t away_until_ns;  /* Redis did not answer: it is not asked before */
    _Atomic uint32_t edges;          /* that share the rate, as Redis said last */
    atomic_bool asking; /* a question is under way: nobody else asks, and the state stays */
    /* Control's. */
    int64_t batch;     /* as many are asked for at a time */
    uint64_t asked_ns; /* when that was, last */
};

enum lease_word {
    LEASE_SPENT,
    LEASE_DRY,  /* the cluster's rate is used up; *wait_ns says for how long at least */
    LEASE_AWAY, /* nothing was spent: this edge's own share holds */
};

/* One token. *ask: whoever called must have control ask Redis, and nobody else will before. */
enum lease_word rate_lease_spend(struct rate_lease *l, uint64_t now_ns, uint32_t rps,
                                 uint32_t burst, uint64_t *wait_ns, bool *ask);

/* Control asks: so much was spent on credit, so much more is wanted. */
struct lease_question {
    int64_t owed, wanted;
};
struct lease_question rate_lease_ask(struct rate_lease *l, uint64_t now_ns, uint32_t rps);

/* What Redis said: tokens given, those left there, when there will be another one, who shares. */
struct lease_answer {
    int64_t given, left;
    uint64_t wait_ns;
    uint32_t edges;
};
void rate_lease_answered(struct rate_lease *l, uint64_t now_ns, uint32_t rps,
                         const struct lease_question *q, const struct lease_answer *a);
void rate_lease_away(struct rate_lease *l, uint64_t now_ns);

/* The burst that a rate across the cluster has at least: it must last from one question to the next. */
static inline uint32_t rate_lease_burst(uint32_t rps, uint32_t burst)
{
    return burst > rps / 2 ? burst : rps / 2;
}

#endif
