/* m_host_waits.c -- hooks that wait: what resumes them, what ends them, what is held meanwhile.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: questions to Redis (v_module_ask.c); sub-requests; what hooks do without waiting
 *           (m_host_hooks.c). */
#include "harness/probe.h"

#include <signal.h>

#define expect_trail(r, words)                                                                     \
    cr_assert_str_eq(probe_trail(&(r)), words, "%d %s%s", (r).status, (r).head, (r).why)
#define GET_A "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"

static unsigned waiting(struct scene *s)
{
    return (unsigned)scene_metric(s, "usher_module_probe_open");
}

SCENARIO(module_waits, timers_and_jobs_resume_where_the_hook_was)
{
    static const struct {
        const char *start, *trail;
    } rows[] = {
        { "timer 20", "timer=1,resumed" },
        { "timer 0", "timer=1,resumed" },
        { "job 5", "job=1,job=1,resumed" },
    };
    static struct scene s;
    struct origin *o = probe_start(&s, "probe");
    unsigned n = 0;

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct response r;

        probe_say(&s, kept_format("probe(request=\"%s; wait; q-set X-A=1\" response=\"show\")",
                                  rows[i].start));
        r = probe_get(&s, "/", "");
        expect_status(r, 200);
        expect_trail(r, kept_format("Q,%s,q-set=1,U,R", rows[i].trail));
        cr_assert_not_null(message_field(origin_last(o)->head, "X-A"));
        probe_say(&s, kept_format("probe(request=\"%s; wait; reply 403 no\" "
                                  "response=\"%s; wait; r-set X-A=1; show\")",
                                  rows[i].start, rows[i].start));
        r = probe_get(&s, "/", "");
        expect_status(r, 403);
        cr_assert_str_eq(r.text, "no");
        expect_trail(r, kept_format("Q,%s,reply=1,R,%s,r-set=1", rows[i].trail, rows[i].trail));
        probe_say(&s, kept_format("probe(response=\"%s; wait; fault-denied\")", rows[i].start));
        r = probe_get(&s, "/", "");
        cr_assert_str_eq(response_fault(&r), "denied");
        n += 3;
    }
    probe_expect_done(&s, n);
    expect_metric(&s, "usher_module_probe_resumed_total", 4 * 3 + 3);
    scene_end(&s);
}

SCENARIO(module_waits, a_hook_may_wait_again_and_for_several)
{
    static struct scene s;
    struct response r;

    probe_start(
        &s, "probe(request=\"timer 20; wait; job 1; wait; timer 1; timer 30; job 1; wait; note a; "
            "wait; note b; wait; note c\" response=\"show\")");
    r = probe_get(&s, "/", "");
    expect_status(r, 200);
    cr_assert(
        starts(probe_trail(&r), "Q,timer=1,resumed,job=1,job=1,resumed,timer=1,timer=1,job=1,"),
        "%s", r.head);
    cr_assert(has(probe_trail(&r), "resumed,a,") && has(probe_trail(&r), "resumed,b,") &&
                  has(probe_trail(&r), "resumed,c,U,R"),
              "%s", r.head);
    scene_end(&s);
}

SCENARIO(module_waits, one_that_is_resumed_and_waits_for_nothing_is_a_fault)
{
    static struct scene s;
    struct response r;

    probe_start(&s, "probe(request=\"timer 1; wait; wait\")");
    r = probe_get(&s, "/", "");
    cr_assert_str_eq(response_fault(&r), "module_fault");
    probe_expect_done(&s, 1);
    scene_end(&s);
}

SCENARIO(module_waits, what_an_earlier_hook_started_resumes_no_later_one)
{
    static struct scene s;
    struct response r;

    probe_start(&s, "probe(request=\"late 30\" response=\"timer 150; wait; show\") "
                    "second(request=\"timer 60; wait; result 0\")");
    r = probe_get(&s, "/", "");
    expect_status(r, 200);
    expect_trail(r, "Q,late=1,U,R,timer=1,resumed");
    probe_say(&s, "probe(request=\"late 1; result 0\") second(request=\"result 2\")");
    r = probe_get(&s, "/", ""); /* nor is it what another module waits for */
    cr_assert_str_eq(response_fault(&r), "module_fault");
    scene_end(&s);
}

