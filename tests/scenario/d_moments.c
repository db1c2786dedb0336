/* d_moments.c -- how soon a change is live, and that a TTL ends at its moment.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: what changes do (d_routing_change.c). */
#include "harness/scene.h"

#include <stdlib.h>
#include <time.h>

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t time_to_move(struct scene *s, struct client *const *c, unsigned count,
                             const struct origin *to, const char *answer)
{
    uint64_t start;

    scene_host(s, "a.test", to);
    start = now_us();
    for (unsigned i = 0; i < count; i++)
        while (strcmp(client_get(c[i], "a.test", "/").text, answer) != 0)
            cr_assert_lt(now_us() - start, AWAIT_MS * 1000);
    return now_us() - start;
}

/* From redis-cli's OK to the new answer on each of several connections, without a pause between. */
SCENARIO(routing, a_change_is_live_on_all_workers_in_5_ms_at_the_median)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");
    struct client *c[6];
    uint64_t took[41], median = UINT64_MAX, most = edge_has_sanitizer() ? 50000 : 5000;

    scene_start(&s, .flags = { "--log-level", "info" });
    scene_host(&s, "a.test", one);
    await_get(&s, "a.test", "/", 200, "one");
    for (unsigned i = 0; i < 6; i++)
        c[i] = scene_open(&s);
    /* neighbours on the same cores make single series worthless */
    for (unsigned series = 0; series < 4 && median > most; series++) {
        for (unsigned round = 0; round < 41; round++)
            took[round] =
                time_to_move(&s, c, 6, round % 2 == 0 ? two : one, round % 2 == 0 ? "two" : "one");
        scene_host(&s, "a.test", one);
        qsort(took, 41, sizeof(took[0]), by_size);
        median = took[20];
    }
    cr_assert_leq(median, most, "%llu microseconds", (unsigned long long)median);
    scene_end(&s);
}

SCENARIO(routing, a_ttl_runs_out_at_its_moment)
{
    static struct scene s;
    uint64_t start;

    scene_start(&s);
    scene_redis(&s, "DEBUG SET-ACTIVE-EXPIRE 0"); /* Redis itself will not notice */
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "PEXPIRE usher:host:a.test 400");
    start = await_now_ms();
    stays(scene_get(&s, "a.test", "/").status == 200, 250);
    await_fault(&s, "a.test", "unknown_host");
    cr_assert_leq(await_now_ms() - start, 800);
    scene_end(&s);
}

SCENARIO(routing, a_ttl_of_a_tenant_and_of_endpoints_counts_too)
{
    static struct scene s;

    scene_start(&s);
    scene_redis(&s, "DEBUG SET-ACTIVE-EXPIRE 0");
    scene_endpoint(&s, "web", origin_start("one"));
    scene_redis(&s, "HSET usher:tenant:acme to service:web");
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "PEXPIRE usher:endpoints:web 150");
    await_fault(&s, "a.test", "no_endpoint");
    scene_redis(&s, "PEXPIRE usher:tenant:acme 150");
    await_fault(&s, "a.test", "tenant_gone");
    scene_end(&s);
}

SCENARIO(routing, a_ttl_taken_back_or_moved_is_obeyed)
{
    static struct scene s;

    scene_start(&s);
    scene_redis(&s, "DEBUG SET-ACTIVE-EXPIRE 0");
    scene_redis(&s, "SET usher:host:a.test %s PX 300", origin_at(origin_start("one")));
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "PERSIST usher:host:a.test");
    stays(scene_get(&s, "a.test", "/").status == 200, 600);
    scene_end(&s);
}

SCENARIO(routing, a_ttl_of_centuries_is_no_ttl_of_moments)
{
    static struct scene s;

    scene_start(&s);
    scene_host(&s, "a.test", origin_start("one"));
    scene_redis(&s, "PEXPIRE usher:host:a.test 4294967297");
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "PEXPIRE usher:host:a.test 9000000000000000");
    stays(scene_get(&s, "a.test", "/").status == 200, 150);
    cr_assert_leq(scene_metric(&s, "usher_store_rounds_total"), 12, "it is read again and again");
    scene_end(&s);
}
