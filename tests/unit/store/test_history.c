/* test_history.c -- what a record was before it changed is recorded once, by one edge of all, as
 * words that redis-cli takes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "scene.h"

static struct scene *scene_with_hosts(void)
{
    struct scene *s = scene_new();

    scene_do(s, "HSET usher:tenant:acme to 10.0.0.1:1");
    scene_do(s, "SET usher:host:a.test tenant:acme");
    scene_do(s, "SET usher:host:own.test 10.0.0.5:5");
    scene_open(s);
    scene_expect(s, "a.test", "10.0.0.1:1");
    scene_expect(s, "own.test", "10.0.0.5:5");
    return s;
}

static unsigned entries(struct scene *s, const char *stream)
{
    redisReply *r = redisCommand(s->redis, "XLEN usher:history:%s", stream);
    unsigned count = (unsigned)r->integer;

    freeReplyObject(r);
    return count;
}

static void await_entries(struct scene *s, const char *stream, unsigned count)
{
    uint64_t until = clock_now_ms() + 5000;

    while (entries(s, stream) < count) {
        cr_assert_lt(clock_now_ms(), until, "%u entries in %s, not %u", entries(s, stream), stream,
                     count);
        scene_run(s, 5);
    }
    scene_run(s, 30);
    cr_assert_eq(entries(s, stream), count, "%u entries in %s, not %u", entries(s, stream), stream,
                 count);
}

/* All fields of the newest entry, "name=value" with a space behind each. */
static const char *newest(struct scene *s, const char *stream)
{
    static char text[4096];
    redisReply *r = redisCommand(s->redis, "XREVRANGE usher:history:%s + - COUNT 1", stream);
    redisReply *fields;
    size_t at = 0;

    cr_assert_eq(r->elements, 1);
    fields = r->element[0]->element[1];
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s=%s ", fields->element[i]->str,
                               fields->element[i + 1]->str);
    freeReplyObject(r);
    return text;
}

static void expect_newest(struct scene *s, const char *stream, const char *wanted)
{
    const char *is = newest(s, stream);

    cr_assert_str_eq(is, wanted, "\n%s, not\n%s", is, wanted);
}

Test(store_history, a_change_is_recorded_with_what_was_before)
{
    struct scene *s = scene_with_hosts();

    scene_do(s, "SET usher:host:own.test 10.0.0.6:6");
    await_entries(s, "-", 1);
    expect_newest(s, "-",
                  "key=usher:host:own.test before_type=string before=10.0.0.5:5 after_type=string "
                  "after=10.0.0.6:6 edge=edge-1 ");
    cr_assert_eq(store_status(s->store)->history_recorded, 1);
    scene_end(s);
}

Test(store_history, of_a_tenant_and_its_hosts_in_its_own_stream)
{
    struct scene *s = scene_with_hosts();

    scene_do(s, "HSET usher:tenant:acme to 10.0.0.2:2 status active");
    await_entries(s, "acme", 1);
    expect_newest(s, "acme",
                  "key=usher:tenant:acme before_type=hash before=to 10.0.0.1:1 after_type=hash "
                  "after=status active to 10.0.0.2:2 edge=edge-1 ");
    scene_do(s, "SET usher:host:a.test 10.0.0.9:9"); /* it leaves the tenant */
    await_entries(s, "acme", 2);
    expect_newest(s, "acme",
                  "key=usher:host:a.test before_type=string before=tenant:acme after_type=string "
                  "after=10.0.0.9:9 edge=edge-1 ");
    scene_end(s);
}

Test(store_history, making_and_deleting_are_changes)
{
    struct scene *s = scene_with_hosts();

    cr_assert_str_eq(scene_route(s, "new.test"), "unknown_host"); /* now it is known not to be */
    scene_do(s, "SET usher:host:new.test 10.0.0.1:1");
    await_entries(s, "-", 1);
    expect_newest(s, "-",
                  "key=usher:host:new.test before_type=none before= after_type=string "
                  "after=10.0.0.1:1 edge=edge-1 ");
    scene_expect(s, "new.test", "10.0.0.1:1"); /* held: so what it said is known */
    scene_do(s, "DEL usher:host:new.test");
    await_entries(s, "-", 2);
    expect_newest(s, "-",
                  "key=usher:host:new.test before_type=string before=10.0.0.1:1 after_type=none "
                  "after= edge=edge-1 ");
    scene_end(s);
}

Test(store_history, a_refused_value_is_recorded_as_bad_and_mending_it_to_the_same_is_none)
{
    struct scene *s = scene_with_hosts();

    scene_do(s, "SET usher:host:own.test nonsense");
    await_entries(s, "-", 1);
    expect_newest(s, "-",
                  "key=usher:host:own.test before_type=string before=10.0.0.5:5 after_type=bad "
                  "after= edge=edge-1 ");
    scene_do(s, "SET usher:host:own.test 10.0.0.5:5");
    scene_expect(s, "own.test", "10.0.0.5:5");
    scene_do(s, "SET usher:host:own.test 10.0.0.7:7");
    await_entries(s, "-", 2);
    expect_newest(s, "-",
                  "key=usher:host:own.test before_type=string before=10.0.0.5:5 after_type=string "
                  "after=10.0.0.7:7 edge=edge-1 ");
    scene_end(s);
}

Test(store_history, words_are_quoted_as_redis_cli_reads_them)
{
    struct scene *s = scene_with_hosts();

    scene_do(s, "SET usher:host:own.test %s", "10.0.0.5:5 10.0.0.6:6");
    await_entries(s, "-", 1);
    cr_assert(strstr(newest(s, "-"), "after=\"10.0.0.5:5 10.0.0.6:6\" edge") != NULL);
    scene_end(s);
}

