/* test_rate_lease.c -- several edges that lease from one bucket, on a clock of the test's own. */
#include "routing/rate_lease.h"

#include <criterion/criterion.h>

#define MS 1000000ull
#define NOW (1000000 * MS)
#define EDGES 3
#define ANSWER_NS (2 * MS) /* Redis takes so long */

/* What the script in control/rates.c does to its key. */
struct redis_bucket {
    double paid_ns;
    unsigned asked;
};

struct one_edge {
    struct rate_lease lease;
    struct lease_question question;
    struct lease_answer answer;
    uint64_t answer_at; /* 0: nothing is under way */
    unsigned passed, refused;
};

static struct lease_answer redis_says(struct redis_bucket *b, uint64_t now, uint32_t rps,
                                      uint32_t burst, const struct lease_question *q)
{
    double every = 1e9 / rps, ahead = b->paid_ns > (double)now ? b->paid_ns - (double)now : 0;
    struct lease_answer a = { .edges = EDGES };
    double room;

    b->asked++;
    ahead += (double)q->owed * every;
    room = (burst * every - ahead) / every + 0.001;
    room = room > 0 ? (int64_t)room : 0;
    a.given = q->wanted < (int64_t)room ? q->wanted : (int64_t)room;
    a.left = (int64_t)room - a.given;
    ahead += (double)a.given * every;
    b->paid_ns = (double)now + ahead;
    if (ahead + every > burst * every)
        a.wait_ns = (uint64_t)(ahead + every - burst * every);
    return a;
}

static void ask(struct one_edge *e, struct redis_bucket *b, uint64_t now, uint32_t rps,
                uint32_t burst)
{
    e->question = rate_lease_ask(&e->lease, now, rps);
    e->answer = redis_says(b, now, rps, burst, &e->question);
    e->answer_at = now + ANSWER_NS;
}

/* A request comes to this edge. */
static void request(struct one_edge *e, struct redis_bucket *b, uint64_t now, uint32_t rps,
                    uint32_t burst)
{
    uint64_t wait;
    bool must_ask;

    if (e->answer_at != 0 && now >= e->answer_at) {
        rate_lease_answered(&e->lease, now, rps, &e->question, &e->answer);
        e->answer_at = 0;
    }
    if (rate_lease_spend(&e->lease, now, rps, burst, &wait, &must_ask) == LEASE_SPENT)
        e->passed++;
    else
        e->refused++;
    if (must_ask)
        ask(e, b, now, rps, burst);
}

struct run {
    unsigned passed, limited, asked;
};

/* `each` requests a second at each of the edges, for so many seconds after one to settle. */
static struct run run_edges(uint32_t rps, const double each[EDGES], unsigned seconds)
{
    static struct one_edge edges[EDGES];
    struct redis_bucket bucket = { 0 };
    uint32_t burst = rate_lease_burst(rps, 1);
    double due[EDGES];
    struct run before = { 0 }, r = { 0 };

    memset(edges, 0, sizeof(edges));
    for (unsigned i = 0; i < EDGES; i++)
        due[i] = 0.1 * i;
    for (uint64_t us = 0; us < (seconds + 2) * 1000000ull; us += 50) {
        for (unsigned i = 0; i < EDGES; i++)
            for (; due[i] <= (double)us; due[i] += 1e6 / each[i])
                request(&edges[i], &bucket, NOW + us * 1000, rps, burst);
        r = (struct run){ .asked = bucket.asked };
        for (unsigned i = 0; i < EDGES; i++) {
            r.passed += edges[i].passed;
            r.limited += edges[i].passed + edges[i].refused;
        }
        if (us == 2000000)
            before = r;
    }
    return (struct run){ r.passed - before.passed, r.limited - before.limited,
                         r.asked - before.asked };
}

static void expect_rate(const struct run *r, double expected, const char *what)
{
    cr_expect_gt((double)r->passed, expected * 0.97, "%s: %u passed", what, r->passed);
    cr_expect_lt((double)r->passed, expected * 1.03, "%s: %u passed", what, r->passed);
}

