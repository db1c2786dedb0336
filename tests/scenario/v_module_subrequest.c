/* v_module_subrequest.c -- modules ask services: what these get, what comes back, what may not be asked,
 * and what becomes of it when somebody is gone meanwhile.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: modules that ask for a purpose (modules/forward_auth, modules/mirror). */
#include "harness/module_build.h"

#include <stdlib.h>

#define NOT_CALLED "not called"
#define CALLS(end) "usher_subrequests_total{end=\"" end "\"}"

/* a.test belongs to the tenant acme, at its service `web`; its module calls the service `inner`. */
static void begin(struct scene *s, struct origin *web, struct origin *inner)
{
    unsigned at = 0;

    while (s->options.flags[at] != NULL)
        at++;
    s->options.flags[at++] = "--module";
    s->options.flags[at] = module_build(s, "caller", "tests/modules/caller.c", "modules", "");
    scene_endpoint(s, "web", web);
    scene_endpoint(s, "inner", inner);
    scene_redis(s, "HSET usher:tenant:acme to service:web modules 'caller(service=inner)'");
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_edge_start(s);
    await_get(s, "a.test", "/", 200, "web");
}

static const char *call(struct scene *s, const char *query)
{
    struct response r = scene_get(s, "a.test", kept_format("/call?%s", query));

    cr_assert(r.status == 200 || r.status == 400, "/call?%s: %d %s", query, r.status,
              response_fault(&r));
    return r.text;
}

#define expect_call(s, query, wanted)                                                              \
    do {                                                                                           \
        const char *told_ = call(s, query);                                                        \
        cr_assert_str_eq(told_, wanted, "/call?%s: %s, expected %s", query, told_, wanted);        \
    } while (0)

