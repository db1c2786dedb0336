/* c_keepalive.c -- connections that live longer than a request: clients' and the pool's.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: time limits (i_limits.c). */
#include "harness/scene.h"

static struct origin *begin(struct scene *s)
{
    struct origin *o = origin_start("one");

    scene_start(s, .workers = 1);
    scene_host(s, "a.test", o);
    scene_live(s);
    return o;
}

SCENARIO(keepalive, one_connection_carries_many_requests_both_sides)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);

    for (unsigned i = 0; i < 100; i++) {
        struct response r = client_get(c, "a.test", "/");

        cr_assert_eq(r.status, 200);
        cr_assert_null(response_field(&r, "connection"), "%s", r.head);
    }
    cr_assert_eq(origin_requests(o), 100);
    cr_assert_eq(origin_connections(o), 1);
    expect_metric(&s, "usher_upstream_connects_total", 1);
    expect_metric(&s, "usher_upstream_reuses_total", 99);
    scene_end(&s);
}

SCENARIO(keepalive, clients_share_the_pool)
{
    static struct scene s;
    struct origin *o = begin(&s);

    for (unsigned i = 0; i < 20; i++)
        expect_get(&s, "a.test", "/", 200, "one");
    cr_assert_eq(origin_connections(o), 1);
    scene_end(&s);
}

SCENARIO(keepalive, connection_close_is_honoured)
{
    static struct scene s;
    struct client *c;
    struct response r;

    begin(&s);
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    r = client_read(c);
    cr_assert_str_eq(response_field(&r, "connection"), "close");
    cr_assert(client_ended(c, AWAIT_MS));
    scene_end(&s);
}

static void echo_target(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)arg;
    origin_reply(c, r, 200, r->target);
}

SCENARIO(keepalive, pipelined_requests_are_answered_in_order)
{
    static struct scene s;
    struct origin *o = begin(&s), *slow = origin_start("slow");
    static struct gate gate = GATE_CLOSED;
    struct client *c = scene_open(&s);

    origin_script(o, echo_target, NULL);
    origin_script(slow, origin_at_gate, &gate);
    scene_host(&s, "slow.test", slow);
    scene_live(&s);
    client_send(c, "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n"
                   "GET /2 HTTP/1.1\r\nHost: slow.test\r\n\r\n"
                   "POST /3 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc"
                   "GET /4 HTTP/1.1\r\nHost: nobody.test\r\n\r\n"
                   "GET /5 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    cr_assert_str_eq(client_read(c).text, "/1");
    await(gate_waiting(&gate) == 1);
    cr_assert(client_silent(c, 50));
    gate_open(&gate);
    cr_assert_str_eq(client_read(c).text, "slow");
    cr_assert_str_eq(client_read(c).text, "/3");
    expect_status(client_read(c), 404);
    cr_assert_str_eq(client_read(c).text, "/5");
    cr_assert(client_ended(c, AWAIT_MS));
    scene_end(&s);
}

SCENARIO(keepalive, a_deep_pipeline_is_answered_whole)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);

    origin_script(o, echo_target, NULL);
    for (unsigned i = 0; i < 300; i++)
        client_sendf(c, "GET /%u HTTP/1.1\r\nHost: a.test\r\n\r\n", i);
    for (unsigned i = 0; i < 300; i++)
        cr_assert_str_eq(client_read(c).text, kept_format("/%u", i));
    scene_end(&s);
}

SCENARIO(keepalive, a_request_may_come_byte_by_byte)
{
    static const char request[] = "\r\nPOST /x?y HTTP/1.1\r\nHost: a.test\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n"
                                  "0\r\nX-After: 1\r\n\r\nGET /z HTTP/1.1\r\nHost: a.test\r\n\r\n";
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);

    origin_script(o, echo_target, NULL);
    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        client_send_bytes(c, request + i, 1);
        if (i % 7 == 0)
            await_nap();
    }
    cr_assert_str_eq(client_read(c).text, "/x?y");
    cr_assert_str_eq(origin_request(o, 0)->text, "abc");
    cr_assert_str_eq(client_read(c).text, "/z");
    scene_end(&s);
}

