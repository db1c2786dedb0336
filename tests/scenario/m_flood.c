/* m_flood.c -- much at once: connections, workers, changes under load, everything leaving again.
 *
 * Owns:    nothing.
 * Thread:  the test's and a few that ask.
 * Used by: make test.
 * Not here: speed (bench/). */
#include "harness/scene.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct load {
    struct scene *s;
    const char *host;
    atomic_bool stop;
    atomic_uint good, bad;
    char seen[160];
    bool fresh; /* a connection per request */
};

static void *ask(void *owner)
{
    struct load *l = owner;
    struct client *c = l->fresh ? NULL : client_try(l->s->edge.at);

    while (!atomic_load(&l->stop)) {
        struct response r = l->fresh ? scene_get(l->s, l->host, "/") : client_get(c, l->host, "/");

        if (r.status == 200) {
            atomic_fetch_add(&l->good, 1);
        } else if (atomic_fetch_add(&l->bad, 1) == 0) {
            snprintf(l->seen, sizeof(l->seen), "%d %s%s", r.status, response_fault(&r), r.why);
            if (r.status == 0)
                break;
        }
    }
    return NULL;
}

static void start_load(struct load *l, pthread_t *threads, unsigned n, struct scene *s,
                       const char *host)
{
    for (unsigned i = 0; i < n; i++) {
        l[i].s = s;
        l[i].host = host;
        l[i].fresh = i % 2 == 1;
        pthread_create(&threads[i], NULL, ask, &l[i]);
    }
}

static void end_load(struct load *l, pthread_t *threads, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        (void)eventually(atomic_load(&l[i].good) > 50 || atomic_load(&l[i].bad) > 0, AWAIT_MS);
        atomic_store(&l[i].stop, true);
        pthread_join(threads[i], NULL);
        cr_assert_eq(l[i].bad, 0, "%u failed, first: %s", (unsigned)l[i].bad, l[i].seen);
        cr_assert_gt(l[i].good, 50);
    }
}

SCENARIO(flood, changes_under_load_fail_no_request)
{
    static struct scene s;
    static struct load load[4];
    pthread_t threads[4];
    struct origin *o[3];

    scene_start(&s, .flags = { "--log-level", "info" });
    for (unsigned i = 0; i < 3; i++)
        o[i] = origin_start(kept_format("o%u", i));
    scene_redis(&s, "HSET usher:endpoints:web %s 100", origin_at(o[0]));
    scene_redis(&s, "HSET usher:tenant:acme to service:web");
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/", 200, "o0");
    start_load(load, threads, 4, &s, "a.test");
    for (unsigned n = 0; n < 300; n++) {
        scene_redis(&s, "HSET usher:endpoints:web %s %u", origin_at(o[1 + n % 2]), n % 7 + 1);
        if (n % 5 == 0)
            scene_redis(&s, "HDEL usher:endpoints:web %s", origin_at(o[1 + n / 5 % 2]));
        if (n % 11 == 0)
            scene_redis(&s, "HSET usher:service:web balance %s", n % 2 ? "random" : "round-robin");
        if (n % 17 == 0)
            scene_redis(&s, "HSET usher:tenant:acme to '%s %s'", origin_at(o[0]), origin_at(o[1]));
        if (n % 17 == 8)
            scene_redis(&s, "HSET usher:tenant:acme to service:web");
    }
    end_load(load, threads, 4);
    scene_end(&s);
}

SCENARIO(flood, redis_leaving_and_coming_under_load_fails_no_request)
{
    static struct scene s;
    static struct load load[4];
    pthread_t threads[4];
    struct origin *o = origin_start("one");

    scene_start(&s, .flags = { "--log-level", "info" });
    for (unsigned i = 0; i < 20; i++)
        scene_redis(&s, "SET usher:host:h%u.test %s", i, origin_at(o));
    scene_host(&s, "a.test", o);
    await_get(&s, "a.test", "/", 200, "one");
    start_load(load, threads, 4, &s, "a.test");
    for (unsigned round = 0; round < 3; round++) {
        redis_restart(&s.redis); /* comes back empty: held back */
        for (unsigned i = 0; i < 20; i++)
            scene_redis(&s, "SET usher:host:h%u.test %s", i, origin_at(o));
        scene_host(&s, "a.test", o);
        await(scene_metric(&s, "usher_store_up") == 1);
    }
    end_load(load, threads, 4);
    scene_end(&s);
}

