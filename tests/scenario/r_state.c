/* r_state.c -- the disk copy and the walk over all of Redis: starts without Redis, losses, damage. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/scene.h"

/* A scene whose edge, not yet started, has a copy in a folder of the scene's. */
static void begin(struct scene *s, const char *flag, const char *value)
{
    unsigned n = 0;

    scene_start(s, .without_edge = true, .flags = { flag, value });
    while (s->options.flags[n] != NULL)
        n++;
    s->options.flags[n] = "--state-dir";
    s->options.flags[n + 1] = kept_format("%s/state", s->dir);
}

static bool is_written(struct scene *s)
{
    return scene_metric(s, "usher_state_complete") == 1 &&
           scene_metric(s, "usher_store_complete") == 1 &&
           scene_metric(s, "usher_state_queued") == 0;
}

static void start_and_write(struct scene *s)
{
    scene_edge_start(s);
    await(is_written(s));
}

static void add_hosts(struct scene *s, unsigned count, const struct origin *o)
{
    for (unsigned i = 0; i < count; i++)
        redis_queue(&s->redis, "SET usher:host:h%u.test %s", i, origin_at(o));
    redis_flush(&s->redis);
}

SCENARIO(state, a_start_with_redis_dead_serves_from_the_copy)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");
    uint64_t start;

    begin(&s, NULL, NULL);
    add_hosts(&s, 30, one);
    scene_endpoint(&s, "web", two);
    scene_redis(&s, "HSET usher:tenant:acme to service:web");
    scene_redis(&s, "SET usher:host:*.shop.test tenant:acme");
    start_and_write(&s);
    scene_host(&s, "h7.test", two); /* the copy follows */
    await_get(&s, "h7.test", "/", 200, "two");
    await(is_written(&s));
    edge_stop(&s.edge);
    redis_kill(&s.redis);
    start = await_now_ms();
    scene_edge_start(&s); /* ready without Redis */
    expect_get(&s, "h3.test", "/", 200, "one");
    cr_assert_lt(await_now_ms() - start, 4000);
    expect_get(&s, "h7.test", "/", 200, "two");
    expect_get(&s, "a.shop.test", "/", 200, "two");
    expect_fault(&s, "never.seen", "store_unavailable");
    await(scene_logged(&s, " state_serves ") == 1);
    cr_assert(has(scene_page(&s, "/readyz"), "serving from the disk copy"));
    redis_restart(&s.redis);
    add_hosts(&s, 30, two); /* before the edge has looked, or after: it is obeyed */
    await_get(&s, "h3.test", "/", 200, "two");
    await_fault(&s, "never.seen", "unknown_host");
    scene_end(&s);
}

SCENARIO(state, without_a_copy_a_start_with_redis_dead_says_so)
{
    static struct scene s;

    begin(&s, "--start-wait", "50ms");
    redis_kill(&s.redis);
    scene_edge_start_unready(&s);
    await_fault(&s, "a.test", "store_unavailable");
    cr_assert_eq(scene_ready(&s), 503, "a copy that holds nothing makes no edge ready");
    redis_restart(&s.redis);
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    await(is_written(&s));
    scene_end(&s);
}

SCENARIO(state, redis_restarted_empty_is_held_back_until_accepted)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");

    begin(&s, NULL, NULL);
    add_hosts(&s, 40, one);
    start_and_write(&s);
    expect_status(client_exchange(s.edge.admin, "POST /accept HTTP/1.0\r\n\r\n"), 409);
    expect_status(client_exchange(s.edge.admin, "GET /accept HTTP/1.0\r\n\r\n"), 405);
    redis_kill(&s.redis);
    redis_restart(&s.redis);
    await(scene_metric(&s, "usher_store_regressed") == 1);
    expect_metric(&s, "usher_store_missing_hosts", 40);
    await(scene_logged(&s, " store_regressed gone=40 known=40") == 1);
    cr_assert(has(scene_page(&s, "/readyz"), "held back: 40"));
    for (unsigned i = 0; i < 40; i++) /* not one of them was ever asked for */
        expect_get(&s, kept_format("h%u.test", i), "/", 200, "one");
    edge_stop(&s.edge);
    scene_edge_start(&s); /* a new start knows it, too */
    await(scene_metric(&s, "usher_store_regressed") == 1);
    expect_get(&s, "h39.test", "/", 200, "one");
    scene_host(&s, "h1.test", two);
    await_get(&s, "h1.test", "/", 200, "two");
    expect_status(client_exchange(s.edge.admin, "POST /accept HTTP/1.0\r\n\r\n"), 200);
    await_fault(&s, "h2.test", "unknown_host");
    await_fault(&s, "h39.test", "unknown_host");
    expect_get(&s, "h1.test", "/", 200, "two");
    expect_metric(&s, "usher_store_regressed", 0);
    scene_end(&s);
}