Test(store_history, what_is_written_again_unchanged_is_no_change)
{
    struct scene *s = scene_with_hosts();

    scene_do(s, "SET usher:host:own.test 10.0.0.5:5");
    scene_do(s, "EXPIRE usher:host:own.test 1000");
    scene_do(s, "CLIENT KILL TYPE normal SKIPME yes"); /* verified, and found the same */
    scene_run(s, 300);
    scene_do(s, "SET usher:host:own.test 10.0.0.6:6");
    await_entries(s, "-", 1);
    cr_assert_eq(entries(s, "acme"), 0);
    scene_end(s);
}

Test(store_history, there_and_back_and_there_are_three_changes)
{
    struct scene *s = scene_with_hosts();

    for (unsigned i = 1; i <= 6; i++) {
        scene_do(s, "SET usher:host:own.test 10.0.0.%u:1", i % 2 + 1);
        await_entries(s, "-", i);
    }
    scene_end(s);
}

Test(store_history, too_large_a_value_is_told_of_and_not_kept)
{
    struct scene *s = scene_with_hosts();
    char value[8000];

    memset(value, 'x', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    for (unsigned i = 0; i < 10; i++)
        scene_do(s, "HSET usher:routes:acme r%u %s", i, "path / deny");
    scene_expect(s, "a.test", "10.0.0.1:1");
    for (unsigned i = 0; i < 2000; i++) {
        char rule[64];

        snprintf(rule, sizeof(rule), "path /one/and/two/and/%u/* deny", i);
        redisAppendCommand(s->redis, "HSET usher:routes:acme name-of-a-rule-%u %s", i, rule);
    }
    for (unsigned i = 0; i < 2000; i++) {
        void *reply = NULL;

        cr_assert_eq(redisGetReply(s->redis, &reply), REDIS_OK);
        freeReplyObject(reply);
    }
    for (uint64_t until = clock_now_ms() + 5000;;) {
        scene_run(s, 20);
        if (entries(s, "acme") > 0 && strstr(newest(s, "acme"), "after_type=large") != NULL)
            break;
        cr_assert_lt(clock_now_ms(), until);
    }
    cr_assert(strstr(newest(s, "acme"), "after= edge=edge-1") != NULL);
    scene_end(s);
}

Test(store_history, it_is_bounded)
{
    struct scene *s = scene_with_hosts();
    uint64_t until = clock_now_ms() + 10000;

    for (unsigned i = 0; i < 2500; i++) {
        scene_do(s, "SET usher:host:own.test 10.0.%u.%u:1", 1 + i / 200, i % 200);
        scene_run(s, 0);
    }
    while (store_status(s->store)->history_skipped == 0) {
        cr_assert_lt(clock_now_ms(), until, "recorded %llu",
                     (unsigned long long)store_status(s->store)->history_recorded);
        for (unsigned i = 0; i < 500; i++) {
            scene_do(s, "SET usher:host:own.test 10.1.%u.%u:1", 1 + i / 200, i % 200);
            scene_run(s, 0);
        }
    }
    scene_run(s, 100);
    cr_assert_leq(entries(s, "-"), 1200);
    scene_end(s);
}

Test(store_history, of_two_edges_one_records_it)
{
    struct scene *s = scene_with_hosts(), *other = scene_beside(s);
    redisReply *r;

    snprintf(other->settings.name, sizeof(other->settings.name), "edge-2");
    other->redis = s->redis;
    scene_open(other);
    scene_expect(other, "own.test", "10.0.0.5:5");
    for (unsigned i = 1; i <= 20; i++) {
        char route[32];

        snprintf(route, sizeof(route), "10.0.0.%u:1", i);
        scene_do(s, "SET usher:host:own.test %s", route);
        if (i % 2) {
            scene_expect(s, "own.test", route);
            scene_expect(other, "own.test", route);
        } else {
            scene_expect(other, "own.test", route);
            scene_expect(s, "own.test", route);
        }
    }
    scene_run(s, 50);
    scene_run(other, 50);
    r = redisCommand(s->redis, "XLEN usher:history:-");
    cr_assert_eq(r->integer, 20, "%lld entries", r->integer);
    freeReplyObject(r);
    other->redis = NULL;
    scene_end(other);
    scene_end(s);
}

Test(store_history, a_deletion_that_another_recorded_long_ago_is_not_recorded_again)
{
    struct scene *s = scene_with_hosts();

    scene_do(s,
             "XADD usher:history:- * key usher:host:own.test before_type string before "
             "10.0.0.5:5 after_type none after %b edge other",
             "", (size_t)0);
    scene_do(s, "MULTI");
    scene_do(s, "DEL usher:host:own.test");
    scene_do(s, "CLIENT KILL TYPE normal SKIPME yes");
    scene_do(s, "EXEC");
    scene_expect(s, "own.test", "unknown_host");
    scene_run(s, 100);
    cr_assert_eq(entries(s, "-"), 1);
    scene_end(s);
}

/* Found after the link was lost, when another has recorded it, and its mark has run out. */
Test(store_history, what_another_recorded_long_ago_is_not_recorded_again)
{
    struct scene *s = scene_with_hosts();

    scene_do(s, "XADD usher:history:- * key usher:host:own.test before_type string before "
                "10.0.0.5:5 after_type string after 10.0.0.8:8 edge other");
    scene_do(s, "MULTI");
    scene_do(s, "SET usher:host:own.test 10.0.0.8:8");
    scene_do(s, "CLIENT KILL TYPE normal SKIPME yes");
    scene_do(s, "EXEC");
    scene_expect(s, "own.test", "10.0.0.8:8");
    scene_run(s, 100);
    cr_assert_eq(entries(s, "-"), 1);
    scene_end(s);
}