static void byte_by_byte(struct origin_conn *c, struct origin_request *r, void *arg)
{
    const char *raw = arg;

    origin_read_body(c, r);
    for (size_t i = 0; raw[i] != '\0'; i++) {
        origin_send_bytes(c, raw + i, 1);
        if (i % 7 == 0)
            await_nap();
    }
}

SCENARIO(keepalive, a_response_may_come_byte_by_byte)
{
    static char raw[] = "HTTP/1.1 200 Fine\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "4\r\nabcd\r\n2\r\nef\r\n0\r\nX-After: 2\r\n\r\n";
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);
    struct response r;

    origin_script(o, byte_by_byte, raw);
    r = client_get(c, "a.test", "/");
    cr_assert_eq(r.status, 200);
    cr_assert_str_eq(r.text, "abcdef");
    cr_assert_str_eq(r.body.trailers, "X-After: 2\r\n");
    expect_status(client_get(c, "a.test", "/"), 200);
    cr_assert_eq(origin_connections(o), 1);
    scene_end(&s);
}

/* Answers the first request of its connection; closes under the second without an answer. */
static void once_per_connection(struct origin_conn *c, struct origin_request *r, void *arg)
{
    unsigned *answered = arg;

    if (answered[c->number]++ == 0)
        origin_reply(c, r, 200, "fresh");
    else
        origin_hang_up(c);
}

SCENARIO(keepalive, a_stale_connection_is_retried_once_for_get)
{
    static unsigned answered[64];
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);

    origin_script(o, once_per_connection, answered);
    for (unsigned i = 0; i < 5; i++) {
        struct response r = client_get(c, "a.test", "/");

        cr_assert_eq(r.status, 200, "request %u: %d %s", i, r.status, response_fault(&r));
        cr_assert_str_eq(r.text, "fresh");
    }
    expect_metric(&s, "usher_retries_total{reason=\"stale\"}", 4);
    expect_metric(&s, "usher_requests_total{class=\"5xx\"}", 0);
    scene_end(&s);
}

/* The first request of a connection waits at the gate, so that several connections come to be. */
static void once_after_gate(struct origin_conn *c, struct origin_request *r, void *arg)
{
    static unsigned answered[64];

    if (answered[c->number] == 0)
        gate_wait(arg);
    once_per_connection(c, r, answered);
}

SCENARIO(keepalive, several_stale_connections_cost_one_retry)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = begin(&s);
    struct client *c[6];

    origin_script(o, once_after_gate, &gate);
    for (unsigned i = 0; i < 6; i++) {
        c[i] = scene_open(&s);
        client_send(c[i], "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    await(gate_waiting(&gate) == 6);
    gate_open(&gate);
    for (unsigned i = 0; i < 6; i++)
        expect_status(client_read(c[i]), 200);
    expect_metric(&s, "usher_upstream_connections{state=\"idle\"}", 6);
    expect_status(client_get(c[0], "a.test", "/"), 200); /* not from one stale one to the next */
    expect_metric(&s, "usher_retries_total{reason=\"stale\"}", 1);
    scene_end(&s);
}

SCENARIO(keepalive, a_stale_connection_is_not_retried_for_post)
{
    static unsigned answered[64];
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);
    struct response r;

    origin_script(o, once_per_connection, answered);
    expect_status(client_get(c, "a.test", "/"), 200);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc");
    r = client_read(c);
    cr_assert_eq(r.status, 502, "%d %s", r.status, r.why);
    cr_assert_str_eq(response_fault(&r), "response_closed");
    cr_assert_eq(origin_requests(o), 2, "it must not be sent twice");
    expect_status(client_get(c, "a.test", "/"), 200);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    expect_status(client_read(c), 502);
    cr_assert_eq(origin_requests(o), 4, "nor without a body");
    scene_end(&s);
}

static void always_hang_up(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    (void)arg;
    origin_hang_up(c);
}

