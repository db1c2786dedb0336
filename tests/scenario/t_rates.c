/* t_rates.c -- a rate that edges hold together by tokens leased from Redis (rps_of cluster).
 *
 * Owns:    nothing.
 * Thread:  the test's, and one for each client that floods.
 * Used by: make test.
 * Not here: the arithmetic (tests/unit/routing/test_rate_lease.c); rates of one edge (t_limits.c). */
#include <stdatomic.h>
#include <unistd.h>

#include "harness/scene.h"

#define CLIENTS 6
#define RATE 200 /* far below what the clients ask, also where little time is theirs */
#define MEASURED_MS 5000

/* A client that asks one edge without a break, or at a pace. */
struct flood {
    const char *at;
    unsigned pause_us;
    pthread_t thread;
    atomic_uint passed, refused, other;
    atomic_bool stop;
};

static void *run(void *arg)
{
    struct flood *f = arg;
    struct client *c = client_open(f->at);

    while (!atomic_load(&f->stop)) {
        int status = client_get(c, "a.test", "/").status;

        atomic_fetch_add(status == 200 ? &f->passed : status == 429 ? &f->refused : &f->other, 1);
        if (f->pause_us > 0)
            usleep(f->pause_us);
    }
    client_close(c);
    return NULL;
}

static struct flood floods[CLIENTS];

static void flood_start(struct flood *f, const char *at, unsigned pause_us)
{
    *f = (struct flood){ .at = at, .pause_us = pause_us };
    await_thread(&f->thread, run, f);
}

static unsigned sum_passed(unsigned count)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < count; i++)
        sum += atomic_load(&floods[i].passed);
    return sum;
}

static unsigned sum_limited(unsigned count)
{
    unsigned sum = sum_passed(count);

    for (unsigned i = 0; i < count; i++)
        sum += atomic_load(&floods[i].refused);
    return sum;
}

static void floods_end(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        atomic_store(&floods[i].stop, true);
    for (unsigned i = 0; i < count; i++) {
        pthread_join(floods[i].thread, NULL);
        cr_expect_eq(atomic_load(&floods[i].other), 0);
    }
}

/* What passed in so long, as requests a second; the time is what it really was. */
static double rate_within(unsigned count, unsigned ms)
{
    unsigned before = sum_passed(count);
    uint64_t begun = await_now_ms(), end;

    while ((end = await_now_ms()) < begun + ms)
        await_nap();
    return (sum_passed(count) - before) * 1000.0 / (double)(end - begun);
}

static void begin(struct scene *s, unsigned edges, struct edge *others, const char *fields)
{
    struct origin *o = origin_start("one");

    scene_start(s, .workers = 1, .flags = { "--name", "edge-0" });
    for (unsigned i = 0; i + 1 < edges; i++)
        scene_second_edge(s, &others[i], "--name", kept_format("edge-%u", i + 1), NULL);
    scene_redis(s, "HSET usher:tenant:acme to %s rps_of cluster %s", origin_at(o), fields);
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_live(s);
    for (unsigned i = 0; i + 1 < edges; i++)
        await(client_get_once(others[i].at, "a.test", "/").status != 404);
}

static void end(struct scene *s, unsigned edges, struct edge *others)
{
    for (unsigned i = 0; i + 1 < edges; i++) {
        edge_stop(&others[i]);
        edge_free(&others[i]);
    }
    scene_end(s);
}

SCENARIO(rates, three_edges_together_let_pass_what_the_rate_says)
{
    static struct scene s;
    static struct edge others[2];
    unsigned long asked;
    unsigned limited;
    double rate;

    begin(&s, 3, others, kept_format("rps %u burst 10", RATE));
    for (unsigned i = 0; i < CLIENTS; i++)
        flood_start(&floods[i], i % 3 == 0 ? s.edge.at : others[i % 3 - 1].at, 500);
    await(sum_limited(CLIENTS) > sum_passed(CLIENTS) + 500); /* the burst is over */
    asked = redis_calls(&s.redis, "eval");
    limited = sum_limited(CLIENTS);
    rate = rate_within(CLIENTS, MEASURED_MS);
    asked = redis_calls(&s.redis, "eval") - asked;
    limited = sum_limited(CLIENTS) - limited;
    floods_end(CLIENTS);
    cr_expect_gt(rate, RATE * 0.95, "%.1f of %u a second", rate, RATE);
    cr_expect_lt(rate, RATE * 1.05, "%.1f of %u a second", rate, RATE);
    cr_expect_lt(asked * 50, limited, "%lu questions for %u requests", asked, limited);
    cr_expect_gt(scene_metric(&s, "usher_rate_asks_total"), 0);
    cr_expect_gt(atoi(scene_redis(&s, "PTTL usher:rate:acme")), 1000);
    cr_expect(strstr(scene_page(&s, "/dump/tenants"), "\"edges\":3"));
    end(&s, 3, others);
}