SCENARIO(state, bad_data_that_stands_at_a_restart_has_its_last_good_version)
{
    static struct scene s;
    struct origin *one = origin_start("one");

    begin(&s, NULL, NULL);
    scene_host(&s, "a.test", one);
    scene_endpoint(&s, "web", one);
    scene_redis(&s, "SET usher:host:b.test service:web");
    start_and_write(&s);
    scene_redis(&s, "SET usher:host:a.test nonsense");
    scene_redis(&s, "HSET usher:endpoints:web 10.0.0.1:99999 100");
    await(scene_metric(&s, "usher_records{state=\"bad\"}") == 2);
    await(is_written(&s));
    edge_stop(&s.edge);
    scene_edge_start(&s);
    expect_get(&s, "a.test", "/", 200, "one");
    expect_get(&s, "b.test", "/", 200, "one");
    await(scene_metric(&s, "usher_records{state=\"bad\"}") == 2);
    cr_assert(has(scene_redis(&s, "HGET usher:errors usher:host:a.test"), "nonsense"));
    scene_end(&s);
}

/* Written to all the time, killed again and again; then, with Redis dead, each host has a route that
 * it once had. */
SCENARIO(state, killed_at_any_moment_it_serves_what_it_had)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");

    begin(&s, "--start-wait", "100ms");
    add_hosts(&s, 200, one);
    start_and_write(&s);
    for (unsigned n = 0; n < 6; n++) {
        unsigned killed_at = 5 + n * 37 % 150;

        for (unsigned i = 0; i < 200; i += 2) {
            scene_host(&s, kept_format("h%u.test", i), (i + n) % 4 == 0 ? two : one);
            if (i / 2 == killed_at)
                process_kill(&s.edge.process);
        }
        process_kill(&s.edge.process);
        scene_edge_start(&s);
        expect_get(&s, "h1.test", "/", 200, "one");
    }
    process_kill(&s.edge.process);
    redis_kill(&s.redis);
    scene_edge_start(&s);
    cr_assert_eq(scene_logged(&s, " state_damaged "), 0);
    for (unsigned i = 0; i < 200; i++) {
        struct response r = scene_get(&s, kept_format("h%u.test", i), "/");

        cr_assert_eq(r.status, 200, "h%u.test: %d", i, r.status);
        cr_assert(i % 2 == 0 || strcmp(r.text, "one") == 0);
    }
    scene_end(&s);
}

/* In the file, changes the last octet of this key. */
static void rename_row(struct scene *s, const char *key)
{
    static char bytes[1 << 20];
    int fd = open(kept_format("%s/state/state.db", s->dir), O_RDWR);
    ssize_t len = read(fd, bytes, sizeof(bytes));
    char *at;

    cr_assert(fd >= 0 && len > 0);
    cr_assert_not_null(at = memmem(bytes, (size_t)len, key, strlen(key)));
    at += strlen(key) - 1;
    cr_assert_eq(pwrite(fd, "~", 1, at - bytes), 1);
    close(fd);
}

static off_t log_bytes(struct scene *s)
{
    struct stat log;

    return stat(kept_format("%s/state/state.db-wal", s->dir), &log) == 0 ? log.st_size : -1;
}

static bool is_settled(struct scene *s)
{
    return is_written(s) && log_bytes(s) == 0;
}

/* Were the log of no use, this is how old what is served could be. */
SCENARIO(state, changes_without_a_pause_get_from_the_log_into_the_file_in_time)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");
    uint64_t until = await_now_ms() + 20000;
    off_t most = 0, now;

    begin(&s, NULL, NULL);
    add_hosts(&s, 10, one);
    start_and_write(&s);
    for (unsigned i = 0; (now = log_bytes(&s)) >= most; i++) {
        cr_assert_lt(await_now_ms(), until, "the log has %lld octets", (long long)now);
        most = now;
        scene_host(&s, kept_format("h%u.test", i % 10), i / 10 % 2 == 0 ? two : one);
        await_nap();
        await_nap();
    }
    cr_assert_gt(most, 100000, "it was emptied in a pause");
    cr_assert_lt(now, 1 << 20, "it was only too long");
    scene_end(&s);
}

