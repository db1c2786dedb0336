/* test_scenario_forward_auth.c -- a service decides: who goes on, with what, and who gets its answer. */
#include "harness/scene.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* Lets those in who say so, with two headers of its own; refuses others in its own words. */
static void judge(struct origin_conn *c, struct origin_request *r, void *arg)
{
    const char *says = message_field(r->head, "authorization");

    (void)arg;
    if (says == NULL)
        origin_send(c, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n"
                       "Content-Type: text/html\r\nX-Inner: 1\r\nContent-Length: 5\r\n\r\nwho?\n");
    else if (strcmp(says, "good") == 0)
        origin_send(c, "HTTP/1.1 204 No Content\r\nx-user: ann\r\nX-Group: a\r\nX-Group: b\r\n"
                       "Set-Cookie: s=1\r\n\r\n");
    else if (strcmp(says, "plain") == 0)
        origin_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    else if (strcmp(says, "later") == 0)
        origin_send(c, "HTTP/1.1 302 Found\r\nLocation: https://login.test/?x=1\r\n"
                       "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n");
    else if (strcmp(says, "huge") == 0)
        origin_sendf(c, "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n%070000d", 0);
    else
        origin_sendf(c, "HTTP/1.1 %s X\r\nContent-Length: 0\r\n\r\n", says);
}

/* The tenant acme: a.test at `o`, its service `login` at `auth`, and what `settings` adds. */
static void begin(struct scene *s, struct origin *o, struct origin *auth, const char *settings)
{
    origin_script(auth, judge, NULL);
    scene_endpoint(s, "login", auth);
    scene_redis(s, "HSET usher:tenant:acme to %s modules 'forward_auth(service=login %s)'",
                origin_at(o), settings);
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_live(s);
}

static struct response ask(struct scene *s, const char *fields)
{
    return scene_exchange(s, kept_format("GET /x HTTP/1.1\r\nHost: a.test\r\n%s"
                                         "Connection: close\r\n\r\n",
                                         fields));
}

static void expect_failed(struct scene *s, const char *fields)
{
    struct response r = ask(s, fields);

    expect_status(r, 503);
    cr_assert_str_eq(response_fault(&r), "module_service");
}

SCENARIO(mod_forward_auth, who_is_let_in_goes_on_with_the_headers_of_the_service)
{
    static struct scene s;
    struct origin *o = origin_start("one"), *auth = origin_start("auth");
    const char *asked, *went;

    scene_start(&s);
    begin(&s, o, auth, "path=/check?v=1 copy=X-User copy=X-Group to_client=Set-Cookie");
    expect_status(
        scene_exchange(&s, "POST /a/%62/../c?q=1 HTTP/1.1\r\nHost: A.test:80\r\nCookie: k=v\r\n"
                           "Authorization: good\r\nX-Other: 1\r\nX-Forwarded-Uri: /no\r\n"
                           "CDN-Loop: elsewhere\r\nContent-Length: 4\r\n"
                           "Connection: close\r\n\r\nbody"),
        200);
    asked = origin_last(auth)->head;
    cr_assert(starts(asked, "GET /check?v=1 HTTP/1.1\r\n"), "%s", asked);
    cr_assert_str_eq(message_field(asked, "host"), "A.test:80");
    cr_assert_str_eq(message_field(asked, "x-forwarded-method"), "POST");
    cr_assert_str_eq(message_field(asked, "x-forwarded-uri"), "/a/c?q=1");
    cr_assert_eq(message_field_count(asked, "x-forwarded-uri"), 1);
    cr_assert_str_eq(message_field(asked, "x-forwarded-host"), "A.test:80");
    cr_assert_str_eq(message_field(asked, "x-forwarded-for"), "127.0.0.1");
    cr_assert_str_eq(message_field(asked, "cookie"), "k=v");
    cr_assert_eq(message_field_count(asked, "cdn-loop"), 2, "loops through other edges end too");
    cr_assert_null(message_field(asked, "x-other"));
    cr_assert_null(message_field(asked, "content-length"));
    went = origin_last(o)->head;
    cr_assert(starts(went, "POST /a/c?q=1 "), "%s", went);
    cr_assert_str_eq(message_field(went, "x-user"), "ann");
    cr_assert_eq(message_field_count(went, "x-group"), 2);
    cr_assert_eq(message_field_count(went, "cdn-loop"), 2);
    cr_assert_null(message_field(went, "set-cookie"));
    await(origin_last(o)->body_read);
    cr_assert_str_eq(origin_last(o)->text, "body");
    scene_end(&s);
}

