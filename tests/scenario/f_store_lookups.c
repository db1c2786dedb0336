/* f_store_lookups.c -- hosts asked for the first time, hosts nobody has, floods of them; small caches.
 *
 * Owns:    nothing.
 * Thread:  the test's, and some that ask at once.
 * Used by: make test.
 * Not here: Redis away meanwhile (f_store_outage.c); floods of connections (m_flood.c). */
#include "harness/scene.h"

#include <stdatomic.h>

struct crowd {
    struct scene *s;
    const char *host;
    unsigned good;
};

static void *ask_once(void *owner)
{
    struct crowd *one = owner;

    one->good = scene_get(one->s, one->host, "/").status == 200;
    return NULL;
}

SCENARIO(lookups, a_cold_host_under_many_requests_is_read_once_or_twice)
{
    static struct scene s;
    static struct crowd crowd[60];
    pthread_t threads[60];
    unsigned long before;
    unsigned good = 0;

    scene_start(&s);
    scene_host(&s, "a.b.c.d.test", origin_start("one"));
    await(scene_metric(&s, "usher_store_pushes_total") >= 1);
    before = redis_calls(&s.redis, "type");
    redis_stop(&s.redis); /* so that all of them wait */
    for (unsigned i = 0; i < 60; i++) {
        crowd[i] = (struct crowd){ .s = &s, .host = "a.b.c.d.test" };
        pthread_create(&threads[i], NULL, ask_once, &crowd[i]);
    }
    eventually(scene_metric(&s, "usher_exchanges") == 60, 1500);
    redis_continue(&s.redis);
    for (unsigned i = 0; i < 60; i++) {
        pthread_join(threads[i], NULL);
        good += crowd[i].good;
    }
    cr_assert_eq(good, 60);
    /* its own key, those of the wildcards above it, for two workers at most twice */
    cr_assert_leq(redis_calls(&s.redis, "type") - before, 14);
    cr_assert_leq(scene_metric(&s, "usher_store_lookups_total"), 2);
    scene_end(&s);
}

SCENARIO(lookups, an_unknown_host_is_remembered)
{
    static struct scene s;
    struct client *c;
    unsigned long before;

    scene_start(&s);
    await_fault(&s, "nobody.test", "unknown_host");
    before = redis_calls(&s.redis, "type");
    c = scene_open(&s);
    for (unsigned i = 0; i < 100; i++)
        expect_status(client_get(c, "nobody.test", "/"), 404);
    cr_assert_eq(redis_calls(&s.redis, "type"), before);
    scene_end(&s);
}

SCENARIO(lookups, a_known_host_costs_redis_nothing)
{
    static struct scene s;
    struct client *c;
    unsigned long before;

    scene_start(&s);
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    c = scene_open(&s);
    before = redis_calls(&s.redis, "type") + redis_calls(&s.redis, "get");
    for (unsigned i = 0; i < 200; i++)
        expect_status(client_get(c, "a.test", "/"), 200);
    cr_assert_eq(redis_calls(&s.redis, "type") + redis_calls(&s.redis, "get"), before);
    scene_end(&s);
}

#define FLOOD 400

