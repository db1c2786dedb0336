/* f_store_wire.c -- between the edge and Redis: a link that freezes, drips or breaks, and a Redis
 * that answers nonsense.
 *
 * Owns:    nothing.
 * Thread:  the test's; the relay's; the nonsense's.
 * Used by: make test.
 * Not here: Redis itself going away (f_store_outage.c). */
#include "harness/relay.h"
#include "harness/scene.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct relay *begin(struct scene *s, const char *flag, const char *value)
{
    struct relay *relay;

    scene_start(s, .without_edge = true, .flags = { flag, value });
    relay = relay_start(kept_format("%s/relay", s->dir), s->redis.socket);
    s->options.redis = kept_format("unix://%s/relay", s->dir);
    scene_edge_start(s);
    return relay;
}

SCENARIO(wire, changes_made_behind_a_frozen_link_are_right_afterwards)
{
    static struct scene s;
    struct relay *relay = begin(&s, NULL, NULL);
    struct origin *one = origin_start("one"), *two = origin_start("two");

    scene_host(&s, "moved.test", one);
    scene_host(&s, "gone.test", one);
    await_get(&s, "moved.test", "/", 200, "one");
    await_get(&s, "gone.test", "/", 200, "one");
    await_fault(&s, "new.test", "unknown_host");
    relay_freeze(relay, true);
    scene_host(&s, "moved.test", two);
    scene_host(&s, "new.test", two);
    scene_redis(&s, "DEL usher:host:gone.test");
    expect_get(&s, "moved.test", "/", 200, "one"); /* nobody can know better */
    cr_assert(process_awaits_log(&s.edge.process, " store_down ", AWAIT_MS));
    expect_get(&s, "moved.test", "/", 200, "one");
    relay_freeze(relay, false);
    await_get(&s, "moved.test", "/", 200, "two");
    await_get(&s, "new.test", "/", 200, "two");
    await_fault(&s, "gone.test", "unknown_host");
    await(scene_metric(&s, "usher_store_suspect") == 0);
    scene_host(&s, "moved.test", one);
    await_get(&s, "moved.test", "/", 200, "one");
    relay_stop(relay);
    scene_end(&s);
}

SCENARIO(wire, a_link_that_never_answers_is_tried_again)
{
    static struct scene s;
    struct relay *relay = begin(&s, NULL, NULL);

    relay_freeze(relay, true);
    relay_cut(relay);
    /* the next connections are accepted, and nothing ever comes */
    await(scene_metric(&s, "usher_store_up") == 0);
    stays(scene_metric(&s, "usher_store_up") == 0, 300);
    expect_fault(&s, "a.test", "store_unavailable");
    relay_freeze(relay, false);
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    relay_stop(relay);
    scene_end(&s);
}

SCENARIO(wire, a_dripping_link_changes_nothing_but_time)
{
    static struct scene s;
    struct relay *relay = begin(&s, NULL, NULL);
    struct origin *o[2] = { origin_start("even"), origin_start("odd") };

    relay_drip(relay, 7);
    for (unsigned i = 0; i < 20; i++) {
        scene_redis(&s, "HSET usher:endpoints:web%u %s 1", i % 2, origin_at(o[i % 2]));
        scene_redis(&s, "HSET usher:tenant:acme to service:web%u", i % 2);
        scene_redis(&s, "SET usher:host:a.test tenant:acme");
        await_get(&s, "a.test", "/", 200, i % 2 == 0 ? "even" : "odd");
    }
    relay_stop(relay);
    scene_end(&s);
}

struct asking {
    struct scene *s;
    atomic_bool stop;
    atomic_uint asked, wrong;
    char seen[100];
};

static void *ask(void *owner)
{
    struct asking *a = owner;
    struct client *c = client_try(a->s->edge.at);

    while (c != NULL && !atomic_load(&a->stop)) {
        struct response r = client_get(c, "a.test", "/");

        atomic_fetch_add(&a->asked, 1);
        if (r.status != 200 && atomic_fetch_add(&a->wrong, 1) == 0)
            snprintf(a->seen, sizeof(a->seen), "%d %s%s", r.status, response_fault(&r), r.why);
        if (r.status == 0)
            break;
    }
    return NULL;
}

/* In each state only one tenant and one service exist; a mixture is a fault. */
static void swap(struct scene *s, unsigned n, struct origin *const o[2])
{
    redis_queue(&s->redis, "MULTI");
    redis_queue(&s->redis, "DEL usher:tenant:t%u usher:endpoints:s%u", (n + 1) % 2, (n + 1) % 2);
    redis_queue(&s->redis, "HSET usher:endpoints:s%u %s 1", n % 2, origin_at(o[n % 2]));
    redis_queue(&s->redis, "HSET usher:tenant:t%u to service:s%u", n % 2, n % 2);
    redis_queue(&s->redis, "SET usher:host:a.test tenant:t%u", n % 2);
    redis_queue(&s->redis, "EXEC");
    redis_flush(&s->redis);
}