SCENARIO(mod_forward_auth, headers_of_the_service_are_never_the_clients_in_any_spelling)
{
    static struct scene s;
    struct origin *o = origin_start("one"), *auth = origin_start("auth");
    const char *forged = "X-User: root\r\nx-user: root\r\nX_User: root\r\nX-Other_Name: 1\r\n";
    const char *went;

    scene_start(&s);
    begin(&s, o, auth, "copy=X-User fail=open");
    expect_status(ask(&s, kept_format("%sAuthorization: plain\r\n", forged)), 200);
    went = origin_last(o)->head;
    cr_assert_not(has(went, "root"), "%s", went);
    cr_assert_str_eq(message_field(went, "x-other_name"), "1");
    expect_status(ask(&s, kept_format("%sAuthorization: good\r\n", forged)), 200);
    cr_assert_eq(message_field_count(origin_last(o)->head, "x-user"), 1);
    cr_assert_str_eq(message_field(origin_last(o)->head, "x-user"), "ann");
    /* Nor can they be named away, as what belongs to the connection. */
    expect_status(scene_exchange(&s, "GET / HTTP/1.1\r\nHost: a.test\r\nX-User: root\r\n"
                                     "Authorization: good\r\nConnection: close, X-User\r\n\r\n"),
                  200);
    cr_assert_eq(message_field_count(origin_last(o)->head, "x-user"), 1);
    cr_assert_str_eq(message_field(origin_last(o)->head, "x-user"), "ann");
    expect_status(ask(&s, kept_format("%sAuthorization: 500\r\n", forged)), 200);
    cr_assert_not(has(origin_last(o)->head, "root"), "not where it is open for failures, either");
    scene_end(&s);
}

SCENARIO(mod_forward_auth, who_is_not_let_in_gets_the_answer_of_the_service)
{
    static struct scene s;
    struct origin *o = origin_start("one"), *auth = origin_start("auth");
    struct response r;

    scene_start(&s);
    begin(&s, o, auth, "to_client=Set-Cookie");
    r = ask(&s, "");
    expect_status(r, 401);
    cr_assert_str_eq(r.text, "who?\n");
    cr_assert_str_eq(response_field(&r, "www-authenticate"), "Basic realm=\"x\"");
    cr_assert_str_eq(response_field(&r, "content-type"), "text/html");
    cr_assert_null(response_field(&r, "x-inner"));
    r = ask(&s, "Authorization: later\r\n");
    expect_status(r, 302);
    cr_assert_str_eq(response_field(&r, "location"), "https://login.test/?x=1");
    cr_assert_eq(message_field_count(r.head, "set-cookie"), 2);
    expect_status(ask(&s, "Authorization: 403\r\n"), 403);
    cr_assert_eq(origin_requests(o), 0);
    r = ask(&s, "Authorization: good\r\n");
    expect_status(r, 200);
    cr_assert_str_eq(response_field(&r, "set-cookie"), "s=1");
    expect_metric(&s, "usher_module_forward_auth_denied_total", 3);
    expect_metric(&s, "usher_module_forward_auth_allowed_total", 1);
    /* The questions are no requests of clients'. */
    expect_metric(&s, "usher_requests_total{class=\"2xx\"}", 1);
    expect_metric(&s, "usher_requests_total{class=\"4xx\"}", 2);
    expect_metric(&s, "usher_request_duration_seconds_count", 4);
    expect_metric(&s, "usher_subrequests_total{end=\"answered\"}", 4);
    scene_end(&s);
}

