/* f_store_outage.c -- Redis away, stopped, back, back empty; hosts nobody knows; floods of them.
 *
 * Owns:    nothing.
 * Thread:  the test's, and some that ask at once.
 * Used by: make test.
 * Not here: floods of connections (m_flood.c). */
#include "harness/scene.h"

#include <stdio.h>
#include <stdlib.h>

/* `count` hosts h0.test ... at this origin, each asked for once. */
static void known_hosts(struct scene *s, unsigned count, const struct origin *o)
{
    struct client *c = scene_open(s);

    for (unsigned i = 0; i < count; i++)
        redis_queue(&s->redis, "SET usher:host:h%u.test %s", i, origin_at(o));
    redis_flush(&s->redis);
    for (unsigned i = 0; i < count; i++)
        expect_status(client_get(c, kept_format("h%u.test", i), "/"), 200);
    client_close(c);
}

static bool is_up(struct scene *s)
{
    return scene_metric(s, "usher_store_up") == 1;
}

SCENARIO(outage, started_without_redis_it_serves_and_is_not_ready)
{
    static struct scene s;

    scene_start(&s, .without_redis = true);
    cr_assert_eq(scene_ready(&s), 503);
    expect_status(client_get_once(s.edge.admin, "x", "/healthz"), 200);
    expect_fault(&s, "a.test", "store_unavailable");
    redis_restart(&s.redis);
    scene_host(&s, "a.test", origin_start("one"));
    await(scene_ready(&s) == 200);
    await_get(&s, "a.test", "/", 200, "one");
    cr_assert_eq(scene_logged(&s, " store_up"), 1);
    scene_end(&s);
}

SCENARIO(outage, known_hosts_serve_on_and_new_ones_wait_for_redis)
{
    static struct scene s;

    scene_start(&s);
    scene_host(&s, "a.test", origin_start("one"));
    scene_redis(&s, "SET usher:host:bad.test nonsense");
    await_get(&s, "a.test", "/", 200, "one");
    await_fault(&s, "unknown.test", "unknown_host");
    await_fault(&s, "bad.test", "bad_record");
    redis_kill(&s.redis);
    await(!is_up(&s));
    for (unsigned i = 0; i < 8; i++) {
        expect_get(&s, "a.test", "/", 200, "one");
        expect_fault(&s, "never.seen", "store_unavailable");
    }
    expect_fault(&s, "bad.test", "bad_record");
    cr_assert_eq(scene_ready(&s), 200, "losing Redis does not unready an edge that serves");
    cr_assert_eq(scene_logged(&s, " store_down"), 1, "once, not per request");
    redis_restart(&s.redis);
    scene_host(&s, "a.test", origin_start("moved"));
    await(is_up(&s));
    await_get(&s, "a.test", "/", 200, "moved");
    await_fault(&s, "never.seen", "unknown_host");
    expect_metric(&s, "usher_store_reconnects_total", 1);
    scene_end(&s);
}

SCENARIO(outage, what_changed_meanwhile_is_read_again)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");

    scene_start(&s, .flags = { "--max-loss", "100" });
    scene_host(&s, "same.test", one);
    scene_host(&s, "moved.test", one);
    scene_host(&s, "gone.test", one);
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(one));
    scene_redis(&s, "SET usher:host:t.test tenant:acme");
    await_get(&s, "same.test", "/", 200, "one");
    await_get(&s, "moved.test", "/", 200, "one");
    await_get(&s, "gone.test", "/", 200, "one");
    await_get(&s, "t.test", "/", 200, "one");
    await_fault(&s, "new.test", "unknown_host");
    redis_restart(&s.redis); /* empty */
    redis_queue(&s.redis, "MULTI");
    redis_queue(&s.redis, "SET usher:host:same.test %s", origin_at(one));
    redis_queue(&s.redis, "SET usher:host:moved.test %s", origin_at(two));
    redis_queue(&s.redis, "SET usher:host:new.test %s", origin_at(two));
    redis_queue(&s.redis, "HSET usher:tenant:acme to %s", origin_at(two));
    redis_queue(&s.redis, "SET usher:host:t.test tenant:acme");
    redis_queue(&s.redis, "EXEC");
    redis_flush(&s.redis);
    await_get(&s, "moved.test", "/", 200, "two");
    await_get(&s, "new.test", "/", 200, "two");
    await_get(&s, "t.test", "/", 200, "two");
    await_fault(&s, "gone.test", "unknown_host");
    expect_get(&s, "same.test", "/", 200, "one");
    await(scene_metric(&s, "usher_store_suspect") == 0);
    scene_end(&s);
}

