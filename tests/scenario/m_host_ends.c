/* m_host_ends.c -- however an exchange ends, each of its modules is told so, once.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: exchanges that wait (m_host_waits.c). */
#include "harness/probe.h"

#include <signal.h>

#define MODULES                                                                                    \
    "probe(request=\"when X-Take; q-take; r-take\" done=\"fault-name; get-status; tell\") second"

/* Both modules have seen `count` ends; the last exchange ended as `words` say. */
static void expect_end(struct scene *s, unsigned count, const char *words)
{
    probe_expect_done(s, count);
    expect_metric(s, "usher_module_second_dones_total", count);
    expect_metric(s, "usher_exchanges", 0);
    cr_assert(process_awaits_log(&s->edge.process, words, AWAIT_MS), "%s", words);
}

static void hang_up(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    origin_send(c, arg);
    origin_hang_up(c);
}

SCENARIO(module_ends, endpoints_that_fail)
{
    static struct {
        char bytes[80];
        const char *words;
    } rows[] = {
        { "", "fault-name=response_closed,get-status=502" },
        { "HTTP/1.1 200", "fault-name=response_closed,get-status=502" },
        { "rubbish\r\n\r\n", "fault-name=bad_response,get-status=502" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "fault-name=body_truncated" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n", "fault-name=bad_response" },
    };
    static struct scene s;
    struct origin *o = probe_start(&s, MODULES);
    unsigned n = 0;

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (unsigned k = 0; k < 2; k++) {
            origin_script(o, hang_up, rows[i].bytes);
            probe_get(&s, "/", k == 0 ? "" : "X-Take: 1\r\n");
            expect_end(&s, ++n, rows[i].words);
        }
    scene_end(&s);
}

SCENARIO(module_ends, endpoints_that_are_slow)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = probe_start(&s, MODULES, .flags = { "--response-timeout", "100ms" });

    origin_script(o, origin_at_gate, &gate);
    expect_status(probe_get(&s, "/", ""), 504);
    expect_end(&s, 1, "fault-name=response_timeout,get-status=504");
    gate_open(&gate);
    scene_end(&s);
}

static void some_of_it(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome");
    gate_wait(arg);
    origin_hang_up(c);
}

SCENARIO(module_ends, clients_that_leave)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = probe_start(&s, MODULES);
    unsigned n = 0;

    for (unsigned k = 0; k < 2; k++) {
        const char *take = k == 0 ? "" : "X-Take: 1\r\n";
        struct client *c = scene_open(&s);

        origin_script(o, origin_at_gate, &gate); /* before there is a response */
        client_sendf(c, "GET / HTTP/1.1\r\nHost: a.test\r\n%s\r\n", take);
        await(origin_requests(o) == n + 1);
        client_reset(c);
        expect_end(&s, ++n, "fault-name=client_closed,get-status=0");
        gate_pass(&gate, 1);

        c = scene_open(&s); /* within its own body */
        client_sendf(c, "POST / HTTP/1.1\r\nHost: a.test\r\n%sContent-Length: 10\r\n\r\nsome",
                     take);
        await(scene_metric(&s, "usher_module_probe_open") == 1);
        client_close(c);
        expect_end(&s, ++n, "fault-name=client_closed,get-status=0");

        c = scene_open(&s); /* within the response's */
        origin_script(o, some_of_it, &gate);
        client_sendf(c, "GET / HTTP/1.1\r\nHost: a.test\r\n%s\r\n", take);
        expect_status(client_read_head(c), 200);
        client_reset(c);
        expect_end(&s, ++n, "fault-name=client_closed,get-status=200");
        gate_pass(&gate, 1);
    }
    gate_open(&gate);
    scene_end(&s);
}

SCENARIO(module_ends, requests_of_all_kinds)
{
    static struct scene s;
    struct origin *o = probe_start(&s, MODULES);
    struct client *c = scene_open(&s);
    unsigned n = 0;

    for (unsigned k = 0; k < 2; k++) {
        const char *take = k == 0 ? "" : "X-Take: 1\r\n";

        origin_answers(o, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
        client_sendf(c, "HEAD / HTTP/1.1\r\nHost: a.test\r\n%s\r\n", take);
        expect_status(client_read_to_head(c), 200);
        expect_end(&s, ++n, "fault-name=-,get-status=200");
        origin_answers(o, "HTTP/1.1 204 None\r\n\r\n");
        client_sendf(c, "GET / HTTP/1.1\r\nHost: a.test\r\n%s\r\n", take);
        expect_status(client_read(c), 204);
        expect_end(&s, ++n, "fault-name=-,get-status=204");
        origin_answers(o, "HTTP/1.1 304 Same\r\n\r\n");
        client_sendf(c, "GET / HTTP/1.1\r\nHost: a.test\r\n%s\r\n", take);
        expect_status(client_read(c), 304);
        expect_end(&s, ++n, "fault-name=-,get-status=304");
        origin_answers(o, "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
                          "HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        client_sendf(c, "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n%s\r\n", take);
        expect_status(client_read(c), 103);
        expect_status(client_read(c), 201);
        expect_end(&s, ++n, "fault-name=-,get-status=201");
        client_sendf(c, "GET / HTTP/1.0\r\nHost: a.test\r\n%s\r\n", take);
        expect_status(client_read(c), 201);
        expect_end(&s, ++n, "fault-name=-,get-status=201");
        c = scene_open(&s);
    }
    cr_assert_eq(origin_connections(o), 1);
    scene_end(&s);
}

SCENARIO(module_ends, requests_that_are_wrong)
{
    static struct scene s;
    struct response r;

    probe_start(&s, MODULES);
    r = scene_exchange(&s, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "nonsense\r\n");
    expect_status(r, 400);
    expect_end(&s, 1, "fault-name=bad_request,get-status=400");
    r = scene_exchange(&s, "POST / HTTP/1.1\r\nHost: a.test\r\nX-Take: 1\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n5\r\nabcdeX");
    expect_status(r, 400);
    expect_end(&s, 2, "fault-name=bad_request,get-status=400");
    /* no exchange of theirs: it never came to a tenant */
    expect_status(scene_exchange(&s, "GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n"), 404);
    expect_end(&s, 2, "fault-name=bad_request,get-status=400");
    scene_end(&s);
}

SCENARIO(module_ends, an_edge_that_cuts_what_still_runs)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = probe_start(&s, MODULES, .flags = { "--drain-timeout", "100ms" });
    struct client *c = scene_open(&s);

    origin_script(o, some_of_it, &gate);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_status(client_read_head(c), 200);
    process_signal(&s.edge.process, SIGTERM);
    cr_assert_eq(process_wait(&s.edge.process, AWAIT_MS), 0);
    await(scene_logged(&s, "fault-name=drain_cut,get-status=200") == 1);
    gate_open(&gate);
    scene_end(&s);
}
