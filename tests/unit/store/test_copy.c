/* test_copy.c -- all names known, and the copy on disk: what they spare Redis, and what they save. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "scene.h"
#include "store/copy.h"
#include "store/disk.h"

static bool is_complete(struct scene *s, const void *with)
{
    (void)with;
    return store_status(s->store)->complete;
}

static bool is_incomplete(struct scene *s, const void *with)
{
    return !is_complete(s, with);
}

static bool is_written(struct scene *s, const void *with)
{
    struct copy_status c;

    (void)with;
    store_copy_status(s->store, &c);
    return c.ready && c.complete && c.queued == 0;
}

static bool is_regressed(struct scene *s, const void *with)
{
    (void)with;
    return store_status(s->store)->regressed;
}

static bool is_calm(struct scene *s, const void *with)
{
    (void)with;
    return !store_status(s->store)->regressed && store_status(s->store)->complete;
}

static bool serves_copy(struct scene *s, const void *with)
{
    (void)with;
    return store_status(s->store)->serves_copy;
}

static bool is_up(struct scene *s, const void *up)
{
    return store_status(s->store)->up == *(const bool *)up;
}

static void expect_up(struct scene *s, bool up)
{
    cr_assert(scene_await(s, is_up, &up, 8000), "the link is not %s", up ? "up" : "down");
}

#define EXPECT(s, fn) cr_assert(scene_await(s, fn, NULL, 10000), "never: %s", #fn)

/* `count` hosts, of which every tenth names a tenant; the tenant, a service. */
static void fill(struct scene *s, unsigned count)
{
    scene_do(s, "HSET usher:endpoints:web 10.0.9.1:80 100");
    scene_do(s, "HSET usher:tenant:acme to service:web");
    for (unsigned i = 0; i < count; i++) {
        if (i % 10 == 0)
            scene_do(s, "SET usher:host:h%u.example tenant:acme", i);
        else
            scene_do(s, "SET usher:host:h%u.example 10.0.0.1:%u", i, i + 1);
    }
}

static struct scene *scene_with_copy(unsigned hosts)
{
    struct scene *s = scene_new();

    snprintf(s->settings.state_dir, sizeof(s->settings.state_dir), "%s/state", s->folder);
    fill(s, hosts);
    scene_open(s);
    EXPECT(s, is_complete);
    EXPECT(s, is_written);
    return s;
}

static const char *host_of(unsigned i)
{
    static char text[64];

    snprintf(text, sizeof(text), "h%u.example", i);
    return text;
}

static const char *route_of(unsigned i)
{
    static char text[64];

    snprintf(text, sizeof(text), i % 10 == 0 ? "10.0.9.1:80" : "10.0.0.1:%u", i + 1);
    return text;
}

/* The edge anew, with what it had on disk. */
static void open_again(struct scene *s, bool up)
{
    scene_close(s);
    if (up)
        scene_open(s);
    else
        scene_open_down(s);
}

Test(store_copy, after_the_sync_unknown_hosts_ask_redis_nothing)
{
    struct scene *s = scene_new();
    uint64_t reads, rounds;
    char host[64];

    fill(s, 50);
    scene_do(s, "SET usher:host:*.wild.example 10.0.0.9:9");
    scene_open(s);
    EXPECT(s, is_complete);
    scene_expect(s, "h1.example", "10.0.0.1:2");
    scene_expect(s, "a.wild.example", "10.0.0.9:9");
    reads = store_status(s->store)->reads;
    rounds = store_status(s->store)->rounds;
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(host, sizeof(host), "nobody%u.a.b.c.example", i);
        cr_assert_str_eq(scene_route(s, host), "unknown_host");
        snprintf(host, sizeof(host), "x%u.wild.example", i);
        cr_assert_str_eq(scene_route(s, host), "10.0.0.9:9");
    }
    cr_expect_eq(store_status(s->store)->reads, reads);
    cr_expect_eq(store_status(s->store)->rounds, rounds);
    scene_do(s, "SET usher:host:nobody1.a.b.c.example 10.0.0.7:7"); /* it comes into being */
    scene_expect(s, "nobody1.a.b.c.example", "10.0.0.7:7");
    scene_do(s, "DEL usher:host:nobody1.a.b.c.example");
    scene_expect(s, "nobody1.a.b.c.example", "unknown_host");
    scene_end(s);
}

