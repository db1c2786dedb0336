/* test_unit_rate_limit.c -- settings, rates and keys as text; the table by itself, by threads, and of several edges. */
#include "limit.h"
#include "unit/modules/judged.h"

#include <pthread.h>
#include <stdatomic.h>

Test(rate_limit, settings_are_taken)
{
    expect_good("rate_limit(rate=100/s)");
    expect_good("rate_limit(rate=60/m burst=10 key=address,path headers=off keys=100)");
    expect_good("rate_limit(rate=1/d key=header:X-Api-Key shared name=api)");
    expect_good("rate_limit(rate=1000/h key=cookie:session,claim:X-User,host)");
    expect_good("rate_limit(rate=1000000/s burst=100000000)");
}

Test(rate_limit, wrong_settings_are_refused_with_a_sentence)
{
    static const char *const rates[] = {
        "100",       "100/x",           "/s", "0/s", "-1/s", "1.5/s", "1/sec", "1 /s", "1/s/m",
        "1000001/s", "99999999999999/d"
    };
    static const char *const keys[] = {
        "ip",       "header:",    "header",     "address:x",
        "address,", "header:a b", "path,,host", "path,host,path,host,path"
    };
    char text[120];

    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        snprintf(text, sizeof(text), "rate_limit(rate=\"%s\")", rates[i]);
        expect_refused(text, "setting rate: requests in a time, such as 100/s");
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        snprintf(text, sizeof(text), "rate_limit(rate=1/s key=\"%s\")", keys[i]);
        expect_refused(text, "setting key: address, header:NAME");
    }
    expect_refused("rate_limit", "setting rate of rate_limit to be said");
    expect_refused("rate_limit(rate=1/s burst=0)", "setting burst: a number from 1");
    expect_refused("rate_limit(rate=1/s shared wait=1ms)", "setting wait: a time");
    expect_refused("rate_limit(rate=1/d burst=8)", "comes back within 7 days");
    expect_refused("rate_limit(rate=1/s name=\"a b\")", "setting name: letters, digits");
    cr_expect(strstr(judged_for(NULL, "rate_limit(rate=1/s shared)"), "without a tenant") != NULL);
    cr_expect_str_eq(judged_for(NULL, "rate_limit(rate=1/s)"), "");
}

Test(rate_limit, addresses_are_counted_as_who_has_them)
{
    unsigned char a[8], b[8];

    cr_expect_eq(rate_limit_address(usher_text("192.0.2.7"), a), 4);
    cr_expect_eq(rate_limit_address(usher_text("::ffff:192.0.2.7"), b), 4);
    cr_expect_eq(memcmp(a, b, 4), 0);
    cr_expect_eq(rate_limit_address(usher_text("2001:db8:1:2::1"), a), 8);
    cr_expect_eq(rate_limit_address(usher_text("2001:db8:1:2:ffff::"), b), 8);
    cr_expect_eq(memcmp(a, b, 8), 0);
    cr_expect_eq(rate_limit_address(usher_text("2001:db8:1:3::1"), b), 8);
    cr_expect_neq(memcmp(a, b, 8), 0);
    cr_expect_eq(rate_limit_address(usher_text("host.test"), a), 0);
}

/* --- one edge's own limit --- */

static struct limit limit_of(const char *rate, uint64_t burst)
{
    struct limit limit;
    uint64_t count, period_ns;

    cr_assert(rate_limit_read(usher_text(rate), &count, &period_ns));
    cr_assert(rate_limit_set(&limit, count, period_ns, burst));
    limit.stale_ms = 200;
    return limit;
}

static bool passes(struct table *t, uint64_t hash, uint64_t now_ms, struct ruling *r)
{
    rate_limit_take(t, hash, now_ms, 0, false, r);
    return r->verdict == LIMIT_PASS;
}

Test(rate_limit, a_burst_passes_at_once_and_the_rate_from_then_on)
{
    struct limit limit = limit_of("10/s", 5);
    struct table *t = rate_limit_table_new(&limit, 100);
    struct ruling r;
    unsigned passed = 0;

    for (unsigned i = 0; i < 5; i++) {
        cr_expect(passes(t, 7, 1000, &r));
        cr_expect_eq(r.remaining, 4 - i);
        cr_expect_eq(r.full_in_ms, 100 * (i + 1));
    }
    cr_expect(!passes(t, 7, 1000, &r));
    cr_expect_eq(r.retry_in_ms, 100);
    cr_expect_eq(r.remaining, 0);
    cr_expect(passes(t, 8, 1000, &r), "another key");
    cr_expect(!passes(t, 7, 1099, &r));
    cr_expect_eq(r.retry_in_ms, 1);
    cr_expect(passes(t, 7, 1100, &r));
    cr_expect(!passes(t, 7, 1100, &r));
    for (uint64_t now = 1101; now <= 11100; now++)
        passed += passes(t, 7, now, &r);
    cr_expect_eq(passed, 100, "%u in 10 s", passed);
    for (unsigned i = 0; i < 5; i++)
        cr_expect(passes(t, 7, 50000, &r));
    cr_expect(!passes(t, 7, 50000, &r));
    cr_expect(!passes(t, 7, 49990, &r), "another worker's loop is a little behind");
    rate_limit_table_free(t);
}

