/* m_host_hooks.c -- what a module's hooks may do to a request and its response, and what they may not.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: bodies (m_host_bodies.c); waiting (m_host_waits.c); modules from files (v_module_files.c). */
#include "harness/probe.h"

#define expect_trail(r, words)                                                                     \
    cr_assert_str_eq(probe_trail(&(r)), words, "%d %s%s", (r).status, (r).head, (r).why)

SCENARIO(module_hooks, are_called_in_order_and_each_once)
{
    static struct scene s;
    struct response r;

    probe_start(&s, "probe(response=\"show\") second(response=\"show\")");
    for (unsigned i = 0; i < 3; i++) {
        r = probe_get(&s, "/", "");
        expect_status(r, 200);
        expect_trail(r, "Q,U,R");
        cr_assert_str_eq(response_field(&r, "X-second-Trail"), "Q,U,R");
    }
    probe_expect_done(&s, 3);
    expect_metric(&s, "usher_module_second_dones_total", 3);
    expect_metric(&s, "usher_module_calls_total{module=\"probe\"}", 12);
    expect_metric(&s, "usher_module_faults_total{module=\"probe\"}", 0);
    scene_end(&s);
}

SCENARIO(module_hooks, one_that_answers_keeps_the_request_from_those_behind_it_and_from_endpoints)
{
    static struct scene s;
    struct origin *o = probe_start(&s, "probe(request=\"reply 403 no; r-set X-A=1; r-add X-A=2; "
                                       "r-set Content-Length=7\" response=\"source; show\") "
                                       "second(response=\"show\")");
    struct client *c = scene_open(&s);
    struct response r;

    for (unsigned i = 0; i < 2; i++) {
        r = client_get(c, "a.test", "/");
        expect_status(r, 403);
        cr_assert_str_eq(r.text, "no");
        expect_trail(r, "Q,reply=1,r-set=1,r-add=1,r-set=0,R,module");
        cr_assert_str_eq(response_field(&r, "X-second-Trail"), "R");
        cr_assert_str_eq(response_field(&r, "Content-Type"), "text/x-probe");
        cr_assert_str_eq(response_field(&r, "Content-Length"), "2");
        cr_assert_eq(message_field_count(r.head, "X-A"), 2);
        cr_assert_null(response_field(&r, "Usher-Fault"));
    }
    client_send(c, "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    r = client_read_to_head(c);
    expect_status(r, 403);
    cr_assert_str_eq(response_field(&r, "Content-Length"), "2");
    expect_status(client_get(c, "a.test", "/"), 403);
    cr_assert_eq(origin_requests(o), 0);
    probe_expect_done(&s, 4);
    expect_metric(&s, "usher_module_second_dones_total", 4);
    scene_end(&s);
}

SCENARIO(module_hooks, replies_without_a_body_have_none)
{
    static const unsigned statuses[] = { 204, 205, 304 };
    static struct scene s;

    probe_start(&s, "probe");
    for (unsigned i = 0; i < 3; i++) {
        struct client *c = scene_open(&s);
        struct response r;

        probe_say(&s, kept_format("probe(request=\"r-take; reply %u words\" response=\"r-take; "
                                  "status 200; replace more; show\" body_r=\"tail more\")",
                                  statuses[i]));
        r = client_get(c, "a.test", "/");
        expect_status(r, (int)statuses[i]);
        cr_assert_eq(r.body.bytes, 0);
        cr_assert_null(response_field(&r, "Transfer-Encoding"), "%s", r.head);
        cr_assert(client_silent(c, 20), "nothing behind the head");
        expect_status(client_get(c, "a.test", "/"), (int)statuses[i]);
        client_close(c);
    }
    scene_end(&s);
}

SCENARIO(module_hooks, a_redirect_is_one)
{
    static struct scene s;
    struct response r;

    probe_start(&s, "probe(request=\"redirect 307 https://b.test/x?y=1\")");
    r = probe_get(&s, "/", "");
    expect_status(r, 307);
    cr_assert_str_eq(response_field(&r, "Location"), "https://b.test/x?y=1");
    cr_assert_str_eq(response_field(&r, "Content-Length"), "0");
    scene_end(&s);
}

SCENARIO(module_hooks, a_reply_that_is_not_given_is_forgotten)
{
    static struct scene s;
    struct origin *o;
    struct response r;

    o = probe_start(&s, "probe(request=\"reply 403 no; result 0\" response=\"source; show\") "
                        "second(request=\"r-get Content-Type; get-status; r-set X-B=1\" "
                        "response=\"source; show\")");
    r = probe_get(&s, "/", "");
    expect_status(r, 200);
    cr_assert_str_eq(r.text, "one");
    expect_trail(r, "Q,reply=1,U,R,endpoint");
    cr_assert_str_eq(response_field(&r, "X-second-Trail"),
                     "Q,Content-Type=-,get-status=0,r-set=0,U,R,endpoint");
    probe_say(&s, "probe(request=\"reply 403 no; result 0\") second(request=\"result 1\")");
    expect_fault(&s, "a.test", "module_fault"); /* it has answered nothing itself */
    cr_assert_eq(origin_requests(o), 1);
    scene_end(&s);
}

SCENARIO(module_hooks, faults_have_their_reasons)
{
    static const struct {
        const char *steps, *fault;
    } rows[] = {
        { "fault", "module_fault" },
        { "fault-store", "module_store" },
        { "fault-timeout", "module_timeout" },
        { "fault-denied", "denied" },
        { "fault-large", "content_too_large" },
        { "result 3", "module_fault" },
        { "result 1", "module_fault" },  /* answered, it says, and has not replied */
        { "result 2", "module_fault" },  /* waits for nothing */
        { "result 77", "module_fault" }, /* no result at all */
    };
    static struct scene s;
    unsigned count = 0;

    probe_start(&s, "probe");
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (unsigned k = 0; k < 3; k++) {
            static const char *const hooks[] = { "request", "upstream", "response" };
            struct response r;

            probe_say(&s, kept_format("probe(%s=\"when X-Go; %s\")", hooks[k], rows[i].steps));
            r = probe_get(&s, "/", "X-Go: 1\r\n");
            cr_assert_str_eq(response_fault(&r), rows[i].fault, "%s: %s: %s", hooks[k],
                             rows[i].steps, r.head);
            expect_status(r, scene_fault_status(rows[i].fault));
            count++;
        }
    probe_expect_done(&s, count);
    scene_end(&s);
}

SCENARIO(module_hooks, the_response_to_a_fault_is_seen_by_modules_too)
{
    static struct scene s;
    struct response r;

    probe_start(
        &s, "probe(request=\"when X-Go; fault\" response=\"source; fault-name; get-status; "
            "r-remove Usher-Fault; r-set X-B=1; show\") second(response=\"when X-Bad; fault\")");
    r = probe_get(&s, "/", "X-Go: 1\r\n");
    expect_status(r, 500);
    cr_assert_str_eq(response_fault(&r), "module_fault");
    expect_trail(r, "Q,R,edge,fault-name=module_fault,get-status=500,r-remove=0,r-set=1");
    r = probe_get(&s, "/", "X-Bad: 1\r\n"); /* and again for that: then it is sent without them */
    expect_status(r, 500);
    expect_trail(r, "");
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_refusing());
    scene_live(&s);
    r = probe_get(&s, "/", "");
    expect_status(r, 502);
    expect_trail(r, "Q,R,edge,fault-name=connect_failed,get-status=502,r-remove=0,r-set=1");
    scene_redis(&s, "HSET usher:tenant:acme status suspended");
    scene_live(&s);
    r = probe_get(&s, "/", ""); /* its turn would have come */
    expect_trail(r, "R,edge,fault-name=suspended,get-status=503,r-remove=0,r-set=1");
    probe_expect_done(&s, 4);
    scene_end(&s);
}

