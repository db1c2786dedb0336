/* w_systemd.c -- what a service manager is told, and the sockets it may hand over.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: upgrades themselves (w_upgrade.c). */
#include "harness/scene.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* --- a manager's ear --- */

struct ear {
    int fd;
    char heard[8192]; /* one datagram behind another, each with an empty line behind it */
};

static void ear_open(struct ear *e, struct scene *s)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };

    snprintf(at.sun_path, sizeof(at.sun_path), "%s/notify", s->dir);
    e->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(e->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    e->heard[0] = '\0';
    s->options.environment[0] = kept_format("NOTIFY_SOCKET=%s", at.sun_path);
}

static bool hears(struct ear *e, const char *text)
{
    size_t len = strlen(e->heard);
    ssize_t n;

    while ((n = recv(e->fd, e->heard + len, sizeof(e->heard) - len - 3, MSG_DONTWAIT)) >= 0) {
        len += (size_t)n;
        memcpy(e->heard + len, "\n\n", 3);
        len += 2;
    }
    return has(e->heard, text);
}

static void forget(struct ear *e)
{
    (void)hears(e, "");
    e->heard[0] = '\0';
}

static void begin(struct scene *s, struct ear *e, bool without_redis)
{
    scene_start(s, .without_edge = true, .without_redis = without_redis, .workers = 1,
                .followed = true);
    ear_open(e, s);
}

SCENARIO(systemd, ready_is_when_it_knows_what_to_serve)
{
    static struct scene s;
    static struct ear ear;

    begin(&s, &ear, true);
    scene_edge_start(&s);
    await(hears(&ear, "STATUS=waiting for Redis"));
    stays(!hears(&ear, "READY=1"), 300);
    redis_restart(&s.redis);
    await(hears(&ear, "READY=1"));
    await(scene_ready(&s) == 200);
    cr_assert_not(hears(&ear, "STOPPING=1"));
    process_signal(&s.edge.process, SIGTERM);
    await(hears(&ear, "STOPPING=1"));
    cr_assert_eq(process_wait(&s.edge.process, AWAIT_MS), 0);
    close(ear.fd);
    scene_end(&s);
}

SCENARIO(systemd, an_upgrade_names_the_process_that_is_the_service_now)
{
    static struct scene s;
    static struct ear ear;

    begin(&s, &ear, false);
    scene_edge_start(&s);
    await(hears(&ear, "READY=1"));
    forget(&ear);
    process_signal(&s.edge.process, SIGUSR2);
    await(hears(&ear, "RELOADING=1\nMONOTONIC_USEC="));
    await(scene_logged(&s, " upgraded pid=") == 1);
    await(hears(&ear, kept_format("MAINPID=%d\nREADY=1", (int)edge_next(&s.edge))));
    edge_follow(&s.edge);
    cr_assert_not(hears(&ear, "STOPPING=1"), "the service goes on:\n%s", ear.heard);
    forget(&ear);
    process_signal(&s.edge.process, SIGTERM);
    await(hears(&ear, "STOPPING=1"));
    cr_assert_eq(process_wait(&s.edge.process, AWAIT_MS), 0);
    close(ear.fd);
    scene_end(&s);
}

SCENARIO(systemd, an_upgrade_that_fails_leaves_the_service_ready)
{
    static struct scene s;
    static struct ear ear;

    begin(&s, &ear, false);
    s.options.flags[0] = "--binary";
    s.options.flags[1] = "/bin/false";
    scene_edge_start(&s);
    await(hears(&ear, "READY=1"));
    forget(&ear);
    process_signal(&s.edge.process, SIGUSR2);
    await(hears(&ear, "READY=1\nSTATUS=serving; an upgrade has failed: it ended with exit code 1"));
    cr_assert(hears(&ear, "RELOADING=1"));
    cr_assert_not(hears(&ear, "MAINPID="), "%s", ear.heard);
    close(ear.fd);
    scene_end(&s);
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;

    for (; (text = strstr(text, part)) != NULL; text += strlen(part))
        count++;
    return count;
}

SCENARIO(systemd, the_watchdog_is_fed_also_by_the_next_process)
{
    static struct scene s;
    static struct ear ear;

    begin(&s, &ear, false);
    s.options.environment[1] = "WATCHDOG_USEC=100000";
    scene_edge_start(&s);
    await((hears(&ear, ""), count_of(ear.heard, "WATCHDOG=1") >= 3));
    process_signal(&s.edge.process, SIGUSR2);
    await(scene_logged(&s, " upgraded pid=") == 1);
    edge_follow(&s.edge);
    forget(&ear);
    await((hears(&ear, ""), count_of(ear.heard, "WATCHDOG=1") >= 3));
    close(ear.fd);
    scene_end(&s);
}

