/* b_proxy_basic.c -- one request and its answer: what an endpoint gets, what a client gets.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: connections kept (c_keepalive.c), bodies (h_bodies.c), refused heads
 *           (g_strict_reading.c). */
#include "harness/scene.h"

#include <stdlib.h>

/* The head the origin got for this request to a.test; the answer must be 200. */
static const char *head_for(struct scene *s, struct origin *o, const char *request)
{
    struct response r = scene_exchange(s, request);

    cr_assert_eq(r.status, 200, "%d %s%s", r.status, response_fault(&r), r.why);
    return origin_last(o)->head;
}

static struct origin *begin(struct scene *s)
{
    struct origin *o = origin_start("one");

    scene_start(s, .workers = 1);
    scene_host(s, "a.test", o);
    scene_live(s);
    return o;
}

SCENARIO(proxy, a_request_goes_on_with_its_method_path_host_and_fields)
{
    static struct scene s;
    struct origin *o = begin(&s);
    const char *head = head_for(&s, o,
                                "GET /x/y?q=1&r=a%20b HTTP/1.1\r\nHost: a.test\r\n"
                                "User-Agent: mine\r\nX-Odd: one \r\nX-odd:two\r\n\r\n");

    cr_assert(starts(head, "GET /x/y?q=1&r=a%20b HTTP/1.1\r\n"), "%s", head);
    cr_assert_str_eq(message_field(head, "host"), "a.test");
    cr_assert_eq(message_field_count(head, "host"), 1);
    cr_assert_str_eq(message_field(head, "user-agent"), "mine");
    cr_assert(has(head, "\r\nX-Odd: one\r\n") && has(head, "\r\nX-odd: two\r\n"), "%s", head);
    cr_assert_null(message_field(head, "content-length"));
    cr_assert_null(message_field(head, "transfer-encoding"));
    scene_end(&s);
}

SCENARIO(proxy, host_is_kept_as_sent_but_looked_up_in_normal_form)
{
    static const char *const spelled[] = { "A.Test", "a.test:80", "a.test.", "a.TEST.:8080",
                                           "a.test:" };
    static struct scene s;
    struct origin *o = begin(&s);

    for (unsigned i = 0; i < sizeof(spelled) / sizeof(spelled[0]); i++) {
        const char *head =
            head_for(&s, o, kept_format("GET / HTTP/1.1\r\nHost: %s\r\n\r\n", spelled[i]));

        cr_assert_str_eq(message_field(head, "host"), spelled[i]);
        cr_assert_str_eq(message_field(head, "x-forwarded-host"), spelled[i]);
    }
    scene_end(&s);
}