SCENARIO(keepalive, a_fresh_connection_that_closes_is_not_retried)
{
    static struct scene s;
    struct origin *o = begin(&s);

    origin_script(o, always_hang_up, NULL);
    expect_fault(&s, "a.test", "response_closed");
    cr_assert_eq(origin_requests(o), 1);
    scene_end(&s);
}

SCENARIO(keepalive, connections_the_endpoint_closed_are_not_used)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);

    expect_status(client_get(c, "a.test", "/"), 200);
    await(scene_metric(&s, "usher_upstream_connections{state=\"idle\"}") == 1);
    origin_drop_connections(o);
    await(scene_metric(&s, "usher_upstream_connections{state=\"idle\"}") == 0);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc");
    cr_assert_eq(client_read(c).status, 200, "a POST on a fresh connection");
    cr_assert_eq(origin_connections(o), 2);
    scene_end(&s);
}

SCENARIO(keepalive, an_endpoint_that_says_close_is_not_used_again)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);

    origin_answers(o, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    for (unsigned i = 0; i < 3; i++) {
        struct response r = client_get(c, "a.test", "/");

        cr_assert_str_eq(r.text, "ok");
        cr_assert_null(response_field(&r, "connection"), "close is the endpoint's, not ours");
    }
    cr_assert_eq(origin_connections(o), 3);
    await(origin_open_connections(o) == 0);
    scene_end(&s);
}

SCENARIO(keepalive, bytes_behind_a_response_are_never_anothers)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);

    origin_answers(o, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                      "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
    cr_assert_str_eq(client_get(c, "a.test", "/").text, "ok");
    origin_answers(o, NULL);
    cr_assert_str_eq(client_get(c, "a.test", "/").text, "one");
    cr_assert_eq(origin_connections(o), 2);
    scene_end(&s);
}

SCENARIO(keepalive, an_idle_connection_that_speaks_unasked_is_dropped)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);
    static struct gate gate = GATE_CLOSED;

    (void)gate;
    origin_answers(o, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 408 Timeout\r\n\r\n");
    cr_assert_str_eq(client_get(c, "a.test", "/").text, "ok");
    await(origin_open_connections(o) == 0);
    cr_assert(client_silent(c, 30), "what was not asked for goes nowhere");
    scene_end(&s);
}

SCENARIO(keepalive, upstream_connections_idle_too_long_are_closed)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1, .flags = { "--upstream-idle-timeout", "200ms" });
    scene_host(&s, "a.test", o);
    scene_live(&s);
    expect_get(&s, "a.test", "/", 200, "one");
    cr_assert_eq(origin_open_connections(o), 1);
    await_within(origin_open_connections(o) == 0, 3000);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(keepalive, a_client_that_goes_ends_its_exchange)
{
    static struct scene s;
    struct origin *o = begin(&s);
    static struct gate gate = GATE_CLOSED;
    struct client *c = scene_open(&s);

    origin_script(o, origin_at_gate, &gate);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await(gate_waiting(&gate) == 1);
    client_reset(c);
    await(scene_fault_count(&s, "client_closed") == 1);
    await(scene_metric(&s, "usher_exchanges") == 0);
    gate_open(&gate);
    await(origin_open_connections(o) == 0);
    scene_end(&s);
}

SCENARIO(keepalive, a_client_that_sends_no_more_still_gets_its_answer)
{
    static struct scene s;
    struct origin *o = begin(&s);
    static struct gate gate = GATE_CLOSED;
    struct client *c = scene_open(&s);

    origin_script(o, origin_at_gate, &gate);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client_half_close(c);
    await(gate_waiting(&gate) == 1);
    gate_open(&gate);
    cr_assert_str_eq(client_read(c).text, "one");
    cr_assert(client_ended(c, AWAIT_MS));
    scene_end(&s);
}