/* --- sockets from a manager --- */

static int open_socket(char at[64], bool listens)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&a, len), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    if (listens)
        cr_assert_eq(listen(fd, 64), 0);
    snprintf(at, 64, "127.0.0.1:%u", ntohs(a.sin_port));
    return fd;
}

static void begin_activated(struct scene *s, char http[64], char admin[64])
{
    scene_start(s, .without_edge = true, .workers = 3);
    s->options.activated[0] = open_socket(http, true);
    s->options.activated[1] = open_socket(admin, true);
    s->options.activated_count = 2;
    s->options.environment[0] = "LISTEN_FDNAMES=http:admin";
}

SCENARIO(systemd, sockets_handed_over_are_served_and_outlive_the_edge)
{
    static struct scene s;
    static char http[64], admin[64];
    struct client *waiting;

    begin_activated(&s, http, admin);
    scene_edge_start(&s);
    cr_assert_str_eq(s.edge.at, http);
    cr_assert_str_eq(s.edge.admin, admin);
    cr_assert_eq(s.edge.listens, 1, "--listen is not bound beside it");
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    process_signal(&s.edge.process, SIGUSR2);
    await(scene_logged(&s, " upgraded pid=") == 1);
    edge_follow(&s.edge);
    cr_assert_eq(scene_metric(&s, "usher_workers"), 3);
    await_get(&s, "a.test", "/", 200, "one");
    edge_stop(&s.edge);
    /* nobody serves, and nobody is refused */
    waiting = client_open(http);
    client_send(waiting, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    cr_assert(client_silent(waiting, 100));
    scene_edge_start(&s);
    expect_status(client_read(waiting), 200);
    close(s.options.activated[0]);
    close(s.options.activated[1]);
    scene_end(&s);
}

SCENARIO(systemd, what_is_no_listening_socket_is_refused)
{
    static struct scene s;
    static struct process p;
    char at[64];
    const char *argv[] = { edge_program(), "serve", "--listen", "127.0.0.1:0",
                           "--admin",      "off",   NULL };
    int fd;

    scene_start(&s, .without_edge = true);
    fd = open_socket(at, false);
    process_start_activated(&p, argv, NULL, NULL, &fd, 1);
    cr_assert_eq(process_wait(&p, AWAIT_MS), 1);
    cr_assert(
        has(process_log(&p), "descriptor 3, which was handed over, is no listening stream socket"),
        "%s", process_log(&p));
    process_free(&p);
    close(fd);
    scene_end(&s);
}

SCENARIO(systemd, sockets_for_another_process_are_left_alone)
{
    static struct scene s;

    scene_start(&s, .without_edge = true);
    s.options.environment[0] = "LISTEN_FDS=1";
    s.options.environment[1] = "LISTEN_PID=1";
    scene_edge_start(&s);
    cr_assert_eq(scene_logged(&s, " inherited=yes"), 0);
    scene_end(&s);
}

/* --- the units --- */

static void write_unit(struct scene *s, const char *name)
{
    const char *argv[] = { "sed", kept_format("s|@PREFIX@|%s|", s->dir),
                           kept_format("setup/systemd/%s", name), NULL };
    char *text;
    FILE *f;

    cr_assert_eq(process_run(argv, NULL, &text, NULL), 0);
    f = fopen(kept_format("%s/%s", s->dir, name), "we");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

SCENARIO(systemd, its_units_are_right)
{
    static struct scene s;
    const char *there[] = { "systemd-analyze", "--version", NULL };
    const char *argv[] = { "systemd-analyze", "verify", "--man=no", NULL, NULL, NULL };
    char *err;
    int code;

    scene_start(&s, .without_edge = true);
    write_unit(&s, "usher.service");
    write_unit(&s, "usher.socket");
    if (process_run(there, NULL, NULL, NULL) != 0) {
        fprintf(stderr, "no systemd-analyze here: its_units_are_right shows nothing\n");
        scene_end(&s);
        return;
    }
    mkdir(kept_format("%s/bin", s.dir), 0700);
    cr_assert_eq(symlink(kept(realpath(edge_program(), NULL)), kept_format("%s/bin/usher", s.dir)),
                 0);
    argv[3] = kept_format("%s/usher.service", s.dir);
    argv[4] = kept_format("%s/usher.socket", s.dir);
    code = process_run(argv, NULL, NULL, &err);
    cr_assert(code == 0 && !has(err, s.dir), "%d: %s", code, err);
    scene_end(&s);
}