Test(rate_limit, the_table_is_bounded_and_gives_up_who_has_asked_least)
{
    struct limit limit = limit_of("10/d", 10);
    struct table *t = rate_limit_table_new(&limit, 8); /* one set of eight */
    struct ruling r;

    for (uint64_t hash = 1; hash <= 8; hash++)
        for (unsigned i = 0; i < (hash == 5 ? 1 : 10); i++)
            cr_expect(passes(t, hash, 1000, &r) && !r.evicted);
    cr_expect(passes(t, 9, 1000, &r));
    cr_expect(r.evicted);
    for (uint64_t hash = 1; hash <= 8; hash++)
        if (hash != 5)
            cr_expect(!passes(t, hash, 1000, &r), "%u is still known", (unsigned)hash);
    rate_limit_table_free(t);
}

Test(rate_limit, idle_keys_make_room_and_nothing_is_lost)
{
    struct limit limit = limit_of("10/s", 1);
    struct table *t = rate_limit_table_new(&limit, 8);
    struct ruling r;

    for (uint64_t hash = 1; hash <= 1000; hash++) {
        cr_expect(passes(t, hash, 1000 + hash * 100, &r));
        cr_expect(!r.evicted);
    }
    rate_limit_table_free(t);
}

#define THREADS 4

struct hammer {
    struct table *table;
    atomic_uint passed[16];
};

static void *hammer(void *arg)
{
    struct hammer *h = arg;
    struct ruling r;

    for (unsigned i = 0; i < 20000; i++)
        if (passes(h->table, 1 + i % 16, 1000, &r))
            atomic_fetch_add(&h->passed[i % 16], 1);
    return NULL;
}

Test(rate_limit, workers_together_let_no_request_more_pass)
{
    struct limit limit = limit_of("1000/d", 1000);
    struct hammer h = { .table = rate_limit_table_new(&limit, 1000) };
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, hammer, &h), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 16; i++)
        cr_expect_eq(h.passed[i], 1000, "key %d: %u", i, h.passed[i]);
    rate_limit_table_free(h.table);
}

/* --- several edges and a counter: a world in which a step is one ms, and an answer comes after some --- */

#define EDGES_MOST 4
#define OPEN_MOST 64

struct open_question {
    struct ruling ruling;
    uint64_t due_ms, total;
    bool looks;
};

struct edge {
    struct table *table;
    struct open_question open[OPEN_MOST];
    unsigned open_count;
};

struct world {
    struct edge edges[EDGES_MOST];
    uint64_t counters[20000]; /* by window since the first */
    uint64_t first_window, now_ms, redis_ms;
    unsigned passed, refused, asked, seen;
    bool redis_is_away;
};

static void ruled(struct world *w, struct edge *e, const struct ruling *r)
{
    struct open_question *q;

    if (r->verdict == LIMIT_PASS || r->verdict == LIMIT_REFUSE) {
        w->passed += r->verdict == LIMIT_PASS;
        w->refused += r->verdict == LIMIT_REFUSE;
        return;
    }
    cr_assert_lt(e->open_count, OPEN_MOST, "requests heap up");
    q = &e->open[e->open_count++];
    *q = (struct open_question){ .ruling = *r, .due_ms = w->now_ms + w->redis_ms };
    q->looks = r->verdict == LIMIT_LOOK;
    if (q->looks) {
        q->due_ms = w->now_ms + 2;
        return;
    }
    w->asked++;
    q->total = w->counters[r->window - w->first_window] += r->amount;
}

static void request(struct world *w, struct edge *e)
{
    struct ruling r;

    w->seen++;
    rate_limit_take(e->table, 1, w->now_ms, w->now_ms, false, &r);
    ruled(w, e, &r);
}