SCENARIO(wire, one_change_stays_one_over_a_dripping_link)
{
    static struct scene s;
    static struct asking asking[2];
    struct relay *relay = begin(&s, NULL, NULL);
    struct origin *const o[2] = { origin_start("even"), origin_start("odd") };
    pthread_t threads[2];

    swap(&s, 0, o);
    await_get(&s, "a.test", "/", 200, "even");
    for (unsigned i = 0; i < 2; i++) {
        asking[i].s = &s;
        pthread_create(&threads[i], NULL, ask, &asking[i]);
    }
    for (unsigned n = 1; n <= 600; n++) {
        relay_drip(relay, n % 100 < 50 ? 1 + n % 40 : 200);
        swap(&s, n, o);
        if (n % 3 == 0)
            await(strcmp(scene_get(&s, "a.test", "/").text, n % 2 == 0 ? "even" : "odd") == 0);
        if (n % 250 == 0)
            relay_cut(relay);
    }
    for (unsigned i = 0; i < 2; i++) {
        atomic_store(&asking[i].stop, true);
        pthread_join(threads[i], NULL);
        cr_assert_eq(asking[i].wrong, 0, "%u of %u answers, first: %s", (unsigned)asking[i].wrong,
                     (unsigned)asking[i].asked, asking[i].seen);
    }
    cr_assert_eq(scene_logged(&s, " bad_record "), 0, "a mixture was judged bad");
    cr_assert_gt(scene_metric(&s, "usher_changes_published_total"), 200);
    relay_stop(relay);
    scene_end(&s);
}

/* --- a Redis that answers nonsense --- */

static const char *const nonsense[] = {
    "+OK\r\n",
    "-ERR no\r\n",
    ":1\r\n",
    "$-1\r\n",
    "*-1\r\n",
    "*0\r\n",
    "_\r\n",
    "#t\r\n",
    ",3.5\r\n",
    "%1\r\n+server\r\n+redis\r\n",
    "*2\r\n+a\r\n*1\r\n:5\r\n",
    ">2\r\n$10\r\ninvalidate\r\n:5\r\n+OK\r\n",
    ">2\r\n$10\r\ninvalidate\r\n_\r\n+OK\r\n",
    ">2\r\n$10\r\ninvalidate\r\n*1\r\n$17\r\nusher:host:a.test\r\n+QUEUED\r\n",
    ">1\r\n+what\r\n+PONG\r\n",
    "$5\r\nhello\r\n",
    "(123456789012345678901234567890\r\n",
    "=6\r\ntxt:ab\r\n",
    "~1\r\n:1\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    "garbage without any end",
    "*1000000000\r\n",
    "$999999999999\r\n",
};

struct liar {
    int fd;
    unsigned kind; /* which nonsense first */
    atomic_uint connections;
};

static void *lie(void *owner)
{
    struct liar *l = owner;
    int fd;

    while ((fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct inbox in = { .fd = fd };
        unsigned at = l->kind;

        atomic_fetch_add(&l->connections, 1);
        while (inbox_fill(&in, 200) > 0) {
            /* one answer for each "*" that begins a command, roughly */
            for (size_t i = 0; i < in.len; i++) {
                const char *say = nonsense[l->kind == 99 ? at++ % 23 : l->kind];

                if (in.bytes[i] == '*' && !send_all(fd, say, strlen(say), 1000))
                    break;
            }
            inbox_take(&in, in.len);
        }
        inbox_free(&in);
        close(fd);
    }
    return NULL;
}

SCENARIO(wire, a_redis_that_answers_nonsense_harms_nobody)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    static struct scene s;
    static struct liar liar;
    pthread_t thread;
    const char *believed = "";
    double rss;

    scene_start(&s, .without_edge = true);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s/liar", s.dir);
    liar.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(liar.fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(liar.fd, 8) == 0);
    pthread_create(&thread, NULL, lie, &liar);
    s.options.redis = kept_format("unix://%s", a.sun_path);
    for (unsigned kind = 0; kind <= sizeof(nonsense) / sizeof(nonsense[0]); kind++) {
        unsigned before = atomic_load(&liar.connections);

        liar.kind = kind < sizeof(nonsense) / sizeof(nonsense[0]) ? kind : 99;
        scene_edge_start_unready(&s);
        await(atomic_load(&liar.connections) > before);
        (void)eventually(atomic_load(&liar.connections) > before + 1, 300);
        if (scene_ready(&s) != 503)
            believed = kept_format("%s %u", believed, kind);
        cr_assert_eq(scene_get(&s, "a.test", "/").status, 503, "nonsense %u", kind);
        rss = scene_metric(&s, "process_resident_memory_bytes");
        cr_assert_lt(rss, edge_has_sanitizer() ? 200e6 : 40e6, "nonsense %u: %.0f", kind, rss);
        edge_stop(&s.edge);
    }
    shutdown(liar.fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(liar.fd);
    cr_assert_str_eq(believed, "", "made ready by nonsense%s", believed);
    scene_end(&s);
}

static void *hang_up_at_once(void *owner)
{
    struct liar *l = owner;
    int fd;

    while ((fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        atomic_fetch_add(&l->connections, 1);
        close(fd);
    }
    return NULL;
}

SCENARIO(wire, a_redis_that_hangs_up_at_once_is_asked_less_and_less_often)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    static struct scene s;
    static struct liar liar;
    pthread_t thread;
    unsigned first;

    scene_start(&s, .without_edge = true);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s/liar", s.dir);
    liar.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(liar.fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(liar.fd, 8) == 0);
    pthread_create(&thread, NULL, hang_up_at_once, &liar);
    s.options.redis = kept_format("unix://%s", a.sun_path);
    scene_edge_start_unready(&s);
    await(atomic_load(&liar.connections) >= 2);
    (void)eventually(false, 1500); /* the pace is what is tested */
    first = atomic_load(&liar.connections);
    cr_assert_leq(first, 20, "%u connections", first);
    (void)eventually(false, 1500);
    cr_assert_leq(atomic_load(&liar.connections) - first, 8, "%u more",
                  atomic_load(&liar.connections) - first);
    cr_assert_leq(scene_logged(&s, " store_down "), 1);
    shutdown(liar.fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(liar.fd);
    scene_end(&s);
}