SCENARIO(module_hooks, the_answers_of_rules_are_seen_too)
{
    static struct scene s;
    struct response r;

    probe_start(&s, "probe(response=\"source; show\")");
    scene_redis(&s, "HSET usher:routes:acme r 'path /x respond 200 \"text\"' "
                    "q 'path /y redirect 302 https://b.test/'");
    scene_live(&s);
    r = probe_get(&s, "/x", "");
    expect_status(r, 200);
    cr_assert_str_eq(r.text, "text");
    expect_trail(r, "Q,R,edge");
    r = probe_get(&s, "/y", "");
    expect_status(r, 302);
    cr_assert_str_eq(response_field(&r, "Location"), "https://b.test/");
    expect_trail(r, "Q,R,edge");
    scene_end(&s);
}

SCENARIO(module_hooks, headers_of_the_request_are_changed_for_the_endpoint)
{
    static struct scene s;
    struct origin *o;
    struct response r;
    const char *head;

    o = probe_start(&s, "probe(request=\"q-set X-A=new; q-add X-B=2; q-remove x-c; q-get X-A\" "
                        "upstream=\"q-set X-U=1; q-get X-R\" response=\"q-set X-Late=1; show\")");
    scene_redis(&s, "HSET usher:routes:acme r 'path /* to %s set X-R=rule'", origin_at(o));
    scene_live(&s);
    r = probe_get(&s, "/", "X-A: old\r\nx-a: older\r\nX-B: 1\r\nX-C: c\r\nX-R: mine\r\n");
    expect_status(r, 200);
    expect_trail(r, "Q,q-set=1,q-add=1,q-remove=1,X-A=new,U,q-set=1,X-R=rule,R,q-set=0");
    head = origin_last(o)->head;
    cr_assert_str_eq(message_field(head, "X-A"), "new");
    cr_assert_eq(message_field_count(head, "X-A"), 1);
    cr_assert_eq(message_field_count(head, "X-B"), 2);
    cr_assert_eq(message_field_count(head, "X-C"), 0);
    cr_assert_str_eq(message_field(head, "X-R"), "rule");
    cr_assert_eq(message_field_count(head, "X-R"), 1);
    cr_assert_eq(message_field_count(head, "X-U"), 1);
    scene_end(&s);
}