SCENARIO(outage, a_stopped_redis_is_noticed_and_what_changed_is_right_afterwards)
{
    static struct scene s;

    scene_start(&s);
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    redis_stop(&s.redis);
    expect_get(&s, "a.test", "/", 200, "one");
    cr_assert(process_awaits_log(&s.edge.process, " store_down", AWAIT_MS), "no answer to PING");
    cr_assert(!is_up(&s));
    expect_get(&s, "a.test", "/", 200, "one");
    expect_fault(&s, "never.seen", "store_unavailable");
    redis_continue(&s.redis);
    scene_host(&s, "a.test", origin_start("three"));
    await_get(&s, "a.test", "/", 200, "three");
    await(is_up(&s));
    await_fault(&s, "never.seen", "unknown_host");
    scene_end(&s);
}

SCENARIO(outage, a_lookup_redis_does_not_answer_ends_in_time)
{
    static struct scene s;
    struct response r;
    uint64_t start;

    scene_start(&s, .flags = { "--lookup-timeout", "200ms" });
    redis_stop(&s.redis);
    start = await_now_ms();
    r = scene_get(&s, "never.seen", "/");
    cr_assert_eq(r.status, 503);
    cr_assert_str_eq(response_fault(&r), "store_timeout");
    cr_assert(await_now_ms() - start >= 150 && await_now_ms() - start < 1500, "after %d ms",
              (int)(await_now_ms() - start));
    redis_continue(&s.redis);
    await_fault(&s, "never.seen", "unknown_host");
    scene_end(&s);
}

SCENARIO(outage, killed_connections_come_back)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");

    scene_start(&s);
    scene_host(&s, "a.test", one);
    await_get(&s, "a.test", "/", 200, "one");
    for (unsigned i = 0; i < 5; i++) {
        double before = scene_metric(&s, "usher_store_reconnects_total");

        scene_redis(&s, "MULTI");
        scene_redis(&s, "CLIENT KILL TYPE normal SKIPME yes");
        scene_host(&s, "a.test", i % 2 == 0 ? two : one); /* pushed to nobody */
        scene_redis(&s, "EXEC");
        await_get(&s, "a.test", "/", 200, i % 2 == 0 ? "two" : "one");
        await(is_up(&s));
        cr_assert_gt(scene_metric(&s, "usher_store_reconnects_total"), before);
    }
    scene_end(&s);
}

SCENARIO(outage, no_request_to_a_known_host_fails_while_redis_comes_and_goes)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct client *c;
    unsigned bad = 0, asked = 0;

    scene_start(&s);
    known_hosts(&s, 30, o);
    await_get(&s, "h0.test", "/", 200, "one");
    c = scene_open(&s);
    for (unsigned round = 0; round < 3; round++) {
        uint64_t until = await_now_ms() + 300;

        if (round % 2 == 0)
            redis_kill(&s.redis);
        else
            redis_restart(&s.redis);
        while (await_now_ms() < until) {
            bad += client_get(c, "h0.test", "/").status != 200;
            bad += scene_get(&s, "h0.test", "/").status != 200;
            asked += 2;
        }
    }
    cr_assert_eq(bad, 0, "%u of %u", bad, asked);
    scene_end(&s);
}