SCENARIO(lookups, a_flood_of_unknown_hosts_is_bounded_and_hurts_no_other)
{
    static struct scene s;
    struct client *c[FLOOD], *good;
    unsigned busy = 0, unknown = 0, odd = 0;
    unsigned long before;
    uint64_t start;
    double seconds;

    scene_start(&s, .without_edge = true, .flags = { "--lookup-rate", "200" });
    scene_redis(&s, "ACL SETUSER default -scan"); /* it cannot know all hosts: each is asked for */
    scene_host(&s, "a.test", origin_start("one"));
    scene_edge_start(&s);
    await_get(&s, "a.test", "/", 200, "one");
    before = redis_calls(&s.redis, "type");
    good = scene_open(&s);
    for (unsigned i = 0; i < FLOOD; i++)
        c[i] = scene_open(&s);
    start = await_now_ms();
    for (unsigned wave = 0; wave < 4; wave++) {
        for (unsigned i = 0; i < FLOOD; i++)
            client_sendf(c[i], "GET / HTTP/1.1\r\nHost: x%u-%u.flood.test\r\n\r\n", wave, i);
        cr_assert_str_eq(client_get(good, "a.test", "/").text, "one");
        for (unsigned i = 0; i < FLOOD; i++) {
            struct response r = client_read(c[i]);

            busy += strcmp(response_fault(&r), "store_busy") == 0;
            unknown += strcmp(response_fault(&r), "unknown_host") == 0;
            odd += r.status == 200 || r.status == 0;
        }
    }
    seconds = (double)(await_now_ms() - start) / 1000;
    cr_assert_eq(odd, 0);
    cr_assert_gt(busy, 0, "nothing was refused");
    cr_assert_leq(unknown, 200 + 200 * seconds + 50);
    /* each lookup reads at most its own key; the wildcards above it are known by then */
    cr_assert_leq(redis_calls(&s.redis, "type") - before, unknown + 20);
    expect_metric(&s, "usher_store_lookups_refused_total", busy);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(lookups, more_hosts_than_the_rate_wait_for_their_turn)
{
    static struct scene s;
    struct client *c[40];
    struct origin *o = origin_start("one");

    scene_start(&s, .flags = { "--lookup-rate", "100" });
    for (unsigned i = 0; i < 200; i++)
        scene_redis(&s, "SET usher:host:h%u.test %s", i, origin_at(o));
    scene_live(&s);
    for (unsigned i = 0; i < 40; i++)
        c[i] = scene_open(&s);
    for (unsigned n = 0; n < 200; n += 40) {
        for (unsigned i = 0; i < 40; i++)
            client_sendf(c[i], "GET / HTTP/1.1\r\nHost: h%u.test\r\n\r\n", n + i);
        for (unsigned i = 0; i < 40; i++)
            expect_status(client_read(c[i]), 200);
    }
    expect_metric(&s, "usher_store_lookups_refused_total", 0);
    scene_end(&s);
}

#define SIDE_BY_SIDE 20

/* Asks for hosts nobody has, numbers `from` to `to`, several at a time; each is a 404. */
static void ask_for_nobody(struct scene *s, unsigned from, unsigned to)
{
    struct client *c[SIDE_BY_SIDE];

    for (unsigned i = 0; i < SIDE_BY_SIDE; i++)
        c[i] = scene_open(s);
    for (unsigned n = from; n < to; n += SIDE_BY_SIDE) {
        for (unsigned i = 0; i < SIDE_BY_SIDE; i++)
            client_sendf(c[i],
                         "GET / HTTP/1.1\r\nHost: x%u.a-label-so-that-it-takes-some-room.test\r\n"
                         "\r\n",
                         n + i);
        for (unsigned i = 0; i < SIDE_BY_SIDE; i++)
            expect_status(client_read(c[i]), 404);
    }
    for (unsigned i = 0; i < SIDE_BY_SIDE; i++)
        client_close(c[i]);
}

SCENARIO(lookups, unknown_hosts_take_bounded_memory)
{
    static struct scene s;
    long before, after;

    scene_start(&s, .workers = 1,
                .flags = { "--worker-hosts", "2000", "--cache-bytes", "4m", "--lookup-rate",
                           "1000000", "--log-level", "info" });
    ask_for_nobody(&s, 0, 70000); /* more than any table holds */
    before = process_rss_kb(&s.edge.process);
    ask_for_nobody(&s, 70000, 90000);
    after = process_rss_kb(&s.edge.process);
    cr_assert_leq(scene_metric(&s, "usher_cache_bytes"), 5 << 20);
    cr_assert_leq(scene_metric(&s, "usher_hosts_held"), 70000);
    cr_assert_leq(after - before, edge_has_sanitizer() ? 70000 : 3000, "%ld kB became %ld kB",
                  before, after);
    if (!edge_has_sanitizer()) /* whose quarantine holds a lot */
        cr_assert_leq(after, 40000);
    scene_end(&s);
}

SCENARIO(lookups, random_names_push_no_good_host_out)
{
    static struct scene s;

    scene_start(&s, .workers = 1,
                .flags = { "--worker-hosts", "200", "--cache-bytes", "1m", "--lookup-rate",
                           "1000000", "--log-level", "info" });
    scene_hosts(&s, 100, origin_start("one"));
    ask_for_nobody(&s, 0, 10000);
    expect_metric(&s, "usher_records_evicted_total", 0);
    redis_kill(&s.redis);
    for (unsigned i = 0; i < 100; i++)
        expect_get(&s, kept_format("h%u.test", i), "/", 200, "one");
    scene_end(&s);
}

SCENARIO(lookups, a_small_cache_still_serves_every_host)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct client *c;

    scene_start(
        &s, .workers = 1,
        .flags = { "--worker-hosts", "100", "--cache-bytes", "1m", "--lookup-rate", "1000000" });
    for (unsigned i = 0; i < 5000; i++)
        redis_queue(&s.redis, "SET usher:host:h%u.test '%s %s'", i, origin_at(o), "127.0.0.1:1");
    redis_flush(&s.redis);
    for (unsigned i = 0; i < 5000; i++)
        redis_queue(&s.redis, "SET usher:host:h%u.test %s", i, origin_at(o));
    redis_flush(&s.redis);
    scene_live(&s);
    c = scene_open(&s);
    for (unsigned i = 0; i < 5000; i++)
        cr_assert_eq(client_get(c, kept_format("h%u.test", i), "/").status, 200, "h%u", i);
    cr_assert_gt(scene_metric(&s, "usher_records_evicted_total"), 0);
    cr_assert_leq(scene_metric(&s, "usher_cache_bytes"), 2 << 20);
    /* evicted and asked for again; a change still reaches it */
    scene_redis(&s, "SET usher:host:h0.test %s", origin_at(origin_start("two")));
    await(strcmp(client_get(c, "h0.test", "/").text, "two") == 0);
    scene_end(&s);
}