Test(store_copy, names_are_right_after_a_cut_link_in_which_all_changed)
{
    struct scene *s = scene_new();

    fill(s, 30);
    scene_open(s);
    EXPECT(s, is_complete);
    for (unsigned n = 0; n < 5; n++) {
        scene_do(s, "MULTI");
        scene_do(s, "CLIENT KILL TYPE normal SKIPME yes");
        scene_do(s, "SET usher:host:new%u.example 10.0.0.8:%u", n, n + 1);
        scene_do(s, "DEL usher:host:%s", host_of(n));
        scene_do(s, "EXEC");
        EXPECT(s, is_incomplete);
        EXPECT(s, is_complete);
        cr_expect_str_eq(scene_route(s, host_of(n)), "unknown_host");
        cr_expect_str_eq(scene_route(s, host_of(n + 10)), route_of(n + 10));
    }
    scene_expect(s, "new4.example", "10.0.0.8:5");
    cr_expect_eq(store_status(s->store)->hosts, 30);
    scene_end(s);
}

Test(store_copy, serves_a_start_with_redis_dead)
{
    struct scene *s = scene_with_copy(100);

    scene_do(s, "SET usher:host:*.wild.example 10.0.0.9:9");
    scene_do(s, "HSET usher:endpoints:web 10.0.9.2:80 100");
    scene_do(s, "HDEL usher:endpoints:web 10.0.9.1:80");
    scene_do(s, "DEL usher:host:h5.example");
    scene_expect(s, "h5.example", "unknown_host");
    scene_expect(s, "a.wild.example", "10.0.0.9:9");
    scene_expect(s, "h10.example", "10.0.9.2:80");
    scene_stop_redis(s);
    open_again(s, false);
    scene_expect(s, "h1.example", "10.0.0.1:2");
    scene_expect(s, "h10.example", "10.0.9.2:80");
    scene_expect(s, "b.wild.example", "10.0.0.9:9");
    EXPECT(s, serves_copy);
    cr_expect_str_eq(scene_route(s, "h5.example"), "store_unavailable",
                     "deleted, or written since");
    cr_expect_str_eq(scene_route(s, "never.seen"), "store_unavailable");
    scene_start_redis(s);
    fill(s, 100);
    scene_do(s, "SET usher:host:h1.example 10.0.0.1:99");
    expect_up(s, true);
    EXPECT(s, is_calm);
    scene_expect(s, "h1.example", "10.0.0.1:99");
    cr_expect_str_eq(scene_route(s, "never.seen"), "unknown_host");
    scene_end(s);
}

static void ignore_row(void *owner, const struct disk_row *row)
{
    (void)owner;
    (void)row;
}

/* As an edge leaves it that is killed while the copy is made anew: not all is there yet. */
static void take_from_copy(struct scene *s, enum family family, const char *name)
{
    struct disk *d = disk_open(s->settings.state_dir, str_from(s->settings.prefix));
    struct disk_facts facts;

    cr_assert_eq(disk_check(d, ignore_row, NULL, &facts), DISK_DONE, "%s", disk_reason(d));
    cr_assert_eq(disk_begin(d), DISK_DONE);
    cr_assert_eq(disk_delete(d, family, str_from(name)), DISK_DONE);
    disk_set_complete(d, false);
    cr_assert_eq(disk_commit(d), DISK_DONE);
    disk_close(d);
}

Test(store_copy, that_is_not_whole_yet_proves_no_absence)
{
    struct scene *s = scene_new();

    snprintf(s->settings.state_dir, sizeof(s->settings.state_dir), "%s/state", s->folder);
    fill(s, 20);
    scene_do(s, "HSET usher:routes:acme all 'path /* deny'");
    scene_open(s);
    EXPECT(s, is_complete);
    EXPECT(s, is_written);
    scene_close(s);
    scene_stop_redis(s);
    take_from_copy(s, FAMILY_routes, "acme");
    scene_open_down(s);
    EXPECT(s, serves_copy);
    cr_expect_str_eq(scene_route(s, host_of(1)), route_of(1));
    cr_expect_str_eq(scene_route(s, host_of(0)), "store_unavailable");
    scene_end(s);
}

Test(store_copy, gives_back_what_was_evicted_while_redis_is_away)
{
    struct scene *s = scene_new();

    snprintf(s->settings.state_dir, sizeof(s->settings.state_dir), "%s/state", s->folder);
    s->settings.cache_bytes = 20000;
    fill(s, 300);
    scene_open(s);
    EXPECT(s, is_complete);
    EXPECT(s, is_written);
    scene_stop_redis(s);
    expect_up(s, false);
    for (unsigned i = 0; i < 300; i++)
        cr_assert_str_eq(scene_route(s, host_of(i)), route_of(i), "%s gets %s", host_of(i),
                         scene_route(s, host_of(i)));
    cr_expect_leq(store_status(s->store)->cache_bytes, 40000);
    scene_end(s);
}

