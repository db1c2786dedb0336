/* o_proxy_protocol.c -- connections that begin with a PROXY header, and those that must not.
 *
 * The proxies are 127.0.0.2; whoever comes from elsewhere is a client.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: every form of a header (tests/unit/net); headers to endpoints (o_send_proxy.c). */
#include "harness/scene.h"

#define PROXY "127.0.0.2"
#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define V2_CLIENT V2 "\x21\x11\x00\x0c\xcb\x00\x71\x07\x0a\x00\x00\x01\xdc\x04\x01\xbb"
#define GET_A "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define REFUSED(reason) "usher_client_connections_refused_total{reason=\"" reason "\"}"

/* One worker; the origin echoes what it got. */
static struct origin *begin(struct scene *s, const char *more, const char *value)
{
    struct origin *o = origin_start("one");

    scene_start(s, .workers = 1,
                .flags = { "--proxy-protocol", PROXY, "--access-log", "-", more, value });
    origin_script(o, origin_echo, NULL);
    scene_host(s, "a.test", o);
    scene_live(s);
    return o;
}

static struct client *from_proxy(struct scene *s)
{
    return client_open_from(s->edge.at, PROXY);
}

/* The origin's last request says that it is this client's. */
static void expect_client(struct origin *o, const char *ip)
{
    const char *line = kept_format("\r\nX-Forwarded-For: %s\r\n", ip);

    cr_assert(has(origin_last(o)->head, line), "%s", origin_last(o)->head);
}

static void expect_as_client(struct client *c, struct origin *o, const char *ip)
{
    client_send(c, GET_A);
    expect_status(client_read(c), 200);
    expect_client(o, ip);
}

SCENARIO(proxy_protocol, the_client_is_whom_the_header_names)
{
    static struct scene s;
    struct origin *o = begin(&s, NULL, NULL);
    struct client *c = from_proxy(&s);

    client_send(c, "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n");
    for (unsigned i = 0; i < 3; i++)
        expect_as_client(c, o, "203.0.113.7");
    c = from_proxy(&s);
    client_send_bytes(c, V2_CLIENT GET_A, sizeof(V2_CLIENT GET_A) - 1); /* in one segment */
    expect_status(client_read(c), 200);
    expect_client(o, "203.0.113.7");
    c = from_proxy(&s);
    client_send(c, "PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n" GET_A GET_A);
    expect_status(client_read(c), 200);
    expect_status(client_read(c), 200);
    expect_client(o, "2001:db8::7");
    scene_end(&s);
}

SCENARIO(proxy_protocol, rules_and_the_log_see_that_client)
{
    static struct scene s;
    struct client *c;

    begin(&s, NULL, NULL);
    scene_redis(&s, "HSET usher:tenant:acme to 127.0.0.1:1");
    scene_redis(&s, "HSET usher:routes:acme one 'from 203.0.113.0/24 respond 200 \"its own\"'"
                    " two 'respond 403'");
    scene_redis(&s, "SET usher:host:b.test tenant:acme");
    scene_live(&s);
    c = from_proxy(&s);
    client_send(c, "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n");
    cr_assert_str_eq(client_get(c, "b.test", "/").text, "its own");
    c = from_proxy(&s);
    client_send(c, "PROXY TCP4 198.51.100.7 10.0.0.1 56324 443\r\n");
    expect_status(client_get(c, "b.test", "/"), 403);
    await(scene_out_has(&s, "\"client\":\"203.0.113.7\""));
    await(scene_out_has(&s, "\"client\":\"198.51.100.7\""));
    scene_end(&s);
}

SCENARIO(proxy_protocol, a_header_that_drips_is_put_together)
{
    static const char *const headers[] = { "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n",
                                           V2_CLIENT };
    static const size_t sizes[] = { 43, sizeof(V2_CLIENT) - 1 };
    static struct scene s;
    struct origin *o = begin(&s, NULL, NULL);

    for (unsigned n = 0; n < 2; n++) {
        struct client *c = from_proxy(&s);

        for (size_t i = 0; i < sizes[n]; i++) {
            client_send_bytes(c, headers[n] + i, 1);
            if (i % 8 == 0) /* most of them are read alone */
                cr_assert(client_silent(c, 2));
        }
        expect_as_client(c, o, "203.0.113.7");
    }
    scene_end(&s);
}