SCENARIO(module_hooks, a_client_cannot_take_away_what_modules_have_set)
{
    static struct scene s;
    struct origin *o =
        probe_start(&s, "probe(request=\"q-set X-User=ann\" upstream=\"q-set X-Up=1\" "
                        "response=\"r-set X-Edge=1\")");
    struct response r = probe_get(&s, "/", "Connection: X-User, X-Up, X-Own\r\nX-Own: 1\r\n");

    expect_status(r, 200);
    cr_assert_str_eq(message_field(origin_last(o)->head, "X-User"), "ann");
    cr_assert_str_eq(message_field(origin_last(o)->head, "X-Up"), "1");
    cr_assert_null(message_field(origin_last(o)->head, "X-Own"));
    origin_answers(o, "HTTP/1.1 200 OK\r\nConnection: X-Edge, X-Own\r\nX-Own: 1\r\n"
                      "Content-Length: 2\r\n\r\nok");
    r = probe_get(&s, "/", "");
    cr_assert_str_eq(response_field(&r, "X-Edge"), "1");
    cr_assert_null(response_field(&r, "X-Own"));
    scene_end(&s);
}

SCENARIO(module_hooks, what_frames_and_routes_is_not_theirs_to_say)
{
    static struct scene s;
    struct origin *o;
    struct response r;

    o = probe_start(
        &s,
        "probe(request=\"q-set Host=b; q-set Content-Length=5; q-add Transfer-Encoding=chunked; "
        "q-remove Connection; q-set Via=x; q-set X-Forwarded-For=1.2.3.4; q-set Expect=x; "
        "q-set Bad Name=1; q-set =1; q-set X-V= lead\" "
        "response=\"r-set Content-Length=9; r-set Transfer-Encoding=x; r-set Connection=close; "
        "r-set Usher-Fault=lie; r-remove Via; show\")");
    r = probe_get(&s, "/", "");
    expect_status(r, 200);
    expect_trail(
        r, "Q,q-set=0,q-set=0,q-add=0,q-remove=0,q-set=0,q-set=0,q-set=0,q-set=0,q-set=0,q-set=0,"
           "U,R,r-set=0,r-set=0,r-set=0,r-set=0,r-remove=0");
    cr_assert_str_eq(message_field(origin_last(o)->head, "Host"), "a.test");
    cr_assert_null(response_field(&r, "Usher-Fault"));
    scene_end(&s);
}