SCENARIO(proxy, addresses_are_hosts_too)
{
    static struct scene s;
    struct origin *o = begin(&s);

    scene_redis(&s, "SET usher:host:192.0.2.7 %s", origin_at(o));
    scene_redis(&s, "SET usher:host:[2001:db8::7] %s", origin_at(o));
    scene_live(&s);
    expect_get(&s, "192.0.2.7:80", "/", 200, "one");
    expect_get(&s, "[2001:db8::7]", "/", 200, "one");
    expect_get(&s, "[2001:DB8::7]:443", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(proxy, absolute_form_is_understood)
{
    static struct scene s;
    struct origin *o = begin(&s);
    const char *head = head_for(&s, o, "GET http://a.test/abs?x HTTP/1.1\r\nHost: a.test\r\n\r\n");

    cr_assert(starts(head, "GET /abs?x HTTP/1.1\r\n"), "%s", head);
    head = head_for(&s, o, "GET http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n");
    cr_assert(starts(head, "GET / HTTP/1.1\r\n"), "%s", head);
    head = head_for(&s, o, "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n");
    cr_assert(starts(head, "OPTIONS * HTTP/1.1\r\n"), "%s", head);
    scene_end(&s);
}

SCENARIO(proxy, the_path_goes_on_in_normal_form)
{
    static const char *const table[][2] = {
        { "/%61dmin", "/admin" },
        { "/%7euser", "/~user" },
        { "/x/../admin", "/admin" },
        { "/x/./y", "/x/y" },
        { "/a/b/..", "/a/" },
        { "/a/.", "/a/" },
        { "/../../etc", "/etc" },
        { "/a/%2e%2e/b", "/b" },
        { "/%2E%2E/b", "/b" },
        { "/a%2fb", "/a%2Fb" },
        { "/a%2Fb", "/a%2Fb" },
        { "/a;v=1/b", "/a;v=1/b" },
        { "//double//slash", "//double//slash" },
        { "/sp%20ace%c3%a9", "/sp%20ace%C3%A9" },
        { "/q?a=/../b&c=%61", "/q?a=/../b&c=%61" },
        { "/plain-._~!$&'()*+,;=:@", "/plain-._~!$&'()*+,;=:@" },
        { "/?", "/?" },
    };
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);

    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct response r = client_get(c, "a.test", table[i][0]);

        cr_assert_eq(r.status, 200, "%s: %d %s", table[i][0], r.status, response_fault(&r));
        cr_assert_str_eq(origin_last(o)->target, table[i][1], "%s became %s, not %s", table[i][0],
                         origin_last(o)->target, table[i][1]);
    }
    scene_end(&s);
}

SCENARIO(proxy, what_is_between_two_hops_stays_there)
{
    static const char *const gone[] = { "keep-alive", "proxy-connection",    "te",
                                        "x-private",  "proxy-authorization", "x-second",
                                        "upgrade",    "connection",          "http2-settings" };
    static struct scene s;
    struct origin *o = begin(&s);
    const char *head = head_for(
        &s, o,
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: x-private, Keep-Alive\r\n"
        "Connection: X-Second\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nTE: gzip\r\n"
        "X-Private: 1\r\nx-second: 2\r\nProxy-Authorization: Basic eA==\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AA\r\nX-Stays: yes\r\n\r\n");

    for (unsigned i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
        cr_assert_null(message_field(head, gone[i]), "%s went on:\n%s", gone[i], head);
    cr_assert_str_eq(message_field(head, "x-stays"), "yes");
    cr_assert_str_eq(message_field(head, "host"), "a.test");
    scene_end(&s);
}

SCENARIO(proxy, connection_cannot_take_away_what_the_edge_must_send)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct response r = scene_exchange(
        &s, "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: host, content-length, x-forwarded-for"
            "\r\nContent-Length: 3\r\n\r\nabc");
    const char *head = origin_last(o)->head;

    cr_assert_eq(r.status, 200);
    cr_assert_str_eq(message_field(head, "host"), "a.test");
    cr_assert_str_eq(message_field(head, "content-length"), "3");
    cr_assert_str_eq(message_field(head, "x-forwarded-for"), "127.0.0.1");
    cr_assert_str_eq(origin_last(o)->text, "abc");
    scene_end(&s);
}

SCENARIO(proxy, a_response_sheds_hop_fields_and_usher_fields)
{
    static const char *const gone[] = { "keep-alive",   "x-private",        "usher-fault",
                                        "usher-secret", "proxy-connection", "upgrade" };
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);
    struct response r;

    origin_answers(o, "HTTP/1.1 299 Odd enough\r\nServer: theirs\r\nConnection: x-private\r\n"
                      "X-Private: 1\r\nKeep-Alive: timeout=5\r\nUsher-Fault: lie\r\n"
                      "usher-secret: x\r\nProxy-Connection: x\r\nUpgrade: h2c\r\n"
                      "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok");
    r = client_get(c, "a.test", "/");
    cr_assert_eq(r.status, 299);
    cr_assert(starts(r.head, "HTTP/1.1 299 Odd enough\r\n"), "%s", r.head);
    cr_assert_str_eq(r.text, "ok");
    for (unsigned i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
        cr_assert_null(response_field(&r, gone[i]), "%s came:\n%s", gone[i], r.head);
    cr_assert_null(response_field(&r, "connection"), "%s", r.head);
    cr_assert_str_eq(response_field(&r, "server"), "theirs");
    cr_assert_eq(message_field_count(r.head, "set-cookie"), 2);
    cr_assert_eq(message_field_count(r.head, "date"), 1);
    expect_status(client_get(c, "a.test", "/"), 299);
    scene_end(&s);
}

