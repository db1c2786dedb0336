/* p_guard.c -- records that point at the edge itself, at its Redis, or at no fit place: refused, and
 * never connected to.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: other wrong records (e_bad_records.c); loops through other edges (b_proxy_basic.c). */
#include "harness/scene.h"
#include "harness/sentinel.h"

#include <stdlib.h>

#define HOST "usher:host:a.test"

static const char *port_of(const char *address)
{
    return strrchr(address, ':') + 1;
}

/* What is written is refused for this reason: what is served stays, and its writer is told. */
static void expect_refused(struct scene *s, const char *endpoint, const char *reason)
{
    char *said = NULL;

    scene_redis(s, "SET " HOST " %s", endpoint);
    cr_assert(eventually(has(said = scene_redis(s, "HGET usher:errors " HOST), reason) &&
                             has(said, endpoint),
                         AWAIT_MS),
              "usher:errors of %s: expected \"%s\", is: %s", endpoint, reason, said);
    expect_get(s, "a.test", "/", 200, "one");
}

static void begin(struct scene *s, struct origin *o)
{
    scene_host(s, "a.test", o);
    await_get(s, "a.test", "/", 200, "one");
}

SCENARIO(guard, an_edge_does_not_send_requests_to_itself)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    begin(&s, o);
    expect_refused(&s, s.edge.at, "not this edge itself");
    expect_refused(&s, s.edge.admin, "not this edge itself");
    expect_refused(&s, kept_format("0.0.0.0:%s", port_of(s.edge.at)), "not this edge itself");
    expect_refused(&s, kept_format("[::ffff:127.0.0.1]:%s", port_of(s.edge.admin)),
                   "not this edge itself");
    expect_refused(&s, kept_format("127.0.0.2:%s", port_of(s.edge.at)), "--allow-endpoints");
    cr_assert_eq(scene_fault_count(&s, "loop_detected"), 0);
    scene_host(&s, "a.test", o);
    await(scene_redis(&s, "HGET usher:errors " HOST) == NULL);
    scene_end(&s);
}

SCENARIO(guard, a_wildcard_listener_is_the_edge_on_every_address)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    const char *port;

    scene_start(&s, .flags = { "--listen", "127.0.0.1:0", "--listen", "0.0.0.0:0",
                               "--allow-endpoints", "0.0.0.0/0" });
    port = port_of(s.edge.also[s.edge.listens - 1]);
    begin(&s, o);
    expect_refused(&s, kept_format("127.8.8.8:%s", port), "not this edge itself");
    expect_refused(&s, kept_format("[::ffff:127.1.2.3]:%s", port), "not this edge itself");
    scene_end(&s);
}

SCENARIO(guard, redis_is_no_endpoint)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .tcp = true);
    begin(&s, o);
    expect_refused(&s, kept_format("127.0.0.1:%u", s.redis.port), "not this edge's Redis");
    expect_refused(&s, kept_format("[::ffff:127.0.0.1]:%u", s.redis.port), "not this edge's Redis");
    expect_refused(&s, kept_format("127.0.0.7:%u", s.redis.port), "not this edge's Redis");
    scene_end(&s);
}

static const struct {
    const char *endpoint, *reason;
} nowhere[] = {
    { "169.254.169.254:80", "link-local" }, { "[::ffff:169.254.169.254]:80", "link-local" },
    { "[fe80::1]:80", "link-local" },       { "0.0.0.0:80", "with an address" },
    { "[::]:80", "with an address" },       { "224.0.0.1:80", "multicast" },
    { "255.255.255.255:80", "broadcast" },  { "[ff02::1]:80", "multicast" },
};

SCENARIO(guard, addresses_that_serve_no_client)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    begin(&s, o);
    for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++)
        expect_refused(&s, nowhere[i].endpoint, nowhere[i].reason);
    /* Among the endpoints of a service and of a tenant, too; the good ones beside it serve on. */
    scene_endpoint(&s, "web", o);
    scene_redis(&s, "SET " HOST " service:web");
    await(scene_redis(&s, "HGET usher:errors " HOST) == NULL);
    scene_redis(&s, "HSET usher:endpoints:web 169.254.1.1:80 1000");
    await(has(scene_redis(&s, "HGET usher:errors usher:endpoints:web"), "field 169.254.1.1:80"));
    scene_redis(&s, "HSET usher:tenant:acme to 'fe80::1'");
    scene_redis(&s, "HSET usher:tenant:acme to '10.0.0.1:80 [fe80::1]:80'");
    await(has(scene_redis(&s, "HGET usher:errors usher:tenant:acme"), "link-local"));
    await_get(&s, "a.test", "/", 200, "one");
    cr_assert_eq(scene_fault_count(&s, "endpoint_forbidden"), 0);
    scene_end(&s);
}

SCENARIO(guard, what_the_operator_allows_is_an_endpoint)
{
    static struct scene s;
    struct origin *o = origin_start("one"), *other;

    scene_start(&s, .flags = { "--allow-endpoints", "127.0.0.2/32,169.254.0.0/16" });
    begin(&s, o);
    other = origin_start_at("other", kept_format("127.0.0.2:%s", port_of(s.edge.at)));
    scene_redis(&s, "SET " HOST " %s", origin_at(other));
    await_get(&s, "a.test", "/", 200, "other");
    scene_redis(&s, "SET usher:host:b.test '169.254.1.1:80 %s'", origin_at(o));
    scene_redis(&s, "SET usher:host:c.test 169.253.1.1"); /* judged after the one before it */
    await(scene_redis(&s, "HGET usher:errors usher:host:c.test") != NULL);
    cr_assert_str_eq(scene_redis(&s, "HLEN usher:errors"), "1");
    scene_end(&s);
}

/* Not only the one it reads from: any of them may be the next. */
SCENARIO(guard, no_redis_that_sentinel_names_is_an_endpoint)
{
    static struct scene s;
    static struct sentinels c;
    struct origin *o = origin_start("one");

    scene_start(&s, .without_redis = true, .without_edge = true);
    sentinels_start(&c, &s, 2, "");
    s.options.redis = sentinels_url(&c);
    s.options.unready = false;
    scene_edge_start(&s);
    redis_say(&c.nodes[0], "SET " HOST " %s", origin_at(o));
    await_get(&s, "a.test", "/", 200, "one");
    for (unsigned i = 0; i < 2; i++) {
        redis_say(&c.nodes[0], "SET " HOST " %s", sentinels_node(&c.nodes[i]));
        await(has(redis_say(&c.nodes[0], "HGET usher:errors " HOST), sentinels_node(&c.nodes[i])));
        cr_assert(has(redis_say(&c.nodes[0], "HGET usher:errors " HOST), "not this edge's Redis"));
        expect_get(&s, "a.test", "/", 200, "one");
    }
    scene_end(&s);
    sentinels_end(&c);
}
