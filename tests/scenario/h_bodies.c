/* h_bodies.c -- bodies both ways: framing, trailers, 100-continue, streams, and who waits for whom.
 *
 * Owns:    nothing.
 * Thread:  the test's; clients that send while they read have one more.
 * Used by: make test.
 * Not here: bodies that are broken (g_strict_reading.c); slow ones that are cut (i_limits.c). */
#include "harness/scene.h"

#include <stdlib.h>

static struct origin *begin(struct scene *s)
{
    struct origin *o = origin_start("one");

    scene_start(s, .workers = 1, .flags = { "--log-level", "info" });
    scene_host(s, "a.test", o);
    scene_live(s);
    return o;
}

SCENARIO(bodies, a_request_body_by_length_arrives_whole)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);

    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3000000\r\n\r\n");
    client_send_pattern(c, 3000000);
    expect_status(client_read(c), 200);
    cr_assert_eq(origin_last(o)->body.bytes, 3000000);
    cr_assert(origin_last(o)->body.pattern && origin_last(o)->body.whole);
    cr_assert_str_eq(message_field(origin_last(o)->head, "content-length"), "3000000");
    expect_status(client_get(c, "a.test", "/"), 200);
    scene_end(&s);
}

SCENARIO(bodies, a_chunked_request_body_arrives_chunked_with_its_trailers)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);
    char piece[7919];

    client_send(c, "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n"
                   "Trailer: X-Sum\r\n\r\n");
    for (uint64_t at = 0; at < 100 * sizeof(piece); at += sizeof(piece)) {
        pattern_fill(piece, sizeof(piece), at);
        client_sendf(c, "%zx;ext=\"1\"\r\n", sizeof(piece));
        client_send_bytes(c, piece, sizeof(piece));
        client_send(c, "\r\n");
    }
    client_send(c, "0\r\nX-Sum: 42\r\nAuthorization: evil\r\nHost: evil\r\n\r\n");
    expect_status(client_read(c), 200);
    cr_assert(origin_last(o)->body.whole && origin_last(o)->body.pattern);
    cr_assert_eq(origin_last(o)->body.bytes, 100 * sizeof(piece));
    cr_assert_str_eq(message_field(origin_last(o)->head, "transfer-encoding"), "chunked");
    cr_assert_null(message_field(origin_last(o)->head, "content-length"));
    cr_assert_str_eq(origin_last(o)->body.trailers, "X-Sum: 42\r\n",
                     "what frames and routes is no trailer");
    cr_assert_not(has(origin_last(o)->text, "ext"));
    scene_end(&s);
}

