/* o_barrier.c -- `usher wait` and `usher edges`: what was written is served by every worker of every
 * edge when they say so, and who is missing is named. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/sentinel.h"

#define CLIENTS 8 /* for each edge: they land on both of its workers */

struct said {
    int code;
    char *out, *err;
};

/* usher WORDS..., against the scene's Redis. */
static struct said usher(struct scene *s, ...) __attribute__((sentinel));
static struct said usher(struct scene *s, ...)
{
    const char *argv[24] = { edge_program() };
    const char *environment[] = { kept_format("USHER_REDIS=%s", s->options.redis), NULL };
    struct said said;
    unsigned n = 1;
    va_list words;

    va_start(words, s);
    while (n < 23 && (argv[n] = va_arg(words, const char *)) != NULL)
        n++;
    va_end(words);
    said.code = process_run(argv, environment, &said.out, &said.err);
    return said;
}

static void expect_applied(struct said w, unsigned edges)
{
    const char *text =
        kept_format(edges == 1 ? "%u edge has applied" : "%u edges have applied", edges);

    cr_assert_eq(w.code, 0, "exit %d: %s", w.code, w.err);
    cr_assert(starts(w.out, text), "not \"%s\": %s", text, w.out);
}

static void expect_missing(struct said w, const char *name, const char *why)
{
    cr_assert_eq(w.code, 1, "exit %d: %s", w.code, w.out);
    cr_assert(has(w.err, kept_format("%s: ", name)), "%s is not named: %s", name, w.err);
    cr_assert(has(w.err, why), "not \"%s\": %s", why, w.err);
}

/* The scene's edge is "one"; another beside it. */
static void start_two(struct scene *s, struct edge *two)
{
    scene_start(s, .flags = { "--name", "one" });
    scene_second_edge(s, two, "--name", "two", NULL);
    expect_applied(usher(s, "wait", "--edges", "2", NULL), 2);
}

static void end_two(struct scene *s, struct edge *two)
{
    if (two->process.running)
        edge_stop(two);
    edge_free(two);
    scene_end(s);
}

struct writer {
    struct redis redis;
    pthread_t thread;
    bool stop;
};

/* Others write all the while: a new host each time, and a tenant that many edges look at. */
static void *write_noise(void *arg)
{
    struct writer *w = arg;

    for (unsigned i = 0; !__atomic_load_n(&w->stop, __ATOMIC_RELAXED); i++) {
        for (unsigned n = 0; n < 20; n++)
            redis_queue(&w->redis, "SET usher:host:noise%u.test 127.0.0.1:%u", (i * 20 + n) % 3000,
                        1 + i % 60000);
        redis_queue(&w->redis, "HSET usher:tenant:noise to 127.0.0.1:%u", 1 + i % 60000);
        redis_flush(&w->redis);
        await_nap();
    }
    return NULL;
}

static void open_clients(struct client **clients, struct edge *e)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = client_open(e->at);
        expect_status(client_get(clients[i], "a.test", "/"), 200);
    }
}

/* Who answers changes by a way of its own each time. */
static void write_change(struct scene *s, unsigned i, const struct origin *o)
{
    const char *at = origin_at(o);

    if (i % 4 == 0) {
        scene_redis(s, "SET usher:host:a.test %s", at);
    } else if (i % 4 == 1) {
        scene_redis(s, "HSET usher:tenant:acme to %s", at);
        scene_redis(s, "SET usher:host:a.test tenant:acme");
    } else if (i % 4 == 2) {
        scene_redis(s, "HSET usher:tenant:acme to %s", at);
    } else {
        scene_redis(s, "MULTI");
        scene_redis(s, "SET usher:host:a.test service:web");
        scene_redis(s, "DEL usher:endpoints:web");
        scene_redis(s, "HSET usher:endpoints:web %s 100", at);
        scene_redis(s, "EXEC");
    }
}

/* As `usher wait` does, without a process of its own. */
static void wait_for_both(struct scene *s)
{
    char *token = scene_redis(s, "XADD usher:barrier MAXLEN ~ 1000 * by test");

    for (unsigned i = 0; i < 2; i++)
        cr_assert_not_null(scene_redis(s, "BLPOP usher:ack:%s 8", token), "no word of %s", token);
}

