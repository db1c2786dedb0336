/* s_replica.c -- reading from a replica, and what happens when it falls behind.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: finding the primary (s_sentinel.c). */
#include "harness/sentinel.h"

#include <signal.h>
#include <stdio.h>

static struct scene s;
static struct sentinels c;

static void begin(unsigned nodes)
{
    scene_start(&s, .without_redis = true, .without_edge = true,
                .flags = { "--read-from", "replica", "--replica-lag", "2s" });
    sentinels_start(&c, &s, nodes, "");
    s.options.redis = sentinels_url(&c);
    s.options.unready = false;
    scene_edge_start(&s);
}

static void end(void)
{
    scene_end(&s);
    sentinels_end(&c);
}

static bool leads(const char *use, const struct redis *node)
{
    return has(scene_page(&s, "/topology"),
               kept_format("\"%s\":{\"up\":true,\"address\":\"%s\"", use, sentinels_node(node)));
}

static void set_host(struct redis *r, const char *host, struct origin *o)
{
    redis_say(r, "SET usher:host:%s %s", host, origin_at(o));
}

SCENARIO(replica, what_is_written_to_the_primary_is_read_from_the_replica)
{
    struct origin *one = origin_start("one"), *two = origin_start("two");
    unsigned long reads;

    begin(2);
    cr_assert(leads("reads_from", &c.nodes[1]), "%s", scene_page(&s, "/topology"));
    await(leads("writes_to", &c.nodes[0]));
    set_host(&c.nodes[0], "a.test", one);
    await_get(&s, "a.test", "/", 200, "one");
    set_host(&c.nodes[0], "a.test", two);
    await_get(&s, "a.test", "/", 200, "two");
    redis_say(&c.nodes[0], "DEL usher:host:a.test");
    await_fault(&s, "a.test", "unknown_host");
    reads = redis_calls(&c.nodes[0], "getrange");
    cr_assert_eq(reads, 0, "%lu records were read from the primary", reads);
    redis_say(&c.nodes[0], "SET usher:host:bad.test nonsense");
    await(has(redis_say(&c.nodes[0], "HGETALL usher:errors"), "usher:host:bad.test"));
    await(has(scene_page(&s, "/topology?as=text"), "lag "));
    end();
}

SCENARIO(replica, one_that_loses_its_primary_is_left_and_come_back_to)
{
    struct origin *one = origin_start("one"), *two = origin_start("two");

    begin(2);
    set_host(&c.nodes[0], "a.test", one);
    await_get(&s, "a.test", "/", 200, "one");
    redis_say(&c.nodes[1], "REPLICAOF 127.0.0.1 1");
    set_host(&c.nodes[0], "a.test", two); /* the replica will not hear of it */
    await_get(&s, "a.test", "/", 200, "two");
    cr_assert(leads("reads_from", &c.nodes[0]), "%s", scene_page(&s, "/topology"));
    cr_assert_eq(scene_metric(&s, "usher_redis_replica_stale"), 0, "not stale, but elsewhere");
    redis_reconnect(&c.nodes[1]);
    redis_say(&c.nodes[1], "REPLICAOF 127.0.0.1 %u", c.nodes[0].port);
    await_within(leads("reads_from", &c.nodes[1]), 45000);
    set_host(&c.nodes[0], "a.test", one);
    await_get(&s, "a.test", "/", 200, "one");
    end();
}

SCENARIO(replica, one_that_is_alone_is_stale_and_said_to_be)
{
    struct origin *one = origin_start("one"), *two = origin_start("two");

    begin(2);
    set_host(&c.nodes[0], "a.test", one);
    await_get(&s, "a.test", "/", 200, "one");
    for (unsigned i = 0; i < SENTINELS; i++)
        redis_kill(&c.sentinels[i]); /* nobody makes it a primary */
    redis_say(&c.nodes[0], "SAVE");
    redis_kill(&c.nodes[0]);
    await(scene_metric(&s, "usher_redis_replica_stale") == 1);
    await(scene_metric(&s, "usher_store_suspect") == 1);
    expect_get(&s, "a.test", "/", 200, "one");
    cr_assert_eq(scene_metric(&s, "usher_store_up"), 1);
    cr_assert(has(scene_page(&s, "/topology?as=text"), "STALE"));
    redis_restart(&c.nodes[0]);
    set_host(&c.nodes[0], "a.test", two);
    await_within(scene_metric(&s, "usher_redis_replica_stale") == 0, 20000);
    await_within(scene_metric(&s, "usher_store_suspect") == 0, 20000);
    await_get(&s, "a.test", "/", 200, "two");
    end();
}

