/* aa_harness.c -- the harness against itself and a real redis-server, no edge: what the scenarios
 * stand on.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: the edge. */
#include "harness/scene.h"

#include <stdlib.h>

SCENARIO(harness, client_and_origin_understand_each_other)
{
    struct origin *o = origin_start("one");
    struct client *c = client_open(origin_at(o));
    struct response r = client_get(c, "a.test", "/x");

    cr_assert_eq(r.status, 200);
    cr_assert_str_eq(r.text, "one");
    client_send(c, "POST /y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nAfter: it\r\n\r\n");
    expect_status(client_read(c), 200);
    cr_assert_eq(origin_requests(o), 2);
    cr_assert_eq(origin_connections(o), 1);
    cr_assert_str_eq(origin_last(o)->text, "abcdefg");
    cr_assert_str_eq(origin_last(o)->body.trailers, "After: it\r\n");
    cr_assert_str_eq(origin_last(o)->target, "/y");
    client_close(c);
    origin_stop_all();
    cr_assert_null(client_try(origin_at(o)));
    kept_free();
}

static void cut_short(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)arg;
    (void)r;
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    origin_hang_up(c);
}

SCENARIO(harness, a_body_that_ends_early_is_not_whole)
{
    struct origin *o = origin_start("one");
    struct response r;

    origin_script(o, cut_short, NULL);
    r = client_get_once(origin_at(o), "a.test", "/");
    cr_assert_eq(r.status, 200);
    cr_assert_not(r.body.whole);
    cr_assert_eq(r.body.bytes, 3);
    origin_stop_all();
    kept_free();
}

static void big(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)arg;
    (void)r;
    origin_send(c, "HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n");
    origin_send_pattern(c, 5000000);
}

SCENARIO(harness, the_pattern_shows_what_is_lost)
{
    struct origin *o = origin_start("one");
    char bytes[10000];
    struct response r;

    origin_script(o, big, NULL);
    r = client_get_once(origin_at(o), "a.test", "/");
    cr_assert(r.body.whole && r.body.pattern);
    cr_assert_eq(r.body.bytes, 5000000);
    pattern_fill(bytes, sizeof(bytes), 77);
    cr_assert(pattern_holds(bytes, sizeof(bytes), 77));
    cr_assert_not(pattern_holds(bytes, sizeof(bytes), 78));
    cr_assert_not(pattern_holds(bytes + 4096, 100, 77));
    origin_stop_all();
    kept_free();
}

SCENARIO(harness, redis_is_private_and_comes_back_empty)
{
    static struct scene s;

    scene_start(&s, .without_edge = true, .tcp = true);
    cr_assert_str_eq(scene_redis(&s, "SET k 'two words'"), "OK");
    cr_assert_str_eq(scene_redis(&s, "GET k"), "two words");
    cr_assert_null(scene_redis(&s, "GET other"));
    redis_queue(&s.redis, "HSET h a 1 b 2");
    redis_queue(&s.redis, "INCR n");
    redis_flush(&s.redis);
    cr_assert_str_eq(scene_redis(&s, "HGETALL h"), "a\n1\nb\n2\n");
    cr_assert(has(redis_try(&s.redis, "GET h"), "WRONGTYPE"));
    cr_assert_geq(redis_calls(&s.redis, "hset"), 1);
    redis_restart(&s.redis);
    cr_assert_null(scene_redis(&s, "GET k"));
    scene_end(&s);
}

SCENARIO(harness, an_origin_waits_at_its_gate)
{
    static struct gate gate = GATE_CLOSED;
    struct origin *o = origin_start("late");
    struct client *c = client_open(origin_at(o));

    origin_script(o, origin_at_gate, &gate);
    client_send(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await(gate_waiting(&gate) == 1);
    cr_assert(client_silent(c, 50));
    gate_open(&gate);
    cr_assert_str_eq(client_read(c).text, "late");
    client_close(c);
    origin_stop_all();
    kept_free();
}

SCENARIO(harness, refusing_and_deaf_addresses)
{
    const char *deaf = origin_deaf();

    cr_assert_null(client_try(origin_refusing()));
    cr_assert_neq(deaf[0], 0);
    kept_free();
}

SCENARIO(harness, programs_are_run_and_heard)
{
    const char *const argv[] = { "sh", "-c", "echo out; echo err $USHER_X >&2; exit 3", NULL };
    const char *const more[] = { "USHER_X=y", NULL };
    char *out, *err;

    cr_assert_eq(process_run(argv, more, &out, &err), 3);
    cr_assert_str_eq(out, "out\n");
    cr_assert_str_eq(err, "err y\n");
    kept_free();
}
