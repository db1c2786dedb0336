/* w_upgrade.c -- one process of an edge hands over to the next: nobody is refused, nothing is lost, and what
 * cannot serve changes nothing.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: ending without a successor (l_drain.c); the service manager (w_systemd.c). */
#include "harness/askers.h"
#include "harness/scene.h"
#include "harness/verb.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define GET_A "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"

/* Whatever `--binary` names in these tests: a program that is written anew before each upgrade. */
static const char *program_path(struct scene *s)
{
    return kept_format("%s/next", s->dir);
}

static void write_program(struct scene *s, const char *lines)
{
    const char *path = program_path(s), *beside = kept_format("%s/beside", s->dir);
    FILE *f = fopen(beside, "we");

    cr_assert_not_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", lines);
    fclose(f);
    chmod(beside, 0700);
    cr_assert_eq(rename(beside, path), 0);
}

/* The edge itself, with more flags behind those it had. */
static void write_edge(struct scene *s, const char *more)
{
    char here[1024] = "";

    if (edge_program()[0] != '/')
        cr_assert_not_null(getcwd(here, sizeof(here)));
    write_program(
        s, kept_format("exec %s%s%s \"$@\" %s", here, here[0] ? "/" : "", edge_program(), more));
}

static struct origin *begin(struct scene *s, const char *flag, const char *value)
{
    struct origin *o = origin_start("one");
    unsigned n = 0;

    scene_start(s, .without_edge = true, .workers = 1, .followed = true);
    s->options.flags[n++] = "--binary";
    s->options.flags[n++] = program_path(s);
    if (flag != NULL) {
        s->options.flags[n++] = flag;
        s->options.flags[n++] = value;
    }
    scene_edge_start(s);
    scene_host(s, "a.test", o);
    await_get(s, "a.test", "/", 200, "one");
    write_edge(s, "");
    return o;
}

/* Asks for it, and returns when the next one serves; the old one still finishes what it has. */
static pid_t hand_over(struct scene *s)
{
    unsigned before = scene_logged(s, " upgraded pid=");

    process_signal(&s->edge.process, SIGUSR2);
    await(scene_logged(s, " upgraded pid=") == before + 1);
    return edge_next(&s->edge);
}

static long metric_of(struct scene *s, const char *name)
{
    return (long)scene_metric(s, name);
}

static void upgrade_under_load(struct scene *s, struct askers *askers, unsigned workers)
{
    write_edge(s, kept_format("--workers %u", workers));
    hand_over(s);
    edge_follow(&s->edge);
    askers_await(askers, ASKERS * 20);
    cr_assert_eq(metric_of(s, "usher_workers"), workers);
    cr_assert_gt(metric_of(s, "usher_requests_total{class=\"2xx\"}"), 0);
}

SCENARIO(upgrade, no_connection_is_refused_and_no_request_fails_whatever_the_number_of_workers)
{
    static struct scene s;
    static struct askers askers;
    static const unsigned workers[] = { 3, 2, 1, 2 };

    begin(&s, NULL, NULL);
    askers_start(&askers, &s.edge, "a.test");
    for (unsigned i = 0; i < sizeof(workers) / sizeof(workers[0]); i++)
        upgrade_under_load(&s, &askers, workers[i]);
    askers_end(&askers);
    cr_assert_gt(askers.connections, ASKERS);
    scene_end(&s);
}

SCENARIO(upgrade, what_waits_in_the_queue_is_accepted_by_the_next_one)
{
    static struct scene s;
    struct client *c[40];
    unsigned good = 0;
    pid_t next;

    begin(&s, NULL, NULL);
    next = hand_over(&s);
    edge_follow(&s.edge);
    cr_assert_eq(s.edge.process.pid, next);
    /* the process stands still, so the kernel alone takes these */
    process_signal(&s.edge.process, SIGSTOP);
    for (unsigned i = 0; i < 40; i++) {
        c[i] = scene_open(&s);
        client_send(c[i], GET_A);
    }
    process_signal(&s.edge.process, SIGCONT);
    for (unsigned i = 0; i < 40; i++)
        good += client_read(c[i]).status == 200;
    cr_assert_eq(good, 40, "%u of 40", good);
    scene_end(&s);
}