SCENARIO(flood, a_thousand_connections_are_served_and_leave_nothing)
{
    static struct scene s;
    struct client *c[1000];
    unsigned good = 0, files = 0;
    long before = 0;

    scene_start(&s, .flags = { "--log-level", "info" });
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 1000; i++)
            c[i] = scene_open(&s);
        for (unsigned i = 0; i < 1000; i++)
            client_send(c[i], "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        good = 0;
        for (unsigned i = 0; i < 1000; i++)
            good += client_read(c[i]).status == 200;
        cr_assert_eq(good, 1000, "%u of 1000", good);
        for (unsigned i = 0; i < 1000; i++)
            client_close(c[i]);
        await(scene_metric(&s, "usher_client_connections") == 0);
        if (round == 0) {
            before = process_rss_kb(&s.edge.process);
            files = process_files(&s.edge.process);
        }
    }
    cr_assert_leq(process_rss_kb(&s.edge.process) - before, edge_has_sanitizer() ? 80000 : 3000);
    cr_assert_leq(process_files(&s.edge.process),
                  files + (unsigned)scene_metric(&s, "usher_upstream_connections{state=\"idle\"}"));
    scene_end(&s);
}

SCENARIO(flood, connections_that_come_and_go_leak_nothing)
{
    static struct scene s;
    unsigned files;

    scene_start(&s, .workers = 1, .flags = { "--log-level", "info" });
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    files = process_files(&s.edge.process);
    for (unsigned i = 0; i < 1000; i++) {
        struct client *c = scene_open(&s);

        if (i % 4 == 0)
            client_send(c, "GET / HTTP/1.1\r\nHo");
        else if (i % 4 == 1)
            client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        else if (i % 4 == 2)
            expect_status(client_get(c, "a.test", "/"), 200);
        if (i % 3 == 0)
            client_reset(c);
        else
            client_close(c);
    }
    await(scene_metric(&s, "usher_client_connections") == 0);
    await(scene_metric(&s, "usher_exchanges") == 0);
    await(process_files(&s.edge.process) <=
          files + scene_metric(&s, "usher_upstream_connections{state=\"idle\"}"));
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(flood, an_idle_edge_uses_no_time)
{
    static struct scene s;
    struct client *c[50];
    long cpu;

    scene_start(&s, .flags = { "--log-level", "info" });
    scene_host(&s, "a.test", origin_start("one"));
    scene_live(&s);
    for (unsigned i = 0; i < 50; i++) {
        c[i] = scene_open(&s);
        expect_status(client_get(c[i], "a.test", "/"), 200);
    }
    cpu = process_cpu_ms(&s.edge.process);
    cr_assert(client_silent(c[0], 1500));
    cr_assert_leq(process_cpu_ms(&s.edge.process) - cpu, edge_has_sanitizer() ? 100 : 40);
    scene_end(&s);
}

SCENARIO(flood, ten_thousand_tenants_are_served_and_moved)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");
    struct client *c;

    scene_start(&s, .flags = { "--log-level", "info" });
    for (unsigned i = 0; i < 10000; i++) {
        redis_queue(&s.redis, "HSET usher:tenant:t%u to %s", i, origin_at(one));
        redis_queue(&s.redis, "SET usher:host:t%u.test tenant:t%u", i, i);
    }
    redis_flush(&s.redis);
    scene_live(&s);
    c = scene_open(&s);
    for (unsigned i = 0; i < 10000; i += 7)
        cr_assert_eq(client_get(c, kept_format("t%u.test", i), "/").status, 200, "t%u", i);
    for (unsigned i = 0; i < 10000; i += 1000)
        scene_redis(&s, "HSET usher:tenant:t%u to %s", i, origin_at(two));
    for (unsigned i = 0; i < 10000; i += 1000)
        await(strcmp(client_get(c, kept_format("t%u.test", i), "/").text, "two") == 0);
    cr_assert_str_eq(client_get(c, "t1.test", "/").text, "one");
    scene_end(&s);
}