Test(store_copy, stands_in_for_what_is_bad_at_a_start)
{
    struct scene *s = scene_with_copy(20);

    scene_do(s, "SET usher:host:h1.example nonsense");
    scene_do(s, "HSET usher:tenant:acme statsu active");
    scene_do(s, "HSET usher:endpoints:web 10.0.9.1:80 heavy");
    scene_do(s, "SET usher:host:never-good.example nonsense");
    scene_expect(s, "h1.example", "10.0.0.1:2");
    EXPECT(s, is_written);
    open_again(s, true);
    cr_expect_str_eq(scene_route(s, "h1.example"), "10.0.0.1:2", "at once");
    cr_expect_str_eq(scene_route(s, "h10.example"), "10.0.9.1:80");
    scene_expect(s, "never-good.example", "bad_record");
    EXPECT(s, is_complete);
    cr_expect_geq(store_status(s->store)->records_bad, 4);
    scene_do(s, "SET usher:host:h1.example 10.0.0.1:3");
    scene_expect(s, "h1.example", "10.0.0.1:3");
    scene_do(s, "DEL usher:host:h1.example");
    scene_expect(s, "h1.example", "unknown_host");
    scene_end(s);
}

Test(store_copy, stands_in_at_once_also_when_it_takes_longer_to_open_than_redis_to_answer)
{
    struct scene *s = scene_with_copy(5000);

    scene_do(s, "SET usher:host:h1.example nonsense");
    scene_do(s, "SET usher:host:never-good.example nonsense");
    EXPECT(s, is_written);
    for (unsigned i = 0; i < 5; i++) {
        open_again(s, true);
        cr_assert_str_eq(scene_route(s, "h1.example"), "10.0.0.1:2");
        cr_assert_str_eq(scene_route(s, "never-good.example"), "bad_record");
    }
    scene_end(s);
}

Test(store_copy, holds_back_what_an_emptied_redis_lost_also_of_what_is_not_in_memory)
{
    struct scene *s = scene_with_copy(100);

    cr_expect_not(store_accept(s->store), "nothing is held back");
    scene_do(s, "FLUSHDB");
    EXPECT(s, is_regressed);
    for (unsigned i = 0; i < 100; i++) /* none of them was ever asked for */
        scene_expect(s, host_of(i), route_of(i));
    cr_expect_str_eq(scene_route(s, "never.seen"), "store_unavailable");
    scene_do(s, "SET usher:host:fresh.example 10.0.0.7:7");
    scene_expect(s, "fresh.example", "10.0.0.7:7");
    open_again(s, true); /* started anew, it knows what is missing from the copy */
    EXPECT(s, is_regressed);
    scene_expect(s, "h7.example", "10.0.0.1:8");
    scene_expect(s, "h10.example", "10.0.9.1:80");
    cr_assert(store_accept(s->store));
    EXPECT(s, is_calm);
    scene_expect(s, "h7.example", "unknown_host");
    scene_expect(s, "h8.example", "unknown_host");
    scene_expect(s, "fresh.example", "10.0.0.7:7");
    EXPECT(s, is_written);
    scene_stop_redis(s);
    open_again(s, false); /* nor does the copy have it any more */
    scene_expect(s, "fresh.example", "10.0.0.7:7");
    cr_expect_str_eq(scene_route(s, "h8.example"), "store_unavailable");
    scene_end(s);
}

Test(store_copy, without_one_what_is_missing_is_counted_all_the_same)
{
    struct scene *s = scene_new();

    fill(s, 100);
    scene_open(s);
    EXPECT(s, is_complete);
    scene_do(s, "FLUSHDB");
    EXPECT(s, is_regressed);
    cr_expect_geq(store_status(s->store)->missing_hosts, 100);
    cr_expect_str_eq(scene_route(s, "h7.example"), "store_unavailable", "and not unknown");
    fill(s, 100);
    EXPECT(s, is_calm);
    scene_expect(s, "h7.example", "10.0.0.1:8");
    scene_end(s);
}

Test(store_copy, believes_the_loss_of_a_few)
{
    struct scene *s = scene_with_copy(100);

    scene_do(s, "MULTI");
    scene_do(s, "CLIENT KILL TYPE normal SKIPME yes");
    for (unsigned i = 0; i < 8; i++)
        scene_do(s, "DEL usher:host:%s", host_of(i));
    scene_do(s, "EXEC");
    EXPECT(s, is_incomplete);
    EXPECT(s, is_calm);
    scene_expect(s, "h1.example", "unknown_host");
    EXPECT(s, is_written);
    scene_run(s, 100); /* for what the copy still had of them to go */
    EXPECT(s, is_written);
    scene_stop_redis(s);
    open_again(s, false);
    scene_expect(s, "h50.example", "10.0.9.1:80");
    cr_expect_str_eq(scene_route(s, "h2.example"), "store_unavailable");
    scene_end(s);
}

