/* i_limits.c -- time limits, least rates, and the most connections and descriptors.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: sizes of heads (g_strict_reading.c); floods (m_flood.c). */
#include "harness/scene.h"

#include <poll.h>

#define GET_A "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"

/* It lasted about so long: not less, and not much more. */
static void lasted(uint64_t start, unsigned least, unsigned most)
{
    unsigned ms = (unsigned)(await_now_ms() - start);

    cr_assert(ms + 30 >= least && ms <= most, "%u ms, not %u to %u", ms, least, most);
}

static struct origin *with_flags(struct scene *s, const char *flag, const char *value,
                                 const char *flag2, const char *value2)
{
    struct origin *o = origin_start("one");

    scene_start(s, .workers = 1, .flags = { flag, value, flag2, value2 });
    scene_host(s, "a.test", o);
    scene_live(s);
    return o;
}

SCENARIO(limits, a_head_that_does_not_come_is_408)
{
    static struct scene s;
    struct client *c;
    struct response r;
    uint64_t start;

    with_flags(&s, "--header-timeout", "300ms", NULL, NULL);
    c = scene_open(&s);
    start = await_now_ms();
    client_send(c, "GET / HTTP/1.1\r\nHost:");
    r = client_read(c);
    lasted(start, 300, 1500);
    cr_assert_eq(r.status, 408, "%d %s", r.status, r.why);
    cr_assert_str_eq(response_fault(&r), "header_timeout");
    cr_assert(client_ended(c, AWAIT_MS));
    scene_end(&s);
}

SCENARIO(limits, a_head_that_comes_in_drops_is_408_all_the_same)
{
    static struct scene s;
    struct client *c;
    uint64_t start;
    bool ended = false;

    with_flags(&s, "--header-timeout", "400ms", NULL, NULL);
    c = scene_open(&s);
    start = await_now_ms();
    client_send(c, "GET / HTTP/1.1\r\n");
    while (!ended && await_now_ms() - start < 3000) {
        client_send(c, "X: y\r\n");
        ended = !client_silent(c, 20);
    }
    cr_assert(ended, "each drop gave it more time");
    lasted(start, 400, 1500);
    scene_end(&s);
}

SCENARIO(limits, a_connection_without_any_request_is_closed_quietly)
{
    static struct scene s;
    struct client *c;
    uint64_t start;

    with_flags(&s, "--header-timeout", "300ms", "--idle-timeout", "300ms");
    c = scene_open(&s);
    start = await_now_ms();
    cr_assert(client_ended(c, AWAIT_MS));
    lasted(start, 300, 1500);
    scene_end(&s);
}

SCENARIO(limits, an_idle_connection_is_closed_and_a_used_one_is_not)
{
    static struct scene s;
    struct client *c;
    uint64_t start;

    with_flags(&s, "--idle-timeout", "400ms", NULL, NULL);
    c = scene_open(&s);
    for (unsigned i = 0; i < 4; i++) {
        expect_status(client_get(c, "a.test", "/"), 200);
        cr_assert(client_silent(c, 200), "closed too early");
    }
    start = await_now_ms();
    expect_status(client_get(c, "a.test", "/"), 200);
    cr_assert(client_ended(c, AWAIT_MS));
    lasted(start, 400, 1600);
    scene_end(&s);
}

SCENARIO(limits, an_endpoint_that_does_not_answer_is_504)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = with_flags(&s, "--response-timeout", "300ms", NULL, NULL);
    struct client *c = scene_open(&s);
    struct response r;
    uint64_t start = await_now_ms();

    origin_script(o, origin_at_gate, &gate);
    r = client_get(c, "a.test", "/");
    lasted(start, 300, 1500);
    cr_assert_eq(r.status, 504);
    cr_assert_str_eq(response_fault(&r), "response_timeout");
    gate_open(&gate);
    await(origin_open_connections(o) == 0);
    origin_script(o, NULL, NULL);
    cr_assert_eq(client_get(c, "a.test", "/").status, 200, "the client's connection stays");
    scene_end(&s);
}

