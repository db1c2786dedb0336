/* j_streams.c -- responses that take their time: server-sent events, long polls; and clients that go away
 * meanwhile.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: limits of ordinary requests (i_limits.c); WebSockets (j_tunnel.c). */
#include "harness/scene.h"

#include <poll.h>
#include <stdio.h>

#define GET_A "GET /events HTTP/1.1\r\nHost: a.test\r\nAccept: text/event-stream\r\n\r\n"

/* An event each time that the gate lets one pass; the tenth is the last. */
static void events(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < 10; i++) {
        gate_wait(arg);
        if (!origin_sendf(c, "9\r\ndata: %u\n\n\r\n", i))
            break;
    }
    origin_send(c, "0\r\n\r\n");
}

static struct origin *begin(struct scene *s, origin_script_fn script, struct gate *gate,
                            const char *const flags[6])
{
    struct origin *o = origin_start("one");

    scene_start(s, .workers = 1,
                .flags = { flags[0], flags[1], flags[2], flags[3], flags[4], flags[5] });
    scene_host(s, "a.test", o);
    await_get(s, "a.test", "/", 200, "one");
    origin_script(o, script, gate);
    return o;
}

#define FLAGS(...) ((const char *const[6]){ __VA_ARGS__ })

static struct client *subscribed(struct scene *s)
{
    struct client *c = scene_open(s);
    struct response r;

    client_send(c, GET_A);
    r = client_read_head(c);
    cr_assert_eq(r.status, 200, "%d %s", r.status, r.why);
    return c;
}

static void expect_event(struct client *c, unsigned number)
{
    const char *text = kept_format("9\r\ndata: %u\n\n\r\n", number);

    cr_assert_str_eq(client_read_bytes(c, strlen(text)), text);
}

SCENARIO(streams, each_event_arrives_before_the_next_is_sent)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct client *c;

    begin(&s, events, &gate, FLAGS(NULL));
    c = subscribed(&s); /* the head, too, has come before any event */
    for (unsigned i = 0; i < 10; i++) {
        cr_assert(client_silent(c, 20));
        gate_pass(&gate, 1);
        expect_event(c, i);
    }
    cr_assert_str_eq(client_read_bytes(c, 5), "0\r\n\r\n");
    scene_end(&s);
}

SCENARIO(streams, silence_between_events_may_be_longer_than_before_the_first_byte)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct client *c;

    begin(&s, events, &gate,
          FLAGS("--response-timeout", "200ms", "--idle-timeout", "200ms", "--header-timeout",
                "200ms"));
    c = subscribed(&s);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert(client_silent(c, 700));
        gate_pass(&gate, 1);
        expect_event(c, i);
    }
    gate_open(&gate);
    scene_end(&s);
}

SCENARIO(streams, but_not_than_stream_timeout)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct client *c;
    uint64_t start;

    begin(&s, events, &gate, FLAGS(NULL));
    scene_redis(&s, "HSET usher:defaults stream_timeout 400ms");
    scene_live(&s);
    c = subscribed(&s);
    gate_pass(&gate, 1);
    expect_event(c, 0);
    start = await_now_ms();
    cr_assert(client_ended(c, AWAIT_MS), "its response is cut");
    cr_assert_geq(await_now_ms() - start, 380);
    expect_fault_count(&s, "response_timeout", 1);
    gate_open(&gate);
    scene_end(&s);
}

SCENARIO(streams, a_long_poll_takes_as_long_as_its_tenant_allows)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct client *c;
    struct response r;

    begin(&s, origin_at_gate, &gate,
          FLAGS("--response-timeout", "300ms", "--idle-timeout", "200ms", "--header-timeout",
                "200ms"));
    expect_fault(&s, "a.test", "response_timeout");
    scene_redis(&s, "HSET usher:defaults timeout 1m");
    scene_live(&s);
    c = scene_open(&s);
    client_send(c, GET_A);
    cr_assert(client_silent(c, 900));
    gate_open(&gate);
    r = client_read(c);
    cr_assert_eq(r.status, 200);
    cr_assert_str_eq(r.text, "one");
    scene_end(&s);
}

