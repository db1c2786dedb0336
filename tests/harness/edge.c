/* edge.c -- starts the edge, learns its ports from its log, ends it.
 *
 * Owns:    the edge's process.
 * Thread:  the test's.
 * Used by: scene.c.
 * Not here: requests to it (client.c, scene.c). */
#include "harness/edge.h"

#include "harness/await.h"
#include "harness/client.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

const char *edge_program(void)
{
    const char *bin = getenv("USHER_BIN");

    return bin != NULL && bin[0] != '\0' ? bin : "build/usher";
}

bool edge_has_sanitizer(void)
{
    return has(edge_program(), "/asan/") || has(edge_program(), "/tsan/");
}

static void read_addresses(struct edge *e)
{
    const char *line = process_log(&e->process);

    while ((line = strstr(line, " listening for=")) != NULL) {
        char what[16] = "", address[64] = "";

        line += strlen(" listening for=");
        sscanf(line, "%15s address=%63s", what, address);
        if (strcmp(what, "admin") == 0)
            snprintf(e->admin, sizeof(e->admin), "%s", address);
        else if (strcmp(what, "http") == 0 && e->listens < EDGE_LISTENS_MAX)
            snprintf(e->also[e->listens++], sizeof(e->also[0]), "%s", address);
    }
    snprintf(e->at, sizeof(e->at), "%s", e->also[0]);
}

void edge_start(struct edge *e, const char *dir, const struct edge_options *o)
{
    const char *argv[80] = { o->program != NULL ? o->program : edge_program(), "serve" };
    char workers[12];
    unsigned n = 2;

    memset(e, 0, sizeof(*e));
    snprintf(workers, sizeof(workers), "%u", o->workers > 0 ? o->workers : 2);
    snprintf(e->out, sizeof(e->out), "%s/edge-out", dir);
    if (!o->bare) {
        const char *const usual[] = { "--listen",    "127.0.0.1:0", "--admin",
                                      "127.0.0.1:0", "--workers",   workers,
                                      "--log-level", "debug",       "--drain-timeout",
                                      "3s" };

        for (unsigned i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
            argv[n++] = usual[i];
    }
    if (o->redis != NULL) {
        argv[n++] = "--redis";
        argv[n++] = o->redis;
    }
    for (unsigned i = 0; i < 40 && o->flags[i] != NULL; i++)
        argv[n++] = o->flags[i];
    if (o->activated_count > 0)
        process_start_activated(&e->process, argv, o->environment, e->out, o->activated,
                                o->activated_count);
    else if (o->followed)
        process_start_followed(&e->process, argv, o->environment, e->out, o->files);
    else
        process_start(&e->process, argv, o->environment, e->out, o->files);
    cr_assert(process_awaits_log(&e->process, " serving ", AWAIT_MS),
              "the edge does not serve; it says:\n%s", process_log(&e->process));
    read_addresses(e);
    cr_assert_neq(e->at[0], 0, "no listening line");
    if (!o->unready)
        cr_assert(eventually(client_get_once(e->admin, "admin", "/readyz").status == 200, AWAIT_MS),
                  "the edge does not become ready; it says:\n%s", process_log(&e->process));
}

const char *edge_report(struct edge *e)
{
    static const char *const never[] = { "AddressSanitizer", "LeakSanitizer",
                                         "runtime error:", "ThreadSanitizer", "this must hold" };
    const char *log = process_log(&e->process);

    for (unsigned i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        if (has(log, never[i]))
            return strstr(log, never[i]);
    return NULL;
}

pid_t edge_next(struct edge *e)
{
    const char *at = process_log(&e->process), *next;
    pid_t pid = 0;

    while ((next = strstr(at, " upgraded pid=")) != NULL) {
        at = next + strlen(" upgraded pid=");
        pid = (pid_t)strtol(at, NULL, 10);
    }
    return pid;
}

void edge_follow(struct edge *e)
{
    int code = process_wait(&e->process, 20000);

    cr_assert_eq(code, 0, "the old process ended with %d (-1: still runs, 1000 + signal)", code);
    process_follow(&e->process, edge_next(e));
}

void edge_stop(struct edge *e)
{
    int code;

    if (!e->process.running)
        return;
    process_signal(&e->process, SIGTERM);
    code = process_wait(&e->process, 20000);
    cr_assert_null(edge_report(e), "the edge reports: %s", edge_report(e));
    cr_assert_eq(code, 0, "the edge ended with %d (-1: still runs, 1000 + signal)", code);
}

void edge_free(struct edge *e)
{
    process_free(&e->process);
}