SCENARIO(outage, flushdb_empties_when_any_loss_is_allowed)
{
    static struct scene s;

    scene_start(&s, .flags = { "--max-loss", "100" });
    known_hosts(&s, 25, origin_start("one"));
    scene_redis(&s, "FLUSHDB");
    await_fault(&s, "h0.test", "unknown_host");
    await_fault(&s, "h24.test", "unknown_host");
    expect_metric(&s, "usher_store_regressed", 0);
    scene_end(&s);
}

SCENARIO(outage, flushdb_is_held_back_until_the_hosts_return)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");

    scene_start(&s);
    known_hosts(&s, 25, one);
    await_get(&s, "h0.test", "/", 200, "one");
    scene_redis(&s, "FLUSHDB");
    await(scene_metric(&s, "usher_store_regressed") == 1);
    cr_assert_eq(scene_logged(&s, " store_regressed gone=25 known=25"), 1);
    for (unsigned i = 0; i < 25; i++)
        expect_get(&s, kept_format("h%u.test", i), "/", 200, "one");
    scene_host(&s, "h0.test", two); /* what is written meanwhile is obeyed */
    await_get(&s, "h0.test", "/", 200, "two");
    scene_host(&s, "new.test", two);
    await_get(&s, "new.test", "/", 200, "two");
    scene_redis(&s, "DEL usher:host:h0.test");
    await_fault(&s, "h0.test", "unknown_host");
    expect_get(&s, "h1.test", "/", 200, "one");
    expect_fault(&s, "never-seen.test", "store_unavailable"); /* it may be among the lost */
    for (unsigned i = 1; i < 25; i++)
        redis_queue(&s.redis, "SET usher:host:h%u.test %s", i, origin_at(two));
    redis_flush(&s.redis);
    await(scene_metric(&s, "usher_store_regressed") == 0);
    await_get(&s, "h24.test", "/", 200, "two");
    expect_fault(&s, "never-seen.test", "unknown_host");
    await(scene_logged(&s, " store_recovered") == 1);
    scene_end(&s);
}

SCENARIO(outage, an_empty_redis_after_a_restart_is_held_back)
{
    static struct scene s;

    scene_start(&s);
    known_hosts(&s, 25, origin_start("one"));
    redis_restart(&s.redis);
    await(scene_metric(&s, "usher_store_regressed") == 1);
    for (unsigned i = 0; i < 25; i++)
        expect_get(&s, kept_format("h%u.test", i), "/", 200, "one");
    scene_end(&s);
}

SCENARIO(outage, a_small_loss_is_obeyed)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    known_hosts(&s, 25, o);
    redis_queue(&s.redis, "MULTI");
    redis_queue(&s.redis, "FLUSHDB");
    for (unsigned i = 1; i < 25; i++)
        redis_queue(&s.redis, "SET usher:host:h%u.test %s", i, origin_at(o));
    redis_queue(&s.redis, "EXEC");
    redis_flush(&s.redis);
    await_fault(&s, "h0.test", "unknown_host");
    await_get(&s, "h1.test", "/", 200, "one");
    expect_metric(&s, "usher_store_regressed", 0);
    scene_end(&s);
}

SCENARIO(outage, a_handful_of_hosts_may_all_be_lost)
{
    static struct scene s;

    scene_start(&s);
    known_hosts(&s, 9, origin_start("one"));
    scene_redis(&s, "FLUSHALL");
    for (unsigned i = 0; i < 9; i++)
        await_fault(&s, kept_format("h%u.test", i), "unknown_host");
    expect_metric(&s, "usher_store_regressed", 0);
    scene_end(&s);
}

SCENARIO(outage, deletions_said_key_by_key_are_obeyed_however_many)
{
    static struct scene s;

    scene_start(&s);
    known_hosts(&s, 25, origin_start("one"));
    for (unsigned i = 0; i < 25; i++)
        redis_queue(&s.redis, "DEL usher:host:h%u.test", i);
    redis_flush(&s.redis);
    for (unsigned i = 0; i < 25; i++)
        await_fault(&s, kept_format("h%u.test", i), "unknown_host");
    scene_end(&s);
}

