/* f_store_outage.c -- Redis away, stopped, back, back empty, or not to be read.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: the wire to it (f_store_wire.c); hosts nobody knows (f_store_lookups.c). */
#include "harness/scene.h"

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

    scene_start(&s, .without_edge = true, .flags = { "--lookup-timeout", "200ms" });
    scene_host(&s, "never.asked", origin_start("one"));
    scene_edge_start(&s);
    await(scene_metric(&s, "usher_store_complete") == 1);
    redis_stop(&s.redis);
    start = await_now_ms();
    r = scene_get(&s, "never.asked", "/");
    cr_assert_eq(r.status, 503);
    cr_assert_str_eq(response_fault(&r), "store_timeout");
    cr_assert(await_now_ms() - start >= 150 && await_now_ms() - start < 1500, "after %d ms",
              (int)(await_now_ms() - start));
    redis_continue(&s.redis);
    await_get(&s, "never.asked", "/", 200, "one");
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
    scene_hosts(&s, 30, o);
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
    scene_hosts(&s, 25, origin_start("one"));
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
    scene_hosts(&s, 25, one);
    await_get(&s, "h0.test", "/", 200, "one");
    scene_redis(&s, "FLUSHDB");
    await(scene_metric(&s, "usher_store_regressed") == 1);
    await(scene_logged(&s, " store_regressed gone=25 known=25") == 1);
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

SCENARIO(outage, a_request_that_comes_before_the_first_word_with_redis_waits_for_it)
{
    static struct scene s;

    scene_start(&s, .without_edge = true, .tcp = true);
    scene_host(&s, "a.test", origin_start("one"));
    for (unsigned i = 0; i < 8; i++) {
        scene_edge_start_unready(&s);
        expect_get(&s, "a.test", "/", 200, "one");
        edge_stop(&s.edge);
    }
    scene_edge_start(&s);
    scene_end(&s);
}

SCENARIO(outage, what_is_written_and_flushed_in_one_moment_is_held_back_too)
{
    static struct scene s;
    struct origin *one = origin_start("one");

    scene_start(&s);
    scene_hosts(&s, 25, one);
    scene_redis(&s, "MULTI"); /* both are pushed: that h0 has changed, and that all is gone */
    scene_host(&s, "h0.test", one);
    scene_redis(&s, "FLUSHDB");
    scene_redis(&s, "EXEC");
    await(scene_metric(&s, "usher_store_regressed") == 1);
    expect_metric(&s, "usher_store_missing_hosts", 25);
    for (unsigned i = 0; i < 25; i++)
        expect_get(&s, kept_format("h%u.test", i), "/", 200, "one");
    scene_redis(&s, "MULTI"); /* and once more, with what was held back written and gone again */
    scene_host(&s, "h1.test", one);
    scene_redis(&s, "FLUSHALL");
    scene_redis(&s, "EXEC");
    stays(scene_get(&s, "h1.test", "/").status == 200, 300);
    scene_host(&s, "h1.test", one);
    scene_redis(&s, "DEL usher:host:h1.test"); /* this one is meant */
    await_fault(&s, "h1.test", "unknown_host");
    expect_get(&s, "h0.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(outage, an_empty_redis_after_a_restart_is_held_back)
{
    static struct scene s;

    scene_start(&s);
    scene_hosts(&s, 25, origin_start("one"));
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
    scene_hosts(&s, 25, o);
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
    scene_hosts(&s, 9, origin_start("one"));
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
    scene_hosts(&s, 25, origin_start("one"));
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
    scene_hosts(&s, 25, origin_start("one"));
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
    scene_redis(&s,
                "SET usher:host:new.test 127.0.0.1:1"); /* which it is told of, and cannot read */
    await_fault(&s, "never.seen", "store_unavailable");
    scene_redis(&s, "ACL SETUSER reader resetkeys ~usher:*");
    await_fault(&s, "never.seen", "unknown_host");
    scene_host(&s, "a.test", origin_start("two"));
    await_get(&s, "a.test", "/", 200, "two");
    scene_end(&s);
}
