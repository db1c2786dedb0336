/* upgrade.c -- the old edge: starts the next one, waits for its word, hands over, drains.
 *
 * Owns:    the next edge's process until it serves, and the socket to it.
 * Thread:  control
 * Used by: control.c (SIGUSR2), admin_pages.c (/upgrade).
 * Not here: the new edge's side (takeover.c); how the process is started (spawn.c). */
#include "control/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "control/control_state.h"
#include "control/inherited.h"
#include "control/spawn.h"

#define LET_GO_MS 2000 /* a disk may hold the copy up; then the next edge starts without it */
#define LOOK_MS 20
#define LOOKS_BEFORE_KILL 10
#define COMMAND_MAX (256 * 1024)

/* The socket to the next edge, of which there may be one behind another. */
struct upgrade_talk {
    struct fd_watch watch;
    struct control *control;
    int fd;
};

/* --- what is started --- */

/* Whole, so that it can be started wherever it stands by then; links in it stay links, so that what they
 * point to may change. */
static bool find_program(const char *name, char *to, size_t size)
{
    struct str rest, folder;
    char here[2048] = "";

    if (name[0] == '/')
        return (size_t)snprintf(to, size, "%s", name) < size;
    if (strchr(name, '/') != NULL)
        return getcwd(here, sizeof(here)) != NULL &&
               (size_t)snprintf(to, size, "%s/%s", here, name) < size;
    rest = str_from(getenv("PATH") != NULL ? getenv("PATH") : "/usr/local/bin:/usr/bin:/bin");
    while (str_split(&rest, ':', &folder))
        if (folder.len > 0 && folder.ptr[0] == '/' &&
            (size_t)snprintf(to, size, STR_FMT "/%s", STR_ARG(folder), name) < size &&
            access(to, X_OK) == 0)
            return true;
    return false;
}

/* The words this process was started with, each with a NUL behind it. */
static bool read_command(struct buf *to)
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;

    while (fd >= 0 && to->len < COMMAND_MAX) {
        buf_reserve(to, 4096);
        n = read(fd, to->ptr + to->len, 4096);
        if (n <= 0)
            break;
        to->len += (size_t)n;
    }
    if (fd >= 0)
        close(fd);
    return n == 0 && to->len > 0 && to->ptr[to->len - 1] == '\0';
}

static char **words_of(const struct buf *command)
{
    size_t count = 0;
    char **words;

    for (size_t at = 0; at < command->len; at++)
        count += command->ptr[at] == '\0';
    words = check_alloc((count + 1) * sizeof(*words));
    count = 0;
    for (size_t at = 0; at < command->len; at += strlen(command->ptr + at) + 1)
        words[count++] = command->ptr + at;
    return words;
}

/* Ours; the watchdog's number is this process's, and nobody else's. */
static char **environment_with(char *handover)
{
    size_t count = 0, n = 0;
    char **all;

    while (environ[count] != NULL)
        count++;
    all = check_alloc((count + 2) * sizeof(*all));
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "WATCHDOG_PID=", 13) != 0)
            all[n++] = environ[i];
    all[n] = handover;
    return all;
}

/* In the order that inherited.h says. */
static int *descriptors(const struct control *c, int talk, unsigned *count)
{
    int *fds = check_alloc((c->listen.count + 2) * sizeof(*fds));

    *count = 0;
    fds[(*count)++] = talk;
    if (c->listen.admin >= 0)
        fds[(*count)++] = c->listen.admin;
    for (unsigned i = 0; i < c->listen.count; i++)
        fds[(*count)++] = c->listen.sockets[i].fd;
    return fds;
}

/* -1 with errno. */
static pid_t start_next(struct control *c, int talk)
{
    char handover[80];
    struct buf command = { 0 };
    char **words, **environment;
    unsigned count;
    int *fds;
    pid_t pid;

    if (!read_command(&command)) {
        buf_free(&command);
        errno = E2BIG;
        return -1;
    }
    snprintf(handover, sizeof(handover), INHERITED_VARIABLE "=admin=%u http=%u",
             c->listen.admin >= 0, c->listen.count);
    words = words_of(&command);
    words[0] = c->upgrade.program;
    environment = environment_with(handover);
    fds = descriptors(c, talk, &count);
    pid = spawn_program(c->upgrade.program, words, environment, fds, count);
    free(fds);
    free(environment);
    free(words);
    buf_free(&command);
    return pid;
}