static void big_by_length(struct origin_conn *c, struct origin_request *r, void *arg)
{
    uint64_t *len = arg;

    origin_read_body(c, r);
    origin_sendf(c, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n", (unsigned long long)*len);
    if (!origin_send_pattern(c, *len))
        origin_hang_up(c);
}

static void big_by_chunks(struct origin_conn *c, struct origin_request *r, void *arg)
{
    uint64_t *len = arg;
    char piece[5003];

    origin_read_body(c, r);
    origin_send(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
    for (uint64_t at = 0; at < *len;) {
        size_t part = *len - at < sizeof(piece) ? (size_t)(*len - at) : sizeof(piece);

        pattern_fill(piece, part, at);
        origin_sendf(c, "%zX\r\n", part);
        origin_send_bytes(c, piece, part);
        origin_send(c, "\r\n");
        at += part;
    }
    origin_send(c, "0\r\nX-Sum: 7\r\nUsher-Fault: lie\r\n\r\n");
}

static void big_until_close(struct origin_conn *c, struct origin_request *r, void *arg)
{
    uint64_t *len = arg;

    origin_read_body(c, r);
    origin_send(c, "HTTP/1.1 200 OK\r\n\r\n");
    origin_send_pattern(c, *len);
    origin_hang_up(c);
}

SCENARIO(bodies, response_bodies_of_every_framing_arrive_whole)
{
    static const uint64_t lengths[] = { 0, 1, 1000, 65536, 65537, 5000000 };
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);

    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct response r;
        uint64_t len = lengths[i]; /* the origin's threads read the table */

        origin_script(o, big_by_length, (void *)&lengths[i]);
        r = client_get(c, "a.test", "/");
        cr_assert(r.body.whole && r.body.pattern && r.body.bytes == len, "length %llu: %llu",
                  (unsigned long long)len, (unsigned long long)r.body.bytes);
        cr_assert_str_eq(response_field(&r, "content-length"),
                         kept_format("%llu", (unsigned long long)len));
        origin_script(o, big_by_chunks, (void *)&lengths[i]);
        r = client_get(c, "a.test", "/");
        cr_assert(r.body.whole && r.body.pattern && r.body.bytes == len, "chunks %llu: %llu",
                  (unsigned long long)len, (unsigned long long)r.body.bytes);
        cr_assert_str_eq(response_field(&r, "transfer-encoding"), "chunked");
        cr_assert_str_eq(r.body.trailers, "X-Sum: 7\r\n");
        origin_script(o, big_until_close, (void *)&lengths[i]);
        r = client_get(c, "a.test", "/");
        cr_assert(r.body.whole && r.body.pattern && r.body.bytes == len, "close %llu: %llu",
                  (unsigned long long)len, (unsigned long long)r.body.bytes);
        cr_assert_str_eq(response_field(&r, "transfer-encoding"), "chunked",
                         "so that the client's connection stays");
    }
    scene_end(&s);
}

SCENARIO(bodies, a_1_0_client_gets_a_body_that_ends_by_close)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);
    struct response r;
    uint64_t len = 300000;

    origin_script(o, big_until_close, &len);
    client_send(c, "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n");
    r = client_read(c);
    cr_assert_null(response_field(&r, "transfer-encoding"));
    cr_assert_null(response_field(&r, "content-length"));
    cr_assert(r.body.whole && r.body.pattern && r.body.bytes == len);
    scene_end(&s);
}

static void continue_then_answer(struct origin_conn *c, struct origin_request *r, void *arg)
{
    gate_wait(arg);
    origin_send(c, "HTTP/1.1 100 Continue\r\n\r\n");
    origin_reply(c, r, 200, "had it");
}

SCENARIO(bodies, expect_100_continue_is_the_endpoints_to_answer)
{
    static struct scene s;
    struct origin *o = begin(&s);
    static struct gate gate = GATE_CLOSED;
    struct client *c = scene_open(&s);

    origin_script(o, continue_then_answer, &gate);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-Continue\r\n"
                   "Content-Length: 3\r\n\r\n");
    await(gate_waiting(&gate) == 1);
    cr_assert_not_null(message_field(origin_last(o)->head, "expect"));
    cr_assert(client_silent(c, 30));
    gate_open(&gate);
    expect_status(client_read(c), 100);
    client_send(c, "abc");
    cr_assert_str_eq(client_read(c).text, "had it");
    cr_assert_str_eq(origin_last(o)->text, "abc");
    cr_assert_eq(client_get(c, "a.test", "/").status, 100, "a 100 unasked for passes as well");
    scene_end(&s);
}

static void refuse_unread(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)arg;
    (void)r;
    origin_send(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    origin_hang_up(c);
}

SCENARIO(bodies, an_expectation_may_be_refused_without_the_body)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);
    struct response r;

    origin_script(o, refuse_unread, NULL);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n"
                   "Content-Length: 1000000\r\n\r\n");
    r = client_read(c);
    cr_assert_eq(r.status, 413);
    cr_assert_str_eq(r.text, "no");
    scene_end(&s);
}

SCENARIO(bodies, a_fault_answers_an_expectation_at_once)
{
    static struct scene s;
    struct client *c;

    begin(&s);
    c = scene_open(&s);
    client_send(c, "POST / HTTP/1.1\r\nHost: nobody.test\r\nExpect: 100-continue\r\n"
                   "Content-Length: 1000000\r\n\r\n");
    expect_status(client_read(c), 404);
    cr_assert(client_ended(c, AWAIT_MS), "nobody will read that body");
    scene_end(&s);
}