SCENARIO(proxy, forwarded_fields_are_the_edges_word_only)
{
    static struct scene s;
    struct origin *o = begin(&s);
    const char *head =
        head_for(&s, o,
                 "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 1.2.3.4\r\n"
                 "x-forwarded-proto: https\r\nX-FORWARDED-HOST: evil\r\nForwarded: for=1.2.3.4\r\n"
                 "X-Forwarded-For: 5.6.7.8\r\n\r\n");

    cr_assert_eq(message_field_count(head, "x-forwarded-for"), 1);
    cr_assert_str_eq(message_field(head, "x-forwarded-for"), "127.0.0.1");
    cr_assert_eq(message_field_count(head, "x-forwarded-proto"), 1);
    cr_assert_str_eq(message_field(head, "x-forwarded-proto"), "http");
    cr_assert_eq(message_field_count(head, "x-forwarded-host"), 1);
    cr_assert_str_eq(message_field(head, "x-forwarded-host"), "a.test");
    cr_assert_null(message_field(head, "forwarded"), "off by default:\n%s", head);
    scene_end(&s);
}

SCENARIO(proxy, forwarded_can_be_asked_for)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    const char *forwarded;

    scene_start(&s, .flags = { "--forwarded", "on", "--listen", "[::1]:0" });
    scene_host(&s, "a.test", o);
    scene_live(&s);
    forwarded = message_field(
        head_for(&s, o, "GET / HTTP/1.1\r\nHost: a.test:81\r\nForwarded: for=9.9.9.9\r\n\r\n"),
        "forwarded");
    cr_assert(has(forwarded, "for=127.0.0.1"), "%s", forwarded);
    cr_assert(has(forwarded, "host=\"a.test:81\"") && has(forwarded, "proto=http"), "%s",
              forwarded);
    cr_assert_not(has(forwarded, "9.9.9.9"));
    expect_status(client_get_once(s.edge.also[1], "a.test", "/"), 200);
    forwarded = message_field(origin_last(o)->head, "forwarded");
    cr_assert(has(forwarded, "for=\"[::1]\""), "%s", forwarded);
    scene_end(&s);
}

SCENARIO(proxy, via_and_cdn_loop_name_the_edge)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;
    const char *head;

    scene_start(&s, .flags = { "--cdn-id", "edge.test" });
    scene_host(&s, "a.test", o);
    scene_live(&s);
    r = scene_exchange(&s, "GET / HTTP/1.1\r\nHost: a.test\r\nVia: 1.0 before\r\n"
                           "CDN-Loop: other; x=1\r\n\r\n");
    cr_assert_eq(r.status, 200);
    head = origin_last(o)->head;
    cr_assert(has(head, "Via: 1.0 before") && has(head, "1.1 edge.test"), "%s", head);
    cr_assert(has(head, "other; x=1") && has(head, "CDN-Loop: edge.test"), "%s", head);
    cr_assert(has(response_field(&r, "via"), "1.1 edge.test"), "%s", r.head);
    scene_end(&s);
}