SCENARIO(upgrade, the_old_one_finishes_what_it_has_and_says_close)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct client *busy, *idle;
    struct origin *o = begin(&s, "--drain-timeout", "10s");
    pid_t old = s.edge.process.pid, next;
    struct response r;

    idle = scene_open(&s);
    expect_status(client_get(idle, "a.test", "/"), 200);
    origin_script(o, origin_at_gate, &gate);
    busy = scene_open(&s);
    client_send(busy, GET_A);
    await(gate_waiting(&gate) == 1);
    next = hand_over(&s);
    cr_assert_neq(next, old);
    cr_assert_eq(kill(old, 0), 0, "it has a request under way");
    cr_assert(has(scene_page(&s, "/upgrade"), kept_format("{\"pid\":%d,", (int)next)));
    cr_assert_eq(scene_ready(&s), 200);
    gate_open(&gate);
    r = client_read(busy);
    cr_assert_eq(r.status, 200);
    cr_assert_str_eq(r.text, "one");
    cr_assert(client_silent(idle, 100), "what is idle is not closed under a request on its way");
    r = client_get(idle, "a.test", "/");
    cr_assert_eq(r.status, 200);
    cr_assert_str_eq(response_field(&r, "connection"), "close");
    cr_assert(client_ended(idle, AWAIT_MS));
    client_close(busy);
    edge_follow(&s.edge);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

static void await_failed(struct scene *s, unsigned count)
{
    await(scene_logged(s, " upgrade_failed ") == count);
}

SCENARIO(upgrade, tunnels_go_on_in_the_old_one_for_their_grace)
{
    static struct scene s;
    struct client *c;
    struct origin *o = begin(&s, "--tunnel-drain", "1500ms");

    origin_script(o, origin_websocket, NULL);
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n"
                   "Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n");
    expect_status(client_read_head(c), 101);
    hand_over(&s);
    client_send(c, "still");
    cr_assert_str_eq(client_read_bytes(c, 5), "still");
    cr_assert_eq(scene_metric(&s, "usher_tunnels"), 0, "the new one has none");
    cr_assert(client_ended(c, AWAIT_MS));
    client_close(c);
    edge_follow(&s.edge);
    scene_end(&s);
}

SCENARIO(upgrade, one_that_fails_changes_nothing)
{
    static const struct {
        const char *lines, *says;
    } programs[] = {
        { "exec false", "it ended with exit code 1" },
        { "kill -SEGV $$", "it was ended by signal 11" },
        { "exec sleep 60", "it was not ready within --upgrade-timeout, 700 ms" },
    };
    static struct scene s;
    unsigned failed = 0;

    begin(&s, "--upgrade-timeout", "700ms");
    for (unsigned i = 0; i < 3; i++) {
        write_program(&s, programs[i].lines);
        process_signal(&s.edge.process, SIGUSR2);
        await_failed(&s, ++failed);
        cr_assert(has(process_log(&s.edge.process), programs[i].says), "%s\n%s", programs[i].says,
                  process_log(&s.edge.process));
        cr_assert(has(scene_page(&s, "/upgrade"), programs[i].says));
        expect_get(&s, "a.test", "/", 200, "one");
        cr_assert_eq(scene_ready(&s), 200);
    }
    unlink(program_path(&s));
    process_signal(&s.edge.process, SIGUSR2);
    await_failed(&s, ++failed);
    cr_assert(has(process_log(&s.edge.process), "it cannot be started: No such file"));
    /* flags that it does not take: its own line is in the log, too */
    write_edge(&s, "--no-such-flag x");
    process_signal(&s.edge.process, SIGUSR2);
    await_failed(&s, ++failed);
    cr_assert(has(process_log(&s.edge.process), "no flag is named"));
    cr_assert(has(process_log(&s.edge.process), "it ended with exit code 2"));
    expect_get(&s, "a.test", "/", 200, "one");
    /* and one that can */
    write_edge(&s, "--upgrade-timeout 60s");
    hand_over(&s);
    edge_follow(&s.edge);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(upgrade, a_second_signal_while_one_is_under_way_is_refused)
{
    static struct scene s;

    begin(&s, NULL, NULL);
    write_program(&s, "exec sleep 60");
    process_signal(&s.edge.process, SIGUSR2);
    await(scene_logged(&s, " upgrade_started ") == 1);
    process_signal(&s.edge.process, SIGUSR2);
    await(scene_logged(&s, " upgrade_refused reason=\"one is under way\"") == 1);
    cr_assert_eq(scene_logged(&s, " upgrade_started "), 1);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s); /* SIGTERM ends the one that never came to serve, too */
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
    char path[64];
    FILE *f;
    int child = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
    f = fopen(path, "re");
    cr_assert_not_null(f);
    cr_assert_eq(fscanf(f, "%d", &child), 1);
    fclose(f);
    return (pid_t)child;
}

