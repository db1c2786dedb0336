/* o_accept.c -- `usher accept`: whoever knows that Redis is right as it is ends the holding back, on
 * all edges or on one. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/scene.h"

#define HOSTS 30

struct said {
    int code;
    char *out, *err;
};

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

static bool is_regressed(struct scene *s, const char *name)
{
    return has(scene_redis(s, "HGET usher:edge:%s regressed", name), "1");
}

static void expect_status_at(struct edge *e, const char *host, int status)
{
    expect_status(client_get_once(e->at, host, "/"), status);
}

/* Two edges that know thirty hosts, of which Redis has lost all. */
static void lose_all(struct scene *s, struct edge *two)
{
    scene_start(s, .flags = { "--name", "one" });
    scene_second_edge(s, two, "--name", "two", NULL);
    scene_hosts(s, HOSTS, origin_start("origin"));
    for (unsigned i = 0; i < HOSTS; i++)
        expect_status_at(two, kept_format("h%u.test", i), 200);
    cr_assert_eq(usher(s, "wait", "--edges", "2", NULL).code, 0);
    scene_redis(s, "FLUSHDB");
    await(is_regressed(s, "one") && is_regressed(s, "two"));
    expect_get(s, "h0.test", "/", 200, "origin");
}

static void end_two(struct scene *s, struct edge *two)
{
    edge_stop(two);
    edge_free(two);
    scene_end(s);
}

SCENARIO(accept, all_edges_give_up_what_redis_lacks)
{
    static struct scene s;
    struct edge two = { 0 };
    struct said a;

    lose_all(&s, &two);
    a = usher(&s, "wait", "--timeout", "200ms", NULL);
    cr_assert_eq(a.code, 1);
    cr_assert(has(a.err, "usher accept"), "%s", a.err);
    a = usher(&s, "accept", NULL);
    cr_assert_eq(a.code, 0, "%s", a.err);
    cr_assert(has(a.out, "one: has accepted") && has(a.out, "two: has accepted"), "%s", a.out);
    expect_fault(&s, "h0.test", "unknown_host");
    expect_status_at(&two, "h0.test", 404);
    cr_assert_eq(usher(&s, "wait", NULL).code, 0);
    a = usher(&s, "accept", NULL);
    cr_assert_eq(a.code, 0, "%s", a.err);
    cr_assert(has(a.out, "one: held nothing back"), "%s", a.out);
    end_two(&s, &two);
}

SCENARIO(accept, by_its_admin_port_one_edge_does)
{
    static struct scene s;
    struct edge two = { 0 };
    struct said a;

    lose_all(&s, &two);
    a = usher(&s, "accept", "--admin", s.edge.admin, NULL);
    cr_assert_eq(a.code, 0, "%s", a.err);
    await_fault(&s, "h0.test", "unknown_host");
    expect_status_at(&two, "h0.test", 200);
    a = usher(&s, "accept", "--admin", s.edge.admin, NULL);
    cr_assert_eq(a.code, 1, "%s", a.out);
    cr_assert(has(a.err, "nothing is held back"), "%s", a.err);
    a = usher(&s, "accept", "--admin", "127.0.0.1:1", NULL);
    cr_assert_eq(a.code, 1);
    cr_assert(has(a.err, "127.0.0.1:1"), "%s", a.err);
    end_two(&s, &two);
}

SCENARIO(accept, one_that_was_said_of_another_loss_is_not_obeyed)
{
    static struct scene s;
    struct edge two = { 0 };
    long long now;

    lose_all(&s, &two);
    now = atoll(scene_redis(&s, "TIME"));
    scene_redis(&s, "MULTI");
    scene_redis(&s, "CLIENT KILL TYPE normal SKIPME yes"); /* both look from the start again */
    scene_redis(&s, "XADD usher:barrier %lld000-0 by somebody accept 1", now - 600);
    scene_redis(&s, "EXEC");
    await(scene_metric(&s, "usher_store_reconnects_total") == 1);
    await(scene_metric(&s, "usher_store_regressed") == 1);
    stays(scene_metric(&s, "usher_store_regressed") == 1, 300);
    expect_get(&s, "h0.test", "/", 200, "origin");
    end_two(&s, &two);
}