struct writer {
    struct redis redis;
    const char *to;
    atomic_bool stop;
    atomic_uint written;
};

static void *write_on(void *owner)
{
    struct writer *w = owner;

    for (unsigned n = 0; !atomic_load(&w->stop); n++) {
        redis_queue(&w->redis, "SET usher:host:w%u.test %s", n % 5000,
                    n % 7 == 0 ? "127.0.0.1:1" : w->to);
        if (n % 20 == 0)
            redis_flush(&w->redis);
        atomic_store(&w->written, n);
    }
    redis_flush(&w->redis);
    return NULL;
}

SCENARIO(lookups, a_flood_of_writes_holds_no_new_host_and_no_change_up)
{
    static struct scene s;
    static struct writer writer;
    struct origin *one = origin_start("one"), *two = origin_start("two");
    pthread_t thread;
    uint64_t longest = 0;

    scene_start(&s, .flags = { "--log-level", "info" });
    redis_join(&writer.redis, &s.redis);
    writer.to = origin_at(two);
    pthread_create(&thread, NULL, write_on, &writer);
    await(atomic_load(&writer.written) > 2000);
    for (unsigned i = 0; i < 30; i++) {
        uint64_t start = await_now_ms();

        scene_redis(&s, "SET usher:host:h%u.test %s", i, origin_at(one));
        await(scene_get(&s, kept_format("h%u.test", i), "/").status == 200);
        expect_fault(&s, kept_format("nobody%u.test", i), "unknown_host");
        if (await_now_ms() - start > longest)
            longest = await_now_ms() - start;
    }
    atomic_store(&writer.stop, true);
    pthread_join(thread, NULL);
    cr_assert_leq(longest, edge_has_sanitizer() ? 4000 : 1000, "the longest wait: %d ms",
                  (int)longest);
    redis_free(&writer.redis);
    scene_end(&s);
}