SCENARIO(upgrade, process_1_of_a_container_is_not_replaced)
{
    static struct scene s;
    static struct process inside;
    const char *argv[] = { "unshare",      "--user",  "--map-root-user",
                           "--pid",        "--fork",  "--kill-child",
                           edge_program(), "serve",   "--listen",
                           "127.0.0.1:0",  "--admin", "127.0.0.1:0",
                           "--redis",      NULL,      NULL };

    scene_start(&s, .without_edge = true);
    argv[13] = s.options.redis;
    if (!may_unshare()) {
        fprintf(stderr, "no namespaces here: process_1_... shows nothing\n");
        scene_end(&s);
        return;
    }
    process_start(&inside, argv, NULL, NULL, 0);
    cr_assert(process_awaits_log(&inside, " serving ", AWAIT_MS), "%s", process_log(&inside));
    kill(child_of(inside.pid), SIGUSR2);
    cr_assert(process_awaits_log(&inside, " upgrade_refused reason=\"this is process 1", AWAIT_MS));
    kill(child_of(inside.pid), SIGTERM);
    cr_assert_eq(process_wait(&inside, AWAIT_MS), 0);
    process_free(&inside);
    scene_end(&s);
}

SCENARIO(upgrade, sigterm_ends_the_next_one_if_it_does_not_serve_yet)
{
    static struct scene s;
    const char *log, *at;
    pid_t next = 0;

    begin(&s, NULL, NULL);
    write_program(&s, "exec sleep 60");
    process_signal(&s.edge.process, SIGUSR2);
    await(scene_logged(&s, " upgrade_started ") == 1);
    log = process_log(&s.edge.process);
    at = strstr(log, " upgrade_started pid=");
    cr_assert_not_null(at);
    next = (pid_t)strtol(at + strlen(" upgrade_started pid="), NULL, 10);
    process_signal(&s.edge.process, SIGTERM);
    cr_assert_eq(process_wait(&s.edge.process, AWAIT_MS), 0);
    cr_assert_neq(kill(next, 0), 0, "it is left behind");
    scene_end(&s);
}

SCENARIO(upgrade, the_verb_returns_when_the_next_one_serves)
{
    static struct scene s;
    struct verb_said said;
    pid_t old;

    begin(&s, NULL, NULL);
    old = s.edge.process.pid;
    said = verb_say(&s, "upgrade --admin %s", s.edge.admin);
    cr_assert_eq(said.code, 0, "%s", said.err);
    cr_assert_str_eq(said.out, kept_format("process %d serves; process %d finishes what it has\n",
                                           (int)edge_next(&s.edge), (int)old));
    edge_follow(&s.edge);
    write_program(&s, "exit 3");
    said = verb_say(&s, "upgrade --admin %s", s.edge.admin);
    cr_assert_eq(said.code, 1);
    cr_assert_str_eq(said.err,
                     "usher upgrade: the old process serves on: it ended with exit code 3\n");
    expect_get(&s, "a.test", "/", 200, "one");
    said = verb_say(&s, "upgrade --admin 127.0.0.1:1");
    cr_assert_eq(said.code, 1);
    cr_assert_eq(verb_say(&s, "upgrade --admin off").code, 2);
    scene_end(&s);
}

static long number_in(const char *path)
{
    FILE *f = fopen(path, "re");
    long n = 0;

    if (f == NULL)
        return 0;
    if (fscanf(f, "%ld", &n) != 1)
        n = -1;
    fclose(f);
    return n;
}

SCENARIO(upgrade, the_pid_file_names_the_one_that_serves)
{
    static struct scene s;
    struct verb_said said;
    const char *path;
    static char file[100];
    pid_t first;

    begin(&s, NULL, NULL);
    snprintf(file, sizeof(file), "%s/pid", s.dir);
    path = file;
    edge_stop(&s.edge);
    s.options.flags[2] = "--pid-file";
    s.options.flags[3] = path;
    scene_edge_start(&s);
    first = s.edge.process.pid;
    cr_assert_eq(number_in(path), first);
    said = verb_say(&s, "upgrade --pid-file %s", path);
    cr_assert_eq(said.code, 0, "%s", said.err);
    cr_assert_eq(number_in(path), edge_next(&s.edge));
    edge_follow(&s.edge);
    cr_assert_eq(number_in(path), s.edge.process.pid, "the old one does not take it away");
    edge_stop(&s.edge);
    cr_assert_eq(number_in(path), 0, "it goes with the last one");
    cr_assert_eq(verb_say(&s, "upgrade --pid-file %s", path).code, 1);
    scene_end(&s);
}