/* --- the socket to it --- */

static void on_talk_closed(struct fd_watch *w)
{
    struct upgrade_talk *talk = w->owner;

    close(talk->fd);
    free(talk);
}

static void end_talk(struct upgrade *u)
{
    if (u->talk != NULL)
        fd_watch_close(&u->talk->watch, on_talk_closed);
    u->talk = NULL;
}

/* --- when it fails --- */

static void failed(struct upgrade *u, const char *reason)
{
    struct control *c = u->control;

    timer_stop(&u->limit);
    end_talk(u);
    if (reason != u->reason)
        snprintf(u->reason, sizeof(u->reason), "%s", reason);
    u->phase = UPGRADE_NONE;
    u->next = 0;
    u->failed++;
    log_line(LOG_ERROR, "upgrade_failed", "reason=\"%s\" ms=%llu", u->reason,
             (unsigned long long)(loop_now_ms(&c->loop) - u->began_ms));
    store_take_back(c->store);
    notify_say(&c->notify, "READY=1\nSTATUS=serving; an upgrade has failed: %s", u->reason);
}

/* What became of it: it has ended by itself, or gets a moment to, or is ended. */
static void look_at_end(struct upgrade *u)
{
    int status = 0;

    if (waitpid(u->next, &status, WNOHANG) == u->next) {
        if (u->reason[0] == '\0' && WIFEXITED(status))
            snprintf(u->reason, sizeof(u->reason), "it ended with exit code %d",
                     WEXITSTATUS(status));
        else if (u->reason[0] == '\0')
            snprintf(u->reason, sizeof(u->reason), "it was ended by signal %d", WTERMSIG(status));
        failed(u, u->reason);
        return;
    }
    if (++u->looks == LOOKS_BEFORE_KILL)
        kill(u->next, SIGKILL);
    timer_set(&u->control->loop, &u->limit, LOOK_MS);
}

/* `reason` "" : its end will tell. */
static void fail(struct upgrade *u, const char *reason, unsigned looks)
{
    snprintf(u->reason, sizeof(u->reason), "%s", reason);
    u->phase = UPGRADE_FAILS;
    u->looks = looks;
    end_talk(u);
    look_at_end(u);
}

/* --- when it is ready --- */

static void hand_over(struct upgrade *u)
{
    struct control *c = u->control;
    char word = TAKEOVER_YOURS;

    timer_stop(&u->limit);
    u->phase = UPGRADE_DONE;
    log_line(LOG_INFO, "upgraded", "pid=%d ms=%llu", (int)u->next,
             (unsigned long long)(loop_now_ms(&c->loop) - u->began_ms));
    store_silence(c->store, true);
    notify_say(&c->notify, "MAINPID=%d\nREADY=1", (int)u->next);
    notify_close(&c->notify);
    if (c->admin != NULL)
        admin_http_deafen(c->admin);
    if (write(u->talk->fd, &word, 1) != 1)
        log_line(LOG_WARN, "upgraded_in_silence", "reason=\"%s\"", strerror(errno));
    end_talk(u);
    drain_hand_over(&c->drain);
}

static void on_next_says(struct fd_watch *w, bool readable, bool writable)
{
    struct upgrade_talk *talk = w->owner;
    struct upgrade *u = &talk->control->upgrade;
    char said = 0;
    ssize_t n;

    (void)readable;
    (void)writable;
    if (u->talk != talk)
        return;
    n = read(talk->fd, &said, 1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == 1 && said == TAKEOVER_READY)
        hand_over(u);
    else
        fail(u, "", 0);
}

/* --- the steps --- */

static void start(struct upgrade *u)
{
    struct control *c = u->control;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
        failed(u, strerror(errno));
        return;
    }
    u->talk = check_alloc(sizeof(*u->talk));
    u->talk->control = c;
    u->talk->fd = ends[0];
    CHECK(fd_watch_open(&u->talk->watch, &c->loop, ends[0], on_next_says, u->talk));
    u->next = start_next(c, ends[1]);
    close(ends[1]);
    if (u->next < 0) {
        snprintf(u->reason, sizeof(u->reason), "it cannot be started: %s", strerror(errno));
        failed(u, u->reason);
        return;
    }
    u->phase = UPGRADE_AWAITS;
    fd_watch_for(&u->talk->watch, true, false);
    timer_set(&c->loop, &u->limit, c->settings->upgrade_timeout_ms);
    log_line(LOG_INFO, "upgrade_started", "pid=%d", (int)u->next);
}