SCENARIO(proxy, a_loop_ends_with_508)
{
    static const char *const loops[] = {
        "CDN-Loop: edge.test",
        "CDN-Loop: other, Edge.Test; x=\"y,z\"",
        "CDN-Loop: other\r\nCDN-Loop: edge.test;a=b",
    };
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .flags = { "--cdn-id", "edge.test" });
    scene_host(&s, "a.test", o);
    scene_live(&s);
    for (unsigned i = 0; i < 3; i++) {
        struct response r = scene_exchange(
            &s, kept_format("GET / HTTP/1.1\r\nHost: a.test\r\n%s\r\n\r\n", loops[i]));

        cr_assert_eq(r.status, 508, "%s: %d", loops[i], r.status);
        cr_assert_str_eq(response_fault(&r), "loop_detected");
    }
    cr_assert_eq(origin_requests(o), 0);
    expect_status(
        scene_exchange(&s, "GET / HTTP/1.1\r\nHost: a.test\r\nCDN-Loop: edge.test.no\r\n\r\n"),
        200);
    scene_end(&s);
}

SCENARIO(proxy, edges_of_one_network_find_a_loop_through_each_other)
{
    static struct scene s;
    static struct edge other;

    scene_start(&s, .flags = { "--cdn-id", "net.test" });
    scene_second_edge(&s, &other, NULL);
    scene_redis(&s, "SET usher:host:a.test %s", other.at);
    expect_get(&s, "a.test", "/", 508, NULL);
    edge_stop(&other);
    edge_free(&other);
    scene_end(&s);
}