SCENARIO(module_waits, a_wait_has_an_end)
{
    static struct scene s;
    struct origin *o;
    struct response r;
    uint64_t before;

    o = probe_start(&s, "probe(request=\"when X-Q; most 50; timer 60000; wait\" "
                        "response=\"when X-R; most 50; timer 60000; wait\") second");
    r = probe_get(&s, "/", "X-Q: 1\r\n");
    expect_status(r, 504);
    cr_assert_str_eq(response_fault(&r), "module_timeout");
    cr_assert_eq(origin_requests(o), 0);
    before = await_now_ms();
    r = probe_get(&s, "/", "X-R: 1\r\n");
    expect_status(r, 504);
    cr_assert_geq(await_now_ms() - before, 100); /* for the response to that fault, once more */
    cr_assert_str_eq(response_fault(&r), "module_timeout");
    expect_status(probe_get(&s, "/", ""), 200);
    /* what one module allows itself is not for the next */
    probe_say(&s, "probe(request=\"most 1\") second(request=\"timer 100; wait\")");
    expect_status(probe_get(&s, "/", ""), 200);
    probe_say(&s, "probe(request=\"most 1000; timer 1; wait; most 5000; timer 100; wait\")");
    expect_status(probe_get(&s, "/", ""), 200);
    probe_expect_done(&s, 5);
    expect_metric(&s, "usher_module_faults_total{module=\"probe\"}", 3);
    scene_end(&s);
}

SCENARIO(module_waits, at_most_sixteen_at_once)
{
    static struct scene s;
    struct response r;

    probe_start(&s, "probe(request=\"many 20; wait\" response=\"show\")");
    r = probe_get(&s, "/", "");
    expect_trail(r, "Q,many=16,resumed,U,R");
    probe_expect_done(&s, 1);
    scene_end(&s);
}

SCENARIO(module_waits, a_client_that_leaves_ends_them)
{
    static const char *const waits[] = {
        "probe(request=\"timer 60000; wait\")",
        "probe(request=\"job 300; wait\")",
        "probe(response=\"timer 60000; wait\")",
        "probe(response=\"job 300; wait\")",
        "probe(request=\"reply 200 x\" response=\"timer 60000; wait\")",
        "probe(request=\"fault\" response=\"timer 60000; wait\")",
    };
    static struct scene s;
    unsigned n = 0;

    probe_start(&s, "probe");
    for (unsigned i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        struct client *c;

        probe_say(&s, waits[i]);
        for (unsigned k = 0; k < (i + 1 < sizeof(waits) / sizeof(waits[0]) ? 2 : 1); k++) {
            c = scene_open(&s);
            client_send(c, k == 0 ? GET_A
                                  : "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\n");
            await(waiting(&s) == 1);
            client_reset(c); /* of a body that nobody reads any more, no end is seen either */
            n++;
            probe_expect_done(&s, n);
        }
    }
    cr_assert_eq(scene_metric(&s, "usher_exchanges"), 0);
    scene_end(&s); /* with jobs that may still run */
}

SCENARIO(module_waits, jobs_of_clients_that_have_left_are_in_nobodys_way)
{
    static struct scene s;
    struct client *c[64];
    uint64_t before;

    probe_start(&s, "probe(request=\"when X-Slow; job 400; wait\") "
                    "second(request=\"job 1; wait\")");
    for (unsigned i = 0; i < 64; i++) {
        c[i] = scene_open(&s);
        client_send(c[i], "GET / HTTP/1.1\r\nHost: a.test\r\nX-Slow: 1\r\n\r\n");
    }
    await(waiting(&s) == 64);
    for (unsigned i = 0; i < 64; i++)
        client_reset(c[i]);
    await(waiting(&s) == 0);
    before = await_now_ms();
    expect_status(probe_get(&s, "/", ""), 200);
    cr_assert_leq(await_now_ms() - before, 64 / 4 * 400 / 2, "not behind all of them");
    scene_end(&s);
}

SCENARIO(module_waits, an_edge_that_stops_cuts_them)
{
    static struct scene s;
    struct client *c[3];

    probe_start(&s,
                "probe(request=\"when X-Q; job 500; wait; timer 60000; wait\" "
                "response=\"timer 60000; wait\" done=\"log it-is-done\")",
                .flags = { "--drain-timeout", "100ms" });
    for (unsigned i = 0; i < 3; i++) {
        c[i] = scene_open(&s);
        client_send(c[i], i == 0 ? "GET / HTTP/1.1\r\nHost: a.test\r\nX-Q: 1\r\n\r\n" : GET_A);
    }
    await(waiting(&s) == 3);
    process_signal(&s.edge.process, SIGTERM);
    cr_assert_eq(process_wait(&s.edge.process, AWAIT_MS), 0);
    await(scene_logged(&s, "it-is-done") == 3);
    scene_end(&s);
}

SCENARIO(module_waits, a_drain_lets_them_end)
{
    static struct scene s;
    struct client *c;
    struct response r;

    probe_start(&s, "probe(request=\"timer 300; wait\" response=\"job 100; wait; show\")");
    c = scene_open(&s);
    client_send(c, GET_A);
    await(waiting(&s) == 1);
    process_signal(&s.edge.process, SIGTERM);
    r = client_read(c);
    expect_status(r, 200);
    expect_trail(r, "Q,timer=1,resumed,U,R,job=1,job=1,resumed");
    cr_assert_eq(process_wait(&s.edge.process, AWAIT_MS), 0);
    scene_end(&s);
}

