/* o_send_proxy.c -- connections to endpoints that begin with a PROXY header.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: the header's bytes (tests/unit/net); headers that come in (o_proxy_protocol.c). */
#include "harness/scene.h"
#include "harness/verb.h"

#define CLIENT "127.0.0.9"

static void route(struct scene *s, const char *endpoint, const char *version)
{
    scene_redis(s, "HSET usher:endpoints:web %s 100", endpoint);
    scene_redis(s, "HSET usher:service:web send_proxy %s", version);
    scene_redis(s, "SET usher:host:a.test service:web");
    scene_live(s);
}

SCENARIO(send_proxy, each_request_has_a_connection_that_says_whose_it_is)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct client *c;
    const char *expected;

    scene_start(&s, .workers = 1);
    origin_answers(o, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    route(&s, origin_at(o), "v1");
    c = client_open_from(s.edge.at, CLIENT);
    for (unsigned i = 0; i < 3; i++)
        expect_status(client_get(c, "a.test", "/x"), 200);
    cr_assert_eq(origin_connections(o), 3);
    expected =
        kept_format(" %s\r\nGET /x HTTP/1.1\r\nHost: a.test\r\n", strchr(s.edge.at, ':') + 1);
    for (unsigned i = 0; i < 3; i++) {
        const char *head = origin_request(o, i)->head;

        cr_assert(starts(head, "PROXY TCP4 " CLIENT " 127.0.0.1 "), "%s", head);
        cr_assert(has(head, expected), "%s in %s", expected, head);
    }
    await(origin_open_connections(o) == 0);
    expect_metric(&s, "usher_upstream_reuses_total", 0);
    scene_end(&s);
}

/* The other edge reads what the first one writes, and tells its endpoint. */
static void expect_through(struct scene *s, struct origin *o, const char *version)
{
    struct client *c;

    scene_redis(s, "HSET usher:service:web send_proxy %s", version);
    scene_live(s);
    c = client_open_from(s->edge.at, CLIENT);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    expect_status(client_read(c), 200);
    cr_assert(has(origin_last(o)->head, "\r\nX-Forwarded-For: " CLIENT "\r\n"), "%s",
              origin_last(o)->head);
    cr_assert_str_eq(origin_last(o)->text, "hello");
}

SCENARIO(send_proxy, an_edge_understands_another_in_either_version)
{
    static struct scene s;
    static struct edge other;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1);
    scene_second_edge(&s, &other, "--name", "two", "--proxy-protocol", "127.0.0.1", NULL);
    origin_script(o, origin_echo, NULL);
    scene_redis(&s, "HSET usher:tenant:acme to service:web");
    scene_redis(&s, "HSET usher:routes:acme all 'to service:web host b.test'");
    route(&s, other.at, "v2");
    scene_host(&s, "b.test", o);
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    cr_assert_eq(verb_run(&s, "wait", "--edges", "2", NULL).code, 0);
    expect_through(&s, o, "v1");
    expect_through(&s, o, "v2");
    cr_assert(has(verb_say(&s, "explain http://a.test/").out, "behind a PROXY header v2\n"));
    scene_redis(&s, "HSET usher:service:web send_proxy off");
    scene_live(&s);
    cr_assert_eq(scene_get(&s, "a.test", "/").status, 502, "it must begin with one");
    edge_stop(&other);
    edge_free(&other);
    scene_end(&s);
}

SCENARIO(send_proxy, connections_that_were_kept_before_are_not_used)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1);
    route(&s, origin_at(o), "off");
    expect_get(&s, "a.test", "/", 200, "one");
    expect_get(&s, "a.test", "/", 200, "one");
    cr_assert_eq(origin_connections(o), 1);
    origin_answers(o, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    route(&s, origin_at(o), "v1");
    expect_get(&s, "a.test", "/", 200, "hi");
    cr_assert(starts(origin_last(o)->head, "PROXY TCP4 127.0.0.1 "), "%s", origin_last(o)->head);
    cr_assert_eq(origin_connections(o), 2);
    scene_end(&s);
}

SCENARIO(send_proxy, what_it_may_be)
{
    static struct scene s;

    scene_start(&s, .workers = 1);
    scene_redis(&s, "HSET usher:service:web send_proxy v3");
    await(has(scene_redis(&s, "HGET usher:errors usher:service:web"),
              "field send_proxy: got \"v3\", expected off, v1 or v2"));
    scene_end(&s);
}