static void half_a_head(struct origin_conn *c, struct origin_request *r, void *arg)
{
    origin_read_body(c, r);
    origin_send(c, "HTTP/1.1 200 OK\r\nX:");
    gate_wait(arg);
}

static void half_a_body(struct origin_conn *c, struct origin_request *r, void *arg)
{
    origin_read_body(c, r);
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    gate_wait(arg);
}

SCENARIO(limits, half_a_response_head_is_504_and_half_a_body_is_cut)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = with_flags(&s, "--response-timeout", "300ms", "--stream-timeout", "300ms");
    struct client *c = scene_open(&s);
    struct response r;

    origin_script(o, half_a_head, &gate);
    expect_fault(&s, "a.test", "response_timeout");
    origin_script(o, half_a_body, &gate);
    r = client_get(c, "a.test", "/");
    cr_assert_eq(r.status, 200);
    cr_assert_not(r.body.whole, "it must not look whole");
    cr_assert_str_eq(r.text, "half");
    gate_open(&gate);
    scene_end(&s);
}

static void drops(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)arg;
    origin_read_body(c, r);
    origin_send(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < 6; i++) {
        poll(NULL, 0, 100); /* the pace is what is tested */
        origin_send(c, "1\r\nx\r\n");
    }
    origin_send(c, "0\r\n\r\n");
}

SCENARIO(limits, a_response_that_keeps_coming_may_take_longer)
{
    static struct scene s;
    struct origin *o = with_flags(&s, "--response-timeout", "300ms", "--stream-timeout", "300ms");
    struct response r;
    uint64_t start = await_now_ms();

    origin_script(o, drops, NULL);
    r = scene_get(&s, "a.test", "/");
    cr_assert_gt(await_now_ms() - start, 400, "the test is too quick to show it");
    cr_assert(r.body.whole && r.body.bytes == 6, "%d %s", r.status, r.text);
    scene_end(&s);
}

SCENARIO(limits, an_endpoint_that_refuses_or_does_not_accept)
{
    static struct scene s;
    uint64_t start;

    with_flags(&s, "--connect-timeout", "300ms", NULL, NULL);
    scene_redis(&s, "SET usher:host:refuses.test %s", origin_refusing());
    scene_redis(&s, "SET usher:host:deaf.test %s", origin_deaf());
    scene_live(&s);
    expect_fault(&s, "refuses.test", "connect_failed");
    start = await_now_ms();
    expect_fault(&s, "deaf.test", "connect_timeout");
    lasted(start, 300, 1500);
    scene_end(&s);
}

SCENARIO(limits, a_slow_upload_is_cut_by_the_least_rate)
{
    static struct scene s;
    struct origin *o = with_flags(&s, "--min-rate", "20000", "--header-timeout", "1s");
    struct client *c = scene_open(&s);
    struct response r;
    uint64_t start = await_now_ms();

    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n");
    while (client_silent(c, 50) && await_now_ms() - start < 20000)
        client_send(c, "x");
    r = client_read(c);
    cr_assert_eq(r.status, 408, "%d %s", r.status, r.why);
    cr_assert_str_eq(response_fault(&r), "body_timeout");
    cr_assert(client_ended(c, AWAIT_MS));
    await(origin_open_connections(o) == 0);
    cr_assert_not(origin_last(o)->body.whole);
    scene_end(&s);
}

SCENARIO(limits, an_upload_that_keeps_the_rate_passes)
{
    static struct scene s;
    struct origin *o = with_flags(&s, "--min-rate", "1000", "--header-timeout", "300ms");
    struct client *c = scene_open(&s);
    char piece[1000];

    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 20000\r\n\r\n");
    for (unsigned i = 0; i < 20; i++) {
        pattern_fill(piece, sizeof(piece), i * sizeof(piece));
        client_send_bytes(c, piece, sizeof(piece));
        cr_assert(client_silent(c, 60) || i == 19);
    }
    expect_status(client_read(c), 200);
    cr_assert(origin_last(o)->body.whole && origin_last(o)->body.pattern);
    scene_end(&s);
}