SCENARIO(proxy_protocol, the_proxys_own_connections_are_its_own)
{
    static struct scene s;
    struct origin *o = begin(&s, NULL, NULL);
    struct client *c = from_proxy(&s);

    client_send(c, "PROXY UNKNOWN\r\n");
    expect_as_client(c, o, PROXY);
    c = from_proxy(&s);
    client_send_bytes(c, V2 "\x20\x00\x00\x00", 16);
    expect_as_client(c, o, PROXY);
    scene_end(&s);
}

SCENARIO(proxy_protocol, a_proxy_without_a_header_is_refused_and_counted)
{
    static struct scene s;
    struct origin *o = begin(&s, NULL, NULL);
    struct client *c = from_proxy(&s);

    client_send(c, GET_A);
    cr_assert(client_ended(c, AWAIT_MS));
    await(scene_metric(&s, REFUSED("proxy_header")) == 1);
    c = from_proxy(&s);
    client_send(c, "PROXY TCP4 203.0.113.7 10.0.0.1 56324\r\n" GET_A);
    cr_assert(client_ended(c, AWAIT_MS));
    await(scene_metric(&s, REFUSED("proxy_header")) == 2);
    cr_assert_eq(origin_requests(o), 0);
    cr_assert_eq(scene_logged(&s, "proxy_header_refused"), 1, "one line in a while");
    cr_assert_eq(scene_logged(&s, "from=" PROXY), 1);
    scene_end(&s);
}

SCENARIO(proxy_protocol, nobody_else_may_send_one)
{
    static struct scene s;
    struct origin *o = begin(&s, NULL, NULL);
    struct client *c = scene_open(&s);

    client_send(c, "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n" GET_A);
    expect_status(client_read(c), 501); /* to HTTP it is a method that nobody knows */
    cr_assert_eq(origin_requests(o), 0);
    expect_get(&s, "a.test", "/", 200, NULL);
    expect_client(o, "127.0.0.1");
    cr_assert_eq(scene_metric(&s, REFUSED("proxy_header")), 0);
    scene_end(&s);
}

SCENARIO(proxy_protocol, a_header_that_does_not_come_is_not_waited_for)
{
    static struct scene s;
    struct client *silent, *half, *gone;

    begin(&s, "--header-timeout", "200ms");
    gone = from_proxy(&s);
    client_close(gone); /* as a balancer that looks whether somebody listens */
    silent = from_proxy(&s);
    half = from_proxy(&s);
    client_send(half, "PROXY TCP4 203.");
    cr_assert(client_ended(silent, AWAIT_MS));
    cr_assert(client_ended(half, AWAIT_MS));
    await(scene_metric(&s, REFUSED("proxy_timeout")) == 2);
    cr_assert_eq(scene_metric(&s, REFUSED("proxy_header")), 0);
    half = from_proxy(&s);
    client_send(half, "PROXY TCP4 203.");
    client_half_close(half);
    cr_assert(client_ended(half, AWAIT_MS));
    await(scene_metric(&s, REFUSED("proxy_header")) == 1);
    scene_end(&s);
}

SCENARIO(proxy_protocol, a_client_by_tls_is_not_sent_to_https)
{
    static const char by_tls[] =
        V2 "\x21\x11\x00\x14\xcb\x00\x71\x07\x0a\x00\x00\x01\xdc\x04\x01\xbb"
           "\x20\x00\x05\x01\0\0\0\0";
    static struct scene s;
    struct origin *o = begin(&s, NULL, NULL);
    struct client *c = from_proxy(&s);

    scene_redis(&s, "HSET usher:tenant:acme to %s https redirect", origin_at(o));
    scene_redis(&s, "SET usher:host:b.test tenant:acme");
    scene_live(&s);
    client_send_bytes(c, by_tls, sizeof(by_tls) - 1);
    expect_status(client_get(c, "b.test", "/"), 200);
    cr_assert(has(origin_last(o)->head, "X-Forwarded-Proto: https\r\n"));
    c = from_proxy(&s);
    client_send(c, "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n");
    expect_status(client_get(c, "b.test", "/"), 308);
    scene_end(&s);
}

SCENARIO(proxy_protocol, a_drain_does_not_wait_for_a_header)
{
    static struct scene s;
    struct client *c;

    begin(&s, "--header-timeout", "1m");
    c = from_proxy(&s);
    await(scene_metric(&s, "usher_client_connections") == 1);
    scene_end(&s);
    (void)c;
}