static void answers(struct world *w, struct edge *e)
{
    unsigned count = e->open_count, kept = 0;
    struct open_question due[OPEN_MOST];

    memcpy(due, e->open, sizeof(due));
    for (unsigned i = 0; i < count; i++)
        if (due[i].due_ms > w->now_ms)
            e->open[kept++] = due[i];
    e->open_count = kept;
    for (unsigned i = 0; i < count; i++) {
        struct ruling r = due[i].ruling;

        if (due[i].due_ms > w->now_ms)
            continue;
        if (due[i].looks)
            rate_limit_take(e->table, 1, w->now_ms, w->now_ms, true, &r);
        else
            rate_limit_answered(e->table, 1, w->now_ms, w->now_ms, due[i].total, &r);
        ruled(w, e, &r);
    }
}

/* So many requests a second in turn to so many edges, for 10 seconds from the middle of a window on. */
static void run_world(struct world *w, struct limit limit, unsigned edges, unsigned a_second,
                      uint64_t redis_ms)
{
    uint64_t begin = 1700000000000ull + limit.window_ms / 2;
    unsigned turn = 0;

    memset(w, 0, sizeof(*w));
    w->redis_ms = redis_ms;
    w->first_window = begin / limit.window_ms;
    for (unsigned i = 0; i < edges; i++)
        w->edges[i].table = rate_limit_table_new(&limit, 100);
    for (unsigned ms = 0; ms < 10000; ms++) {
        w->now_ms = begin + ms;
        for (unsigned i = 0; i < edges; i++)
            answers(w, &w->edges[i]);
        for (uint64_t due = (uint64_t)a_second * (ms + 1) / 1000; w->seen < due;)
            request(w, &w->edges[turn++ % edges]);
    }
    for (unsigned i = 0; i < edges; i++)
        rate_limit_table_free(w->edges[i].table);
}

Test(rate_limit, edges_together_let_as_many_pass_as_one_would_and_ask_seldom)
{
    static const struct {
        const char *rate;
        unsigned burst, a_second, edges;
        uint64_t redis_ms;
    } cases[] = {
        { "5000/s", 5000, 10000, 1, 1 },   { "5000/s", 5000, 10000, 3, 1 },
        { "5000/s", 500, 10000, 2, 1 },    { "100/s", 100, 10000, 4, 1 },
        { "9000/s", 9000, 10000, 2, 2 },   { "1000/s", 100, 10000, 3, 1 },
        { "60000/m", 60000, 10000, 3, 1 }, { "20/s", 1, 10000, 2, 1 },
        { "10000/s", 10000, 9000, 3, 1 }, /* within the limit: nobody is refused */
    };
    static struct world w;
    char said[200];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct limit limit = limit_of(cases[i].rate, cases[i].burst);
        double allowed = 10e9 / (double)limit.interval_ns + cases[i].burst, most;

        run_world(&w, limit, cases[i].edges, cases[i].a_second, cases[i].redis_ms);
        snprintf(said, sizeof(said), "%s burst %u, %u/s on %u edges: %u of %u passed, asked %u",
                 cases[i].rate, cases[i].burst, cases[i].a_second, cases[i].edges, w.passed, w.seen,
                 w.asked);
        cr_expect_leq(w.passed, allowed * 1.02, "%s", said);
        most = allowed - cases[i].burst < w.seen ? allowed - cases[i].burst : w.seen;
        cr_expect_geq(w.passed, most * 0.93, "%s", said);
        cr_expect_leq(w.asked, w.seen / 50, "%s", said);
    }
}

Test(rate_limit, a_key_that_hardly_asks_costs_redis_nothing)
{
    static struct world w;
    struct limit limit = limit_of("1000/s", 1000);

    run_world(&w, limit, 2, 10, 1);
    cr_expect_eq(w.passed, 100);
    cr_expect_eq(w.asked, 0);
}

Test(rate_limit, without_an_answer_the_next_one_asks_and_the_edge_rules_alone)
{
    struct limit limit = limit_of("40/d", 40);
    struct table *t = rate_limit_table_new(&limit, 100);
    struct ruling r;
    unsigned passed = 0;

    rate_limit_take(t, 1, 1000, 5000000, false, &r);
    cr_expect_eq(r.verdict, LIMIT_ASK);
    cr_expect(!r.passed);
    rate_limit_take(t, 1, 1000, 5000001, false, &r);
    cr_expect_eq(r.verdict, LIMIT_LOOK);
    rate_limit_take(t, 1, 1000, 5001000, true, &r);
    cr_expect_eq(r.verdict, LIMIT_ASK, "who asked first is gone");
    rate_limit_failed(t, 1);
    rate_limit_take(t, 1, 1000, 5001001, true, &r);
    cr_expect_eq(r.verdict, LIMIT_ASK);
    for (unsigned i = 0; i < 100; i++)
        passed += passes(t, 1, 1000, &r);
    cr_expect_eq(passed, 40);
    rate_limit_table_free(t);
}