/* Rules that the copy has lost, as it serves alone: without them all would go elsewhere. */
SCENARIO(state, a_row_that_is_out_of_sight_is_not_taken_for_one_that_never_was)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");

    begin(&s, "--start-wait", "10ms");
    add_hosts(&s, 300, one); /* the file has several pages: what is read first is kept in memory */
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(one));
    scene_redis(&s, "HSET usher:routes:acme all 'path /* to %s'", origin_at(two));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    start_and_write(&s);
    expect_get(&s, "a.test", "/", 200, "two");
    await(is_settled(&s));
    process_kill(&s.edge.process);
    redis_kill(&s.redis);
    scene_edge_start(&s);
    rename_row(&s, "routes:acme");
    expect_fault(&s, "a.test", "store_unavailable");
    expect_get(&s, "h7.test", "/", 200, "one");
    redis_restart(&s.redis);
    scene_redis(&s, "SET usher:host:a.test %s", origin_at(two));
    await_get(&s, "a.test", "/", 200, "two");
    scene_end(&s);
}

SCENARIO(state, once_all_names_are_known_unknown_hosts_ask_redis_nothing)
{
    static struct scene s;
    struct client *c;
    unsigned long types, gets;

    scene_start(&s, .flags = { "--lookup-rate", "10" });
    scene_host(&s, "*.shop.test", origin_start("one"));
    await_get(&s, "a.shop.test", "/", 200, "one");
    await(scene_metric(&s, "usher_store_complete") == 1);
    types = redis_calls(&s.redis, "type");
    gets = redis_calls(&s.redis, "getrange");
    c = scene_open(&s);
    for (unsigned i = 0; i < 500; i++) {
        expect_status(client_get(c, kept_format("nobody%u.a.b.test", i), "/"), 404);
        expect_status(client_get(c, kept_format("b%u.shop.test", i), "/"), 200);
    }
    cr_assert_eq(redis_calls(&s.redis, "type"), types);
    cr_assert_eq(redis_calls(&s.redis, "getrange"), gets);
    expect_metric(&s, "usher_store_lookups_refused_total", 0);
    scene_host(&s, "nobody1.a.b.test", origin_start("two")); /* it comes into being: live at once */
    await_get(&s, "nobody1.a.b.test", "/", 200, "two");
    scene_end(&s);
}

SCENARIO(state, the_first_sync_is_seen_and_holds_nobody_up)
{
    static struct scene s;
    struct origin *one = origin_start("one");

    begin(&s, "--sync-rate", "2000");
    add_hosts(&s, 9000, one);
    scene_edge_start(&s);
    await(has(scene_page(&s, "/readyz"), "of about 90"));
    for (unsigned i = 0; i < 50; i++)
        expect_get(&s, kept_format("h%u.test", i * 170), "/", 200, "one");
    scene_host(&s, "new.test", one);
    await_get(&s, "new.test", "/", 200, "one");
    await(scene_metric(&s, "usher_store_sync_keys") >= 2000);
    cr_assert_eq(scene_metric(&s, "usher_store_complete"), 0, "at 2,000 keys a second?");
    await(scene_logged(&s, " sync_progress keys=") > 0);
    await(scene_metric(&s, "usher_store_complete") == 1);
    await(scene_logged(&s, " synced records=9001 hosts=9001") == 1);
    await(strcmp(scene_page(&s, "/readyz"), "ready\n") == 0);
    scene_end(&s);
}

SCENARIO(state, two_edges_do_not_share_a_folder)
{
    static struct scene s;
    struct edge two;

    begin(&s, NULL, NULL);
    scene_host(&s, "a.test", origin_start("one"));
    start_and_write(&s);
    scene_second_edge(&s, &two, NULL);
    cr_assert(process_awaits_log(&two.process, "another edge uses this folder", AWAIT_MS));
    cr_assert_eq(client_get_once(two.at, "a.test", "/").status, 200, "it serves without");
    edge_stop(&s.edge); /* the folder is free: the other takes it */
    cr_assert(process_awaits_log(&two.process, " state_opened ", AWAIT_MS));
    edge_stop(&two);
    edge_free(&two);
    scene_edge_start(&s);
    scene_end(&s);
}
