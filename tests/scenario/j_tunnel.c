/* j_tunnel.c -- how long tunnels live, and how they end: silence, draining, an endpoint that goes away.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: the handshake, and bytes on their way (j_websocket.c). */
#include "harness/scene.h"
#include "harness/verb.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define UPGRADE                                                                                    \
    "GET /chat?room=1 HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n"                         \
    "Upgrade: websocket\r\nSec-WebSocket-Key: mine\r\n\r\n"

/* An endpoint that speaks only when spoken to, and remembers how its side of a tunnel ended. */
struct ears {
    atomic_uint politely, rudely;
};

static void listens(struct origin_conn *c, struct origin_request *r, void *arg)
{
    struct ears *ears = arg;

    (void)r;
    origin_send(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\n\r\n");
    while (c->in.len > 0 || inbox_fill(&c->in, 30000) > 0) {
        if (!origin_send_bytes(c, c->in.bytes, c->in.len))
            break;
        inbox_take(&c->in, c->in.len);
    }
    atomic_fetch_add(c->in.reset ? &ears->rudely : &ears->politely, 1);
    c->hung_up = true;
}

static struct client *tunnel_of(struct scene *s)
{
    struct client *c = scene_open(s);

    client_send(c, UPGRADE);
    expect_status(client_read_head(c), 101);
    return c;
}

static void expect_alive(struct client *c)
{
    client_send(c, "ping");
    cr_assert_str_eq(client_read_bytes(c, 4), "ping");
}

static void expect_polite_end(struct client *c)
{
    cr_assert(client_ended(c, AWAIT_MS), "it goes on, or something came");
    cr_assert_not(c->in.reset, "a reset");
}

static void expect_ended(struct scene *s, const char *how, unsigned count)
{
    const char *name = kept_format("usher_tunnels_ended_total{end=\"%s\"}", how);

    await(scene_metric(s, name) == count);
}

static struct origin *begin(struct scene *s, struct ears *ears, const char *flag, const char *value)
{
    struct origin *o = origin_start("one");

    scene_start(s, .workers = 1, .flags = { flag, value });
    scene_host(s, "a.test", o);
    await_get(s, "a.test", "/", 200, "one");
    origin_script(o, listens, ears);
    return o;
}

SCENARIO(tunnel, a_silent_one_is_ended_and_both_sides_are_told)
{
    static struct scene s;
    static struct ears ears;
    struct client *before, *silent, *talks;
    struct verb_said said;
    uint64_t start;

    begin(&s, &ears, NULL, NULL);
    before = tunnel_of(&s);
    scene_redis(&s, "HSET usher:defaults tunnel_timeout 400ms stream_timeout 2m");
    scene_live(&s);
    said = verb_say(&s, "explain http://a.test/chat");
    cr_assert(has(said.out, "tunnel_timeout 400ms  (usher:defaults)"), "%s%s", said.out, said.err);
    cr_assert(has(said.out, "stream_timeout 120s  (usher:defaults)"), "%s", said.out);
    start = await_now_ms();
    silent = tunnel_of(&s);
    talks = tunnel_of(&s);
    for (unsigned i = 0; i < 8; i++) {
        expect_alive(talks);
        poll(NULL, 0, 100); /* the pace is what is tested */
    }
    cr_assert_geq(await_now_ms() - start, 800);
    expect_polite_end(silent);
    client_close(silent);
    expect_alive(talks);
    expect_polite_end(talks);
    client_close(talks);
    expect_ended(&s, "idle", 2);
    await(atomic_load(&ears.politely) == 2);
    expect_alive(before); /* it began under another limit */
    cr_assert_eq(atomic_load(&ears.rudely), 0);
    scene_end(&s);
}

SCENARIO(tunnel, the_flag_holds_where_no_record_says_otherwise)
{
    static struct scene s;
    static struct ears ears;

    begin(&s, &ears, "--tunnel-timeout", "300ms");
    expect_polite_end(tunnel_of(&s));
    expect_ended(&s, "idle", 1);
    scene_redis(&s, "HSET usher:defaults tunnel_timeout 1h");
    scene_live(&s);
    cr_assert(client_silent(tunnel_of(&s), 700));
    scene_end(&s);
}

SCENARIO(tunnel, draining_gives_them_grace_and_then_ends_both_sides_politely)
{
    static struct scene s;
    static struct ears ears;
    struct client *c, *stubborn;
    uint64_t start;

    begin(&s, &ears, "--tunnel-drain", "500ms");
    c = tunnel_of(&s);
    stubborn = tunnel_of(&s);
    start = await_now_ms();
    process_signal(&s.edge.process, SIGTERM);
    await(scene_ready(&s) == 503);
    expect_alive(c);
    expect_polite_end(c);
    cr_assert_geq(await_now_ms() - start, 480, "no grace");
    client_close(c);
    /* the other does not close: it is not waited for without end */
    await(atomic_load(&ears.politely) == 2);
    cr_assert_eq(process_wait(&s.edge.process, AWAIT_MS), 0);
    cr_assert(client_ended(stubborn, AWAIT_MS));
    cr_assert_eq(atomic_load(&ears.rudely), 0);
    scene_end(&s);
}

SCENARIO(tunnel, they_may_outlive_what_is_cut_at_drain_timeout)
{
    static struct scene s;
    static struct ears ears;
    static struct gate gate = GATE_CLOSED;
    struct client *c, *request;
    struct origin *o;

    o = origin_start("one");
    scene_start(&s, .workers = 1,
                .flags = { "--drain-timeout", "300ms", "--tunnel-drain", "1500ms" });
    scene_host(&s, "a.test", o);
    await_get(&s, "a.test", "/", 200, "one");
    origin_script(o, listens, &ears);
    c = tunnel_of(&s);
    origin_script(o, origin_at_gate, &gate);
    request = scene_open(&s);
    client_send(request, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await(gate_waiting(&gate) == 1);
    process_signal(&s.edge.process, SIGTERM);
    cr_assert_neq(client_read(request).status, 200);
    expect_alive(c);
    gate_open(&gate);
    client_close(request);
    expect_polite_end(c);
    client_close(c);
    cr_assert_eq(process_wait(&s.edge.process, AWAIT_MS), 0);
    scene_end(&s);
}

SCENARIO(tunnel, a_change_of_the_tenant_leaves_it_alone)
{
    static struct scene s;
    static struct ears ears;
    struct origin *o = origin_start("one");
    struct client *c;

    scene_start(&s, .workers = 1);
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(o));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/", 200, "one");
    origin_script(o, listens, &ears);
    c = tunnel_of(&s);
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(origin_start("two")));
    await_get(&s, "a.test", "/", 200, "two");
    expect_alive(c);
    scene_redis(&s, "HSET usher:tenant:acme status suspended");
    await_fault(&s, "a.test", "suspended");
    expect_alive(c);
    scene_redis(&s, "DEL usher:tenant:acme usher:host:a.test");
    await_fault(&s, "a.test", "unknown_host");
    expect_alive(c);
    scene_end(&s);
}