SCENARIO(module_subrequest, a_service_gets_what_the_module_says_and_its_answer_comes_back)
{
    static struct scene s;
    struct origin *web = origin_start("web"), *inner = origin_start("inner");
    const char *head;

    scene_start(&s, .without_edge = true, .workers = 1);
    begin(&s, web, inner);
    origin_answers(inner, "HTTP/1.1 103 Early Hints\r\nX-A: no\r\n\r\nHTTP/1.1 418 I\r\nX-A: 1\r\n"
                          "X-A: 2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n"
                          "0\r\n\r\n");
    expect_call(&s,
                "show=X-A&method=PATCH&path=/x/y&query=a%3Db&host=B.test:8&body=text&name=X-B"
                "&value=one%20two&name=Connection&value=close&name=Host&value=c.test"
                "&name=X-Forwarded-For&value=1.2.3.4",
                "418 1 2 abcde");
    await(origin_last(inner)->body_read);
    head = origin_last(inner)->head;
    cr_assert(starts(head, "PATCH /x/y?a=b HTTP/1.1\r\nHost: B.test:8\r\n"), "%s", head);
    cr_assert_str_eq(message_field(head, "x-b"), "one two");
    cr_assert_eq(message_field_count(head, "host"), 1);
    cr_assert_null(message_field(head, "connection"));
    cr_assert_str_eq(message_field(head, "x-forwarded-for"), "127.0.0.1");
    cr_assert_str_eq(message_field(head, "x-forwarded-host"), "a.test");
    cr_assert_str_eq(message_field(head, "content-length"), "4");
    cr_assert_str_eq(origin_last(inner)->text, "text");
    origin_answers(inner, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    expect_call(&s, "method=POST&path=/x", "200 ");
    head = origin_last(inner)->head;
    cr_assert(starts(head, "POST /x HTTP/1.1\r\nHost: a.test\r\n"), "%s", head);
    cr_assert_str_eq(message_field(head, "content-length"), "0");
    expect_call(&s, "method=HEAD&path=/x", "200 ");
    cr_assert_null(message_field(origin_last(inner)->head, "content-length"));
    expect_call(&s, "own&path=/x", "200 web");
    expect_call(&s, "", "200 ");
    cr_assert(starts(origin_last(inner)->head, "GET /call? HTTP/1.1\r\n"),
              "as the endpoint gets it");
    cr_assert_eq(origin_connections(inner), 1);
    cr_assert_eq(scene_logged(&s, "called from on_done"), 0);
    scene_end(&s);
}

SCENARIO(module_subrequest, what_makes_no_sense_is_not_sent)
{
    static const char *const wrong[] = {
        "method=get",
        "method=CONNECT",
        "method=NOSUCH",
        "path=x",
        "path=/a%3Fb",
        "path=/a%20b",
        "path=/a%0D%0Ab",
        "path=/a%23b",
        "path=/&query=a%20b",
        "host=a%20b",
        "host=a/b",
        "host=a.test:99999",
        "name=X%20A",
        "name=X%3AA",
        "name=X-A&value=a%0Ab",
        "timeout=99999999",
        "most=99999999",
        "name=&value=1",
        "times=17",
        "name=X-A&value=%20one",
        "host=a%0D%0AX-B%3A1",
    };
    static struct scene s;
    struct origin *web = origin_start("web"), *inner = origin_start("inner");

    scene_start(&s, .without_edge = true);
    begin(&s, web, inner);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect_call(&s, wrong[i], NOT_CALLED);
    /* The first 16 of 17 were begun, and cut with their exchange. */
    await(scene_metric(&s, CALLS("cut")) == 16);
    await(scene_metric(&s, "usher_exchanges") == 0);
    expect_call(&s, "path=/&times=16",
                "200 inner\n200 inner\n200 inner\n200 inner\n200 inner\n200 inner\n200 inner\n"
                "200 inner\n200 inner\n200 inner\n200 inner\n200 inner\n200 inner\n200 inner\n"
                "200 inner\n200 inner");
    expect_call(&s, "path=/&again", "200 inner\n200 inner");
    scene_end(&s);
}

SCENARIO(module_subrequest, a_failure_has_a_name)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *web = origin_start("web"), *inner = origin_start("inner");

    scene_start(&s, .without_edge = true);
    begin(&s, web, inner);
    origin_answers(inner, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde");
    expect_call(&s, "most=5", "200 abcde");
    expect_call(&s, "most=4", "failed response_too_large");
    origin_answers(inner, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n");
    expect_call(&s, "most=4", "failed response_too_large");
    origin_answers_and_closes(inner, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd");
    expect_call(&s, "", "failed body_truncated");
    origin_answers_and_closes(inner, "HTTP/2 200 OK\r\n\r\n");
    expect_call(&s, "", "failed bad_response");
    origin_answers_and_closes(inner, "");
    expect_call(&s, "method=POST&body=x", "failed response_closed");
    origin_script(inner, origin_at_gate, &gate);
    expect_call(&s, "timeout=200", "failed response_timeout");
    gate_open(&gate);
    scene_redis(&s, "HSET usher:service:inner owner other");
    scene_live(&s);
    expect_call(&s, "", "failed service_forbidden");
    scene_redis(&s, "DEL usher:service:inner usher:endpoints:inner");
    scene_live(&s);
    expect_call(&s, "", "failed no_endpoint");
    scene_redis(&s, "HSET usher:endpoints:inner %s 1", origin_refusing());
    scene_live(&s);
    expect_call(&s, "times=2", "failed connect_failed\nfailed connect_failed");
    /* None of it is a client's. */
    expect_fault_count(&s, "connect_failed", 0);
    expect_metric(&s, "usher_requests_total{class=\"5xx\"}", 0);
    expect_metric(&s, CALLS("failed"), 10);
    await(scene_logged(&s, " subrequest_fault fault=connect_failed ") == 2);
    scene_end(&s);
}

SCENARIO(module_subrequest, a_response_waits_for_them_too)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *web = origin_start("web"), *inner = origin_start("inner");
    struct response r;
    struct client *c;

    scene_start(&s, .without_edge = true);
    begin(&s, web, inner);
    origin_script(inner, origin_at_gate, &gate);
    c = scene_open(&s);
    client_send(c, "GET /x?later&path=/in&times=2 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await(gate_waiting(&gate) == 2);
    cr_assert(client_silent(c, 50));
    gate_open(&gate);
    r = client_read(c);
    expect_status(r, 200);
    cr_assert_str_eq(r.text, "web");
    cr_assert_str_eq(response_field(&r, "x-called"), "200 inner, 200 inner");
    scene_end(&s);
}

SCENARIO(module_subrequest, they_end_with_the_exchange_that_waits_for_them)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *web = origin_start("web"), *inner = origin_start("inner");
    struct client *c;
    struct response r;

    scene_start(&s, .without_edge = true);
    begin(&s, web, inner);
    origin_script(inner, origin_at_gate, &gate);
    r = scene_get(&s, "a.test", "/call?wait=200&times=3&timeout=60000");
    expect_status(r, 504);
    cr_assert_str_eq(response_fault(&r), "module_timeout");
    expect_metric(&s, CALLS("cut"), 3);
    c = scene_open(&s);
    client_send(c, "GET /x?later&times=2&timeout=60000&wait=60000 HTTP/1.1\r\n"
                   "Host: a.test\r\n\r\n");
    await(gate_waiting(&gate) == 5);
    client_reset(c);
    await(scene_metric(&s, CALLS("cut")) == 5);
    await(scene_metric(&s, "usher_exchanges") == 0);
    await(scene_metric(&s, "usher_upstream_connections{state=\"busy\"}") == 0);
    gate_open(&gate);
    scene_end(&s);
}

SCENARIO(module_subrequest, a_forgotten_one_outlives_its_exchange)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *web = origin_start("web"), *inner = origin_start("inner");

    scene_start(&s, .without_edge = true);
    begin(&s, web, inner);
    origin_script(inner, origin_at_gate, &gate);
    expect_call(&s, "forget&reply&path=/f&method=PUT&body=text", "gone");
    await(gate_waiting(&gate) == 1);
    cr_assert_str_eq(origin_last(inner)->target, "/f");
    /* What it stands on may go as well. */
    scene_redis(&s, "DEL usher:host:a.test usher:tenant:acme usher:endpoints:inner");
    await_fault(&s, "a.test", "unknown_host");
    gate_open(&gate);
    expect_metric(&s, CALLS("answered"), 1);
    await(origin_last(inner)->body_read);
    cr_assert_str_eq(origin_last(inner)->text, "text");
    scene_end(&s);
}

/* Whatever ends while others begin: nothing is left, and nothing is used that is gone. */
SCENARIO(module_subrequest, clients_endpoints_and_records_may_go_at_any_time)
{
    static const char *const queries[] = {
        "/call?times=4&again",  "/x?later&times=3",      "/call?forget&body=text&method=POST",
        "/call?wait=5&times=2", "/call?timeout=5&again", "/x?later&forget",
        "/call?own&times=2",
    };
    static struct scene s;
    struct origin *web = origin_start("web"), *inner = origin_start("inner");
    unsigned seed = 7;

    scene_start(&s, .without_edge = true);
    begin(&s, web, inner);
    for (unsigned round = 0; round < 60; round++) {
        struct client *clients[8];

        for (unsigned i = 0; i < 8; i++) {
            clients[i] = scene_open(&s);
            client_sendf(clients[i], "GET %s HTTP/1.1\r\nHost: a.test\r\n\r\n",
                         queries[(round * 3 + i) % (sizeof(queries) / sizeof(queries[0]))]);
        }
        if (round % 3 == 0)
            scene_redis(&s, "DEL usher:endpoints:inner");
        else
            scene_endpoint(&s, "inner", inner);
        if (round % 4 == 1)
            origin_drop_connections(inner);
        scene_redis(&s, "HSET usher:tenant:acme modules 'caller(service=%s)'",
                    round % 5 == 4 ? "web" : "inner");
        for (unsigned i = 0; i < 8; i++) {
            if (rand_r(&seed) % 3 == 0)
                client_reset(clients[i]);
            else
                cr_assert_neq(client_read(clients[i]).status, 0);
        }
    }
    await(scene_metric(&s, "usher_exchanges") == 0);
    scene_endpoint(&s, "inner", inner);
    scene_redis(&s, "HSET usher:tenant:acme modules 'caller(service=inner)'");
    scene_live(&s);
    expect_call(&s, "", "200 inner");
    scene_end(&s);
}
