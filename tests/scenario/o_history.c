/* o_history.c -- changes by plain redis-cli can be looked at and undone: edges record what was before. */
#include <stdio.h>
#include <stdlib.h>

#include "harness/scene.h"

static unsigned length(struct scene *s, const char *stream)
{
    return (unsigned)atoi(scene_redis(s, "XLEN usher:history:%s", stream));
}

static bool serves(const struct edge *e, const char *host, const char *wanted)
{
    struct response r = client_get_once(e->at, host, "/");

    return r.status == 200 && has(r.text, wanted);
}

SCENARIO(history, a_change_is_recorded_once_by_two_edges_and_can_be_undone_by_it)
{
    static struct scene s;
    struct edge two = { 0 };
    struct origin *left = origin_start("left"), *right = origin_start("right");
    char *entry, *before;

    scene_start(&s, .flags = { "--name", "one" });
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(left));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    scene_second_edge(&s, &two, "--name", "two", NULL);
    await_get(&s, "a.test", "/", 200, "left");
    expect_status(client_get_once(two.at, "a.test", "/"), 200);
    for (unsigned i = 1; i <= 20; i++) {
        scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(i % 2 ? right : left));
        await(length(&s, "acme") >= i);
        await_get(&s, "a.test", "/", 200, i % 2 ? "right" : "left");
        await(serves(&two, "a.test", i % 2 ? "right" : "left"));
    }
    /* An edge that is slower by a whole change takes it for one there and back: seldom, not always. */
    stays(length(&s, "acme") >= 20 && length(&s, "acme") < 30, 100);
    entry = scene_redis(&s, "XREVRANGE usher:history:acme + - COUNT 1");
    cr_assert(has(entry, "usher:tenant:acme") && has(entry, "hash"), "%s", entry);
    before = kept_format("to %s", origin_at(right));
    cr_assert(has(entry, before), "%s", entry);
    scene_redis(&s, "HSET usher:tenant:acme %s", before); /* as it stands there */
    await_get(&s, "a.test", "/", 200, "right");
    edge_stop(&two);
    edge_free(&two);
    scene_end(&s);
}

SCENARIO(history, found_after_an_outage_it_is_recorded_too)
{
    static struct scene s;
    struct origin *left = origin_start("left"), *right = origin_start("right");

    scene_start(&s, .without_edge = true, .flags = { "--name", "one" });
    scene_host(&s, "a.test", left);
    scene_host(&s, "b.test", left);
    scene_edge_start(&s);
    await_get(&s, "a.test", "/", 200, "left");
    await_get(&s, "b.test", "/", 200, "left");
    scene_redis(&s, "MULTI");
    scene_redis(&s, "CLIENT KILL TYPE normal SKIPME yes");
    scene_redis(&s, "SET usher:host:a.test %s", origin_at(right));
    scene_redis(&s, "EXEC");
    await_get(&s, "a.test", "/", 200, "right");
    await(length(&s, "-") == 1);
    cr_assert(has(scene_redis(&s, "XRANGE usher:history:- - +"), origin_at(left)));
    stays(length(&s, "-") == 1, 100); /* what was found unchanged is not */
    scene_end(&s);
}
