/* a_starts.c -- the command line, the environment, and what the edge says and opens when it starts.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: ending (l_drain.c); settings' own unit tests. */
#include "harness/scene.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int run_with(const char *const environment[], const char *const *flags, char **out,
                    char **err)
{
    const char *argv[32] = { edge_program() };
    unsigned n = 1;

    while (n < 31 && *flags != NULL)
        argv[n++] = *flags++;
    return process_run(argv, environment, out, err);
}

#define RUN(out, err, ...)                                                                         \
    run_with(NULL, (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL }, out, err)

static unsigned lines_of(const char *text)
{
    unsigned n = 0;

    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

SCENARIO(starts, version_names_the_program_and_its_libraries)
{
    char *out, *err;

    cr_assert_eq(RUN(&out, &err, "--version"), 0);
    cr_assert(starts(out, "usher "), "%s", out);
    cr_assert(has(out, "llhttp") && has(out, "hiredis") && has(out, "libuv"), "%s", out);
    cr_assert_str_eq(err, "");
    kept_free();
}

SCENARIO(starts, help_lists_every_flag_and_its_variable)
{
    static const char *const flags[] = {
        "listen",
        "redis",
        "workers",
        "prefix",
        "admin",
        "log-level",
        "header-timeout",
        "idle-timeout",
        "connect-timeout",
        "response-timeout",
        "upstream-idle-timeout",
        "min-rate",
        "max-head-bytes",
        "max-header-count",
        "max-url-bytes",
        "max-connections",
        "cache-bytes",
        "worker-hosts",
        "max-loss",
        "lookup-timeout",
        "lookup-rate",
        "drain-wait",
        "drain-timeout",
        "access-log",
        "forwarded",
        "cdn-id",
        "name",
    };
    char *out, *err;

    cr_assert_eq(RUN(&out, &err, "--help"), 0);
    cr_assert(has(out, "serve"), "%s", out);
    cr_assert_eq(RUN(&out, &err, "serve", "--help"), 0);
    cr_assert_str_eq(err, "");
    for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        char *variable = kept_format("USHER_%s", flags[i]);

        for (char *c = variable; *c != '\0'; c++)
            *c = (char)(*c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? *c - 32 : *c);
        cr_assert(has(out, kept_format("--%s", flags[i])), "--%s is not in the help", flags[i]);
        cr_assert(has(out, variable), "%s is not in the help", variable);
    }
    kept_free();
}

SCENARIO(starts, a_wrong_flag_or_value_is_one_line_and_exit_2)
{
    static const char *const wrong[][4] = {
        { "serve", "--no-such-flag", "1" },
        { "serve", "--listen", "nonsense" },
        { "serve", "--listen", "127.0.0.1:65536" },
        { "serve", "--listen" },
        { "serve", "--redis", "http://127.0.0.1/" },
        { "serve", "--redis", "redis://127.0.0.1:99999" },
        { "serve", "--workers", "0" },
        { "serve", "--workers", "many" },
        { "serve", "--header-timeout", "10 parsecs" },
        { "serve", "--header-timeout", "-1s" },
        { "serve", "--max-loss", "101" },
        { "serve", "--log-level", "loud" },
        { "serve", "--forwarded", "maybe" },
        { "serve", "--max-head-bytes", "0" },
        { "serve", "stray" },
        { "sreve" },
    };
    char *out, *err;

    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const char *flags[5] = { wrong[i][0], wrong[i][1], wrong[i][2], wrong[i][3], NULL };
        const char *says = wrong[i][1] != NULL ? wrong[i][1] : wrong[i][0];

        cr_assert_eq(run_with(NULL, flags, &out, &err), 2, "%s %s", says,
                     wrong[i][2] ? wrong[i][2] : "");
        cr_assert_eq(lines_of(err), 1, "%s: not one line: %s", says, err);
        cr_assert(has(err, says), "does not say what is wrong (%s): %s", says, err);
        cr_assert_str_eq(out, "");
    }
    kept_free();
}

SCENARIO(starts, a_wrong_variable_is_named_and_exit_2)
{
    const char *const environment[] = { "USHER_WORKERS=many", NULL };
    const char *const flags[] = { "serve", NULL };
    char *err;

    cr_assert_eq(run_with(environment, flags, NULL, &err), 2);
    cr_assert_eq(lines_of(err), 1);
    cr_assert(has(err, "USHER_WORKERS"), "%s", err);
    kept_free();
}

SCENARIO(starts, a_password_is_never_repeated)
{
    char *err;

    cr_assert_eq(RUN(NULL, &err, "serve", "--redis", "redis://u:hush-hush@127.0.0.1:99999"), 2);
    cr_assert_not(has(err, "hush-hush"), "%s", err);
    kept_free();
}