SCENARIO(bodies, a_response_before_the_bodys_end_reaches_the_client)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);
    struct response r;

    origin_script(o, refuse_unread, NULL);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000000\r\n\r\n");
    client_send_pattern(c, 100000);
    r = client_read(c);
    cr_assert_eq(r.status, 413, "%d %s %s", r.status, r.why, response_fault(&r));
    scene_end(&s);
}

struct sender {
    struct client *c;
    uint64_t len;
};

static void *send_pattern(void *owner)
{
    struct sender *s = owner;

    client_send_pattern(s->c, s->len);
    return NULL;
}

/* Sends back what it reads, as it reads it. */
static void mirror(struct origin_conn *c, struct origin_request *r, void *arg)
{
    uint64_t left = strtoull(message_field(r->head, "content-length"), NULL, 10);

    (void)arg;
    origin_sendf(c, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n", (unsigned long long)left);
    while (left > 0 && (c->in.len > 0 || inbox_fill(&c->in, 30000) > 0)) {
        if (!origin_send_bytes(c, c->in.bytes, c->in.len))
            break;
        left -= c->in.len;
        inbox_take(&c->in, c->in.len);
    }
    r->body_read = true;
}

SCENARIO(bodies, both_directions_stream_at_once)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);
    struct sender sender = { c, 8u << 20 };
    pthread_t thread;
    struct response r;

    origin_script(o, mirror, NULL);
    client_sendf(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %llu\r\n\r\n",
                 (unsigned long long)sender.len);
    pthread_create(&thread, NULL, send_pattern, &sender);
    r = client_read(c);
    pthread_join(thread, NULL);
    cr_assert(r.body.whole && r.body.pattern && r.body.bytes == sender.len, "%llu bytes",
              (unsigned long long)r.body.bytes);
    scene_end(&s);
}

static void echo_or_name(struct origin_conn *c, struct origin_request *r, void *arg)
{
    if (message_field(r->head, "content-length") != NULL)
        mirror(c, r, arg);
    else
        origin_reply(c, r, 200, "one");
}

SCENARIO(bodies, a_slow_reader_makes_no_memory_grow)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c;
    uint64_t len = 200u << 20;
    long before, most = 0;
    struct response r;

    expect_get(&s, "a.test", "/", 200, "one");
    before = process_rss_kb(&s.edge.process);
    origin_script(o, big_by_length, &len);
    c = client_open_narrow(s.edge.at);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_status(client_read_head(c), 200);
    for (unsigned i = 0; i < 60; i++) {
        client_read_bytes(c, 4096);
        if (process_rss_kb(&s.edge.process) > most)
            most = process_rss_kb(&s.edge.process);
        await_nap();
    }
    cr_assert_leq(most - before, edge_has_sanitizer() ? 12000 : 4000, "%ld kB became %ld kB",
                  before, most);
    /* the endpoint is held back, and others are served meanwhile */
    origin_script(o, NULL, NULL);
    r = scene_get(&s, "a.test", "/");
    cr_assert_eq(r.status, 200);
    scene_end(&s);
}

static void *read_all(void *owner)
{
    struct sender *s = owner;
    struct response r = client_read(s->c);

    s->len = r.body.whole && r.body.pattern ? r.body.bytes : 0;
    return NULL;
}

