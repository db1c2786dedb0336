/* x_chaos_sentinel.c -- under load, three Sentinels fail over: to a replica that has all, and to one
 * that has nothing.
 *
 * Owns:    nothing.
 * Thread:  the test's; the load's and the writer's.
 * Used by: make test.
 * Not here: how Sentinel is asked and followed (s_sentinel.c). */
#include "harness/load.h"
#include "harness/sentinel.h"
#include "harness/writer.h"

#include <stdlib.h>

#define HOSTS 40

static struct scene s;
static struct sentinels c;
static struct versions v;
static struct load load;
static struct writer writer;

static void begin(unsigned nodes)
{
    versions_start(&v, HOSTS);
    scene_start(&s, .without_redis = true, .without_edge = true);
    sentinels_start(&c, &s, nodes, "");
    s.options.redis = sentinels_url(&c);
    s.options.unready = false;
    versions_write_all(&v, &c.nodes[0]);
    scene_edge_start(&s);
    versions_settle(&v, &s.edge, &c.nodes[0]);
    load.may_go_back = true; /* what had not reached the replica is lost with the primary */
    load_start(&load, &s.edge, &v);
}

static void end(void)
{
    load_end(&load);
    versions_stop(&v); /* before the scene's end, which frees what is kept */
    scene_end(&s);
    sentinels_end(&c);
}

static bool holds_back(void)
{
    return scene_metric(&s, "usher_store_regressed") == 1;
}

SCENARIO(chaos, sentinel_fails_over_while_requests_and_writes_go_on)
{
    struct redis *primary = &c.nodes[0], *old;

    begin(3);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_str_eq(redis_say(primary, "WAIT 2 5000"), "2"); /* what is settled stays */
        writer_start(&writer, &v, primary);
        old = primary;
        if (i == 0)
            redis_kill(old);
        else
            redis_stop(old); /* there, but silent */
        primary = sentinels_primary(&c, old);
        writer_turn(&writer, primary);
        writer_await(&writer, 50);
        writer_end(&writer);
        versions_settle(&v, &s.edge, primary);
        if (i == 0)
            redis_restart(old);
        else
            redis_continue(old);
        await_within(strcmp(sentinels_role(old), "slave") == 0, 30000);
        await_within(has(redis_say(old, "INFO replication"), "master_link_status:up"), 30000);
    }
    versions_settle(&v, &s.edge, primary);
    cr_assert(!holds_back());
    end();
}

SCENARIO(chaos, a_replica_without_the_data_becomes_the_primary)
{
    struct redis *primary;

    begin(2);
    redis_say(&c.nodes[1], "CONFIG SET replica-read-only no");
    redis_say(&c.nodes[1], "FLUSHALL"); /* of its own alone */
    redis_kill(&c.nodes[0]);
    primary = sentinels_primary(&c, &c.nodes[0]);
    await_within(holds_back(), 30000);
    load_await(&load, 600);
    versions_write_all(&v, primary);
    await_within(!holds_back(), 30000);
    versions_settle(&v, &s.edge, primary);
    end();
}