static void endless(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)arg;
    origin_read_body(c, r);
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    if (!origin_send_pattern(c, 1000000000))
        origin_hang_up(c);
}

SCENARIO(limits, a_reader_slower_than_the_least_rate_is_cut)
{
    static struct scene s;
    struct origin *o = with_flags(&s, "--min-rate", "100000", "--header-timeout", "1s");
    struct client *c = client_open_narrow(s.edge.at);

    origin_script(o, endless, NULL);
    client_send(c, GET_A);
    expect_status(client_read_head(c), 200);
    await_within(scene_fault_count(&s, "client_too_slow") == 1, 20000);
    await(origin_open_connections(o) == 0);
    await(scene_metric(&s, "usher_client_connections") == 0);
    scene_end(&s);
}

SCENARIO(limits, min_rate_0_cuts_nobody)
{
    static struct scene s;
    struct origin *o = with_flags(&s, "--min-rate", "0", "--header-timeout", "200ms");
    struct client *c = scene_open(&s);

    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nx");
    cr_assert(client_silent(c, 1500));
    client_send(c, "y");
    expect_status(client_read(c), 200);
    cr_assert_str_eq(origin_last(o)->text, "xy");
    scene_end(&s);
}

SCENARIO(limits, max_connections_pauses_accepting_and_recovers)
{
    static struct scene s;
    struct client *c[10], *waiting;
    long cpu;

    with_flags(&s, "--max-connections", "10", NULL, NULL);
    for (unsigned i = 0; i < 10; i++) {
        c[i] = scene_open(&s);
        expect_status(client_get(c[i], "a.test", "/"), 200);
    }
    waiting = scene_open(&s); /* the kernel takes it */
    client_send(waiting, GET_A);
    await(scene_metric(&s, "usher_accept_pauses_total") >= 1);
    cr_assert(client_silent(waiting, 100));
    cpu = process_cpu_ms(&s.edge.process);
    cr_assert_eq(client_get(c[3], "a.test", "/").status, 200, "those inside are served");
    cr_assert(client_silent(waiting, 400));
    cr_assert_leq(process_cpu_ms(&s.edge.process) - cpu, edge_has_sanitizer() ? 200 : 60,
                  "it spins");
    client_close(c[5]);
    expect_status(client_read(waiting), 200);
    expect_status(client_get(c[9], "a.test", "/"), 200);
    expect_metric(&s, "usher_client_connections", 10);
    cr_assert_geq(scene_logged(&s, " accept_paused "), 1);
    await(scene_logged(&s, " accept_resumed") >= 1);
    scene_end(&s);
}

SCENARIO(limits, the_default_of_connections_leaves_room_below_the_descriptor_limit)
{
    static struct scene s;
    struct client *c[200];
    unsigned good = 0;
    long cpu;

    scene_start(&s, .workers = 1, .files = 200);
    scene_host(&s, "a.test", origin_start("one"));
    scene_live(&s);
    c[0] = scene_open(&s);
    expect_status(client_get(c[0], "a.test", "/"), 200);
    for (unsigned i = 1; i < 200; i++)
        c[i] = scene_open(&s);
    await(scene_metric(&s, "usher_accept_pauses_total") >= 1);
    cr_assert_leq(process_files(&s.edge.process), 190);
    cpu = process_cpu_ms(&s.edge.process);
    expect_status(client_get(c[0], "a.test", "/"), 200);
    scene_host(&s, "b.test", origin_start("two")); /* Redis and admin still have theirs */
    await(strcmp(client_get(c[0], "b.test", "/").text, "two") == 0);
    stays(client_get(c[0], "a.test", "/").status == 200, 200);
    cr_assert_leq(process_cpu_ms(&s.edge.process) - cpu, edge_has_sanitizer() ? 400 : 250);
    for (unsigned i = 100; i < 200; i++)
        client_close(c[i]);
    for (unsigned i = 1; i < 100; i++)
        client_send(c[i], GET_A);
    for (unsigned i = 1; i < 50; i++) {
        good += client_read(c[i]).status == 200;
        client_close(c[i]);
    }
    for (unsigned i = 50; i < 100; i++) {
        good += client_read(c[i]).status == 200;
        client_close(c[i]);
    }
    cr_assert_eq(good, 99, "of those that waited %u were served", good);
    await(scene_metric(&s, "usher_client_connections") == 1);
    scene_end(&s);
}