SCENARIO(bodies, many_big_downloads_at_once_are_bounded_and_right)
{
    static struct scene s;
    struct origin *o = begin(&s);
    static struct sender readers[16];
    pthread_t threads[16];
    uint64_t len = 16u << 20;
    long before, most = 0;

    expect_get(&s, "a.test", "/", 200, "one");
    before = process_rss_kb(&s.edge.process);
    origin_script(o, big_by_chunks, &len);
    for (unsigned i = 0; i < 16; i++) {
        readers[i].c = scene_open(&s);
        readers[i].c->in.piece = i % 2 == 0 ? 0 : 3001;
        client_send(readers[i].c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        pthread_create(&threads[i], NULL, read_all, &readers[i]);
    }
    while (scene_metric(&s, "usher_exchanges") > 0) {
        if (process_rss_kb(&s.edge.process) > most)
            most = process_rss_kb(&s.edge.process);
        await_nap();
    }
    for (unsigned i = 0; i < 16; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(readers[i].len, len, "reader %u", i);
    }
    cr_assert_leq(most - before, edge_has_sanitizer() ? 40000 : 12000, "%ld kB became %ld kB",
                  before, most);
    scene_end(&s);
}

/* Reads the head, then nothing until the gate opens. */
static void slow_origin(struct origin_conn *c, struct origin_request *r, void *arg)
{
    gate_wait(arg);
    origin_reply(c, r, 200, "at last");
}

SCENARIO(bodies, an_endpoint_that_does_not_read_makes_no_memory_grow)
{
    static struct scene s;
    struct origin *o = begin(&s);
    static struct gate gate = GATE_CLOSED;
    struct client *c = scene_open(&s);
    struct sender sender = { c, 64u << 20 };
    pthread_t thread;
    long before, most = 0;

    before = process_rss_kb(&s.edge.process);
    origin_script(o, slow_origin, &gate);
    client_sendf(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %llu\r\n\r\n",
                 (unsigned long long)sender.len);
    pthread_create(&thread, NULL, send_pattern, &sender);
    await(gate_waiting(&gate) == 1);
    for (unsigned i = 0; i < 60; i++) {
        if (process_rss_kb(&s.edge.process) > most)
            most = process_rss_kb(&s.edge.process);
        await_nap();
    }
    cr_assert_leq(most - before, edge_has_sanitizer() ? 12000 : 4000, "%ld kB became %ld kB",
                  before, most);
    gate_open(&gate);
    pthread_join(thread, NULL);
    cr_assert_str_eq(client_read(c).text, "at last");
    cr_assert(origin_last(o)->body.whole && origin_last(o)->body.pattern);
    cr_assert_eq(origin_last(o)->body.bytes, sender.len);
    scene_end(&s);
}

static void events(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    for (unsigned i = 0; i < 5; i++) {
        gate_wait(arg);
        if (!origin_sendf(c, "data: %u\n\n", i))
            break;
    }
    origin_hang_up(c);
}

SCENARIO(bodies, server_sent_events_pass_at_once)
{
    static struct scene s;
    struct origin *o = begin(&s);
    static struct gate gate = GATE_CLOSED;
    struct client *c = scene_open(&s);

    origin_script(o, events, &gate);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    cr_assert_eq(client_read_head(c).status, 200, "the head comes before any event");
    for (unsigned i = 0; i < 5; i++) {
        gate_pass(&gate, 1);
        cr_assert_str_eq(client_read_bytes(c, 14), kept_format("9\r\ndata: %u\n\n\r\n", i));
    }
    cr_assert_str_eq(client_read_bytes(c, 5), "0\r\n\r\n");
    scene_end(&s);
}

SCENARIO(bodies, a_request_body_passes_as_it_comes)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);

    origin_script(o, echo_or_name, NULL);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 9\r\n\r\n");
    expect_status(client_read_head(c), 200);
    for (unsigned i = 0; i < 3; i++) {
        client_sendf(c, "ab%u", i);
        cr_assert_str_eq(client_read_bytes(c, 3), kept_format("ab%u", i));
    }
    scene_end(&s);
}

SCENARIO(bodies, a_client_that_goes_during_a_download_frees_the_endpoint)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = client_open_narrow(s.edge.at);
    uint64_t len = 1u << 30;

    origin_script(o, big_by_length, &len);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_status(client_read_head(c), 200);
    client_read_bytes(c, 10000);
    client_close(c);
    await(origin_open_connections(o) == 0);
    await(scene_metric(&s, "usher_exchanges") == 0);
    expect_fault_count(&s, "client_closed", 1);
    scene_end(&s);
}