SCENARIO(proxy, head_gets_a_head_and_no_body)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);
    struct response r;

    client_send(c, "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    r = client_read_to_head(c);
    cr_assert_eq(r.status, 200);
    cr_assert_str_eq(response_field(&r, "content-length"), "3");
    cr_assert_str_eq(client_get(c, "a.test", "/").text, "one");
    origin_answers(o, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    client_send(c, "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_status(client_read_to_head(c), 200);
    origin_script(o, NULL, NULL);
    origin_answers(o, NULL);
    cr_assert_str_eq(client_get(c, "a.test", "/").text, "one");
    /* a fault's answer to HEAD has no body either */
    client_send(c, "HEAD / HTTP/1.1\r\nHost: nobody.test\r\n\r\n");
    expect_status(client_read_to_head(c), 404);
    cr_assert_str_eq(client_get(c, "a.test", "/").text, "one");
    scene_end(&s);
}

SCENARIO(proxy, responses_204_and_304_have_no_body)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);
    struct response r;

    origin_answers(o, "HTTP/1.1 204 No Content\r\nX-It: yes\r\n\r\n");
    r = client_get(c, "a.test", "/");
    cr_assert_eq(r.status, 204);
    cr_assert_null(response_field(&r, "content-length"), "%s", r.head);
    cr_assert_null(response_field(&r, "transfer-encoding"), "%s", r.head);
    origin_answers(o, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
    r = client_get(c, "a.test", "/");
    cr_assert_eq(r.status, 204);
    cr_assert_null(response_field(&r, "content-length"), "RFC 9110 8.6:\n%s", r.head);
    origin_answers(o, "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 1000\r\n\r\n");
    r = client_get(c, "a.test", "/");
    cr_assert_eq(r.status, 304);
    cr_assert_str_eq(response_field(&r, "etag"), "\"x\"");
    cr_assert_null(response_field(&r, "transfer-encoding"), "%s", r.head);
    origin_answers(o, NULL);
    cr_assert_str_eq(client_get(c, "a.test", "/").text, "one");
    cr_assert_eq(origin_connections(o), 1, "each of them leaves its connection usable");
    scene_end(&s);
}

SCENARIO(proxy, a_1_0_client_gets_what_it_understands)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);
    struct response r;

    client_send(c, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    r = client_read(c);
    cr_assert_eq(r.status, 200);
    cr_assert_str_eq(r.text, "one");
    cr_assert(client_ended(c, AWAIT_MS));
    cr_assert(has(message_field(origin_last(o)->head, "via"), "1.0 "));
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n");
    r = client_read(c);
    cr_assert(has(response_field(&r, "connection"), "keep-alive"), "%s", r.head);
    client_send(c, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    cr_assert_str_eq(client_read(c).text, "one");
    origin_answers(o, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n");
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n");
    r = client_read(c);
    cr_assert_null(response_field(&r, "transfer-encoding"), "1.0 knows no chunks:\n%s", r.head);
    cr_assert_str_eq(r.text, "abcdef");
    cr_assert(client_ended(c, AWAIT_MS));
    scene_end(&s);
}

SCENARIO(proxy, a_1_0_client_without_host_is_refused)
{
    static struct scene s;
    struct response r;

    begin(&s);
    scene_redis(&s, "SET usher:host:* 127.0.0.1:1");
    r = scene_exchange(&s, "GET / HTTP/1.0\r\n\r\n");
    cr_assert_eq(r.status, 400);
    cr_assert_str_eq(response_fault(&r), "bad_host");
    scene_end(&s);
}

SCENARIO(proxy, a_1_0_endpoint_is_understood)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct response r;

    origin_answers_and_closes(o, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold");
    r = scene_get(&s, "a.test", "/");
    cr_assert_eq(r.status, 200);
    cr_assert_str_eq(r.text, "old");
    cr_assert(has(response_field(&r, "via"), "1.0 "), "%s", r.head);
    scene_end(&s);
}

SCENARIO(proxy, every_usual_method_passes)
{
    static const char *const methods[] = { "GET",     "POST",     "PUT",    "DELETE", "PATCH",
                                           "OPTIONS", "PROPFIND", "REPORT", "MKCOL",  "LOCK" };
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);

    for (unsigned i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        client_sendf(c, "%s /m HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n", methods[i]);
        cr_assert_eq(client_read(c).status, 200, "%s", methods[i]);
        cr_assert_str_eq(origin_last(o)->method, methods[i]);
        cr_assert_str_eq(message_field(origin_last(o)->head, "content-length"), "0");
    }
    scene_end(&s);
}

SCENARIO(proxy, faults_are_named_in_the_response_and_counted)
{
    static struct scene s;
    struct response r;

    begin(&s);
    scene_redis(&s, "SET usher:host:refused.test %s", origin_refusing());
    scene_live(&s);
    r = scene_get(&s, "nobody.test", "/");
    cr_assert_eq(r.status, 404);
    cr_assert_str_eq(response_fault(&r), "unknown_host");
    cr_assert(has(response_field(&r, "content-type"), "text/plain"), "%s", r.head);
    cr_assert(starts(r.text, "404 Not Found\nunknown_host: "), "%s", r.text);
    r = scene_get(&s, "refused.test", "/");
    cr_assert_eq(r.status, 502);
    cr_assert_str_eq(response_fault(&r), "connect_failed");
    expect_fault_count(&s, "unknown_host", 1);
    expect_fault_count(&s, "connect_failed", 1);
    expect_metric(&s, "usher_requests_total{class=\"4xx\"}", 1);
    expect_metric(&s, "usher_requests_total{class=\"5xx\"}", 1);
    scene_end(&s);
}

SCENARIO(proxy, a_fault_keeps_the_connection_where_the_framing_is_sound)
{
    static struct scene s;
    struct client *c;
    struct response r;

    begin(&s);
    c = scene_open(&s);
    for (unsigned i = 0; i < 3; i++)
        expect_status(client_get(c, "nobody.test", "/"), 404);
    expect_status(client_get(c, "a.test", "/"), 200);
    /* a body that nobody reads may end it, but not unsaid, and it is never taken for a request */
    client_send(c, "POST / HTTP/1.1\r\nHost: nobody.test\r\nContent-Length: 34\r\n\r\n"
                   "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n\r\n");
    r = client_read(c);
    cr_assert_eq(r.status, 404);
    if (has(response_field(&r, "connection"), "close"))
        cr_assert(client_ended(c, AWAIT_MS));
    else
        expect_status(client_get(c, "nobody.test", "/"), 404);
    scene_end(&s);
}