/* Two tunnels, to one endpoint of a service each. */
static void begin_service(struct scene *s, struct ears *ears, struct origin *o[2],
                          struct client *c[2])
{
    o[0] = origin_start("one");
    o[1] = origin_start("two");
    scene_start(s, .workers = 1);
    scene_endpoint(s, "web", o[0]);
    scene_redis(s, "SET usher:host:a.test service:web");
    await_get(s, "a.test", "/", 200, "one");
    origin_script(o[0], listens, ears);
    origin_script(o[1], listens, ears);
    c[0] = tunnel_of(s);
    scene_redis(s, "HSET usher:endpoints:web %s 100 %s 0", origin_at(o[1]), origin_at(o[0]));
    scene_live(s);
    c[1] = tunnel_of(s);
    cr_assert_eq(origin_requests(o[1]), 1);
}

SCENARIO(tunnel, without_a_word_it_finishes_when_its_endpoint_is_taken_away)
{
    static struct scene s;
    static struct ears ears;
    struct origin *o[2];
    struct client *c[2];

    begin_service(&s, &ears, o, c);
    scene_redis(&s, "HDEL usher:endpoints:web %s", origin_at(o[0]));
    scene_live(&s);
    expect_alive(c[0]);
    expect_alive(c[1]);
    scene_redis(&s, "DEL usher:endpoints:web");
    scene_live(&s);
    expect_alive(c[0]);
    expect_alive(c[1]);
    scene_end(&s);
}

SCENARIO(tunnel, where_its_service_says_cut_it_ends_with_its_endpoint)
{
    static struct scene s;
    static struct ears ears;
    struct origin *o[2];
    struct client *c[2];

    begin_service(&s, &ears, o, c);
    scene_redis(&s, "HSET usher:service:web tunnels cut");
    scene_live(&s);
    expect_alive(c[0]); /* of weight 0, but there */
    scene_redis(&s, "HDEL usher:endpoints:web %s", origin_at(o[0]));
    expect_polite_end(c[0]);
    expect_ended(&s, "endpoint_removed", 1);
    expect_alive(c[1]);
    scene_redis(&s, "HSET usher:endpoints:web %s 7", origin_at(o[1]));
    scene_live(&s);
    expect_alive(c[1]);
    /* and with all of its service */
    scene_redis(&s, "DEL usher:endpoints:web usher:service:web");
    expect_polite_end(c[1]);
    expect_ended(&s, "endpoint_removed", 2);
    await(atomic_load(&ears.politely) == 2);
    cr_assert_eq(atomic_load(&ears.rudely), 0);
    scene_end(&s);
}

