/* l_drain.c -- ending well: SIGTERM and SIGINT drain, nothing that runs is lost, and it has an end.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: starting (a_starts.c). */
#include "harness/scene.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GET_A "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"

static struct origin *begin(struct scene *s, struct gate *gate, const char *flag, const char *value)
{
    struct origin *o = origin_start("one");

    scene_start(s, .flags = { flag, value });
    scene_host(s, "a.test", o);
    await_get(s, "a.test", "/", 200, "one");
    if (gate != NULL)
        origin_script(o, origin_at_gate, gate);
    return o;
}

static void expect_end(struct scene *s, unsigned ms)
{
    int code = process_wait(&s->edge.process, ms);

    cr_assert_eq(code, 0, "%d (-1: still runs)", code);
}

SCENARIO(drain, an_idle_edge_ends_at_once_with_0)
{
    static const int signals[] = { SIGTERM, SIGINT };

    for (unsigned i = 0; i < 2; i++) {
        static struct scene s;

        begin(&s, NULL, NULL, NULL);
        process_signal(&s.edge.process, signals[i]);
        expect_end(&s, edge_has_sanitizer() ? 3000 : 1000);
        cr_assert_eq(scene_logged(&s, " drain_started "), 1);
        cr_assert_eq(scene_logged(&s, " drain_ended "), 1);
        scene_end(&s);
    }
}

SCENARIO(drain, what_runs_is_finished_and_says_close)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct client *c, *idle;
    struct response r;

    begin(&s, &gate, NULL, NULL);
    idle = scene_open(&s);
    expect_status(client_get(idle, "nobody.test", "/"), 404);
    c = scene_open(&s);
    client_send(c, GET_A);
    await(gate_waiting(&gate) == 1);
    process_signal(&s.edge.process, SIGTERM);
    await(scene_ready(&s) == 503);
    cr_assert(has(client_get_once(s.edge.admin, "x", "/readyz").text, "draining"));
    cr_assert(client_ended(idle, AWAIT_MS), "idle connections are closed");
    await(client_try(s.edge.at) == NULL);
    cr_assert_eq(process_wait(&s.edge.process, 100), PROCESS_STILL_RUNS);
    gate_open(&gate);
    r = client_read(c);
    cr_assert_eq(r.status, 200);
    cr_assert_str_eq(response_field(&r, "connection"), "close");
    cr_assert_str_eq(r.text, "one");
    cr_assert(client_ended(c, AWAIT_MS));
    expect_end(&s, AWAIT_MS);
    scene_end(&s);
}

SCENARIO(drain, a_download_under_way_arrives_whole)
{
    static struct scene s;
    struct client *c;
    struct body body;
    struct response r;
    struct origin *o = begin(&s, NULL, NULL, NULL);
    static char raw[600000];

    memcpy(raw, "HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n", 43);
    pattern_fill(raw + 43, 500000, 0);
    origin_answers(o, raw);
    c = client_open_narrow(s.edge.at);
    client_send(c, GET_A);
    r = client_read_head(c);
    cr_assert_eq(r.status, 200);
    process_signal(&s.edge.process, SIGTERM);
    await(scene_ready(&s) != 200);
    cr_assert(message_body(&c->in, r.head, BODY_ENDS_BY_LENGTH, AWAIT_MS, &body));
    cr_assert(body.pattern && body.bytes == 500000);
    expect_end(&s, AWAIT_MS);
    scene_end(&s);
}

SCENARIO(drain, drain_wait_serves_on_while_readyz_fails)
{
    static struct scene s;
    uint64_t start;

    begin(&s, NULL, "--drain-wait", "700ms");
    start = await_now_ms();
    process_signal(&s.edge.process, SIGTERM);
    await(scene_ready(&s) == 503);
    expect_status(client_get_once(s.edge.admin, "x", "/healthz"), 200);
    for (unsigned i = 0; i < 10; i++)
        expect_get(&s, "a.test", "/", 200, "one");
    cr_assert_lt(await_now_ms() - start, 650, "the test was too slow to say");
    expect_end(&s, AWAIT_MS);
    cr_assert_geq(await_now_ms() - start, 690);
    scene_end(&s);
}

