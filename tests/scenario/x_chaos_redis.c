/* x_chaos_redis.c -- under load, Redis is killed, paused, emptied and made read-only: no request for a
 * known host fails, and in the end everything served is what Redis says.
 *
 * Owns:    nothing.
 * Thread:  the test's; the load's and the writer's.
 * Used by: make test.
 * Not here: one thing at a time, without load (f_store_outage.c). */
#include "harness/load.h"
#include "harness/writer.h"

#include <stdlib.h>

#define HOSTS 40

static struct scene s;
static struct versions v;
static struct load load;
static struct writer writer;

/* An edge that serves all hosts; Redis keeps what it is told over a SIGKILL when `durable`. */
static void begin(bool durable, const char *flag, const char *value)
{
    versions_start(&v, HOSTS);
    scene_start(&s, .without_redis = durable, .without_edge = true, .flags = { flag, value });
    if (durable) {
        redis_free(&s.redis);
        redis_start_configured(&s.redis, s.dir, 0, false, "appendonly yes\nappendfsync no\n");
        s.options.unready = false;
    }
    versions_write_all(&v, &s.redis);
    scene_edge_start(&s);
    versions_settle(&v, &s.edge, &s.redis);
    load_start(&load, &s.edge, &v);
}

static void end(void)
{
    load_end(&load);
    versions_stop(&v); /* before the scene's end, which frees what is kept */
    scene_end(&s);
}

static bool is_up(void)
{
    return scene_metric(&s, "usher_store_up") == 1;
}

static bool holds_back(void)
{
    return scene_metric(&s, "usher_store_regressed") == 1;
}

static int post_accept(void)
{
    return client_exchange(s.edge.admin, "POST /accept HTTP/1.1\r\nHost: admin\r\n"
                                         "Content-Length: 0\r\nConnection: close\r\n\r\n")
        .status;
}

SCENARIO(chaos, redis_killed_and_started_again_and_again)
{
    begin(true, NULL, NULL);
    for (unsigned i = 0; i < 8; i++) {
        writer_start(&writer, &v, &s.redis);
        redis_kill(&s.redis);
        load_await(&load, 200);
        redis_restart(&s.redis); /* in the middle of what the edge may be trying */
        if (i % 2 == 0) {
            writer_await(&writer, 20);
            redis_kill(&s.redis); /* before the edge has verified much, or anything */
            redis_restart(&s.redis);
        }
        writer_await(&writer, 50);
        writer_end(&writer);
        versions_settle(&v, &s.edge, &s.redis);
    }
    cr_assert(!holds_back());
    end();
}

SCENARIO(chaos, redis_paused_and_continued)
{
    begin(false, NULL, NULL);
    for (unsigned i = 0; i < 6; i++) {
        writer_start(&writer, &v, &s.redis);
        redis_stop(&s.redis);
        if (i == 2) /* no answer to PING: the link is given up */
            cr_assert(process_awaits_log(&s.edge.process, " store_down", 20000));
        else
            load_await(&load, 300);
        redis_continue(&s.redis);
        writer_await(&writer, 50);
        writer_end(&writer);
        versions_settle(&v, &s.edge, &s.redis);
    }
    cr_assert(is_up());
    end();
}

SCENARIO(chaos, redis_flushed_is_held_back_until_what_was_lost_is_written_again)
{
    static const char *const commands[] = { "FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC" };

    begin(false, NULL, NULL);
    for (unsigned i = 0; i < 3; i++) {
        scene_redis(&s, "%s", commands[i]);
        await(holds_back());
        load_await(&load, 300);
        expect_fault(&s, "never.seen", "store_unavailable"); /* may be one of the lost */
        versions_write_all(&v, &s.redis);
        await_within(!holds_back(), 20000);
        versions_settle(&v, &s.edge, &s.redis);
        await_fault(&s, "never.seen", "unknown_host");
    }
    end();
}

SCENARIO(chaos, redis_flushed_and_written_again_by_writers_that_never_stopped)
{
    begin(false, NULL, NULL);
    for (unsigned i = 0; i < 5; i++) {
        writer_start(&writer, &v, &s.redis);
        scene_redis(&s, "FLUSHALL");
        writer_await(&writer, 30 + 100 * (i % 3));
        versions_write_all(&v, &s.redis);
        writer_end(&writer);
        await_within(!holds_back(), 20000);
        versions_settle(&v, &s.edge, &s.redis);
    }
    end();
}