SCENARIO(module_waits, a_request_body_waits_with_its_request)
{
    static struct scene s;
    struct origin *o = probe_start(&s, "probe(request=\"when X-Take; q-take\" body_q=\"upper\") "
                                       "second(request=\"timer 50; wait\")");
    struct client *c = scene_open(&s);

    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\n");
    client_send_pattern(c, 1000000);
    expect_status(client_read(c), 200);
    cr_assert(origin_last(o)->body.whole && origin_last(o)->body.pattern);
    client_send(c,
                "POST / HTTP/1.1\r\nHost: a.test\r\nX-Take: 1\r\nContent-Length: 5\r\n\r\nabcde");
    expect_status(client_read(c), 200);
    cr_assert_str_eq(origin_last(o)->text, "ABCDE");
    probe_expect_done(&s, 2);
    scene_end(&s);
}

static void send_large(struct origin_conn *c, struct origin_request *r, void *arg)
{
    uint64_t *len = arg;

    origin_read_body(c, r);
    origin_sendf(c, "HTTP/1.1 200 OK\r\nX-Origin: one\r\nContent-Length: %llu\r\n\r\n",
                 (unsigned long long)*len);
    if (!origin_send_pattern(c, *len))
        origin_hang_up(c);
}

SCENARIO(module_waits, a_response_that_is_held_keeps_its_endpoint_back_and_comes_whole)
{
    static const char *const waits[] = {
        "probe(response=\"timer 60; wait; r-get X-Origin; r-set X-A=1; show\")",
        "probe(response=\"job 20; wait; r-get X-Origin; r-take; r-set X-A=1; show\")",
    };
    static const uint64_t lengths[] = { 0, 10, 60000, 1u << 20, 9u << 20 };
    static struct scene s;
    struct origin *o = probe_start(&s, "probe");

    for (unsigned i = 0; i < 2; i++) {
        struct client *c = scene_open(&s);

        probe_say(&s, waits[i]);
        for (unsigned k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
            struct response r;

            origin_script(o, send_large, (void *)&lengths[k]);
            r = client_get(c, "a.test", "/");
            expect_status(r, 200);
            cr_assert(has(probe_trail(&r), "resumed,X-Origin=one"), "%s", r.head);
            cr_assert(r.body.whole && (lengths[k] == 0 || r.body.pattern));
            cr_assert_eq(r.body.bytes, lengths[k], "%llu", (unsigned long long)r.body.bytes);
            cr_assert_not_null(response_field(&r, "X-A"));
        }
        client_close(c);
    }
    cr_assert_eq(origin_connections(o), 1, "and its connection is kept");
    probe_expect_done(&s, 10);
    scene_end(&s);
}

/* Answers at once, and reads the request's body then. */
static void early(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)arg;
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
    origin_read_body(c, r);
}

SCENARIO(module_waits, a_request_goes_on_while_its_response_is_held)
{
    static struct scene s;
    struct origin *o = probe_start(&s, "probe(response=\"timer 300; wait; show\")");
    struct client *c = scene_open(&s);
    struct response r;

    origin_script(o, early, NULL);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3000000\r\n\r\n");
    client_send_pattern(c, 3000000);
    r = client_read(c);
    expect_status(r, 200);
    cr_assert_str_eq(r.text, "early");
    await(origin_last(o)->body_read);
    cr_assert(origin_last(o)->body.whole && origin_last(o)->body.pattern);
    cr_assert_eq(origin_last(o)->body.bytes, 3000000);
    probe_expect_done(&s, 1);
    scene_end(&s);
}

SCENARIO(module_waits, a_client_that_has_said_all_may_close_its_half)
{
    static struct scene s;
    struct client *c;
    struct response r;

    probe_start(&s, "probe(request=\"timer 60; wait\" response=\"timer 60; wait; show\")");
    c = scene_open(&s);
    client_send(c, GET_A);
    client_half_close(c);
    r = client_read(c);
    expect_status(r, 200);
    expect_trail(r, "Q,timer=1,resumed,U,R,timer=1,resumed");
    cr_assert(client_ended(c, AWAIT_MS));
    probe_expect_done(&s, 1);
    scene_end(&s);
}

SCENARIO(module_waits, what_is_held_while_many_wait_is_bounded)
{
    static struct scene s;
    struct origin *o = probe_start(&s, "probe(response=\"timer 60000; wait\")");
    struct client *c[16];
    uint64_t len = 16u << 20;
    long before = process_rss_kb(&s.edge.process);

    origin_script(o, send_large, &len);
    for (unsigned i = 0; i < 16; i++) {
        c[i] = scene_open(&s);
        client_send(c[i], GET_A);
    }
    await(waiting(&s) == 16);
    stays(process_rss_kb(&s.edge.process) - before < (edge_has_sanitizer() ? 30000 : 6000), 200);
    for (unsigned i = 0; i < 16; i++)
        client_reset(c[i]);
    probe_expect_done(&s, 16);
    scene_end(&s);
}