SCENARIO(drain, the_accept_queue_is_taken)
{
    static struct scene s;
    struct client *c[40];
    unsigned good = 0;

    begin(&s, NULL, "--drain-wait", "200ms");
    process_signal(&s.edge.process, SIGTERM);
    await(scene_ready(&s) == 503);
    /* the process stands still, so the kernel alone takes these */
    process_signal(&s.edge.process, SIGSTOP);
    for (unsigned i = 0; i < 40; i++) {
        c[i] = scene_open(&s);
        client_send(c[i], GET_A);
    }
    cr_assert(client_silent(c[0], 300)); /* drain-wait has passed when it goes on */
    process_signal(&s.edge.process, SIGCONT);
    for (unsigned i = 0; i < 40; i++)
        good += client_read(c[i]).status == 200;
    cr_assert_eq(good, 40, "%u of 40", good);
    expect_end(&s, AWAIT_MS);
    scene_end(&s);
}

SCENARIO(drain, drain_timeout_cuts_what_does_not_end)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct client *c;
    uint64_t start;

    begin(&s, &gate, "--drain-timeout", "400ms");
    c = scene_open(&s);
    client_send(c, GET_A);
    await(gate_waiting(&gate) == 1);
    start = await_now_ms();
    process_signal(&s.edge.process, SIGTERM);
    expect_end(&s, AWAIT_MS);
    cr_assert_geq(await_now_ms() - start, 380);
    cr_assert_leq(await_now_ms() - start, edge_has_sanitizer() ? 4000 : 2000);
    cr_assert_neq(client_read(c).status, 200);
    gate_open(&gate);
    scene_end(&s);
}

SCENARIO(drain, tunnels_are_cut_at_the_end)
{
    static struct scene s;
    struct client *c;
    struct origin *o = begin(&s, NULL, "--drain-timeout", "400ms");

    origin_script(o, origin_websocket, NULL);
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n"
                   "Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n");
    expect_status(client_read(c), 101);
    process_signal(&s.edge.process, SIGTERM);
    expect_end(&s, AWAIT_MS);
    cr_assert(client_ended(c, AWAIT_MS));
    scene_end(&s);
}

SCENARIO(drain, a_request_pipelined_behind_the_last_is_not_lost_silently)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct client *c;
    struct response r;

    begin(&s, &gate, NULL, NULL);
    c = scene_open(&s);
    client_send(c, GET_A GET_A);
    await(gate_waiting(&gate) == 1);
    process_signal(&s.edge.process, SIGTERM);
    await(scene_ready(&s) != 200);
    gate_open(&gate);
    r = client_read(c);
    cr_assert_eq(r.status, 200);
    /* either the first says close, and the client knows; or both are answered */
    if (response_field(&r, "connection") == NULL)
        expect_status(client_read(c), 200);
    cr_assert(client_ended(c, AWAIT_MS));
    expect_end(&s, AWAIT_MS);
    scene_end(&s);
}

SCENARIO(drain, no_request_fails_when_an_edge_of_two_ends)
{
    static struct scene s;
    static struct edge other;
    unsigned good = 0, asked = 0;
    uint64_t until;

    begin(&s, NULL, "--drain-wait", "300ms");
    scene_second_edge(&s, &other, NULL);
    process_signal(&s.edge.process, SIGTERM);
    until = await_now_ms() + 600;
    while (await_now_ms() < until) {
        const char *to = scene_ready(&s) == 200 ? s.edge.at : other.at;

        good += client_get_once(to, "a.test", "/").status == 200;
        asked++;
    }
    cr_assert_eq(good, asked);
    expect_end(&s, AWAIT_MS);
    edge_stop(&other);
    edge_free(&other);
    scene_end(&s);
}

SCENARIO(drain, ends_while_redis_is_away_or_stopped)
{
    static struct scene s;

    begin(&s, NULL, NULL, NULL);
    redis_stop(&s.redis);
    process_signal(&s.edge.process, SIGTERM);
    expect_end(&s, 3000);
    redis_kill(&s.redis);
    scene_edge_start_unready(&s);
    process_signal(&s.edge.process, SIGTERM);
    expect_end(&s, 3000);
    scene_end(&s);
}

SCENARIO(drain, a_second_signal_ends_it_at_once)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct client *c;
    int code;

    begin(&s, &gate, NULL, NULL);
    c = scene_open(&s);
    client_send(c, GET_A);
    await(gate_waiting(&gate) == 1);
    process_signal(&s.edge.process, SIGTERM);
    cr_assert(process_awaits_log(&s.edge.process, " drain_started ", AWAIT_MS));
    process_signal(&s.edge.process, SIGINT);
    code = process_wait(&s.edge.process, 1000);
    cr_assert(code == 1 || code == 1000 + SIGINT, "%d", code);
    gate_open(&gate);
    scene_end(&s);
}