SCENARIO(module_hooks, more_fields_than_a_head_may_have_are_refused)
{
    static struct scene s;
    struct response r;

    probe_start(&s,
                "probe(request=\"q-count; q-add A=1; q-add B=1; q-add C=1; q-remove A; q-add C=1\" "
                "response=\"show\")",
                .flags = { "--max-header-count", "8" });
    r = probe_get(&s, "/", "X-1: 1\r\nX-2: 1\r\nX-3: 1\r\nX-4: 1\r\n");
    expect_status(r, 200);
    expect_trail(r, "Q,q-count=6,q-add=1,q-add=1,q-add=0,q-remove=1,q-add=1,U,R");
    scene_end(&s);
}

SCENARIO(module_hooks, path_query_and_host_are_rewritten)
{
    static struct scene s;
    struct origin *o;
    struct response r;

    o = probe_start(&s,
                    "probe(request=\"path /new; query a=1; host b.test:81; get-path; get-query; "
                    "host-name; raw-path; authority\" response=\"path /x; show\")");
    r = probe_get(&s, "/old%2f?q=1", "");
    expect_status(r, 200);
    expect_trail(r, "Q,path=1,query=1,host=1,get-path=/new,get-query=a=1,host-name=a.test,"
                    "raw-path=/old%2f,authority=a.test,U,R,path=0");
    cr_assert_str_eq(origin_last(o)->target, "/new?a=1");
    cr_assert_str_eq(message_field(origin_last(o)->head, "Host"), "b.test:81");
    cr_assert_str_eq(message_field(origin_last(o)->head, "X-Forwarded-Host"), "a.test");
    probe_say(&s, "probe(upstream=\"query -; path /up\" response=\"show\")");
    r = probe_get(&s, "/old?q=1", "");
    cr_assert_str_eq(origin_last(o)->target, "/up");
    probe_say(&s, "probe(request=\"path new; path /a b; path /a?b; path -; query a b; query a#b; "
                  "host a/b; host -; host a_:x\" response=\"show\")");
    r = probe_get(&s, "/old?q=1", "");
    expect_trail(r, "Q,path=0,path=0,path=0,path=0,query=0,query=0,host=0,host=0,host=0,U,R");
    cr_assert_str_eq(origin_last(o)->target, "/old?q=1");
    scene_end(&s);
}

SCENARIO(module_hooks, another_service_is_chosen)
{
    static struct scene s;
    struct origin *o, *two;
    struct response r;

    o = probe_start(&s, "probe");
    two = origin_start("two");
    scene_endpoint(&s, "beta", two);
    scene_redis(&s, "HSET usher:routes:acme r 'path /x respond 200 \"text\"'");
    probe_say(&s, "probe(request=\"when X-Go; service 0; service 2; service 4294967299; other; "
                  "get-service\" upstream=\"other\" response=\"show\" other=beta)");
    r = probe_get(&s, "/", "X-Go: 1\r\n");
    expect_status(r, 200);
    cr_assert_str_eq(r.text, "two");
    expect_trail(r, "Q,service=0,service=0,service=0,other=1,get-service=beta,U,other=0,R");
    r = probe_get(&s, "/x", "X-Go: 1\r\n"); /* in the place of a rule's own answer, too */
    cr_assert_str_eq(r.text, "two");
    r = probe_get(&s, "/", "");
    cr_assert_str_eq(r.text, "one");
    scene_redis(&s, "DEL usher:endpoints:beta");
    scene_live(&s);
    r = probe_get(&s, "/", "X-Go: 1\r\n");
    cr_assert(has(probe_trail(&r), "other="), "%s", r.head);
    cr_assert_eq(origin_requests(o) + origin_requests(two), 3 + (r.status == 200));
    scene_end(&s);
}