SCENARIO(outage, flushing_another_database_loses_nothing)
{
    static struct scene s;

    scene_start(&s);
    known_hosts(&s, 25, origin_start("one"));
    scene_redis(&s, "SELECT 1");
    scene_redis(&s, "FLUSHDB");
    stays(scene_get(&s, "h0.test", "/").status == 200 &&
              scene_get(&s, "h24.test", "/").status == 200,
          150);
    await(scene_metric(&s, "usher_store_suspect") == 0);
    expect_metric(&s, "usher_store_regressed", 0);
    scene_end(&s);
}

SCENARIO(outage, a_ttl_that_runs_out_while_redis_is_away_is_settled_afterwards)
{
    static struct scene s;

    scene_start(&s, .flags = { "--max-loss", "100" });
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "PEXPIRE usher:host:a.test 300");
    await_get(&s, "a.test", "/", 200, "one");
    redis_kill(&s.redis);
    stays(scene_get(&s, "a.test", "/").status == 200, 500);
    redis_restart(&s.redis);
    await_fault(&s, "a.test", "unknown_host");
    scene_end(&s);
}

SCENARIO(outage, a_loading_or_readonly_redis_deletes_nothing)
{
    static struct scene s;

    scene_start(&s);
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    /* a replica whose primary is unreachable, and which refuses to serve old values */
    scene_redis(&s, "CONFIG SET replica-serve-stale-data no");
    scene_redis(&s, "REPLICAOF 127.0.0.1 1");
    scene_redis(&s, "CLIENT KILL TYPE normal SKIPME yes");
    stays(scene_get(&s, "a.test", "/").status == 200, 500);
    expect_fault(&s, "never.seen", "store_unavailable");
    scene_redis(&s, "REPLICAOF NO ONE");
    await_fault(&s, "never.seen", "unknown_host");
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

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

    scene_start(&s, .flags = { "--lookup-rate", "200" });
    scene_host(&s, "a.test", origin_start("one"));
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
    cr_assert_leq(after - before, edge_has_sanitizer() ? 40000 : 3000, "%ld kB became %ld kB",
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
    known_hosts(&s, 100, origin_start("one"));
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

SCENARIO(outage, an_edge_that_may_only_read_serves)
{
    static struct scene s;

    scene_start(&s, .without_edge = true);
    scene_redis(&s, "ACL SETUSER reader on >hush ~usher:* &* +@read +@connection +@transaction");
    s.options.redis = kept_format("unix://reader:hush@%s", s.redis.socket);
    scene_host(&s, "a.test", origin_start("one"));
    scene_edge_start(&s);
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "SET usher:host:b.test nonsense"); /* which it cannot write of */
    await_fault(&s, "b.test", "bad_record");
    cr_assert_eq(scene_logged(&s, " bad_record key="), 1);
    scene_host(&s, "a.test", origin_start("two"));
    await_get(&s, "a.test", "/", 200, "two");
    cr_assert_null(scene_redis(&s, "HGET usher:errors usher:host:b.test"));
    cr_assert_eq(scene_logged(&s, "hush"), 0);
    scene_end(&s);
}

SCENARIO(outage, rights_taken_away_are_an_outage_and_given_back_its_end)
{
    static struct scene s;

    scene_start(&s, .without_edge = true);
    scene_redis(&s, "ACL SETUSER reader on >hush ~usher:* &* +@all");
    s.options.redis = kept_format("unix://reader:hush@%s", s.redis.socket);
    scene_host(&s, "a.test", origin_start("one"));
    scene_edge_start(&s);
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "ACL SETUSER reader resetkeys ~elsewhere:*");
    expect_get(&s, "a.test", "/", 200, "one");
    stays(scene_get(&s, "a.test", "/").status == 200, 300);
    cr_assert_neq(scene_get(&s, "never.seen", "/").status, 404, "nobody knows that");
    scene_redis(&s, "ACL SETUSER reader resetkeys ~usher:*");
    await_fault(&s, "never.seen", "unknown_host");
    scene_host(&s, "a.test", origin_start("two"));
    await_get(&s, "a.test", "/", 200, "two");
    scene_end(&s);
}