/* May this machine's user start a program as PID 1 of a namespace? */
static bool may_unshare(void)
{
    static const char *const argv[] = { "unshare", "--user", "--map-root-user", "--pid", "--fork",
                                        "true",    NULL };

    return process_run(argv, NULL, NULL, NULL) == 0;
}

static pid_t child_of(pid_t parent)
{
    char path[64], text[32] = "";
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
    f = fopen(path, "re");
    cr_assert_not_null(f);
    cr_assert_not_null(fgets(text, sizeof(text), f));
    fclose(f);
    return (pid_t)strtol(text, NULL, 10);
}

SCENARIO(drain, as_pid_1_it_hears_sigterm)
{
    static struct scene s;
    const char *argv[32] = { "unshare", "--user", "--map-root-user",
                             "--pid",   "--fork", "--kill-child" };
    unsigned n = 6;
    static struct process inside;
    int code;

    scene_start(&s, .without_edge = true);
    if (!may_unshare()) {
        /* not cr_log_warn: with a warning the whole run ends with code 1 */
        fprintf(stderr, "no namespaces here: as_pid_1_it_hears_sigterm shows nothing\n");
        scene_end(&s);
        return;
    }
    argv[n++] = edge_program();
    argv[n++] = "serve";
    argv[n++] = "--listen";
    argv[n++] = "127.0.0.1:0";
    argv[n++] = "--admin";
    argv[n++] = "127.0.0.1:0";
    argv[n++] = "--redis";
    argv[n++] = s.options.redis;
    process_start(&inside, argv, NULL, NULL, 0);
    cr_assert(process_awaits_log(&inside, " serving ", AWAIT_MS), "%s", process_log(&inside));
    kill(child_of(inside.pid), SIGTERM);
    code = process_wait(&inside, AWAIT_MS);
    cr_assert_eq(code, 0, "%d: %s", code, process_log(&inside));
    process_free(&inside);
    scene_end(&s);
}

SCENARIO(drain, signals_that_mean_nothing_end_nothing)
{
    static struct scene s;
    struct client *c;

    begin(&s, NULL, NULL, NULL);
    process_signal(&s.edge.process, SIGHUP);
    process_signal(&s.edge.process, SIGPIPE);
    c = scene_open(&s);
    client_send(c, GET_A);
    client_reset(c); /* writing to it is no end either */
    stays(process_wait(&s.edge.process, 0) == PROCESS_STILL_RUNS, 100);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(drain, an_upload_under_way_is_finished)
{
    static struct scene s;
    struct origin *o = begin(&s, NULL, NULL, NULL);
    struct client *c = scene_open(&s);
    struct response r;
    char piece[1000];

    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 20000\r\n\r\n");
    for (unsigned i = 0; i < 20; i++) {
        pattern_fill(piece, sizeof(piece), i * sizeof(piece));
        client_send_bytes(c, piece, sizeof(piece));
        if (i == 3) {
            process_signal(&s.edge.process, SIGTERM);
            await(scene_ready(&s) != 200);
        }
        await_nap();
    }
    r = client_read(c);
    expect_status(r, 200);
    cr_assert_str_eq(response_field(&r, "connection"), "close");
    cr_assert(origin_last(o)->body.whole && origin_last(o)->body.pattern);
    expect_end(&s, AWAIT_MS);
    scene_end(&s);
}

SCENARIO(drain, a_request_that_waits_for_redis_holds_nothing_up)
{
    static struct scene s;
    struct client *c;

    begin(&s, NULL, "--lookup-timeout", "500ms");
    scene_host(&s, "never.seen", origin_start("two"));
    scene_host(&s, "a.test", origin_start("three"));
    await_get(&s, "a.test", "/", 200, "three"); /* so it is told of the other, too */
    redis_stop(&s.redis);
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.1\r\nHost: never.seen\r\n\r\n");
    await(scene_metric(&s, "usher_hosts_waiting") == 1);
    process_signal(&s.edge.process, SIGTERM);
    expect_status(client_read(c), 503);
    expect_end(&s, 3000);
    scene_end(&s);
}