SCENARIO(module_hooks, status_and_body_of_a_response_are_replaced)
{
    static struct scene s;
    struct origin *o;
    struct client *c;
    struct response r;

    o = probe_start(&s,
                    "probe(response=\"status 99; status 204; status 304; status 600; status 503; "
                    "replace sorry; get-status; show\")");
    origin_answers(o, "HTTP/1.1 200 Fine\r\nContent-Type: text/plain\r\nETag: \"1\"\r\n"
                      "Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\nold one");
    c = scene_open(&s);
    for (unsigned i = 0; i < 2; i++) {
        r = client_get(c, "a.test", "/");
        expect_status(r, 503);
        cr_assert(starts(r.head, "HTTP/1.1 503 Service Unavailable\r\n"), "%s", r.head);
        cr_assert_str_eq(r.text, "sorry");
        expect_trail(r,
                     "Q,U,R,status=0,status=0,status=0,status=0,status=1,replace=1,get-status=503");
        cr_assert_str_eq(response_field(&r, "Content-Type"), "text/replaced");
        cr_assert_str_eq(response_field(&r, "Content-Length"), "5");
        cr_assert_null(response_field(&r, "ETag"));
        cr_assert_null(response_field(&r, "Content-Encoding"));
    }
    origin_answers(o, "HTTP/1.1 200 Fine\r\nContent-Length: 7\r\n\r\n");
    client_send(c, "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    r = client_read_to_head(c);
    expect_status(r, 503);
    cr_assert_str_eq(response_field(&r, "Content-Length"), "5");
    origin_answers(o, "HTTP/1.1 204 Fine\r\n\r\n");
    r = client_get(c, "a.test", "/");
    expect_status(r, 204);
    cr_assert(has(probe_trail(&r), "status=0,replace=0"), "%s", probe_trail(&r));
    cr_assert_eq(origin_connections(o), 1, "and its connection is kept");
    scene_end(&s);
}

SCENARIO(module_hooks, what_a_request_says_is_read)
{
    static struct scene s;
    struct origin *o;
    struct response r;

    o = probe_start(
        &s, "probe(request=\"method; scheme; client-ip; tenant; route; id; param a; param b; "
            "param none; cookie k; cookie none; q-get none\" response=\"show\")");
    scene_redis(&s, "HSET usher:routes:acme r 'path /p to %s'", origin_at(o));
    scene_live(&s);
    r = probe_get(&s, "/p?a=1%2B2+3&b&a=4", "Cookie: j=1; k=a=b; k=2\r\n");
    expect_status(r, 200);
    expect_trail(r,
                 "Q,method=GET,scheme=http,client-ip=127.0.0.1,tenant=acme,route=r,id=1,a=1+2 3,b=,"
                 "none=-,k=a=b,none=-,none=-,U,R");
    scene_end(&s);
}

SCENARIO(module_hooks, a_long_query_does_not_use_up_the_memory)
{
    static struct scene s;
    char query[6000], steps[2000] = "";
    struct response r;

    probe_start(&s, "probe");
    for (unsigned i = 0; i < 60; i++)
        strcat(steps, "param last; ");
    for (unsigned i = 0; i < 5998; i += 2)
        memcpy(query + i, "a&", 2);
    strcpy(query + 5990, "last=1");
    probe_say(&s, kept_format("probe(request=\"%s\" response=\"show\")", steps));
    r = probe_get(&s, kept_format("/?%s", query), "");
    expect_status(r, 200);
    cr_assert(has(probe_trail(&r), "last=1"), "%s", r.head);
    cr_assert_not(has(probe_trail(&r), "last=-"), "%s", r.head);
    scene_end(&s);
}

SCENARIO(module_hooks, memory_is_bounded_for_each_exchange)
{
    static struct scene s;
    struct response r;

    probe_start(
        &s,
        "probe(request=\"alloc 0; alloc 500000; alloc 500000; alloc 500000; alloc 18446744073709551615; "
        "alloc 100\" response=\"alloc 1048577; show\")");
    for (unsigned i = 0; i < 3; i++) {
        r = probe_get(&s, "/", "");
        expect_status(r, 200);
        expect_trail(r, "Q,alloc=1,alloc=1,alloc=1,alloc=0,alloc=0,alloc=1,U,R,alloc=0");
    }
    scene_end(&s);
}

SCENARIO(module_hooks, calls_from_the_wrong_hook_do_nothing)
{
    static struct scene s;
    struct origin *o;
    struct response r;

    o = probe_start(
        &s,
        "probe(request=\"send x; status 201; replace x; r-set X-A=1; r-get Date\" "
        "upstream=\"reply 200 no; timer 5; job 5; most 5; q-take; r-take; send x; r-set A=1\" "
        "response=\"q-take; reply 200 no; other; send x; query a; show\" "
        "done=\"q-set A=1; r-set A=1; path /; timer 1; job 1; most 5; r-take; reply 200 no; status 201; "
        "replace x; send x; get-status; tell\" other=beta)");
    scene_endpoint(&s, "beta", o);
    scene_live(&s);
    r = probe_get(&s, "/", "");
    expect_status(r, 200);
    expect_trail(r, "Q,send=0,status=0,replace=0,r-set=0,Date=-,"
                    "U,reply=0,timer=0,job=0,most=0,q-take=0,r-take=0,send=0,r-set=0,"
                    "R,q-take=0,reply=0,other=0,send=0,query=0");
    cr_assert_eq(r.body.bytes, 3);
    cr_assert(process_awaits_log(&s.edge.process,
                                 "D,q-set=0,r-set=0,path=0,timer=0,job=0,most=0,r-take=0,reply=0,"
                                 "status=0,replace=0,send=0,get-status=200",
                                 AWAIT_MS));
    probe_expect_done(&s, 1);
    scene_end(&s);
}

SCENARIO(module_hooks, one_named_by_tenant_and_rule_runs_once_with_the_rules_settings)
{
    static struct scene s;
    struct origin *o;
    struct response r;

    o = probe_start(&s, "probe(request=\"note tenant\" response=\"show\") "
                        "second(request=\"note tenant\" response=\"show\")");
    scene_redis(
        &s,
        "HSET usher:routes:acme r 'path /x to %s modules probe(request=\"note rule\" response=\"show\")'",
        origin_at(o));
    scene_redis(&s, "HSET usher:routes:acme n 'path /n to %s modules none'", origin_at(o));
    scene_live(&s);
    r = probe_get(&s, "/x", "");
    expect_trail(r, "Q,rule,U,R");
    cr_assert_str_eq(response_field(&r, "X-second-Trail"), "Q,tenant,U,R");
    r = probe_get(&s, "/", "");
    expect_trail(r, "Q,tenant,U,R");
    probe_expect_done(&s, 2);
    scene_redis(&s, "DEL usher:host:a.test");
    scene_redis(&s, "HSET usher:host:a.test tenant acme modules none");
    scene_live(&s);
    r = probe_get(&s, "/", "");
    expect_trail(r, "");
    r = probe_get(&s, "/x", "");
    expect_trail(r, "Q,rule,U,R");
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

SCENARIO(module_hooks, a_second_attempt_begins_where_the_first_did)
{
    static unsigned answered[8];
    static struct scene s;
    struct origin *o;
    struct client *c;
    struct response r;

    o = probe_start(&s, "probe(upstream=\"q-add X-N=1; q-remove X-Gone\" response=\"show\")");
    scene_redis(&s, "HSET usher:routes:acme r 'path /* to %s set X-R=rule'", origin_at(o));
    scene_live(&s);
    origin_script(o, once_per_connection, answered);
    c = scene_open(&s);
    expect_status(client_get(c, "a.test", "/"), 200);
    client_send(c, "GET /again HTTP/1.1\r\nHost: a.test\r\nX-Gone: 1\r\n\r\n");
    r = client_read(c);
    expect_status(r, 200);
    cr_assert_str_eq(origin_last(o)->target, "/again");
    cr_assert_eq(message_field_count(origin_last(o)->head, "X-N"), 1, "%s", origin_last(o)->head);
    cr_assert_eq(message_field_count(origin_last(o)->head, "X-R"), 1);
    cr_assert_eq(message_field_count(origin_last(o)->head, "X-Gone"), 0);
    expect_metric(&s, "usher_retries_total{reason=\"stale\"}", 1);
    probe_expect_done(&s, 2);
    scene_end(&s);
}
