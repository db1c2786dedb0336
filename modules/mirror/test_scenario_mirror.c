/* test_scenario_mirror.c -- copies of requests: which, of what, and that nobody waits for them. */
#include "harness/scene.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define GET_A "GET /p?q=1 HTTP/1.1\r\nHost: a.test\r\nX-Mine: 1\r\n"
#define CLOSE "Connection: close\r\n\r\n"

static void begin(struct scene *s, struct origin *o, struct origin *copy, const char *settings)
{
    scene_endpoint(s, "next", copy);
    scene_redis(s, "HSET usher:tenant:acme to %s modules 'mirror(service=next %s)'", origin_at(o),
                settings);
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_live(s);
}

static double sent(struct scene *s)
{
    return scene_metric(s, "usher_module_mirror_sent_total");
}

SCENARIO(mod_mirror, copies_have_all_that_the_request_has_and_a_mark)
{
    static struct scene s;
    struct origin *o = origin_start("one"), *copy = origin_start("copy");
    struct response r;
    const char *head;

    scene_start(&s);
    begin(&s, o, copy, "");
    origin_answers(copy, "HTTP/1.1 500 No\r\nSet-Cookie: no=1\r\nContent-Length: 2\r\n\r\nno");
    r = scene_exchange(&s, GET_A "Cookie: k=v\r\nX-Hop: 1\r\nTE: trailers\r\n"
                                 "Connection: close, X-Hop\r\n\r\n");
    expect_status(r, 200);
    cr_assert_str_eq(r.text, "one");
    cr_assert_null(response_field(&r, "set-cookie"));
    await(origin_requests(copy) == 1);
    head = origin_last(copy)->head;
    cr_assert(starts(head, "GET /p?q=1 HTTP/1.1\r\n"), "%s", head);
    cr_assert_str_eq(message_field(head, "host"), "a.test");
    cr_assert_str_eq(message_field(head, "x-mine"), "1");
    cr_assert_str_eq(message_field(head, "cookie"), "k=v");
    cr_assert_str_eq(message_field(head, "x-mirrored"), "1");
    cr_assert_str_eq(message_field(head, "x-forwarded-for"), "127.0.0.1");
    cr_assert_eq(message_field_count(head, "via"), 1);
    cr_assert_null(message_field(head, "x-hop"));
    cr_assert_null(message_field(origin_last(o)->head, "x-mirrored"));
    expect_metric(&s, "usher_requests_total{class=\"2xx\"}", 1);
    expect_metric(&s, "usher_requests_total{class=\"5xx\"}", 0);
    expect_metric(&s, "usher_subrequests_total{end=\"answered\"}", 1);
    scene_end(&s);
}