SCENARIO(replica, a_failover_under_a_replica_that_is_read_from)
{
    struct origin *one = origin_start("one"), *two = origin_start("two");
    struct redis *primary;

    begin(3);
    set_host(&c.nodes[0], "a.test", one);
    await_get(&s, "a.test", "/", 200, "one");
    redis_kill(&c.nodes[0]);
    primary = sentinels_primary(&c, &c.nodes[0]);
    expect_get(&s, "a.test", "/", 200, "one");
    set_host(primary, "a.test", two);
    await_within(strcmp(scene_get(&s, "a.test", "/").text, "two") == 0, 20000);
    await(leads("writes_to", primary));
    await_within(!leads("reads_from", primary) &&
                     has(scene_page(&s, "/topology"), "\"role\":\"replica\""),
                 45000);
    await(scene_metric(&s, "usher_store_suspect") == 0);
    set_host(primary, "a.test", one);
    await_get(&s, "a.test", "/", 200, "one");
    end();
}

/* Reading from the primary meanwhile, the edge must not stay with it when it is one no more. */
SCENARIO(replica, a_failover_while_the_primary_is_read_from)
{
    struct origin *one = origin_start("one"), *two = origin_start("two");

    begin(2);
    set_host(&c.nodes[0], "a.test", one);
    await_get(&s, "a.test", "/", 200, "one");
    redis_say(&c.nodes[1], "REPLICAOF 127.0.0.1 1");
    await(leads("reads_from", &c.nodes[0]));
    redis_reconnect(&c.nodes[1]);
    redis_say(&c.nodes[1], "REPLICAOF 127.0.0.1 %u", c.nodes[0].port);
    await_within(strcmp(redis_try(&c.sentinels[0], "SENTINEL FAILOVER mymaster"), "OK") == 0,
                 30000);
    cr_assert_eq(sentinels_primary(&c, &c.nodes[0]), &c.nodes[1]);
    await_within(leads("reads_from", &c.nodes[1]), 3000);
    redis_reconnect(&c.nodes[1]);
    set_host(&c.nodes[1], "a.test", two);
    await_get(&s, "a.test", "/", 200, "two");
    end();
}

/* A plain URL has no other place to go to. */
SCENARIO(replica, a_redis_that_becomes_a_replica_and_a_primary_again)
{
    struct origin *one = origin_start("one");

    scene_start(&s);
    scene_redis(&s, "SET usher:host:bad.test nonsense");
    scene_host(&s, "a.test", one);
    await_get(&s, "a.test", "/", 200, "one");
    await(has(scene_redis(&s, "HGETALL usher:errors"), "usher:host:bad.test"));
    scene_redis(&s, "DEL usher:errors");
    scene_redis(&s, "SET usher:host:bad.test 'other nonsense'");
    await(has(scene_redis(&s, "HGETALL usher:errors"), "other nonsense"));
    scene_redis(&s, "REPLICAOF 127.0.0.1 1");
    await(scene_metric(&s, "usher_redis_replica_stale") == 1);
    cr_assert_eq(scene_metric(&s, "usher_store_suspect"), 1);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "REPLICAOF NO ONE");
    await(scene_metric(&s, "usher_redis_replica_stale") == 0);
    await(scene_metric(&s, "usher_store_suspect") == 0);
    scene_host(&s, "b.test", one);
    await_get(&s, "b.test", "/", 200, "one");
    scene_redis(&s, "SET usher:host:bad.test 'third nonsense'");
    await(has(scene_redis(&s, "HGETALL usher:errors"), "third nonsense"));
    scene_end(&s);
}

SCENARIO(replica, a_redis_that_evicts_is_warned_of)
{
    scene_start(&s, .without_edge = true);
    scene_redis(&s, "CONFIG SET maxmemory-policy allkeys-lru");
    s.options.unready = false;
    scene_edge_start(&s);
    await(scene_metric(&s, "usher_redis_evicts") == 1);
    cr_assert_eq(scene_logged(&s, " redis_evicts policy=\"allkeys-lru\""), 1);
    cr_assert(has(scene_page(&s, "/readyz"), "noeviction"));
    edge_stop(&s.edge);
    scene_redis(&s, "CONFIG SET maxmemory-policy noeviction");
    scene_edge_start(&s);
    stays(scene_metric(&s, "usher_redis_evicts") == 0, 200);
    cr_assert_str_eq(scene_page(&s, "/readyz"), "ready\n");
    scene_end(&s);
}
