/* q_unix.c -- endpoints that are unix sockets: where they may be, and that they are endpoints like any.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: what goes over them (b_proxy_basic.c, q_fastcgi.c). */
#include "harness/scene.h"
#include "harness/verb.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct origin *begin(struct scene *s)
{
    struct origin *o;

    scene_start(s, .workers = 2, .without_edge = true);
    o = origin_start_at("one", kept_format("unix:%s/app.sock", s->dir));
    s->options.flags[0] = "--unix-endpoints";
    s->options.flags[1] = s->dir;
    s->options.flags[2] = "--access-log";
    s->options.flags[3] = kept_format("%s/access.log", s->dir);
    scene_edge_start(s);
    scene_host(s, "a.test", o);
    scene_live(s);
    return o;
}

static const char *text_of(const char *path)
{
    static char text[1 << 16];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

SCENARIO(unix_sockets, are_endpoints_like_any)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct client *c = scene_open(&s);
    struct response got;

    for (unsigned i = 0; i < 5; i++)
        cr_assert_str_eq(client_get(c, "a.test", "/").text, "one");
    cr_assert_eq(origin_connections(o), 1, "it is kept");
    cr_assert(has(scene_page(&s, "/dump/upstreams"), origin_at(o) + 5));
    origin_drop_connections(o);
    cr_assert_str_eq(client_get(c, "a.test", "/").text, "one");
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 500000\r\n\r\n");
    client_send_pattern(c, 500000);
    got = client_read(c);
    expect_status(got, 200);
    cr_assert(origin_last(o)->body.pattern && origin_last(o)->body.bytes == 500000);
    await(has(text_of(kept_format("%s/access.log", s.dir)),
              kept_format("\"endpoint\":\"%s\"", origin_at(o))));
    scene_end(&s);
}

SCENARIO(unix_sockets, one_that_nobody_listens_at_is_refused_and_one_that_comes_back_serves)
{
    static struct scene s;
    struct origin *o = begin(&s);

    expect_get(&s, "a.test", "/", 200, "one");
    origin_stop(o);
    await_fault(&s, "a.test", "connect_failed");
    origin_start_at("two", origin_at(o));
    await_get(&s, "a.test", "/", 200, "two");
    scene_end(&s);
}

SCENARIO(unix_sockets, one_with_a_full_queue_is_busy)
{
    static struct scene s;
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), waiting[8];

    begin(&s);
    snprintf(to.sun_path, sizeof(to.sun_path), "%s/full.sock", s.dir);
    cr_assert_eq(bind(listening, (struct sockaddr *)&to, sizeof(to)), 0);
    cr_assert_eq(listen(listening, 0), 0);
    for (unsigned i = 0; i < 8; i++) {
        waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(waiting[i], (struct sockaddr *)&to, sizeof(to)) != 0)
            break;
    }
    scene_redis(&s, "SET usher:host:full.test unix:%s", to.sun_path);
    scene_live(&s);
    expect_fault(&s, "full.test", "endpoint_busy");
    scene_end(&s);
}

static void expect_refused(struct scene *s, const char *endpoint, const char *reason)
{
    scene_redis(s, "SET usher:host:a.test %s", endpoint);
    cr_assert(eventually(has(scene_redis(s, "HGET usher:errors usher:host:a.test"), reason) &&
                             has(scene_redis(s, "HGET usher:errors usher:host:a.test"), endpoint),
                         AWAIT_MS),
              "%s", scene_redis(s, "HGET usher:errors usher:host:a.test"));
    expect_get(s, "a.test", "/", 200, "one");
}

SCENARIO(unix_sockets, are_only_where_the_edge_is_told_they_may_be)
{
    static struct scene s;
    struct origin *o = begin(&s);

    expect_get(&s, "a.test", "/", 200, "one");
    expect_refused(&s, "unix:/run/docker.sock", "--unix-endpoints");
    expect_refused(&s, kept_format("unix:%s", s.dir), "--unix-endpoints");
    expect_refused(&s, kept_format("unix:%s-more/x.sock", s.dir), "--unix-endpoints");
    expect_refused(&s, kept_format("unix:%s/../x.sock", s.dir), "an absolute path");
    expect_refused(&s, kept_format("unix:%s", s.redis.socket), "not this edge's Redis");
    expect_refused(&s, kept_format("fcgi://unix:%s", "/run/php.sock"), "expected root=");
    scene_host(&s, "a.test", o);
    await(scene_redis(&s, "HGET usher:errors usher:host:a.test") == NULL);
    scene_end(&s);
}

SCENARIO(unix_sockets, are_checked_like_any)
{
    static struct scene s;
    struct origin *o = begin(&s);

    scene_redis(&s, "HSET usher:endpoints:app %s 100", origin_at(o));
    scene_redis(&s, "HSET usher:service:app health_path /ping health_interval 100ms");
    scene_redis(&s, "SET usher:host:a.test service:app");
    scene_live(&s);
    expect_get(&s, "a.test", "/", 200, "one");
    await(origin_requests(o) >= 3 && strcmp(origin_last(o)->target, "/ping") == 0);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(unix_sockets, verbs_judge_and_show_them)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct verb_said v;

    v = verb_run(&s, "explain", "--unix-endpoints", s.dir, "http://a.test/", NULL);
    cr_assert_eq(v.code, 0, "%s%s", v.out, v.err);
    cr_assert(has(v.out, kept_format("to %s", origin_at(o))), "%s", v.out);
    v = verb_run(&s, "check", NULL);
    cr_assert(has(v.out, "--unix-endpoints"), "%s", v.out);
    v = verb_run(&s, "check", "--unix-endpoints", s.dir, NULL);
    cr_assert_eq(v.code, 0, "%s%s", v.out, v.err);
    scene_end(&s);
}