SCENARIO(limits, out_of_descriptors_pauses_and_requests_in_flight_go_on)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = origin_start("one"), *slow = origin_start("slow");
    struct client *c[160], *flying;
    long cpu;

    /* the limit of connections does not save it */
    scene_start(&s, .workers = 1, .files = 120, .flags = { "--max-connections", "10000" });
    scene_host(&s, "a.test", o);
    scene_host(&s, "slow.test", slow);
    scene_live(&s);
    origin_script(slow, origin_at_gate, &gate);
    flying = scene_open(&s);
    client_send(flying, "GET / HTTP/1.1\r\nHost: slow.test\r\n\r\n");
    await(gate_waiting(&gate) == 1);
    for (unsigned i = 0; i < 160; i++)
        c[i] = scene_open(&s);
    cr_assert(process_awaits_log(&s.edge.process, " accept_paused ", AWAIT_MS));
    cpu = process_cpu_ms(&s.edge.process);
    cr_assert(client_silent(flying, 500));
    cr_assert_leq(process_cpu_ms(&s.edge.process) - cpu, edge_has_sanitizer() ? 250 : 100,
                  "it spins");
    gate_open(&gate);
    cr_assert_str_eq(client_read(flying).text, "slow");
    for (unsigned i = 0; i < 160; i++)
        client_close(c[i]);
    await_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(limits, a_thousand_slow_heads_cost_nothing_and_hold_nobody)
{
    static struct scene s;
    struct client *c[1000];
    long before, cpu;
    uint64_t start;

    scene_start(&s, .flags = { "--header-timeout", "2s", "--log-level", "info" });
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    before = process_rss_kb(&s.edge.process);
    for (unsigned i = 0; i < 1000; i++) {
        c[i] = scene_open(&s);
        client_send(c[i], "GET / HTTP/1.1\r\nHost: a.te");
    }
    await(scene_metric(&s, "usher_client_connections") >= 1000);
    cpu = process_cpu_ms(&s.edge.process);
    start = await_now_ms();
    for (unsigned i = 0; i < 50; i++)
        expect_get(&s, "a.test", "/", 200, "one");
    cr_assert_leq(await_now_ms() - start, 2000, "others wait for the slow");
    cr_assert_leq(process_rss_kb(&s.edge.process) - before, edge_has_sanitizer() ? 60000 : 10000);
    cr_assert_leq(process_cpu_ms(&s.edge.process) - cpu, 500);
    await(scene_fault_count(&s, "header_timeout") == 1000);
    for (unsigned i = 0; i < 1000; i++)
        client_close(c[i]);
    await(scene_metric(&s, "usher_client_connections") == 0);
    scene_end(&s);
}

SCENARIO(limits, one_connection_at_a_time_is_enough_for_all)
{
    static struct scene s;
    struct client *c[20];

    scene_start(&s, .flags = { "--max-connections", "1" });
    scene_host(&s, "a.test", origin_start("one"));
    scene_live(&s);
    for (unsigned i = 0; i < 20; i++) {
        c[i] = scene_open(&s);
        client_send(c[i], "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    }
    for (unsigned i = 0; i < 20; i++)
        expect_status(client_read(c[i]), 200);
    scene_end(&s);
}
