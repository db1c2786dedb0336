/* s_cluster.c -- all keys in one slot of a Redis Cluster, wherever that slot is.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: Sentinel (s_sentinel.c). */
#include "harness/cluster.h"
#include "harness/module_build.h"

#include <stdio.h>

#define PROBE "{usher}:defaults"

static struct scene s;
static struct cluster c;

static struct redis *other_than(const struct redis *node)
{
    return &c.nodes[(node - c.nodes + 1) % CLUSTER_NODES];
}

static const char *url_of(const struct redis *node)
{
    return kept_format("redis://127.0.0.1:%u", node->port);
}

static void begin(void)
{
    scene_start(&s, .without_redis = true, .without_edge = true,
                .flags = { "--prefix", "{usher}:" });
    cluster_start(&c, &s);
    s.options.unready = false;
}

static void expect_edge_writes_to(struct redis *r)
{
    redis_say(r, "SET {usher}:host:bad.test nonsense");
    await(has(redis_say(r, "HGETALL {usher}:errors"), "{usher}:host:bad.test"));
    redis_say(r, "DEL {usher}:host:bad.test");
    await(!has(redis_say(r, "HGETALL {usher}:errors"), "{usher}:host:bad.test"));
}

SCENARIO(cluster, a_wrong_node_leads_to_the_right_one)
{
    struct redis *owner;
    char *out, *err;
    int code;

    begin();
    owner = cluster_owner(&c, PROBE);
    redis_say(owner, "SET {usher}:host:a.test %s", origin_at(origin_start("one")));
    redis_say(owner, "SET {usher}:ban:192.0.2.1 x EX 600");
    s.options.redis = url_of(other_than(owner));
    scene_edge_start(&s);
    await_get(&s, "a.test", "/", 200, "one");
    await(scene_metric(&s, "usher_bans") == 1);
    redis_say(owner, "SET {usher}:ban:192.0.2.2 x");
    await(scene_metric(&s, "usher_bans") == 2);
    redis_say(owner, "SET {usher}:host:a.test %s", origin_at(origin_start("two")));
    await_get(&s, "a.test", "/", 200, "two");
    redis_say(owner, "MSET {usher}:host:b.test tenant:t {usher}:host:c.test tenant:t");
    redis_say(owner, "HSET {usher}:tenant:t to %s", origin_at(origin_start("three")));
    await_get(&s, "c.test", "/", 200, "three");
    expect_edge_writes_to(owner);
    cr_assert(has(scene_page(&s, "/topology"), "\"kind\":\"cluster\""));
    code = process_run((const char *[]){ edge_program(), "wait", "--timeout", "8s", "--redis",
                                         s.options.redis, "--prefix", "{usher}:", NULL },
                       NULL, &out, &err);
    cr_assert_eq(code, 0, "usher wait: %s%s", out, err);
    scene_end(&s);
    cluster_end(&c);
}

SCENARIO(cluster, what_modules_ask_is_asked_where_the_slot_is)
{
    struct redis *owner, *other;

    begin();
    owner = cluster_owner(&c, PROBE);
    other = other_than(owner);
    s.options.redis = url_of(other);
    s.options.flags[2] = "--module";
    s.options.flags[3] = module_build(&s, "asker", "tests/modules/asker.c", "modules", "");
    redis_say(owner, "HSET {usher}:tenant:t to %s modules asker", origin_at(origin_start("one")));
    redis_say(owner, "SET {usher}:host:a.test tenant:t");
    scene_edge_start(&s);
    await_get(&s, "a.test", "/", 200, "one");
    await_get(&s, "a.test", "/ask?kind=get&key=word", 200, "good nil");
    redis_say(owner, "SET {usher}:t:t:word good");
    expect_get(&s, "a.test", "/ask?kind=get&key=%7Busher%7D:t:t:word", 200, "good good");
    expect_get(&s, "a.test", "/ask?kind=incrby&key=n&by=3&ttl=600000", 200, "good 3");
    cluster_move(&c, PROBE, other);
    await_get(&s, "a.test", "/ask?kind=get&key=word", 200, "good good");
    expect_get(&s, "a.test", "/ask?kind=incrby&key=n&by=3&ttl=600000", 200, "good 6");
    scene_end(&s);
    cluster_end(&c);
}

SCENARIO(cluster, the_slot_may_move_with_and_without_keys_to_tell_of_it)
{
    struct origin *one = origin_start("one"), *two = origin_start("two");
    struct redis *owner, *next;

    begin();
    owner = cluster_owner(&c, PROBE);
    next = other_than(owner);
    s.options.redis = url_of(owner);
    scene_edge_start(&s);
    await_fault(&s, "a.test", "unknown_host");
    redis_say(owner, "DEL {usher}:edges");
    cluster_move(&c, PROBE, next); /* nothing of the configuration is there to be pushed */
    await(scene_metric(&s, "usher_store_reconnects_total") >= 1);
    redis_say(next, "SET {usher}:host:a.test %s", origin_at(one));
    await_get(&s, "a.test", "/", 200, "one");
    cluster_move(&c, PROBE, owner); /* back, with keys */
    await_get(&s, "a.test", "/", 200, "one");
    redis_say(owner, "SET {usher}:host:a.test %s", origin_at(two));
    await_get(&s, "a.test", "/", 200, "two");
    expect_edge_writes_to(owner);
    cr_assert_eq(scene_fault_count(&s, "store_unavailable"), 0);
    scene_end(&s);
    cluster_end(&c);
}