static void expect_from_all(struct client **clients, unsigned count, const char *name, unsigned i)
{
    for (unsigned n = 0; n < count; n++) {
        struct response r = client_get(clients[n], "a.test", "/");

        cr_assert(r.status == 200 && strcmp(r.text, name) == 0,
                  "change %u, client %u: %d \"%s\", not \"%s\"", i, n, r.status, r.text, name);
    }
}

SCENARIO(barrier, no_worker_serves_anything_older_once_it_is_acknowledged)
{
    static struct scene s;
    static struct writer noise;
    struct edge two = { 0 };
    struct client *clients[2 * CLIENTS];
    struct origin *origins[2] = { origin_start("left"), origin_start("right") };

    start_two(&s, &two);
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(origins[0]));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    wait_for_both(&s);
    open_clients(clients, &s.edge);
    open_clients(clients + CLIENTS, &two);
    redis_join(&noise.redis, &s.redis);
    await_thread(&noise.thread, write_noise, &noise);
    for (unsigned i = 0; i < 400; i++) {
        struct origin *o = origins[i / 2 % 2];

        write_change(&s, i, o);
        if (i % 20 == 0)
            expect_applied(usher(&s, "wait", NULL), 2);
        else
            wait_for_both(&s);
        expect_from_all(clients, 2 * CLIENTS, o == origins[0] ? "left" : "right", i);
    }
    __atomic_store_n(&noise.stop, true, __ATOMIC_RELAXED);
    pthread_join(noise.thread, NULL);
    redis_free(&noise.redis);
    end_two(&s, &two);
}

SCENARIO(barrier, a_paused_edge_is_named_and_once_it_runs_again_it_has_applied_it)
{
    static struct scene s;
    struct edge two = { 0 };
    struct said w;

    start_two(&s, &two);
    process_signal(&two.process, SIGSTOP);
    w = usher(&s, "wait", "--timeout", "300ms", NULL);
    expect_missing(w, "two", "last seen");
    cr_assert(has(w.err, "1 edge has so far"), "%s", w.err);
    cr_assert_not(has(w.err, "one: "), "%s", w.err);
    w = usher(&s, "wait", "--timeout", "300ms", "--json", NULL);
    cr_assert_eq(w.code, 1);
    cr_assert(has(w.out, "\"complete\":false") && has(w.out, "\"applied\":[\"one\"]") &&
                  has(w.out, "\"missing\":[{\"id\":\"two\""),
              "%s", w.out);
    process_signal(&two.process, SIGCONT);
    expect_applied(usher(&s, "wait", NULL), 2);
    end_two(&s, &two);
}

SCENARIO(barrier, a_killed_edge_counts_until_it_is_forgotten)
{
    static struct scene s;
    struct edge two = { 0 };
    struct said w;

    start_two(&s, &two);
    process_kill(&two.process);
    expect_missing(usher(&s, "wait", "--timeout", "200ms", NULL), "two", "last seen");
    scene_redis(&s, "DEL usher:edge:two"); /* as when its time to live has run out */
    w = usher(&s, "wait", "--timeout", "200ms", NULL);
    expect_missing(w, "two", "its record has run out");
    cr_assert(has(w.err, "usher edges forget two"), "%s", w.err);
    w = usher(&s, "edges", NULL);
    cr_assert(has(w.out, "two") && has(w.out, "silent"), "%s", w.out);
    w = usher(&s, "edges", "forget", "three", NULL);
    cr_assert_eq(w.code, 1);
    cr_assert(has(w.err, "three"), "%s", w.err);
    w = usher(&s, "edges", "forget", "two", NULL);
    cr_assert_eq(w.code, 0, "%s", w.err);
    expect_applied(usher(&s, "wait", NULL), 1);
    end_two(&s, &two);
}

SCENARIO(barrier, one_that_was_not_seen_for_an_hour_counts_no_more)
{
    static struct scene s;
    char *now;

    scene_start(&s, .flags = { "--name", "one" });
    now = scene_redis(&s, "TIME");
    scene_redis(&s, "ZADD usher:edges %lld000 dead", atoll(now) - 3700);
    scene_redis(&s, "ZADD usher:edges %lld000 silent", atoll(now) - 3500);
    expect_missing(usher(&s, "wait", "--timeout", "200ms", NULL), "silent", "run out");
    scene_redis(&s, "ZREM usher:edges silent");
    expect_applied(usher(&s, "wait", NULL), 1);
    cr_assert(has(usher(&s, "edges", NULL).out, "dead"));
    scene_end(&s);
}

