/* m_host_watch.c -- modules are watched: how long their hooks take, which of them holds a loop, and which
 * one it was when the edge crashes.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: what hooks do (m_host_hooks.c). */
#include "harness/probe.h"

#include <signal.h>
#include <stdlib.h>

SCENARIO(module_watch, one_that_holds_a_loop_is_named_in_the_log_and_the_metrics)
{
    static const char *const hooks[] = {
        "request=\"when X-Go; spin 60\"",
        "upstream=\"when X-Go; spin 60\"",
        "response=\"when X-Go; spin 60\"",
        "done=\"when X-Go; spin 60\"",
        "request=\"when X-Go; timer 1; wait; spin 60\"",
    };
    static struct scene s;
    char *line;

    probe_start(&s, "probe second", .flags = { "--module-stall", "50ms" });
    for (unsigned i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
        probe_say(&s, kept_format("second probe(%s)", hooks[i]));
        expect_status(probe_get(&s, "/", "X-Go: 1\r\n"), 200);
        cr_assert(
            eventually(scene_metric(&s, "usher_module_stalls_total{module=\"probe\"}") >= i + 1,
                       AWAIT_MS),
            "%s", hooks[i]);
    }
    cr_assert(
        process_awaits_log(&s.edge.process, "module_stalled module=probe held_ms=", AWAIT_MS));
    line = strstr(process_log(&s.edge.process), "module_stalled module=probe held_ms=");
    cr_assert_geq(atoi(line + strlen("module_stalled module=probe held_ms=")), 60);
    cr_assert(has(line, "limit_ms=50 from=/"), "%s", line);
    cr_assert_geq(scene_metric(&s, "usher_module_seconds_total{module=\"probe\"}"), 0.25);
    scene_end(&s);
}

SCENARIO(module_watch, quick_ones_are_not_named)
{
    static struct scene s;

    probe_start(&s, "probe(request=\"timer 100; wait; job 100; wait\")",
                .flags = { "--module-stall", "5s" });
    for (unsigned i = 0; i < 3; i++)
        expect_status(probe_get(&s, "/", ""), 200);
    expect_metric(&s, "usher_module_stalls_total{module=\"probe\"}", 0);
    cr_assert_eq(scene_logged(&s, "module_stalled"), 0);
    cr_assert_leq(scene_metric(&s, "usher_module_seconds_total{module=\"probe\"}"), 0.25);
    scene_end(&s);
}

SCENARIO(module_watch, metrics_of_modules_are_summed_over_workers)
{
    static struct scene s;
    const char *page;

    probe_start(&s, "probe(request=\"count 5; count -2; count 1\")", .workers = 2);
    for (unsigned i = 0; i < 12; i++)
        expect_status(probe_get(&s, "/", ""), 200);
    expect_metric(&s, "usher_module_probe_steps_total", 12 * 6);
    expect_metric(&s, "usher_module_probe_requests_total", 12);
    expect_metric(&s, "usher_module_calls_total{module=\"probe\"}", 12 * 4);
    probe_expect_done(&s, 12);
    page = scene_page(&s, "/metrics");
    cr_assert(has(page, "# TYPE usher_module_probe_open gauge\n"));
    cr_assert(has(page, "# HELP usher_module_probe_requests_total calls of on_request\n"
                        "# TYPE usher_module_probe_requests_total counter\n"));
    scene_end(&s);
}

SCENARIO(module_watch, a_gauge_is_what_is_open_now)
{
    static struct scene s;
    struct client *c[3];

    probe_start(&s, "probe(request=\"timer 60000; wait\")", .workers = 2);
    for (unsigned i = 0; i < 3; i++) {
        c[i] = scene_open(&s);
        client_send(c[i], "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        await(scene_metric(&s, "usher_module_probe_open") == i + 1);
    }
    client_reset(c[0]);
    await(scene_metric(&s, "usher_module_probe_open") == 2);
    scene_end(&s);
}

SCENARIO(module_watch, lines_of_modules_name_them_and_are_bounded)
{
    static struct scene s;
    char steps[800] = "";
    char *line;

    for (unsigned i = 0; i < 60; i++)
        strcat(steps, "log many;");
    probe_start(&s, "probe(request=\"id; log hello \\\\\"there\\\\\"\")");
    expect_status(probe_get(&s, "/", ""), 200);
    cr_assert(process_awaits_log(&s.edge.process, "module module=probe tenant=acme id=", AWAIT_MS));
    line = strstr(process_log(&s.edge.process), "module module=probe tenant=acme id=");
    cr_assert_eq(strspn(strstr(line, "id=") + 3, "0123456789abcdef"), 32, "%s", line);
    cr_assert(has(line, "says=\"hello "), "%s", line);
    probe_say(&s, kept_format("probe(request=\"%s\")", steps));
    for (unsigned i = 0; i < 20; i++)
        expect_status(probe_get(&s, "/", ""), 200);
    cr_assert_geq(scene_logged(&s, "says=\"many\"") + scene_logged(&s, "says=many"), 1);
    cr_assert_leq(scene_logged(&s, "says=\"many\"") + scene_logged(&s, "says=many"), 60 * 20 / 2);
    scene_end(&s);
}

static void expect_last_line(struct scene *s, int signal, const char *name)
{
    int code = process_wait(&s->edge.process, AWAIT_MS);
    char *log, *last;

    cr_assert_eq(code, 1000 + signal, "%d, expected %d", code, 1000 + signal);
    await(s->edge.process.log_ended);
    log = process_log(&s->edge.process);
    log[strlen(log) - 1] = '\0';
    last = strrchr(log, '\n') + 1;
    cr_assert(starts(last, kept_format("error module_crashed module=probe version=1.0 signal=%s "
                                       "from=/",
                                       name)),
              "%s", last);
    s->edge.process.running = false;
}

SCENARIO(module_watch, one_that_crashes_the_edge_is_named_in_its_last_line)
{
    static const struct {
        const char *steps;
        int signal;
        const char *name;
    } rows[] = {
        { "request=\"when X-Go; crash 16\"", SIGSEGV, "SIGSEGV" },
        { "response=\"when X-Go; timer 1; wait; crash 16\"", SIGSEGV, "SIGSEGV" },
        { "request=\"when X-Go; recurse\"", SIGSEGV, "SIGSEGV" },
        { "request=\"when X-Go; job-crash; wait\"", SIGSEGV, "SIGSEGV" },
    };
    static struct scene s;

    probe_start(&s, "second probe");
    if (edge_has_sanitizer()) { /* which has its own word on that, and the last one */
        scene_end(&s);
        return;
    }
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        probe_say(&s, kept_format("second probe(%s)", rows[i].steps));
        expect_status(probe_get(&s, "/", ""), 200);
        client_send(scene_open(&s), "GET / HTTP/1.1\r\nHost: a.test\r\nX-Go: 1\r\n\r\n");
        expect_last_line(&s, rows[i].signal, rows[i].name);
        scene_edge_start(&s); /* and with the same records it serves again */
    }
    scene_redis(&s, "HSET usher:tenant:acme modules probe(crash=on)");
    expect_last_line(&s, SIGABRT, "SIGABRT");
    scene_redis(&s, "HSET usher:tenant:acme modules probe");
    scene_edge_start(&s);
    scene_end(&s);
}