Test(store_copy, does_not_count_what_has_expired_as_lost)
{
    struct scene *s = scene_with_copy(20);

    for (unsigned i = 0; i < 60; i++)
        scene_do(s, "SET usher:host:brief%u.example 10.0.0.1:1 PX 700", i);
    scene_do(s, "SET usher:host:last.example 10.0.0.1:1");
    scene_expect(s, "last.example", "10.0.0.1:1");
    EXPECT(s, is_written);
    scene_close(s);
    usleep(900 * 1000); /* time is what this is about */
    scene_open(s);
    EXPECT(s, is_calm);
    cr_expect_str_eq(scene_route(s, "brief1.example"), "unknown_host");
    cr_expect_eq(store_status(s->store)->hosts, 21);
    scene_end(s);
}

static void damage(const struct scene *s, unsigned at)
{
    char path[1200];
    int fd;
    struct stat status;

    snprintf(path, sizeof(path), "%s/state.db", s->settings.state_dir);
    fd = open(path, O_RDWR);
    cr_assert_geq(fd, 0);
    cr_assert_eq(fstat(fd, &status), 0);
    cr_assert_eq(
        pwrite(fd, "\x5a\xa5\x5a", 3, (off_t)((uint64_t)at * 7919 % (uint64_t)status.st_size)), 3);
    close(fd);
}

/* Whatever it finds there: what it serves is right, and the copy is made anew. */
Test(store_copy, damaged_anywhere_is_made_anew)
{
    struct scene *s = scene_with_copy(200);

    for (unsigned n = 1; n < 12; n++) {
        scene_close(s);
        damage(s, n);
        scene_open(s);
        EXPECT(s, is_complete);
        EXPECT(s, is_written);
        scene_expect(s, host_of(n), route_of(n));
        scene_expect(s, host_of(n + 100), route_of(n + 100));
    }
    scene_stop_redis(s);
    open_again(s, false);
    scene_expect(s, "h150.example", "10.0.9.1:80");
    scene_end(s);
}

/* Its folder is opened on a thread of the copy's own. */
static bool says_why_not(struct scene *s, const void *with)
{
    struct copy_status c;

    (void)with;
    store_copy_status(s->store, &c);
    return c.reason[0] != '\0';
}

Test(store_copy, is_of_one_edge_alone)
{
    struct scene *s = scene_with_copy(20), *other = scene_beside(s);
    struct copy_status c;

    snprintf(other->settings.state_dir, sizeof(other->settings.state_dir), "%s",
             s->settings.state_dir);
    scene_open(other);
    scene_expect(other, "h1.example", "10.0.0.1:2");
    EXPECT(other, says_why_not);
    store_copy_status(other->store, &c);
    cr_expect_not(c.ready);
    cr_expect_not_null(strstr(c.reason, "another edge uses this folder"), "%s", c.reason);
    scene_end(other);
    scene_end(s);
}

Test(store_copy, has_the_value_of_what_is_not_held)
{
    struct scene *s = scene_with_copy(20);
    struct buf value = { 0 };

    cr_assert(store_fetch(s->store, FAMILY_host, STR("h1.example"), &value));
    cr_expect(str_equals(str_slice(value.ptr, value.len), STR("s10.0.0.1:2")));
    cr_expect_not(store_fetch(s->store, FAMILY_host, STR("never.seen"), &value));
    buf_free(&value);
    scene_end(s);
}

static unsigned scans_of(struct scene *s)
{
    char *text = scene_ask(s, "INFO commandstats"), *at = strstr(text, "cmdstat_scan:calls=");
    unsigned calls = at != NULL ? (unsigned)atoi(at + strlen("cmdstat_scan:calls=")) : 0;

    free(text);
    return calls;
}

/* Redis has to look at them, too. */
Test(store_copy, goes_over_keys_of_others_at_the_same_pace)
{
    struct scene *s = scene_new();
    uint64_t began, passed_ms;

    scene_do(s, "DEBUG POPULATE 20000 other 8");
    fill(s, 10);
    s->settings.sync_rate = 2000;
    began = clock_now_ms();
    scene_open(s);
    do {
        unsigned scans = scans_of(s);

        passed_ms = clock_now_ms() - began;
        cr_assert_leq(scans * 512ull, 2 * 512 + passed_ms * 2, "%u in %llu ms", scans,
                      (unsigned long long)passed_ms);
        scene_run(s, 20);
    } while (passed_ms < 1500);
    cr_expect_gt(scans_of(s), 1);
    scene_end(s);
}