SCENARIO(chaos, redis_flushed_for_good_is_believed_when_somebody_says_so)
{
    begin(false, NULL, NULL);
    scene_redis(&s, "FLUSHALL");
    await(holds_back());
    load_await(&load, 300);
    load_end(&load);
    writer_start(&writer, &v, &s.redis); /* some are there again */
    writer_end(&writer);
    cr_assert_eq(post_accept(), 200);
    await(!holds_back());
    versions_settle(&v, &s.edge, &s.redis); /* what is not in Redis is 404 */
    cr_assert_eq(post_accept(), 409, "there is nothing to accept any more");
    versions_write_all(&v, &s.redis);
    versions_settle(&v, &s.edge, &s.redis);
    load_start(&load, &s.edge, &v);
    end();
}

/* --- read-only --- */

/* A record that is wrong is written in the moment in which Redis ceases to take writes: what is to
 * be said of it is said when it takes them again. */
static void expect_serves_while(const char *refuse, const char *allow)
{
    begin(false, NULL, NULL);
    writer_start(&writer, &v, &s.redis);
    redis_queue(&s.redis, "MULTI");
    redis_queue(&s.redis, "SET usher:host:bad.test nonsense");
    redis_queue(&s.redis, "%s", refuse);
    redis_queue(&s.redis, "EXEC");
    redis_flush(&s.redis);
    cr_assert(starts(redis_try(&s.redis, "SET x y"), "-"), "%s refuses no write", refuse);
    load_await(&load, 600);
    cr_assert_eq(scene_get(&s, "bad.test", "/").status, 503);
    await(atomic_load(&writer.refused) > 0);
    cr_assert_null(scene_redis(&s, "HGET usher:errors usher:host:bad.test"));
    scene_redis(&s, "%s", allow);
    writer_await(&writer, 50);
    await_fault(&s, "bad.test", "bad_record");
    await_within(has(scene_redis(&s, "HGETALL usher:errors"), "usher:host:bad.test"), 20000);
    writer_end(&writer);
    versions_settle(&v, &s.edge, &s.redis);
    scene_redis(&s, "DEL usher:host:bad.test");
    await_within(!has(scene_redis(&s, "HGETALL usher:errors"), "usher:host:bad.test"), 20000);
    end();
}

SCENARIO(chaos, redis_without_enough_replicas_takes_no_writes)
{
    expect_serves_while("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0");
}

SCENARIO(chaos, redis_without_memory_takes_no_writes)
{
    expect_serves_while("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0");
}

SCENARIO(chaos, redis_made_a_replica_of_nobody_takes_no_writes)
{
    expect_serves_while("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE");
}

/* What is mended while Redis takes no writes is taken out of usher:errors when it does. */
SCENARIO(chaos, what_is_mended_while_redis_takes_no_writes_is_no_error_afterwards)
{
    begin(false, NULL, NULL);
    scene_redis(&s, "SET usher:host:bad.test nonsense");
    await(has(scene_redis(&s, "HGETALL usher:errors"), "usher:host:bad.test"));
    redis_queue(&s.redis, "MULTI");
    redis_queue(&s.redis, "SET usher:host:bad.test service:v2");
    redis_queue(&s.redis, "CONFIG SET min-replicas-to-write 1");
    redis_queue(&s.redis, "EXEC");
    redis_flush(&s.redis);
    await_get(&s, "bad.test", "/", 200, NULL);
    cr_assert(has(scene_redis(&s, "HGETALL usher:errors"), "usher:host:bad.test"));
    scene_redis(&s, "CONFIG SET min-replicas-to-write 0");
    await_within(!has(scene_redis(&s, "HGETALL usher:errors"), "usher:host:bad.test"), 20000);
    end();
}

/* --- empty --- */

SCENARIO(chaos, redis_restarted_empty_is_held_back_until_what_was_lost_is_written_again)
{
    begin(false, NULL, NULL);
    for (unsigned i = 0; i < 3; i++) {
        redis_restart(&s.redis);
        await_within(holds_back(), 20000);
        load_await(&load, 300);
        writer_start(&writer, &v, &s.redis); /* some of them: not enough */
        writer_await(&writer, 20);
        writer_end(&writer);
        versions_write_all(&v, &s.redis);
        await_within(!holds_back(), 20000);
        versions_settle(&v, &s.edge, &s.redis);
    }
    end();
}