SCENARIO(mod_mirror, bodies_are_copied_up_to_a_size_and_larger_ones_pass_untouched)
{
    static struct scene s;
    struct origin *o = origin_start("one"), *copy = origin_start("copy");
    struct client *c;

    scene_start(&s);
    begin(&s, o, copy, "most=1k mark=X-Copy=yes");
    c = scene_open(&s);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\n01234");
    await(origin_requests(o) == 1);
    client_send(c, "56789");
    expect_status(client_read(c), 200);
    await(origin_requests(copy) == 1 && origin_last(copy)->body_read);
    cr_assert_str_eq(origin_last(copy)->text, "0123456789");
    cr_assert_str_eq(message_field(origin_last(copy)->head, "content-length"), "10");
    cr_assert_str_eq(message_field(origin_last(copy)->head, "x-copy"), "yes");
    cr_assert_str_eq(origin_last(o)->text, "0123456789");
    client_send(c, "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    expect_status(client_read(c), 200);
    await(origin_requests(copy) == 2 && origin_last(copy)->body_read);
    cr_assert_str_eq(origin_last(copy)->text, "abcdefg");
    cr_assert_str_eq(origin_last(o)->text, "abcdefg");
    /* Too large by its length: not even looked at. */
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1025\r\n\r\n");
    client_send_pattern(c, 1025);
    expect_status(client_read(c), 200);
    cr_assert_eq(origin_last(o)->body.bytes, 1025);
    cr_assert_str_eq(message_field(origin_last(o)->head, "content-length"), "1025");
    /* Too large, as shows on the way. */
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n");
    client_send_pattern(c, 1025);
    client_send(c, "\r\n0\r\n\r\n");
    expect_status(client_read(c), 200);
    cr_assert_eq(origin_last(o)->body.bytes, 1025);
    cr_assert(origin_last(o)->body.pattern);
    expect_metric(&s, "usher_module_mirror_too_large_total", 2);
    expect_metric(&s, "usher_module_mirror_sent_total", 2);
    expect_metric(&s, "usher_subrequests_total{end=\"answered\"}", 2);
    cr_assert_eq(origin_requests(copy), 2);
    scene_end(&s);
}

SCENARIO(mod_mirror, a_share_is_copied)
{
    static struct scene s;
    struct origin *o = origin_start("one"), *copy = origin_start("copy");
    struct client *c;

    scene_start(&s);
    begin(&s, o, copy, "percent=0");
    c = scene_open(&s);
    for (unsigned i = 0; i < 100; i++)
        expect_status(client_get(c, "a.test", "/"), 200);
    cr_assert_eq(sent(&s), 0);
    scene_redis(&s, "HSET usher:tenant:acme modules 'mirror(service=next percent=25)'");
    scene_live(&s);
    for (unsigned i = 0; i < 400; i++)
        expect_status(client_get(c, "a.test", "/"), 200);
    cr_assert(sent(&s) > 50 && sent(&s) < 160, "%g of 400", sent(&s));
    await(origin_requests(copy) == (unsigned)sent(&s));
    cr_assert_eq(origin_requests(o), 500);
    scene_end(&s);
}

SCENARIO(mod_mirror, what_is_refused_is_not_copied_and_the_path_is_the_endpoints)
{
    static struct scene s;
    struct origin *o = origin_start("one"), *copy = origin_start("copy"),
                  *auth = origin_start("no");

    scene_start(&s);
    begin(&s, o, copy, "");
    scene_endpoint(&s, "login", auth);
    origin_answers(auth, "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    scene_redis(&s,
                "HSET usher:routes:acme deny 'path /no deny' strip 'path /api/* to %s strip /api "
                "host inner.test set X-Rule=1' auth 'path /in to %s modules "
                "forward_auth(service=login)' hi 'path /hi respond 200 \"hi\"'",
                origin_at(o), origin_at(o));
    await_get(&s, "a.test", "/hi", 200, "hi");
    expect_get(&s, "a.test", "/no", 403, NULL);
    expect_get(&s, "a.test", "/in", 403, NULL);
    expect_status(scene_exchange(&s, "GET /api/v1?q HTTP/1.1\r\nHost: a.test\r\nX-Mirrored: 1\r\n"
                                     "X_Mirrored: 1\r\n" CLOSE),
                  200);
    await(origin_requests(copy) == 1);
    cr_assert(starts(origin_last(copy)->head, "GET /v1?q "), "%s", origin_last(copy)->head);
    cr_assert_str_eq(message_field(origin_last(copy)->head, "host"), "inner.test");
    cr_assert_str_eq(message_field(origin_last(copy)->head, "x-rule"), "1");
    cr_assert_eq(message_field_count(origin_last(copy)->head, "x-mirrored"), 1);
    cr_assert_not(has(origin_last(o)->head, "irrored"), "%s", origin_last(o)->head);
    cr_assert_eq(sent(&s), 1);
    scene_end(&s);
}

SCENARIO(mod_mirror, nobody_notices_that_the_other_service_is_away_or_slow)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = origin_start("one"), *copy = origin_start("copy");

    scene_start(&s);
    begin(&s, o, copy, "timeout=1m");
    origin_script(copy, origin_at_gate, &gate);
    expect_get(&s, "a.test", "/", 200, "one"); /* and the client is gone */
    await(gate_waiting(&gate) == 1);
    cr_assert_eq(origin_requests(o), 1);
    gate_open(&gate);
    expect_metric(&s, "usher_subrequests_total{end=\"answered\"}", 1);
    origin_stop(copy);
    expect_get(&s, "a.test", "/", 200, "one");
    expect_metric(&s, "usher_subrequests_total{end=\"failed\"}", 1);
    scene_redis(&s, "DEL usher:endpoints:next");
    scene_live(&s);
    expect_get(&s, "a.test", "/", 200, "one");
    expect_metric(&s, "usher_subrequests_total{end=\"failed\"}", 2);
    expect_fault_count(&s, "connect_failed", 0);
    expect_metric(&s, "usher_requests_total{class=\"5xx\"}", 0);
    scene_end(&s);
}

SCENARIO(mod_mirror, so_many_copies_are_under_way_and_no_more)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = origin_start("one"), *copy = origin_start("copy");
    struct client *c;

    scene_start(&s, .workers = 1);
    begin(&s, o, copy, "timeout=1m");
    origin_script(copy, origin_at_gate, &gate);
    c = scene_open(&s);
    for (unsigned i = 0; i < 260; i++)
        expect_status(client_get(c, "a.test", "/"), 200);
    expect_metric(&s, "usher_module_mirror_left_out_total", 4);
    expect_metric(&s, "usher_subrequests_total{end=\"refused\"}", 4);
    await(gate_waiting(&gate) == 256);
    gate_open(&gate);
    expect_metric(&s, "usher_subrequests_total{end=\"answered\"}", 256);
    expect_status(client_get(c, "a.test", "/"), 200);
    expect_metric(&s, "usher_subrequests_total{end=\"answered\"}", 257);
    scene_end(&s);
}

static struct client *copy_at_gate(struct scene *s, struct gate *gate, const char *drain)
{
    struct origin *o = origin_start("one"), *copy = origin_start("copy");
    struct client *c;

    scene_start(s, .flags = { "--drain-timeout", drain });
    begin(s, o, copy, "timeout=1m");
    origin_script(copy, origin_at_gate, gate);
    c = scene_open(s);
    expect_status(client_get(c, "a.test", "/"), 200);
    await(gate_waiting(gate) == 1);
    process_signal(&s->edge.process, SIGTERM);
    cr_assert(client_ended(c, AWAIT_MS));
    return c;
}

SCENARIO(mod_mirror, a_draining_edge_waits_for_copies)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;

    copy_at_gate(&s, &gate, "60s");
    cr_assert_eq(process_wait(&s.edge.process, 200), PROCESS_STILL_RUNS);
    gate_open(&gate);
    cr_assert_eq(process_wait(&s.edge.process, AWAIT_MS), 0);
    scene_end(&s);
}

SCENARIO(mod_mirror, copies_are_cut_when_the_drain_is_over)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;

    copy_at_gate(&s, &gate, "500ms");
    process_wait(&s.edge.process, AWAIT_MS);
    gate_open(&gate);
    scene_end(&s);
}