SCENARIO(barrier, an_edge_that_ends_well_signs_off)
{
    static struct scene s;
    struct edge two = { 0 };

    start_two(&s, &two);
    edge_stop(&two);
    cr_assert_null(scene_redis(&s, "ZSCORE usher:edges two"));
    cr_assert_str_eq(scene_redis(&s, "EXISTS usher:edge:two"), "0");
    expect_applied(usher(&s, "wait", NULL), 1);
    end_two(&s, &two);
}

SCENARIO(barrier, with_no_edge_there_it_fails)
{
    static struct scene s;
    struct said w;

    scene_start(&s, .without_edge = true);
    w = usher(&s, "wait", "--timeout", "100ms", NULL);
    cr_assert_eq(w.code, 1);
    cr_assert(has(w.err, "0 edges have so far, of at least 1"), "%s", w.err);
    cr_assert(has(usher(&s, "edges", NULL).out, "no edge"));
    cr_assert_str_eq(usher(&s, "edges", "--json", NULL).out, "[]\n");
    redis_kill(&s.redis);
    w = usher(&s, "wait", NULL);
    cr_assert_eq(w.code, 1);
    cr_assert(has(w.err, "usher: Redis: "), "%s", w.err);
    scene_end(&s);
}

SCENARIO(barrier, more_edges_than_there_are_can_be_asked_for)
{
    static struct scene s;
    struct edge two = { 0 };
    struct said w;

    scene_start(&s, .flags = { "--name", "one" });
    w = usher(&s, "wait", "--edges", "2", "--timeout", "200ms", NULL);
    cr_assert_eq(w.code, 1);
    cr_assert(has(w.err, "of at least 2"), "%s", w.err);
    scene_second_edge(&s, &two, "--name", "two", NULL);
    expect_applied(usher(&s, "wait", "--edges", "2", NULL), 2);
    end_two(&s, &two);
}

SCENARIO(barrier, it_is_held_back_while_redis_has_lost_records)
{
    static struct scene s;
    struct said w;
    struct origin *o = origin_start("one");

    scene_start(&s, .flags = { "--name", "one" });
    scene_hosts(&s, 30, o);
    scene_redis(&s, "FLUSHDB");
    await(scene_metric(&s, "usher_store_regressed") == 1);
    /* It announces itself again within seconds. */
    await(scene_redis(&s, "ZSCORE usher:edges one") != NULL);
    w = usher(&s, "wait", "--timeout", "300ms", NULL);
    expect_missing(w, "one", "");
    await(has(scene_redis(&s, "HGET usher:edge:one regressed"), "1"));
    expect_missing(usher(&s, "wait", "--timeout", "200ms", NULL), "one", "usher accept");
    for (unsigned i = 0; i < 30; i++)
        scene_host(&s, kept_format("h%u.test", i), o);
    expect_applied(usher(&s, "wait", NULL), 1);
    scene_end(&s);
}

SCENARIO(barrier, written_while_an_edge_has_no_link_it_is_acknowledged_after_it)
{
    static struct scene s;
    struct origin *left = origin_start("left"), *right = origin_start("right");

    scene_start(&s, .flags = { "--name", "one" });
    scene_host(&s, "a.test", left);
    await_get(&s, "a.test", "/", 200, "left");
    for (unsigned i = 0; i < 10; i++) {
        struct origin *o = i % 2 ? left : right;

        scene_redis(&s, "CLIENT KILL TYPE normal SKIPME yes");
        scene_host(&s, "a.test", o);
        expect_applied(usher(&s, "wait", NULL), 1);
        expect_get(&s, "a.test", "/", 200, o == left ? "left" : "right");
    }
    scene_end(&s);
}

struct waiter {
    pthread_t thread;
    struct scene *scene;
    int code;
};

static void *wait_once(void *arg)
{
    struct waiter *w = arg;
    const char *argv[] = { edge_program(), "wait", "--redis", w->scene->options.redis, NULL };

    w->code = process_run(argv, NULL, NULL, NULL);
    return NULL;
}