Test(rate_lease, edges_together_hold_the_rate)
{
    struct run flood = run_edges(1000, (double[]){ 20000, 20000, 20000 }, 5);
    struct run twice = run_edges(1000, (double[]){ 700, 700, 600 }, 5);
    struct run uneven = run_edges(1000, (double[]){ 3000, 100, 5 }, 5);
    struct run within = run_edges(1000, (double[]){ 300, 300, 300 }, 5);
    struct run small = run_edges(20, (double[]){ 50, 50, 1 }, 20);

    expect_rate(&flood, 5000, "a flood");
    expect_rate(&twice, 5000, "twice the rate");
    expect_rate(&uneven, 5000, "one edge has nearly all");
    expect_rate(&small, 400, "twenty a second");
    expect_rate(&within, 4500, "nobody is refused within the rate");
    cr_expect_eq(within.passed, within.limited);
}

Test(rate_lease, redis_is_asked_about_once_in_a_hundred)
{
    struct run flood = run_edges(1000, (double[]){ 20000, 20000, 20000 }, 5);
    struct run twice = run_edges(1000, (double[]){ 700, 700, 600 }, 5);
    struct run large = run_edges(10000, (double[]){ 3000, 3000, 3000 }, 5);

    cr_expect_lt(flood.asked * 1000, flood.limited, "%u of %u", flood.asked, flood.limited);
    cr_expect_lt(twice.asked * 80, twice.limited, "%u of %u", twice.asked, twice.limited);
    cr_expect_lt(large.asked * 100, large.limited, "%u of %u", large.asked, large.limited);
}

Test(rate_lease, who_comes_after_a_pause_is_let_in_at_once)
{
    struct one_edge e = { 0 };
    struct redis_bucket bucket = { 0 };

    for (unsigned i = 0; i < 10; i++) /* a burst at an edge that knows nothing yet */
        request(&e, &bucket, NOW + i, 20, 10);
    cr_expect_eq(e.passed, 10);
    for (unsigned i = 0; i < 200; i++)
        request(&e, &bucket, NOW + (10 + i) * MS, 20, 10);
    cr_expect_leq(e.passed, 10 + 4, "then the rate holds");
    request(&e, &bucket, NOW + 5000 * MS, 20, 10);
    cr_expect_geq(e.passed, 11);
}

Test(rate_lease, unused_tokens_expire)
{
    struct rate_lease l = { .batch = 100, .low = 1 };
    struct lease_question q = { .wanted = 100 };
    uint64_t wait;
    bool must_ask;

    rate_lease_answered(&l, NOW, 1000, &q,
                        &(struct lease_answer){ .given = 100, .left = 5, .edges = 1 });
    cr_expect_eq(rate_lease_spend(&l, NOW + 999 * MS, 1000, 500, &wait, &must_ask), LEASE_SPENT);
    cr_expect_eq(atomic_load(&l.tokens), 99);
    cr_expect_eq(rate_lease_spend(&l, NOW + 1001 * MS, 1000, 500, &wait, &must_ask), LEASE_SPENT);
    cr_expect_eq(atomic_load(&l.tokens), -1, "what is spent now is on credit");
    cr_expect(must_ask);
    cr_expect_eq(rate_lease_ask(&l, NOW + 1001 * MS, 1000).owed, 1);
}

Test(rate_lease, without_redis_nothing_is_spent_here)
{
    struct rate_lease l = { 0 };
    uint64_t wait;
    bool must_ask;

    rate_lease_spend(&l, NOW, 10, 10, &wait, &must_ask);
    cr_expect(must_ask);
    rate_lease_away(&l, NOW + 5 * MS);
    cr_expect_eq(rate_lease_spend(&l, NOW + 6 * MS, 10, 10, &wait, &must_ask), LEASE_AWAY);
    cr_expect_not(must_ask);
    cr_expect_eq(atomic_load(&l.tokens), -1, "what was spent before is not forgotten");
    rate_lease_spend(&l, NOW + 1100 * MS, 10, 10, &wait, &must_ask);
    cr_expect(must_ask, "it is asked again after a second");
}