SCENARIO(rates, an_edge_that_is_seldom_asked_gets_its_requests_through)
{
    static struct scene s;
    static struct edge others[1];
    double rate;

    begin(&s, 2, others, kept_format("rps %u burst 40", RATE));
    flood_start(&floods[0], s.edge.at, 8000); /* within the rate, with what is below */
    flood_start(&floods[1], others[0].at, 200000);
    await(sum_passed(2) > 50);
    rate_within(2, 1500);
    cr_expect_eq(sum_limited(2), sum_passed(2), "nobody is refused within the rate");
    floods_end(2);
    flood_start(&floods[0], s.edge.at, 0); /* now it has all there is */
    flood_start(&floods[1], s.edge.at, 0);
    await(atomic_load(&floods[0].refused) > 100);
    rate = rate_within(2, 4000);
    cr_expect_gt(rate, RATE * 0.93, "%.1f of %u a second", rate, RATE);
    cr_expect_lt(rate, RATE * 1.07, "%.1f of %u a second", rate, RATE);
    floods_end(2);
    end(&s, 2, others);
}

SCENARIO(rates, without_redis_each_edge_holds_its_share)
{
    static struct scene s;
    static struct edge others[1];
    double rate;

    begin(&s, 2, others, kept_format("rps %u burst 10", RATE));
    for (unsigned i = 0; i < 4; i++)
        flood_start(&floods[i], i % 2 == 0 ? s.edge.at : others[0].at, 300);
    await(sum_limited(4) > sum_passed(4) + 500);
    await(strstr(scene_page(&s, "/dump/tenants"), "\"edges\":2") != NULL);
    redis_kill(&s.redis);
    await(scene_metric(&s, "usher_rate_asks_away_total") > 0);
    rate_within(4, 1200);
    rate = rate_within(4, 2000);
    cr_expect_gt(rate, RATE * 0.85, "%.1f of %u a second without Redis", rate, RATE);
    cr_expect_lt(rate, RATE * 1.15, "%.1f of %u a second without Redis", rate, RATE);
    redis_start(&s.redis, s.dir, false, NULL);
    scene_redis(&s, "HSET usher:tenant:acme to %s rps_of cluster rps %u burst 10",
                origin_at(origin_start("two")), RATE);
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await(atoi(scene_redis(&s, "EXISTS usher:rate:acme")) == 1);
    rate_within(4, 1500);
    rate = rate_within(4, 4000);
    cr_expect_gt(rate, RATE * 0.9, "%.1f of %u a second with Redis again", rate, RATE);
    cr_expect_lt(rate, RATE * 1.1, "%.1f of %u a second with Redis again", rate, RATE);
    floods_end(4);
    end(&s, 2, others);
}

SCENARIO(rates, a_changed_rate_holds_across_the_cluster)
{
    static struct scene s;
    static struct edge others[1];
    double rate;

    begin(&s, 2, others, "rps 70 burst 10");
    for (unsigned i = 0; i < 4; i++)
        flood_start(&floods[i], i % 2 == 0 ? s.edge.at : others[0].at, 300);
    await(sum_limited(4) > sum_passed(4) + 500);
    scene_redis(&s, "HSET usher:tenant:acme rps %u", RATE);
    scene_live(&s);
    rate_within(4, 1000);
    rate = rate_within(4, 4000);
    cr_expect_gt(rate, RATE * 0.92, "%.1f of %u a second", rate, RATE);
    cr_expect_lt(rate, RATE * 1.08, "%.1f of %u a second", rate, RATE);
    scene_redis(&s, "HSET usher:tenant:acme rps 50");
    scene_live(&s);
    rate_within(4, 1500);
    rate = rate_within(4, 4000);
    cr_expect_gt(rate, 50 * 0.9, "%.1f of 50 a second", rate);
    cr_expect_lt(rate, 50 * 1.1, "%.1f of 50 a second", rate);
    floods_end(4);
    end(&s, 2, others);
}
