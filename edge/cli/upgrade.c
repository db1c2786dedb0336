/* upgrade.c -- `usher upgrade`: the running edge starts its new program, and this verb waits until that serves.
 *
 * The signal is what asks for it, so that whoever may end the edge may upgrade it, and nobody else; the admin
 * port, or the pid file, tells which process it is and what came of it.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: the upgrade itself (control/upgrade.c, control/takeover.c). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/admin_client.h"
#include "cli/cli.h"
#include "cli/verb_flags.h"
#include "cli/verb_redis.h"

#define LOOK_MS 25

static const char says[] =
    "Has the edge of this machine start the program that is installed now, with the flags and the\n"
    "environment of the old one (SIGUSR2), and hand over to it: no connection is refused, no request\n"
    "fails. Returns 0 when the new one serves; 1 when the old one had to go on, and why. The old one\n"
    "then finishes what it has, for --drain-timeout and --tunnel-drain at most.\n"
    "The edge is found by its admin port or, if that is said, by its pid file.\n";

/* What /upgrade says, as far as it matters here. */
struct said {
    long pid;
    unsigned long long started;
    unsigned failed;
    char phase[16], reason[300];
};

static int fail(const char *format, const char *what)
{
    fputs("usher upgrade: ", stderr);
    fprintf(stderr, format, what);
    fputc('\n', stderr);
    return CLI_EXIT_FAILED;
}

static void nap(void)
{
    poll(NULL, 0, LOOK_MS);
}

static const char *value_of(const char *json, const char *name)
{
    const char *at = strstr(json, name);

    return at != NULL ? at + strlen(name) : "";
}

/* Its own words, by an edge of about this version: no need for all of JSON. */
static bool read_said(const char *json, struct said *to)
{
    *to = (struct said){ .pid = strtol(value_of(json, "\"pid\":"), NULL, 10) };
    to->started = strtoull(value_of(json, "\"started\":"), NULL, 10);
    to->failed = (unsigned)strtoul(value_of(json, "\"failed\":"), NULL, 10);
    sscanf(value_of(json, "\"phase\":\""), "%15[a-z]", to->phase);
    sscanf(value_of(json, "\"reason\":\""), "%299[^\"]", to->reason);
    return to->pid > 0 && to->phase[0] != '\0';
}

static bool ask(const char *at, struct said *to, char error[ADMIN_ERROR_SIZE])
{
    struct buf body = { 0 };
    unsigned status;
    bool good = admin_ask(at, "GET", "/upgrade", &status, &body, error);

    buf_add(&body, "", 1);
    if (good && (status != 200 || !read_said(body.ptr, to))) {
        snprintf(error, ADMIN_ERROR_SIZE, "%s: it is no edge that can be upgraded", at);
        good = false;
    }
    buf_free(&body);
    return good;
}

/* When a process of this machine was started, in the kernel's ticks; 0: there is none. */
static unsigned long long started_ticks(long pid)
{
    char path[40], text[1024], *at;
    unsigned long long ticks = 0;
    ssize_t n = 0;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, sizeof(text) - 1);
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    at = strrchr(text, ')');
    for (unsigned i = 0; at != NULL && i < 20; i++)
        at = strchr(at + 1, ' ');
    if (at != NULL)
        ticks = strtoull(at, NULL, 10);
    return ticks;
}

static int say_done(long next, long old)
{
    printf("process %ld serves; process %ld finishes what it has\n", next, old);
    return 0;
}

static int by_admin(const char *at, uint64_t until_ms)
{
    char error[ADMIN_ERROR_SIZE];
    struct said before, now;

    if (!ask(at, &before, error))
        return fail("%s", error);
    if (started_ticks(before.pid) != before.started)
        return fail("%s: that edge is no process of this machine", at);
    if (strcmp(before.phase, "none") != 0)
        return fail("%s: an upgrade is under way already", at);
    if (kill((pid_t)before.pid, SIGUSR2) != 0)
        return fail("its process cannot be signalled: %s", strerror(errno));
    while (clock_now_ms() < until_ms) {
        nap();
        if (!ask(at, &now, error)) /* in the moment between the two, perhaps */
            continue;
        if (now.pid != before.pid)
            return say_done(now.pid, before.pid);
        if (now.failed != before.failed)
            return fail("the old process serves on: %s", now.reason);
    }
    return fail("%s: nothing has come of it in time", at);
}

static long read_pid(const char *path)
{
    FILE *f = fopen(path, "re");
    long pid = 0;

    if (f == NULL)
        return 0;
    if (fscanf(f, "%ld", &pid) != 1 || pid < 1)
        pid = 0;
    fclose(f);
    return pid;
}

static int by_pid_file(const char *path, uint64_t until_ms)
{
    long before = read_pid(path), now;

    if (before == 0)
        return fail("%s: it does not hold the number of a process", path);
    if (kill((pid_t)before, SIGUSR2) != 0)
        return fail("its process cannot be signalled: %s", strerror(errno));
    while (clock_now_ms() < until_ms) {
        nap();
        now = read_pid(path);
        if (now != 0 && now != before)
            return say_done(now, before);
    }
    return fail("%s: still the old process; its log says why", path);
}

int upgrade_verb(int argc, char **argv)
{
    uint64_t timeout_ms = 90000;
    const struct verb_flag flags[] = {
        { "timeout", 0, "TIME", VERB_FLAG_TIME, &timeout_ms, "wait no longer (default 90s)" },
        { 0 },
    };
    const struct verb_usage usage = { .line = "upgrade [FLAGS]",
                                      .says = says,
                                      .flags = flags,
                                      .settings = "admin pid-file",
                                      .without_redis = true };
    char at[ADDRESS_TEXT_SIZE];
    struct settings s;
    int code;

    if (!verb_flags_read(&usage, argc, argv, &s, NULL, &code))
        return code;
    if (s.pid_file[0] != '\0')
        return by_pid_file(s.pid_file, clock_now_ms() + timeout_ms);
    if (s.admin_on)
        return by_admin(address_text(&s.admin, at), clock_now_ms() + timeout_ms);
    fputs("usher upgrade: --admin is off: --pid-file must say which process it is\n", stderr);
    return CLI_EXIT_USAGE;
}