SCENARIO(streams, a_client_that_breaks_off_is_noticed_at_once)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = begin(&s, origin_at_gate, &gate, FLAGS(NULL));
    struct client *c;

    origin_drop_connections(o);
    await(origin_open_connections(o) == 0);
    c = scene_open(&s);
    client_send(c, GET_A);
    await(gate_waiting(&gate) == 1);
    client_reset(c);
    expect_fault_count(&s, "client_closed", 1);
    cr_assert_eq(scene_metric(&s, "usher_upstream_connections{state=\"busy\"}"), 0,
                 "its endpoint works for nobody");
    gate_open(&gate);
    scene_end(&s);
}

SCENARIO(streams, one_that_closes_is_taken_as_gone_soon)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct client *c;
    uint64_t start;

    begin(&s, origin_at_gate, &gate, FLAGS("--header-timeout", "400ms"));
    c = scene_open(&s);
    client_send(c, GET_A);
    await(gate_waiting(&gate) == 1);
    start = await_now_ms();
    client_close(c);
    await(scene_fault_count(&s, "client_closed") == 1);
    cr_assert_geq(await_now_ms() - start, 380, "it might have been waiting with its own side shut");
    cr_assert_eq(scene_metric(&s, "usher_upstream_connections{state=\"busy\"}"), 0);
    gate_open(&gate);
    scene_end(&s);
}

SCENARIO(streams, one_that_shuts_its_side_and_waits_gets_its_answer)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct client *c;

    begin(&s, origin_at_gate, &gate, FLAGS(NULL));
    c = scene_open(&s);
    client_send(c, GET_A);
    await(gate_waiting(&gate) == 1);
    client_half_close(c);
    cr_assert(client_silent(c, 100));
    gate_open(&gate);
    expect_status(client_read(c), 200);
    scene_end(&s);
}

static void drops(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)arg;
    (void)r;
    origin_send(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < 12; i++) {
        poll(NULL, 0, 100); /* the pace is what is tested */
        origin_send(c, "1\r\nx\r\n");
    }
    origin_send(c, "0\r\n\r\n");
}

SCENARIO(streams, and_all_of_it_as_long_as_it_keeps_coming)
{
    static struct scene s;
    struct client *c;
    struct response r;

    begin(&s, drops, NULL, FLAGS("--header-timeout", "500ms"));
    c = scene_open(&s);
    client_send(c, GET_A);
    client_half_close(c);
    r = client_read(c);
    cr_assert_eq(r.status, 200);
    cr_assert(r.body.whole && r.body.bytes == 12, "%u bytes", (unsigned)r.body.bytes);
    scene_end(&s);
}

SCENARIO(streams, a_subscriber_that_closes_is_noticed_with_the_next_events)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct client *c;

    begin(&s, events, &gate, FLAGS(NULL));
    c = subscribed(&s);
    gate_pass(&gate, 1);
    expect_event(c, 0);
    client_close(c);
    /* the first is answered by a reset, the next one meets it */
    await((gate_pass(&gate, 1), scene_fault_count(&s, "client_closed") == 1));
    cr_assert_eq(scene_metric(&s, "usher_upstream_connections{state=\"busy\"}"), 0);
    gate_open(&gate);
    scene_end(&s);
}

SCENARIO(streams, connect_is_refused_and_nothing_is_asked)
{
    static struct scene s;
    struct origin *o = begin(&s, NULL, NULL, FLAGS(NULL));
    unsigned before = origin_requests(o);
    struct client *c = scene_open(&s);
    struct response r;

    client_send(c, "CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n");
    r = client_read(c);
    cr_assert_eq(r.status, 501);
    cr_assert_str_eq(response_fault(&r), "not_implemented");
    cr_assert(client_ended(c, AWAIT_MS), "what follows is no HTTP");
    cr_assert_eq(origin_requests(o), before);
    expect_fault_count(&s, "not_implemented", 1);
    scene_end(&s);
}