static void two_parts(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    origin_send(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsome \r\n");
    gate_wait(arg);
    origin_send(c, "5\r\nwords\r\n0\r\nX-Sum: 7\r\n\r\n");
}

SCENARIO(module_waits, the_end_of_what_is_held_comes_with_its_trailers)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = probe_start(&s, "probe(response=\"timer 60; wait; show\")");
    struct client *c = scene_open(&s);
    struct response r;

    gate_open(&gate);
    origin_script(o, two_parts, &gate);
    for (unsigned i = 0; i < 3; i++) {
        r = client_get(c, "a.test", "/");
        expect_status(r, 200);
        cr_assert_str_eq(r.text, "some words");
        cr_assert_str_eq(r.body.trailers, "X-Sum: 7\r\n");
    }
    origin_answers_and_closes(o, "HTTP/1.1 200 OK\r\n\r\nuntil close");
    r = client_get(c, "a.test", "/");
    cr_assert_str_eq(r.text, "until close");
    cr_assert(r.body.whole);
    origin_answers(o, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
    client_send(c, "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    r = client_read_to_head(c);
    cr_assert_str_eq(response_field(&r, "Content-Length"), "7");
    origin_answers(o, "HTTP/1.1 304 Same\r\n\r\n");
    expect_status(client_get(c, "a.test", "/"), 304);
    client_send(c, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    expect_status(client_read(c), 304);
    probe_expect_done(&s, 7);
    scene_end(&s);
}

static void short_body(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    (void)arg;
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort");
    origin_hang_up(c);
}

SCENARIO(module_waits, an_endpoint_that_is_lost_meanwhile_is_a_fault)
{
    static struct scene s;
    struct origin *o = probe_start(&s, "probe(response=\"source; timer 60; wait; show\")");
    struct client *c;

    origin_script(o, short_body, NULL);
    for (unsigned i = 0; i < 2; i++) {
        c = scene_open(&s);
        client_send(c, GET_A);
        expect_status(client_read_head(c), 200);
        cr_assert_str_eq(client_read_bytes(c, 100), "short");
        cr_assert(client_ended(c, AWAIT_MS));
    }
    probe_expect_done(&s, 2);
    scene_end(&s);
}

SCENARIO(module_waits, settings_live_as_long_as_an_exchange_that_goes_by_them)
{
    static struct scene s;
    struct origin *o;
    struct client *c;
    struct response r;

    o = probe_start(
        &s, "probe(request=\"timer 400; wait; note old; q-set X-V=old\" "
            "response=\"timer 1; wait; note old; compiled; show\" done=\"note old; tell\")");
    c = scene_open(&s);
    client_send(c, GET_A);
    await(waiting(&s) == 1);
    probe_say(&s, "probe(request=\"note new\" response=\"compiled; show\")");
    r = probe_get(&s, "/", "");
    cr_assert(starts(probe_trail(&r), "Q,new,U,R,compiled="), "%s", r.head);
    r = client_read(c);
    expect_status(r, 200);
    cr_assert(starts(probe_trail(&r), "Q,timer=1,resumed,old,q-set=1,U,R,timer=1,resumed,old,"),
              "%s", r.head);
    cr_assert_eq(origin_requests(o), 2);
    probe_expect_done(&s, 2);
    scene_redis(&s, "DEL usher:tenant:acme usher:host:a.test");
    scene_live(&s);
    scene_redis(&s, "HSET usher:tenant:new to %s modules 'probe(response=\"compiled; show\")'",
                origin_at(o));
    scene_redis(&s, "SET usher:host:a.test tenant:new");
    await_get(&s, "a.test", "/", 200, "one");
    r = probe_get(&s, "/", "");
    expect_trail(r, "Q,U,R,compiled=1"); /* all others are freed */
    scene_end(&s);
}

SCENARIO(module_waits, pipelined_requests_wait_for_each_other)
{
    static struct scene s;
    struct client *c;

    probe_start(&s, "probe(request=\"when X-Wait; timer 60; wait; reply 200 waited\")");
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Wait: 1\r\n\r\n"
                   "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
                   "GET / HTTP/1.1\r\nHost: a.test\r\nX-Wait: 1\r\nConnection: close\r\n\r\n");
    cr_assert_str_eq(client_read(c).text, "waited");
    cr_assert_str_eq(client_read(c).text, "one");
    cr_assert_str_eq(client_read(c).text, "waited");
    cr_assert(client_ended(c, AWAIT_MS));
    probe_expect_done(&s, 3);
    scene_end(&s);
}