SCENARIO(tunnel, it_is_a_load_of_its_endpoint_as_long_as_it_lasts)
{
    static struct scene s;
    static struct ears ears[2];
    struct origin *o[2] = { origin_start("one"), origin_start("two") };
    struct client *c[6];

    scene_start(&s, .workers = 1);
    scene_endpoint(&s, "web", o[0]);
    scene_endpoint(&s, "web", o[1]);
    scene_redis(&s, "HSET usher:service:web balance least-conn");
    scene_redis(&s, "SET usher:host:a.test service:web");
    scene_live(&s);
    for (unsigned i = 0; i < 2; i++)
        origin_script(o[i], listens, &ears[i]);
    for (unsigned i = 0; i < 4; i++)
        c[i] = tunnel_of(&s);
    cr_assert_eq(origin_requests(o[0]), 2);
    cr_assert_eq(origin_requests(o[1]), 2);
    /* when one endpoint has lost its own, it gets the next two */
    for (unsigned i = 0; i < 4; i++)
        if (c[i] != NULL && i % 2 == 0)
            client_close(c[i]);
    expect_ended(&s, "closed", 2);
    c[4] = tunnel_of(&s);
    c[5] = tunnel_of(&s);
    cr_assert_eq(origin_requests(o[0]) + origin_requests(o[1]), 6);
    cr_assert_eq(origin_open_connections(o[0]), 2);
    cr_assert_eq(origin_open_connections(o[1]), 2);
    expect_alive(c[1]);
    expect_alive(c[5]);
    scene_end(&s);
}

static unsigned lines_in(const char *path, char *last, size_t size)
{
    FILE *f = fopen(path, "re");
    unsigned lines = 0;

    if (f == NULL)
        return 0;
    while (fgets(last, (int)size, f) != NULL)
        lines++;
    fclose(f);
    return lines;
}

SCENARIO(tunnel, its_line_in_the_access_log_comes_at_its_end)
{
    static struct scene s;
    static struct ears ears;
    struct origin *o = origin_start("one");
    static char line[2000];
    struct client *c;

    scene_start(&s, .workers = 1, .flags = { "--access-log", "-" });
    scene_host(&s, "a.test", o);
    scene_live(&s);
    origin_script(o, listens, &ears);
    c = tunnel_of(&s);
    client_send(c, "four");
    cr_assert_str_eq(client_read_bytes(c, 4), "four");
    cr_assert_eq(lines_in(s.edge.out, line, sizeof(line)), 0, "%s", line);
    poll(NULL, 0, 120); /* its duration is what is looked at */
    client_close(c);
    await(lines_in(s.edge.out, line, sizeof(line)) == 1);
    cr_assert(has(line, "\"client\":\"127.0.0.1\",\"host\":\"a.test\",\"method\":\"GET\""), "%s",
              line);
    cr_assert(has(line, "\"path\":\"/chat\",\"query\":\"room=1\",\"status\":101"), "%s", line);
    cr_assert(has(line, "\"tunnel\":\"closed\",\"bytes_in\":4,\"bytes_out\":4,\"ms\":"), "%s",
              line);
    cr_assert_geq(strtod(strstr(line, "\"ms\":") + 5, NULL), 110);
    scene_end(&s);
}

SCENARIO(tunnel, what_they_carry_and_hold_is_counted)
{
    static struct scene s;
    static struct ears ears;
    struct client *c[3];

    begin(&s, &ears, NULL, NULL);
    for (unsigned i = 0; i < 3; i++) {
        c[i] = tunnel_of(&s);
        expect_alive(c[i]);
    }
    cr_assert_eq(scene_metric(&s, "usher_tunnels"), 3);
    expect_metric(&s, "usher_tunnel_bytes_total{from=\"client\"}", 12);
    expect_metric(&s, "usher_tunnel_bytes_total{from=\"endpoint\"}", 12);
    cr_assert_gt(scene_metric(&s, "usher_tunnel_memory_bytes"), 3 * 500);
    cr_assert_lt(scene_metric(&s, "usher_tunnel_memory_bytes"), 3 * 3000);
    client_close(c[0]);
    expect_ended(&s, "closed", 1);
    client_send(c[1], "unread");
    client_reset(c[1]);
    expect_ended(&s, "broken", 1);
    client_close(c[2]);
    expect_ended(&s, "closed", 2);
    expect_metric(&s, "usher_tunnels", 0);
    expect_metric(&s, "usher_tunnel_memory_bytes", 0);
    scene_end(&s);
}

#define MANY 300

SCENARIO(tunnel, an_idle_one_holds_little_memory)
{
    static struct scene s;
    static struct ears ears;
    static struct client *c[MANY];
    long before, after;

    begin(&s, &ears, NULL, NULL);
    for (unsigned i = 0; i < 20; i++) /* what is held for all of them, however many */
        expect_alive(tunnel_of(&s));
    before = process_rss_kb(&s.edge.process);
    for (unsigned i = 0; i < MANY; i++)
        c[i] = tunnel_of(&s);
    after = process_rss_kb(&s.edge.process);
    expect_alive(c[0]);
    if (!edge_has_sanitizer())
        cr_assert_leq(after - before, MANY * 4, "%ld kB for %u", after - before, MANY);
    scene_end(&s);
}