SCENARIO(barrier, many_may_wait_at_once)
{
    static struct scene s;
    static struct waiter waiters[40];
    struct edge two = { 0 };

    start_two(&s, &two);
    for (unsigned i = 0; i < 40; i++) {
        waiters[i].scene = &s;
        await_thread(&waiters[i].thread, wait_once, &waiters[i]);
    }
    for (unsigned i = 0; i < 40; i++) {
        pthread_join(waiters[i].thread, NULL);
        cr_assert_eq(waiters[i].code, 0, "waiter %u: exit %d", i, waiters[i].code);
    }
    await(scene_redis(&s, "LRANGE usher:ack:0-0 0 -1") != NULL); /* an array, if an empty one */
    end_two(&s, &two);
}

SCENARIO(barrier, by_a_replica_it_comes_when_the_replica_has_all_of_it)
{
    static struct scene s;
    static struct sentinels c;
    struct origin *left = origin_start("left"), *right = origin_start("right");

    scene_start(&s, .without_redis = true, .without_edge = true,
                .flags = { "--name", "one", "--read-from", "replica" });
    sentinels_start(&c, &s, 2, "");
    s.options.redis = sentinels_url(&c);
    s.options.unready = false;
    scene_edge_start(&s);
    redis_say(&c.nodes[0], "SET usher:host:a.test %s", origin_at(left));
    expect_applied(usher(&s, "wait", NULL), 1);
    expect_get(&s, "a.test", "/", 200, "left");
    for (unsigned i = 0; i < 20; i++) {
        struct origin *o = i % 2 ? left : right;

        redis_say(&c.nodes[0], "SET usher:host:a.test %s", origin_at(o));
        expect_applied(usher(&s, "wait", NULL), 1);
        expect_get(&s, "a.test", "/", 200, o == left ? "left" : "right");
    }
    redis_stop(&c.nodes[1]);
    redis_say(&c.nodes[0], "SET usher:host:a.test %s", origin_at(right));
    expect_missing(usher(&s, "wait", "--timeout", "300ms", NULL), "one", "");
    redis_continue(&c.nodes[1]);
    expect_applied(usher(&s, "wait", NULL), 1);
    expect_get(&s, "a.test", "/", 200, "right");
    scene_end(&s);
    sentinels_end(&c);
}

SCENARIO(edges, each_tells_how_it_does)
{
    static struct scene s;
    struct edge two = { 0 };
    struct origin *o = origin_start("one");
    char *json;

    start_two(&s, &two);
    scene_host(&s, "a.test", o);
    scene_redis(&s, "SET usher:host:bad.test nonsense");
    await_get(&s, "a.test", "/", 200, "one");
    await_fault(&s, "bad.test", "bad_record");
    await(has(scene_redis(&s, "HGET usher:edge:one records_bad"), "1"));
    json = usher(&s, "edges", "--json", NULL).out;
    cr_assert(has(json, "\"id\":\"one\"") && has(json, "\"id\":\"two\""), "%s", json);
    cr_assert(has(json, kept_format("\"listen\":\"%s\"", s.edge.at)), "%s", json);
    cr_assert(has(json, kept_format("\"pid\":%d", (int)s.edge.process.pid)), "%s", json);
    cr_assert(has(json, kept_format("\"admin\":\"%s\"", s.edge.admin)), "%s", json);
    cr_assert(has(json, "\"workers\":2") && has(json, "\"store_up\":true"), "%s", json);
    await(atoi(scene_redis(&s, "HGET usher:edge:one requests")) > 0);
    await(atof(scene_redis(&s, "HGET usher:edge:one lag_ms")) > 0);
    end_two(&s, &two);
}

SCENARIO(edges, two_of_one_name_are_noticed_and_prove_nothing)
{
    static struct scene s;
    struct edge two = { 0 };

    scene_start(&s, .flags = { "--name", "one" });
    scene_second_edge(&s, &two, NULL);
    await_within(scene_logged(&s, "name_taken") + process_log_count(&two.process, "name_taken") > 0,
                 15000);
    expect_missing(usher(&s, "wait", "--timeout", "500ms", NULL), "one", "two edges run");
    cr_assert(has(usher(&s, "edges", NULL).out, "name taken"));
    end_two(&s, &two);
}