SCENARIO(keepalive, interim_responses_pass_before_the_final_one)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);
    struct response r;

    origin_answers(o, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\nX: 1\r\n\r\n"
                      "HTTP/1.1 102 Processing\r\n\r\n"
                      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    r = client_get(c, "a.test", "/");
    cr_assert_eq(r.status, 103);
    cr_assert_str_eq(response_field(&r, "link"), "</a.css>");
    cr_assert_null(response_field(&r, "x"));
    expect_status(client_read(c), 102);
    cr_assert_str_eq(client_read(c).text, "ok");
    cr_assert_str_eq(client_get(c, "a.test", "/").head, r.head, "and so again");
    client_close(c);
    /* HTTP/1.0 has no interim responses */
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    expect_status(client_read(c), 200);
    scene_end(&s);
}

/* Answers before the body has come, and would keep the connection. */
static void answer_early(struct origin_conn *c, struct origin_request *r, void *arg)
{
    if (strcmp(r->method, "POST") == 0) {
        origin_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
        gate_wait(arg);
    } else {
        origin_reply(c, r, 200, "one");
    }
}

SCENARIO(keepalive, an_answer_before_the_bodys_end_poisons_no_pool)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);

    origin_script(o, answer_early, &gate);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 60\r\n\r\nGET /poison");
    cr_assert_str_eq(client_read(c).text, "early");
    for (unsigned i = 0; i < 4; i++)
        expect_get(&s, "a.test", "/", 200, "one");
    client_send(c, " HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client_close(c);
    gate_open(&gate);
    for (unsigned i = 0; i < 4; i++)
        expect_get(&s, "a.test", "/", 200, "one");
    for (unsigned i = 0; i < origin_requests(o); i++)
        cr_assert_str_eq(origin_request(o, i)->target, "/");
    cr_assert_neq(origin_request(o, 1)->connection, origin_request(o, 0)->connection);
    scene_end(&s);
}

SCENARIO(keepalive, a_body_where_none_may_be_is_never_anothers_response)
{
    static const char *const bodies[] = {
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison",
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", /* to HEAD */
    };
    static struct scene s;
    struct origin *o = begin(&s);

    for (unsigned i = 0; i < 3; i++) {
        struct client *c = scene_open(&s);

        origin_answers(o, bodies[i]);
        client_send(c, "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        cr_assert_neq(client_read_to_head(c).status, 0);
        origin_answers(o, NULL);
        for (unsigned n = 0; n < 3; n++) {
            struct response r = client_get(c, "a.test", "/");

            cr_assert_str_eq(r.text, "one", "case %u: %d %s %s", i, r.status, r.why, r.text);
        }
        client_close(c);
    }
    scene_end(&s);
}

SCENARIO(keepalive, a_client_that_goes_while_connecting_ends_its_exchange)
{
    static struct scene s;
    struct client *c;

    begin(&s);
    scene_redis(&s, "SET usher:host:deaf.test %s", origin_deaf());
    scene_live(&s);
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.1\r\nHost: deaf.test\r\n\r\n");
    await(scene_metric(&s, "usher_upstream_connections{state=\"busy\"}") == 1);
    client_reset(c);
    await(scene_metric(&s, "usher_exchanges") == 0);
    await(scene_metric(&s, "usher_upstream_connections{state=\"busy\"}") == 0);
    scene_end(&s);
}

SCENARIO(keepalive, all_requests_sent_before_a_half_close_are_answered)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);

    origin_script(o, echo_target, NULL);
    client_send(c, "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n"
                   "POST /2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc"
                   "GET /3 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client_half_close(c);
    for (unsigned i = 1; i <= 3; i++)
        cr_assert_str_eq(client_read(c).text, kept_format("/%u", i));
    cr_assert(client_ended(c, AWAIT_MS));
    scene_end(&s);
}

SCENARIO(keepalive, close_wins_over_keep_alive)
{
    static struct scene s;
    struct client *c;
    struct response r;

    begin(&s);
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive\r\n"
                   "Connection: foo, Close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    r = client_read(c);
    cr_assert_eq(r.status, 200);
    cr_assert_str_eq(response_field(&r, "connection"), "close");
    cr_assert(client_ended(c, AWAIT_MS), "what came behind a close is not answered");
    scene_end(&s);
}