static void on_limit(struct timer *t)
{
    struct upgrade *u = LIST_ITEM(t, struct upgrade, limit);
    char reason[100];

    switch (u->phase) {
    case UPGRADE_LETS_GO:
        start(u);
        break;
    case UPGRADE_AWAITS:
        snprintf(reason, sizeof(reason), "it was not ready within --upgrade-timeout, %llu ms",
                 (unsigned long long)u->control->settings->upgrade_timeout_ms);
        fail(u, reason, LOOKS_BEFORE_KILL - 1);
        break;
    case UPGRADE_FAILS:
        look_at_end(u);
        break;
    default:
        break;
    }
}

void upgrade_init(struct control *c)
{
    struct upgrade *u = &c->upgrade;
    struct buf command = { 0 };
    const char *name = c->settings->binary;

    *u = (struct upgrade){ .control = c };
    timer_init(&u->limit, on_limit);
    if (name[0] == '\0' && read_command(&command))
        name = command.ptr;
    if (!find_program(name, u->program, sizeof(u->program))) {
        ssize_t n = readlink("/proc/self/exe", u->program, sizeof(u->program) - 1);

        u->program[n > 0 ? n : 0] = '\0';
    }
    buf_free(&command);
}

/* NULL, or why not. */
static const char *refusal(const struct control *c)
{
    if (drain_is_on(&c->drain))
        return "this edge is ending";
    if (!c->takeover.serving)
        return "this edge does not serve yet";
    if (c->upgrade.phase != UPGRADE_NONE)
        return "one is under way";
    if (getpid() == 1)
        return "this is process 1: when it ends, all of its container does";
    if (c->upgrade.program[0] == '\0')
        return "the program that this was started as is not found: --binary can name it";
    return NULL;
}

void upgrade_let_go(struct control *c)
{
    if (c->upgrade.phase == UPGRADE_LETS_GO)
        start(&c->upgrade);
}

void upgrade_begin(struct control *c)
{
    struct upgrade *u = &c->upgrade;
    const char *why = refusal(c);
    char text[600];

    if (why != NULL) {
        log_line(LOG_WARN, "upgrade_refused", "reason=\"%s\"", why);
        if (u->phase == UPGRADE_NONE) {
            snprintf(u->reason, sizeof(u->reason), "%s", why);
            u->failed++;
        }
        return;
    }
    u->began_ms = loop_now_ms(&c->loop);
    u->reason[0] = '\0';
    u->phase = UPGRADE_LETS_GO;
    log_line(LOG_INFO, "upgrade_asked", "binary=%s",
             log_quote(str_from(u->program), text, sizeof(text)));
    notify_reloading(&c->notify);
    timer_set(&c->loop, &u->limit, LET_GO_MS);
    store_let_go(c->store);
}

void upgrade_abort(struct control *c)
{
    struct upgrade *u = &c->upgrade;
    int status;

    timer_stop(&u->limit);
    end_talk(u);
    if (u->phase != UPGRADE_AWAITS && u->phase != UPGRADE_FAILS)
        return;
    u->phase = UPGRADE_NONE;
    kill(u->next, SIGKILL);
    waitpid(u->next, &status, 0);
}

/* --- what is told of it --- */

/* When this process was started, in the kernel's ticks: with its number, that is this process and no other. */
static unsigned long long started_ticks(void)
{
    char text[1024], *at;
    unsigned long long ticks = 0;
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    at = strrchr(text, ')');
    for (unsigned i = 0; at != NULL && i < 20; i++)
        at = strchr(at + 1, ' ');
    if (at != NULL)
        ticks = strtoull(at, NULL, 10);
    return ticks;
}

void upgrade_state(const struct control *c, struct buf *json)
{
    static const char *const phases[] = { "none", "started", "started", "failing", "done" };
    const struct upgrade *u = &c->upgrade;

    buf_printf(json,
               "{\"pid\":%d,\"started\":%llu,\"phase\":\"%s\",\"next\":%d,\"failed\":%u,"
               "\"reason\":",
               (int)getpid(), started_ticks(), phases[u->phase], (int)u->next, u->failed);
    buf_add_json(json, str_from(u->reason));
    buf_add_text(json, "}\n");
}
