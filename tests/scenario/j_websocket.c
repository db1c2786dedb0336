/* j_websocket.c -- Upgrade: websocket becomes a tunnel; everything else about Upgrade does not.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: WebSocket frames: a tunnel does not read them. */
#include "harness/scene.h"

#define UPGRADE                                                                                    \
    "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\n"                    \
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: mine\r\n\r\n"

static struct origin *begin(struct scene *s)
{
    struct origin *o = origin_start("one");

    scene_start(s, .workers = 1,
                .flags = { "--response-timeout", "400ms", "--idle-timeout", "400ms" });
    scene_host(s, "a.test", o);
    scene_live(s);
    origin_script(o, origin_websocket, NULL);
    return o;
}

static struct client *upgraded(struct scene *s)
{
    struct client *c = scene_open(s);
    struct response r;

    client_send(c, UPGRADE);
    r = client_read(c);
    cr_assert_eq(r.status, 101, "%d %s%s", r.status, response_fault(&r), r.why);
    cr_assert_str_eq(response_field(&r, "sec-websocket-accept"), "for-mine");
    cr_assert(has(response_field(&r, "upgrade"), "websocket"), "%s", r.head);
    cr_assert(has(response_field(&r, "connection"), "Upgrade"), "%s", r.head);
    return c;
}

SCENARIO(websocket, the_handshake_passes_and_bytes_go_both_ways)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = upgraded(&s);
    const char *head = origin_last(o)->head;

    cr_assert_str_eq(message_field(head, "upgrade"), "websocket");
    cr_assert(has(message_field(head, "connection"), "Upgrade"), "%s", head);
    cr_assert_not(has(message_field(head, "connection"), "keep-alive"), "%s", head);
    cr_assert_str_eq(message_field(head, "sec-websocket-key"), "mine");
    for (unsigned i = 0; i < 20; i++) {
        client_sendf(c, "frame %02u\r\n\r\n", i);
        cr_assert_str_eq(client_read_bytes(c, 12), kept_format("frame %02u\r\n\r\n", i));
    }
    expect_metric(&s, "usher_tunnels", 1);
    client_close(c);
    await(scene_metric(&s, "usher_tunnels") == 0);
    await(origin_open_connections(o) == 0);
    scene_end(&s);
}

SCENARIO(websocket, any_octets_pass_in_bulk)
{
    static struct scene s;
    struct client *c;
    char piece[65536], *back;

    begin(&s);
    c = upgraded(&s);
    for (unsigned i = 0; i < sizeof(piece); i++)
        piece[i] = (char)(i * 31 >> 3);
    for (unsigned i = 0; i < 20; i++) {
        client_send_bytes(c, piece, sizeof(piece));
        back = client_read_bytes(c, sizeof(piece));
        cr_assert_arr_eq(back, piece, sizeof(piece));
    }
    scene_end(&s);
}

static void talk_first(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)arg;
    origin_send(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\n\r\nhello with the head");
    while (c->in.len < 6 && inbox_fill(&c->in, AWAIT_MS) > 0)
        continue;
    r->body_read = c->in.len == 6 && memcmp(c->in.bytes, "early!", 6) == 0;
    origin_hang_up(c);
}

SCENARIO(websocket, bytes_behind_either_head_are_the_tunnels_first)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);

    origin_script(o, talk_first, NULL);
    client_send(c, UPGRADE "early!");
    expect_status(client_read_head(c), 101);
    cr_assert_str_eq(client_read_bytes(c, 19), "hello with the head");
    cr_assert(client_ended(c, AWAIT_MS), "the endpoint's end is the client's");
    cr_assert(origin_last(o)->body_read, "what came behind the client's head got lost");
    scene_end(&s);
}

SCENARIO(websocket, a_tunnel_outlives_limits_for_requests)
{
    static struct scene s;
    struct client *c;

    begin(&s);
    c = upgraded(&s);
    client_send(c, "x");
    cr_assert_str_eq(client_read_bytes(c, 1), "x");
    cr_assert(client_silent(c, 1200), "a quiet tunnel stays");
    client_send(c, "y");
    cr_assert_str_eq(client_read_bytes(c, 1), "y");
    scene_end(&s);
}

SCENARIO(websocket, half_a_close_lets_the_other_way_finish)
{
    static struct scene s;
    struct client *c;

    begin(&s);
    c = upgraded(&s);
    client_send(c, "last words");
    client_half_close(c);
    cr_assert_str_eq(client_read_bytes(c, 10), "last words");
    cr_assert(client_ended(c, AWAIT_MS));
    await(scene_metric(&s, "usher_tunnels") == 0);
    scene_end(&s);
}

SCENARIO(websocket, an_endpoint_may_refuse_to_upgrade)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);
    struct response r;

    origin_answers(o, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
    client_send(c, UPGRADE);
    r = client_read(c);
    cr_assert_eq(r.status, 403);
    cr_assert_str_eq(r.text, "no");
    origin_answers(o, NULL);
    cr_assert_eq(client_get(c, "a.test", "/").status, 200, "and HTTP goes on");
    scene_end(&s);
}

SCENARIO(websocket, other_upgrades_are_not_passed_on)
{
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n\r\n", /* Connection is silent */
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Content-Length: 1\r\n\r\nx",
    };
    static struct scene s;
    struct origin *o = begin(&s);

    origin_script(o, NULL, NULL);
    for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        cr_assert_eq(scene_exchange(&s, requests[i]).status, 200, "%u", i);
        cr_assert_null(message_field(origin_last(o)->head, "upgrade"), "%u:\n%s", i,
                       origin_last(o)->head);
        cr_assert_null(message_field(origin_last(o)->head, "http2-settings"), "%u", i);
    }
    scene_end(&s);
}

SCENARIO(websocket, an_upgrade_nobody_asked_for_is_502)
{
    static struct scene s;
    struct origin *o = begin(&s);

    expect_fault(&s, "a.test", "bad_response");
    origin_answers(o, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n"
                      "Connection: Upgrade\r\n\r\n");
    cr_assert_eq(scene_exchange(&s, UPGRADE).status, 502, "not what was asked for");
    scene_end(&s);
}

static void flood(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    (void)arg;
    origin_send(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\n\r\n");
    origin_send_pattern(c, 200u << 20);
    origin_hang_up(c);
}

SCENARIO(websocket, a_slow_reader_of_a_tunnel_makes_no_memory_grow)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c;
    long before, most = 0;

    upgraded(&s);
    before = process_rss_kb(&s.edge.process);
    origin_script(o, flood, NULL);
    c = client_open_narrow(s.edge.at);
    client_send(c, UPGRADE);
    expect_status(client_read_head(c), 101);
    for (unsigned i = 0; i < 50; i++) {
        client_read_bytes(c, 4096);
        if (process_rss_kb(&s.edge.process) > most)
            most = process_rss_kb(&s.edge.process);
        await_nap();
    }
    cr_assert_leq(most - before, edge_has_sanitizer() ? 12000 : 4000, "%ld kB became %ld kB",
                  before, most);
    scene_end(&s);
}