SCENARIO(mod_forward_auth, without_a_decision_nobody_goes_on)
{
    static struct scene s;
    struct origin *o = origin_start("one"), *auth = origin_start("auth");

    scene_start(&s);
    begin(&s, o, auth, "");
    expect_failed(&s, "Authorization: 500\r\n");
    expect_failed(&s, "Authorization: 404\r\n");
    expect_failed(&s, "Authorization: huge\r\n");
    origin_answers_and_closes(auth, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    expect_failed(&s, "");
    origin_answers_and_closes(auth, "nonsense\r\n\r\n");
    expect_failed(&s, "");
    origin_answers(auth, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n"
                         "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    expect_failed(&s, "");
    origin_stop(auth);
    expect_failed(&s, "");
    scene_redis(&s, "DEL usher:endpoints:login");
    scene_live(&s);
    expect_failed(&s, "");
    scene_redis(&s, "HSET usher:endpoints:login %s 1", s.edge.at);
    scene_live(&s);
    expect_failed(&s, ""); /* the guard: not this edge itself */
    cr_assert_eq(origin_requests(o), 0);
    expect_fault_count(&s, "module_service", 9);
    expect_fault_count(&s, "connect_failed", 0);
    expect_metric(&s, "usher_module_forward_auth_failed_total", 9);
    scene_end(&s);
}

SCENARIO(mod_forward_auth, open_for_failures_is_not_open_for_a_wrong_path)
{
    static struct scene s;
    struct origin *o = origin_start("one"), *auth = origin_start("auth");

    scene_start(&s);
    begin(&s, o, auth, "fail=open timeout=300ms");
    expect_status(ask(&s, "Authorization: 503\r\n"), 200);
    expect_failed(&s, "Authorization: 404\r\n");
    expect_status(ask(&s, ""), 401);
    scene_redis(&s, "DEL usher:endpoints:login");
    scene_redis(&s, "HSET usher:endpoints:login %s 1", origin_deaf());
    scene_live(&s);
    expect_status(ask(&s, ""), 200);
    scene_end(&s);
}

SCENARIO(mod_forward_auth, a_service_that_does_not_answer_is_not_waited_for)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = origin_start("one"), *auth = origin_start("auth");
    struct client *c;

    scene_start(&s, .workers = 1);
    begin(&s, o, auth, "timeout=300ms");
    origin_script(auth, origin_at_gate, &gate);
    expect_failed(&s, "");
    expect_metric(&s, "usher_subrequests_total{end=\"failed\"}", 1);
    scene_redis(&s, "HSET usher:tenant:acme modules 'forward_auth(service=login timeout=1m)'");
    scene_live(&s);
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await(gate_waiting(&gate) == 2);
    client_reset(c);
    await(scene_metric(&s, "usher_subrequests_total{end=\"cut\"}") == 1);
    await(scene_metric(&s, "usher_exchanges") == 0);
    cr_assert_eq(origin_requests(o), 0);
    gate_open(&gate);
    scene_end(&s);
}

/* Answers the first request of its connection; closes under the second without an answer. */
static void once_per_connection(struct origin_conn *c, struct origin_request *r, void *arg)
{
    unsigned *answered = arg;

    if (answered[c->number]++ == 0)
        origin_reply(c, r, 200, "");
    else
        origin_hang_up(c);
}

SCENARIO(mod_forward_auth, a_kept_connection_that_went_stale_is_no_failure)
{
    static unsigned answered[64];
    static struct scene s;
    struct origin *o = origin_start("one"), *auth = origin_start("auth");

    scene_start(&s, .workers = 1);
    begin(&s, o, auth, "");
    origin_script(auth, once_per_connection, answered);
    for (unsigned i = 0; i < 3; i++)
        expect_status(ask(&s, ""), 200);
    expect_metric(&s, "usher_retries_total{reason=\"stale\"}", 2);
    cr_assert_eq(origin_connections(auth), 3);
    scene_end(&s);
}

/* Its endpoint changes, goes and comes back under requests of many clients: each of them gets one of
 * the answers there may be. */
SCENARIO(mod_forward_auth, the_service_may_move_while_it_is_asked)
{
    static struct scene s;
    struct origin *o = origin_start("one"), *auths[2] = { origin_start("a"), origin_start("b") };
    struct client *clients[16];

    scene_start(&s);
    begin(&s, o, auths[0], "");
    origin_script(auths[1], judge, NULL);
    for (unsigned i = 0; i < 16; i++)
        clients[i] = scene_open(&s);
    for (unsigned round = 0; round < 40; round++) {
        scene_redis(&s, "DEL usher:endpoints:login");
        if (round % 4 != 3)
            scene_endpoint(&s, "login", auths[round % 2]);
        for (unsigned i = 0; i < 16; i++)
            client_send(clients[i],
                        "GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: plain\r\n\r\n");
        for (unsigned i = 0; i < 16; i++) {
            struct response r = client_read(clients[i]);

            cr_assert(r.status == 200 || strcmp(response_fault(&r), "module_service") == 0, "%d %s",
                      r.status, response_fault(&r));
        }
    }
    scene_endpoint(&s, "login", auths[0]);
    scene_live(&s);
    expect_status(ask(&s, "Authorization: plain\r\n"), 200);
    cr_assert_gt(origin_requests(auths[0]), 0);
    cr_assert_gt(origin_requests(auths[1]), 0);
    scene_end(&s);
}

SCENARIO(mod_forward_auth, a_draining_edge_waits_for_the_decision)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = origin_start("one"), *auth = origin_start("auth");
    struct client *c;

    scene_start(&s);
    begin(&s, o, auth, "timeout=1m");
    origin_script(auth, origin_at_gate, &gate);
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await(gate_waiting(&gate) == 1);
    process_signal(&s.edge.process, SIGTERM);
    await(scene_ready(&s) == 503);
    gate_open(&gate);
    expect_status(client_read(c), 200);
    cr_assert_eq(process_wait(&s.edge.process, AWAIT_MS), 0);
    scene_end(&s);
}

SCENARIO(mod_forward_auth, another_tenants_service_is_asked_by_nobody_else)
{
    static struct scene s;
    struct origin *o = origin_start("one"), *auth = origin_start("auth");

    scene_start(&s);
    begin(&s, o, auth, "");
    expect_status(ask(&s, "Authorization: plain\r\n"), 200);
    scene_redis(&s, "HSET usher:service:login owner other");
    scene_live(&s);
    await(scene_fault_count(&s, "module_service") > 0 ||
          ask(&s, "Authorization: plain\r\n").status == 503);
    cr_assert_eq(origin_requests(auth), 1 + (origin_requests(o) - 1));
    scene_end(&s);
}
