/* x_chaos_mixed.c -- under load, one mishap after the other in an order drawn by lot: afterwards this
 * edge serves what Redis says, and what an edge that has just started serves.
 *
 * Owns:    nothing.
 * Thread:  the test's; the load's and the writer's.
 * Used by: make test. CHAOS_SEED=N repeats an order, CHAOS_TURNS=N makes it longer.
 * Not here: each mishap alone (x_chaos_redis.c, x_chaos_wire.c). */
#include "harness/load.h"
#include "harness/writer.h"

#include <stdio.h>

#define HOSTS 30

static struct scene s;
static struct versions v;
static struct load load;
static struct writer writer;

static bool is_quiet(void)
{
    return scene_metric(&s, "usher_store_up") == 1 &&
           scene_metric(&s, "usher_store_regressed") == 0;
}

static void kill_redis(void)
{
    redis_kill(&s.redis);
    load_await(&load, 100);
    redis_restart(&s.redis);
}

static void pause_redis(void)
{
    redis_stop(&s.redis);
    load_await(&load, 200);
    redis_continue(&s.redis);
}

static void cut_links(void)
{
    for (unsigned i = 0; i < 3; i++) {
        scene_redis(&s, "CLIENT KILL TYPE normal SKIPME yes");
        scene_redis(&s, "CLIENT KILL TYPE pubsub SKIPME yes");
        load_await(&load, 50);
    }
}

static void flush_all(void)
{
    scene_redis(&s, "FLUSHALL");
    load_await(&load, 100);
    versions_write_all(&v, &s.redis);
}

static void refuse_writes(void)
{
    scene_redis(&s, "CONFIG SET maxmemory 1");
    load_await(&load, 200);
    scene_redis(&s, "CONFIG SET maxmemory 0");
}

static void fail_transactions(void)
{
    for (unsigned i = 0; i < 20; i++) {
        redis_queue(&s.redis, "MULTI");
        redis_queue(&s.redis, "SET usher:host:never.test 127.0.0.1:1");
        redis_queue(&s.redis, "DISCARD");
    }
    redis_flush(&s.redis);
}

Test(chaos, one_mishap_after_the_other, .fini = scene_leave, .timeout = 600)
{
    static void (*const mishaps[])(void) = { kill_redis, pause_redis,   cut_links,
                                             flush_all,  refuse_writes, fail_transactions };
    unsigned seed = load_number("CHAOS_SEED", (unsigned)await_now_ms()), began = seed;
    unsigned turns = load_number("CHAOS_TURNS", 10);
    static struct edge fresh;

    versions_start(&v, HOSTS);
    scene_start(&s, .without_redis = true, .without_edge = true);
    redis_free(&s.redis);
    redis_start_configured(&s.redis, s.dir, 0, false, "appendonly yes\nappendfsync no\n");
    s.options.unready = false;
    s.options.flags[0] = "--state-dir";
    s.options.flags[1] = kept_format("%s/state", s.dir);
    versions_write_all(&v, &s.redis);
    scene_edge_start(&s);
    versions_settle(&v, &s.edge, &s.redis);
    load_start(&load, &s.edge, &v);
    for (unsigned i = 0; i < turns; i++) {
        unsigned which;

        seed = seed * 1664525u + 1013904223u;
        which = (seed >> 16) % (sizeof(mishaps) / sizeof(mishaps[0]));
        fprintf(stderr, "chaos: turn %u of CHAOS_SEED=%u: mishap %u\n", i, began, which);
        writer_start(&writer, &v, &s.redis);
        mishaps[which]();
        if (seed >> 30 == 0) /* and one on top of it */
            mishaps[(seed >> 8) % (sizeof(mishaps) / sizeof(mishaps[0]))]();
        writer_await(&writer, 20);
        writer_end(&writer);
        await_within(is_quiet(), 30000);
        versions_settle(&v, &s.edge, &s.redis);
    }
    load_end(&load);
    scene_second_edge(&s, &fresh, "--name", "fresh", "--state-dir", kept_format("%s/fresh", s.dir),
                      NULL);
    versions_expect(&v, &fresh, &s.redis);
    edge_stop(&fresh);
    versions_stop(&v);
    scene_end(&s);
}
