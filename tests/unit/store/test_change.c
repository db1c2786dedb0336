/* test_change.c -- writes by others: each is live, whole, and at once. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "routing/service.h"
#include "scene.h"

struct wanted {
    const char *host, *route;
};

static bool is_routed(struct scene *s, const void *with)
{
    const struct wanted *w = with;

    return strcmp(scene_known(s, w->host), w->route) == 0;
}

/* By swaps alone: the worker never has to ask. */
static void expect_swapped(struct scene *s, const char *host, const char *route)
{
    struct wanted w = { host, route };

    cr_assert(scene_await(s, is_routed, &w, 5000), "%s gets %s, not %s", host, scene_known(s, host),
              route);
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

Test(store_change, is_live_within_a_millisecond_or_so)
{
    struct scene *s = scene_new();
    uint64_t took[200];
    char route[32];

    scene_do(s, "HSET usher:tenant:acme to 10.0.0.1:1");
    scene_do(s, "SET usher:host:shop.example tenant:acme");
    scene_open(s);
    scene_route(s, "shop.example");
    for (unsigned i = 0; i < 200; i++) {
        struct wanted w = { "shop.example", route };
        uint64_t before;

        snprintf(route, sizeof(route), "10.0.0.1:%u", i + 2);
        before = clock_now_ns();
        scene_do(s, "HSET usher:tenant:acme to %s", route);
        cr_assert(scene_await(s, is_routed, &w, 5000));
        took[i] = (clock_now_ns() - before) / 1000;
    }
    qsort(took, 200, sizeof(took[0]), by_size);
    cr_log_info("a change is live after: median %llu us, p99 %llu us",
                (unsigned long long)took[100], (unsigned long long)took[198]);
    cr_expect_lt(took[100], 5000);
    scene_end(s);
}

Test(store_change, each_family)
{
    struct scene *s = scene_new();

    scene_do(s, "HSET usher:endpoints:web 10.0.0.1:80 100");
    scene_do(s, "HSET usher:endpoints:api 10.0.1.1:80 100");
    scene_do(s, "HSET usher:tenant:acme to service:web");
    scene_do(s, "HSET usher:tenant:bolt to 10.0.2.1:80");
    scene_do(s, "SET usher:host:a.example tenant:acme");
    scene_open(s);
    scene_expect(s, "a.example", "10.0.0.1:80");
    scene_do(s, "HSET usher:endpoints:web 10.0.0.2:80 weight=5");
    expect_swapped(s, "a.example", "10.0.0.1:80 10.0.0.2:80");
    scene_do(s, "HDEL usher:endpoints:web 10.0.0.1:80");
    expect_swapped(s, "a.example", "10.0.0.2:80");
    scene_do(s, "HSET usher:tenant:acme to service:api");
    expect_swapped(s, "a.example", "10.0.1.1:80");
    scene_do(s, "SET usher:host:a.example tenant:bolt");
    expect_swapped(s, "a.example", "10.0.2.1:80");
    scene_do(s, "HSET usher:tenant:bolt status suspended");
    expect_swapped(s, "a.example", "suspended");
    scene_do(s, "HDEL usher:tenant:bolt status to");
    expect_swapped(s, "a.example", "tenant_gone");
    scene_do(s, "HSET usher:tenant:bolt status active");
    expect_swapped(s, "a.example", "no_route");
    scene_do(s, "DEL usher:host:a.example");
    scene_expect(s, "a.example", "unknown_host");
    scene_do(s, "SET usher:host:a.example 10.0.3.1:80");
    scene_expect(s, "a.example", "10.0.3.1:80");
    scene_do(s, "RENAME usher:host:a.example usher:host:b.example");
    scene_expect(s, "a.example", "unknown_host");
    scene_expect(s, "b.example", "10.0.3.1:80");
    scene_end(s);
}

Test(store_change, deleted_things_are_deleted)
{
    struct scene *s = scene_new();

    scene_do(s, "HSET usher:endpoints:web 10.0.0.1:80 100");
    scene_do(s, "HSET usher:service:web balance random");
    scene_do(s, "HSET usher:tenant:acme to service:web");
    scene_do(s, "SET usher:host:a.example tenant:acme");
    scene_open(s);
    scene_expect(s, "a.example", "10.0.0.1:80");
    scene_do(s, "DEL usher:endpoints:web");
    expect_swapped(s, "a.example", "no_endpoint");
    scene_do(s, "DEL usher:service:web");
    scene_run(s, 50);
    cr_expect_str_eq(scene_known(s, "a.example"), "no_endpoint");
    scene_do(s, "HSET usher:endpoints:web 10.0.0.2:80 100");
    expect_swapped(s, "a.example", "10.0.0.2:80");
    scene_do(s, "DEL usher:tenant:acme");
    expect_swapped(s, "a.example", "tenant_gone");
    scene_do(s, "HSET usher:tenant:acme to 10.0.0.3:80");
    expect_swapped(s, "a.example", "10.0.0.3:80");
    scene_end(s);
}

/* Each transaction moves the host to another tenant with another service; all of its parts carry the
 * same number, and no change may be seen that mixes two of them. */
struct race {
    unsigned seen, last;
};

static void check_race(struct scene *s, const struct changes *c)
{
    struct race *race = s->owner;
    const char *route = scene_known(s, "race.example");
    unsigned host_number, number;
    const struct service *web;

    (void)c;
    if (strcmp(route, "?") == 0)
        return;
    cr_assert_eq(sscanf(route, "10.0.0.1:%u 10.0.0.2:%u", &number, &host_number), 2, "%s", route);
    cr_assert_eq(number, host_number, "parts of two changes: %s", route);
    web = NULL;
    (void)web;
    cr_assert_geq(number, race->last, "back in time: %s", route);
    race->last = number;
    race->seen++;
}

static bool is_last(struct scene *s, const void *number)
{
    return ((struct race *)s->owner)->last == *(const unsigned *)number;
}

static pid_t write_race(struct scene *s, unsigned count)
{
    pid_t pid = fork();
    redisContext *redis;

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    redis = redisConnectUnix(s->socket);
    for (unsigned i = 1; i <= count; i++) {
        unsigned a = i % 2, b = i / 2 % 2;

        redisAppendCommand(redis, "MULTI");
        redisAppendCommand(redis, "DEL usher:endpoints:web%u", a);
        redisAppendCommand(redis, "HSET usher:endpoints:web%u 10.0.0.1:%u 100 10.0.0.2:%u 100", a,
                           i, i);
        redisAppendCommand(redis, "HSET usher:tenant:t%u to service:web%u", b, a);
        redisAppendCommand(redis, "SET usher:host:race.example tenant:t%u", b);
        /* Whoever still goes to the old ones would find this. */
        redisAppendCommand(redis, "DEL usher:endpoints:web%u", !a);
        redisAppendCommand(redis, "HSET usher:endpoints:web%u 10.0.0.1:%u 100 10.0.0.2:%u 100", !a,
                           60001, 60002);
        redisAppendCommand(redis, "EXEC");
        for (unsigned n = 0; n < 8; n++) {
            redisReply *r = NULL;

            if (redisGetReply(redis, (void **)&r) != REDIS_OK || r->type == REDIS_REPLY_ERROR)
                _exit(1);
            freeReplyObject(r);
        }
        if (i % 64 == 0)
            usleep(1500); /* bursts, so that rounds close both ways */
    }
    _exit(0);
}

Test(store_change, transactions_are_seen_whole)
{
    struct scene *s = scene_new();
    struct race race = { 0 };
    unsigned count = 10000;
    pid_t writer;

    scene_do(s, "HSET usher:endpoints:web0 10.0.0.1:0001 100 10.0.0.2:0001 100");
    scene_do(s, "HSET usher:tenant:t0 to service:web0");
    scene_do(s, "SET usher:host:race.example tenant:t0");
    s->owner = &race;
    scene_open(s);
    scene_route(s, "race.example");
    s->after_changes = check_race;
    writer = write_race(s, count);
    cr_assert(scene_await(s, is_last, &count, 60000), "ends at %u", race.last);
    cr_log_info("%u transactions, %u states seen", count, race.seen);
    cr_expect_gt(race.seen, 100);
    cr_assert_gt(writer, 0);
    scene_end(s);
}

static bool is_asked(struct scene *s, const void *host)
{
    return strcmp(scene_known(s, host), "?") == 0;
}

Test(store_change, a_time_to_live_ends_at_its_moment)
{
    struct scene *s = scene_new();
    uint64_t before, took;

    /* Redis itself would not look at these for a while: it is told to look once a second, and has
     * many others to look at. */
    scene_do(s, "DEBUG SET-ACTIVE-EXPIRE 0");
    scene_do(s, "SET usher:host:brief.example 10.0.0.1:80 PX 400");
    before = clock_now_ns();
    scene_open(s);
    cr_expect_str_eq(scene_route(s, "brief.example"), "10.0.0.1:80");
    cr_assert(scene_await(s, is_asked, "brief.example", 3000));
    took = (clock_now_ns() - before) / 1000000;
    cr_expect(took >= 395 && took < 900, "%llu ms", (unsigned long long)took);
    cr_log_info("a time to live of 400 ms ended after %llu ms", (unsigned long long)took);
    scene_expect(s, "brief.example", "unknown_host");
    /* A longer life takes the place of the shorter. */
    scene_do(s, "SET usher:host:brief.example 10.0.0.1:80 PX 200");
    scene_expect(s, "brief.example", "10.0.0.1:80");
    scene_do(s, "PERSIST usher:host:brief.example");
    scene_run(s, 350);
    cr_expect_str_eq(scene_known(s, "brief.example"), "10.0.0.1:80");
    scene_end(s);
}

Test(store_change, a_bulk_load_is_judged_and_not_held)
{
    struct scene *s = scene_new();
    redisReply *r;

    scene_do(s, "SET usher:host:shop.example 10.0.0.1:80");
    scene_open(s);
    scene_route(s, "shop.example");
    for (unsigned i = 0; i < 20000; i++)
        redisAppendCommand(s->redis, "SET usher:host:h%u.example %s", i,
                           i == 777 ? "nonsense" : "10.0.0.1:80");
    for (unsigned i = 0; i < 20000; i++) {
        cr_assert_eq(redisGetReply(s->redis, (void **)&r), REDIS_OK);
        freeReplyObject(r);
        if (i % 100 == 0)
            scene_run(s, 0);
    }
    scene_expect(s, "h777.example", "bad_record");
    scene_expect(s, "h19999.example", "10.0.0.1:80");
    scene_run(s, 300);
    cr_expect_lt(store_status(s->store)->records_good, 10);
    cr_expect_eq(store_status(s->store)->records_bad, 1);
    cr_expect_gt(store_status(s->store)->reads, 20000);
    scene_end(s);
}

static bool has_value(struct scene *s, enum family family, const char *name, const char *wanted)
{
    struct buf value = { 0 };
    bool has = store_fetch(s->store, family, str_from(name), &value) &&
               str_equals(str_slice(value.ptr, value.len), str_from(wanted));

    buf_free(&value);
    return has;
}

Test(store_change, the_last_good_value_is_at_hand)
{
    struct scene *s = scene_new();

    scene_do(s, "SET usher:host:a.example 10.0.0.1:80");
    scene_open(s);
    scene_expect(s, "a.example", "10.0.0.1:80");
    cr_expect(has_value(s, FAMILY_host, "a.example", "s10.0.0.1:80"));
    scene_do(s, "SET usher:host:a.example 10.0.0.2:80");
    expect_swapped(s, "a.example", "10.0.0.2:80");
    cr_expect(has_value(s, FAMILY_host, "a.example", "s10.0.0.2:80"));
    scene_do(s, "SET usher:host:a.example nonsense");
    scene_do(s, "SET usher:host:b.example 10.0.0.3:80");
    scene_expect(s, "b.example", "10.0.0.3:80"); /* so the one before it has been judged */
    cr_expect(has_value(s, FAMILY_host, "a.example", "s10.0.0.2:80"));
    scene_do(s, "DEL usher:host:a.example");
    scene_expect(s, "a.example", "unknown_host");
    cr_expect_not(has_value(s, FAMILY_host, "a.example", "s10.0.0.2:80"));
    scene_end(s);
}