SCENARIO(upgrade, the_name_passes_on_and_barriers_with_it)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = begin(&s, "--name", "edge1");
    struct client *c;
    pid_t next;

    scene_live(&s);
    origin_script(o, origin_at_gate, &gate);
    c = scene_open(&s);
    client_send(c, GET_A);
    await(gate_waiting(&gate) == 1);
    next = hand_over(&s);
    /* both run: one of them speaks */
    await(strtol(scene_redis(&s, "HGET usher:edge:edge1 pid"), NULL, 10) == next);
    scene_live(&s);
    cr_assert_eq(verb_say(&s, "wait").code, 0);
    gate_open(&gate);
    expect_status(client_read(c), 200);
    client_close(c);
    edge_follow(&s.edge);
    /* the old one's end does not take the name away; and nobody thinks it was taken */
    stays(strtol(scene_redis(&s, "HGET usher:edge:edge1 pid"), NULL, 10) == next, 1500);
    cr_assert_eq(scene_logged(&s, " name_taken "), 0);
    cr_assert_str_eq(scene_redis(&s, "HGET usher:edge:edge1 name_taken"), "0");
    cr_assert_eq(verb_say(&s, "wait").code, 0);
    scene_end(&s);
}

SCENARIO(upgrade, without_redis_the_next_one_has_the_copy)
{
    static struct scene s;
    static char dir[100];

    begin(&s, NULL, NULL);
    snprintf(dir, sizeof(dir), "%s/state", s.dir);
    edge_stop(&s.edge);
    s.options.flags[2] = "--state-dir";
    s.options.flags[3] = dir;
    scene_edge_start(&s);
    await_get(&s, "a.test", "/", 200, "one");
    await(scene_metric(&s, "usher_state_complete") == 1);
    redis_kill(&s.redis);
    /* one that fails gives it back */
    write_program(&s, "exit 1");
    process_signal(&s.edge.process, SIGUSR2);
    await(scene_logged(&s, " upgrade_failed ") == 1);
    await(scene_logged(&s, " state_opened ") == 2);
    expect_get(&s, "a.test", "/", 200, "one");
    write_edge(&s, "");
    hand_over(&s);
    expect_get(&s, "a.test", "/", 200, "one");
    edge_follow(&s.edge);
    expect_get(&s, "a.test", "/", 200, "one");
    cr_assert_eq(scene_logged(&s, " state_unusable "), 0);
    scene_end(&s);
}

SCENARIO(upgrade, the_next_one_serves_if_the_old_one_dies_meanwhile)
{
    static struct scene s;
    char *log;
    pid_t next;

    begin(&s, NULL, NULL);
    /* so late that the old one is gone before it looks */
    write_program(&s, kept_format("while [ ! -e %s/go ]; do sleep 0.02; done\n"
                                  "exec %s/edge \"$@\"",
                                  s.dir, s.dir));
    cr_assert_eq(symlink(kept(realpath(edge_program(), NULL)), kept_format("%s/edge", s.dir)), 0);
    process_signal(&s.edge.process, SIGUSR2);
    await(scene_logged(&s, " upgrade_started ") == 1);
    log = process_log(&s.edge.process);
    next = (pid_t)strtol(strstr(log, " upgrade_started pid=") + strlen(" upgrade_started pid="),
                         NULL, 10);
    process_kill(&s.edge.process);
    fclose(fopen(kept_format("%s/go", s.dir), "we"));
    process_follow(&s.edge.process, next);
    await_get(&s, "a.test", "/", 200, "one");
    await(scene_ready(&s) == 200);
    scene_end(&s);
}

SCENARIO(upgrade, the_program_may_be_replaced_by_a_link_to_another)
{
    static struct scene s;
    static char path[100];

    scene_start(&s, .without_edge = true, .workers = 1, .followed = true);
    snprintf(path, sizeof(path), "%s/usher", s.dir);
    cr_assert_eq(symlink(kept(realpath(edge_program(), NULL)), path), 0);
    s.options.program = path;
    scene_edge_start(&s);
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    write_edge(&s, "--workers 2");
    cr_assert_eq(rename(program_path(&s), path), 0);
    hand_over(&s);
    edge_follow(&s.edge);
    cr_assert_eq(metric_of(&s, "usher_workers"), 2);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}