SCENARIO(starts, a_taken_port_is_one_clear_line_and_no_success)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), code;
    char *err, *at;

    cr_assert(bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 1) == 0);
    getsockname(fd, (struct sockaddr *)&a, &len);
    at = kept_format("127.0.0.1:%u", ntohs(a.sin_port));
    code = RUN(NULL, &err, "serve", "--listen", at, "--admin", "127.0.0.1:0", "--redis",
               "redis://127.0.0.1:1");
    cr_assert(code > 0 && code < 128, "ended with %d: %s", code, err);
    cr_assert(has(err, at), "does not name the address: %s", err);
    cr_assert_not(has(err, "serving workers"), "%s", err);
    close(fd);
    kept_free();
}

SCENARIO(starts, serves_what_redis_says_over_a_unix_socket)
{
    static struct scene s;

    scene_start(&s);
    scene_host(&s, "a.test", origin_start("one"));
    scene_live(&s);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(starts, serves_over_tcp_with_password_and_database)
{
    static struct scene s;

    scene_start(&s, .tcp = true, .password = "hush-hush", .db = 3);
    scene_host(&s, "a.test", origin_start("one"));
    scene_live(&s);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "SELECT 0");
    scene_redis(&s, "SET usher:host:b.test 127.0.0.1:1");
    expect_fault(&s, "b.test", "unknown_host");
    cr_assert_eq(scene_logged(&s, "hush-hush"), 0);
    scene_end(&s);
}

SCENARIO(starts, a_wrong_password_never_makes_it_ready)
{
    static struct scene s;

    scene_start(&s, .tcp = true, .password = "right", .without_edge = true);
    s.options.redis = kept_format("redis://:wrong@127.0.0.1:%u/0", s.redis.port);
    scene_edge_start_unready(&s);
    cr_assert(process_awaits_log(&s.edge.process, "store_down", AWAIT_MS));
    stays(scene_ready(&s) == 503, 300);
    expect_fault(&s, "a.test", "store_unavailable");
    scene_end(&s);
}

SCENARIO(starts, the_environment_says_what_flags_can)
{
    static struct scene s;

    scene_start(&s, .without_edge = true);
    s.options = (struct edge_options){
        .bare = true,
        .environment = { "USHER_LISTEN=127.0.0.1:0,127.0.0.1:0", "USHER_ADMIN=127.0.0.1:0",
                         "USHER_WORKERS=1", kept_format("USHER_REDIS=unix://%s", s.redis.socket),
                         "USHER_PREFIX=mine:", "USHER_LOG_LEVEL=debug" },
    };
    scene_edge_start(&s);
    scene_redis(&s, "SET mine:host:a.test %s", origin_at(origin_start("one")));
    cr_assert_eq(s.edge.listens, 2);
    expect_get(&s, "a.test", "/", 200, "one");
    expect_status(client_get_once(s.edge.also[1], "a.test", "/"), 200);
    cr_assert_eq(scene_logged(&s, "serving workers=1"), 1);
    scene_end(&s);
}

SCENARIO(starts, flags_win_over_the_environment)
{
    static struct scene s;

    scene_start(&s, .flags = { "--prefix", "flag:" },
                .environment = { "USHER_PREFIX=variable:", "USHER_WORKERS=7",
                                 "USHER_REDIS=redis://127.0.0.1:1" });
    scene_redis(&s, "SET flag:host:a.test %s", origin_at(origin_start("flag")));
    scene_redis(&s, "SET variable:host:a.test %s", origin_at(origin_start("variable")));
    expect_get(&s, "a.test", "/", 200, "flag");
    cr_assert_eq(scene_logged(&s, "serving workers=2"), 1);
    scene_end(&s);
}

SCENARIO(starts, unknown_variables_are_left_alone)
{
    static struct scene s;

    scene_start(&s, .environment = { "USHER_PORT=tcp://10.0.0.1:80" });
    cr_assert_eq(scene_ready(&s), 200);
    scene_end(&s);
}

SCENARIO(starts, listens_on_several_addresses_and_ipv6)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .flags = { "--listen", "[::1]:0", "--listen", "127.0.0.1:0" });
    cr_assert_eq(s.edge.listens, 3);
    cr_assert(starts(s.edge.also[1], "[::1]:"), "%s", s.edge.also[1]);
    scene_host(&s, "a.test", o);
    scene_live(&s);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_str_eq(client_get_once(s.edge.also[i], "a.test", "/").text, "one");
    client_get_once(s.edge.also[1], "a.test", "/");
    cr_assert_str_eq(message_field(origin_last(o)->head, "x-forwarded-for"), "::1");
    scene_end(&s);
}

SCENARIO(starts, an_ipv6_endpoint_is_reached)
{
    static struct scene s;
    struct origin *o = origin_start_at("six", "[::1]:0");

    scene_start(&s);
    scene_host(&s, "a.test", o);
    scene_live(&s);
    expect_get(&s, "a.test", "/", 200, "six");
    scene_end(&s);
}

SCENARIO(starts, logs_one_line_per_event_with_time_level_and_name)
{
    static struct scene s;
    char *log, *line;
    int year, ms, len;
    char level[16], event[32];

    scene_start(&s);
    cr_assert(process_awaits_log(&s.edge.process, " store_up", AWAIT_MS));
    log = process_log(&s.edge.process);
    for (line = log; *line != '\0'; line += strcspn(line, "\n") + 1) {
        len = 0;
        cr_assert(sscanf(line, "%4d-%*2d-%*2dT%*2d:%*2d:%*2d.%3dZ %15s %31s%n", &year, &ms, level,
                         event, &len) == 4 &&
                      len > 0,
                  "no time, level and event: %.120s", line);
        cr_assert(has(" debug info warn error ", kept_format(" %s ", level)), "%.80s", line);
    }
    cr_assert_eq(scene_logged(&s, " info serving workers=2"), 1);
    cr_assert_eq(scene_logged(&s, " info listening for=http address=127.0.0.1:"), 1);
    cr_assert_eq(scene_logged(&s, " info listening for=admin address=127.0.0.1:"), 1);
    scene_end(&s);
}

SCENARIO(starts, each_worker_serves)
{
    static struct scene s;
    struct client *c[64];

    scene_start(&s, .workers = 4);
    scene_host(&s, "a.test", origin_start("one"));
    scene_live(&s);
    for (unsigned i = 0; i < 64; i++) {
        c[i] = scene_open(&s);
        expect_status(client_get(c[i], "a.test", "/"), 200);
    }
    cr_assert_eq(scene_logged(&s, "serving workers=4"), 1);
    /* a worker's first request for a host is a miss of its own table */
    expect_metric(&s, "usher_host_cache_misses_total", 4);
    expect_metric(&s, "usher_host_cache_hits_total", 60);
    scene_end(&s);
}

SCENARIO(starts, admin_can_be_off)
{
    static struct scene s;

    scene_start(&s, .without_edge = true);
    s.options.bare = true;
    s.options.unready = true;
    memcpy(s.options.flags,
           (const char *[]){ "--listen", "127.0.0.1:0", "--admin", "off", "--workers", "1" },
           6 * sizeof(char *));
    edge_start(&s.edge, s.dir, &s.options);
    cr_assert_eq(s.edge.admin[0], '\0');
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(starts, every_address_of_ipv6_leaves_ipv4_to_another_listener)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    const char *port;

    scene_start(&s, .flags = { "--listen", "[::]:0" });
    port = strrchr(s.edge.also[1], ':') + 1;
    scene_host(&s, "a.test", o);
    scene_live(&s);
    expect_status(client_get_once(kept_format("[::1]:%s", port), "a.test", "/"), 200);
    cr_assert_str_eq(message_field(origin_last(o)->head, "x-forwarded-for"), "::1");
    cr_assert_null(client_try(kept_format("127.0.0.1:%s", port)));
    scene_end(&s);
}

static unsigned threads_of(const struct process *p)
{
    char text[4096] = "", *at;
    FILE *f = fopen(kept_format("/proc/%d/status", (int)p->pid), "re");

    if (f != NULL) {
        (void)!fread(text, 1, sizeof(text) - 1, f);
        fclose(f);
    }
    at = strstr(text, "Threads:");
    return at != NULL ? (unsigned)strtoul(at + 8, NULL, 10) : 0;
}

/* What is written to the log or the access log must not reach a socket that got their number. */
SCENARIO(starts, closed_standard_descriptors_are_nobodys_socket)
{
    static const char *const closed[] = { "0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-" };
    static struct scene s;
    static struct process edge;

    scene_start(&s, .without_edge = true);
    for (unsigned i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
        const char *command = kept_format("exec \"$0\" serve --listen 127.0.0.1:0 --admin "
                                          "127.0.0.1:0 --workers 2 --redis %s %s",
                                          s.options.redis, closed[i]);
        const char *const argv[] = { "sh", "-c", command, edge_program(), NULL };

        process_start(&edge, argv, NULL, NULL, 0);
        await(threads_of(&edge) >= 3); /* it hears signals by then */
        for (int fd = 0; fd <= 2; fd++) {
            char target[64] = "";

            (void)!readlink(kept_format("/proc/%d/fd/%d", (int)edge.pid, fd), target,
                            sizeof(target) - 1);
            cr_assert_not(starts(target, "socket:"), "%s: descriptor %d is %s", closed[i], fd,
                          target);
        }
        process_signal(&edge, SIGTERM);
        cr_assert_eq(process_wait(&edge, AWAIT_MS), 0);
        process_free(&edge);
    }
    scene_end(&s);
}
