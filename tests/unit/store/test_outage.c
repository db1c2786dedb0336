/* test_outage.c -- Redis away, back, empty, frozen. */
#include <criterion/criterion.h>
#include <signal.h>

#include "base/clock.h"
#include "scene.h"

static bool is_up(struct scene *s, const void *with)
{
    return store_status(s->store)->up == *(const bool *)with;
}

static void expect_up(struct scene *s, bool up, unsigned ms)
{
    cr_assert(scene_await(s, is_up, &up, ms), "not %s within %u ms", up ? "up" : "down", ms);
}

static bool is_settled(struct scene *s, const void *with)
{
    (void)with;
    return store_status(s->store)->up && !store_status(s->store)->suspect;
}

static bool is_regressed(struct scene *s, const void *with)
{
    return store_status(s->store)->regressed == *(const bool *)with;
}

static void set_hosts(struct scene *s, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        scene_do(s, "SET usher:host:h%u.example 10.0.0.1:%u", i, i + 1);
}

static void expect_hosts(struct scene *s, unsigned from, unsigned to)
{
    char host[32], route[32];

    for (unsigned i = from; i < to; i++) {
        snprintf(host, sizeof(host), "h%u.example", i);
        snprintf(route, sizeof(route), "10.0.0.1:%u", i + 1);
        cr_expect_str_eq(scene_route(s, host), route);
    }
}

Test(store_outage, known_hosts_serve_on)
{
    struct scene *s = scene_new();

    scene_do(s, "SET usher:host:a.example 10.0.0.1:80");
    scene_do(s, "SET usher:host:brief.example 10.0.0.1:80 PX 150");
    scene_open(s);
    scene_expect(s, "a.example", "10.0.0.1:80");
    scene_expect(s, "brief.example", "10.0.0.1:80");
    scene_expect(s, "none.example", "unknown_host");
    scene_stop_redis(s);
    expect_up(s, false, 1000);
    scene_run(s, 300);
    store_lookup(s->store, 1, STR("a.example")); /* another worker's first time */
    cr_expect_str_eq(scene_route(s, "a.example"), "10.0.0.1:80");
    cr_expect_str_eq(scene_route(s, "brief.example"), "10.0.0.1:80");
    cr_expect_str_eq(scene_route(s, "none.example"), "unknown_host");
    cr_expect_str_eq(scene_route(s, "new.example"), "store_unavailable");
    scene_start_redis(s);
    scene_do(s, "SET usher:host:a.example 10.0.0.2:80");
    scene_do(s, "SET usher:host:none.example 10.0.0.3:80");
    expect_up(s, true, 5000);
    scene_expect(s, "a.example", "10.0.0.2:80");
    scene_expect(s, "none.example", "10.0.0.3:80");
    scene_expect(s, "brief.example", "unknown_host");
    scene_expect(s, "new.example", "unknown_host");
    cr_expect(scene_await(s, is_settled, NULL, 3000));
    cr_expect_eq(store_status(s->store)->reconnects, 1);
    scene_end(s);
}

Test(store_outage, away_at_the_start)
{
    struct scene *s = scene_new();

    scene_stop_redis(s);
    scene_open_down(s);
    scene_run(s, 100);
    cr_expect_str_eq(scene_route(s, "a.example"), "store_unavailable");
    cr_expect_not(store_status(s->store)->ever_synced);
    scene_start_redis(s);
    scene_do(s, "SET usher:host:a.example 10.0.0.1:80");
    expect_up(s, true, 5000);
    scene_expect(s, "a.example", "10.0.0.1:80");
    scene_end(s);
}

Test(store_outage, a_wildcard_host_may_get_its_own_key_meanwhile)
{
    struct scene *s = scene_new();

    scene_do(s, "SET usher:host:*.example 10.0.0.1:80");
    scene_open(s);
    scene_expect(s, "a.example", "10.0.0.1:80");
    scene_stop_redis(s);
    expect_up(s, false, 1000);
    scene_start_redis(s);
    scene_do(s, "SET usher:host:*.example 10.0.0.1:80");
    scene_do(s, "SET usher:host:a.example 10.0.0.2:80");
    expect_up(s, true, 5000);
    scene_expect(s, "a.example", "10.0.0.2:80");
    scene_end(s);
}

Test(store_outage, a_frozen_redis_is_noticed)
{
    struct scene *s = scene_new();
    uint64_t before;

    scene_do(s, "SET usher:host:a.example 10.0.0.1:80");
    scene_open(s);
    scene_expect(s, "a.example", "10.0.0.1:80");
    before = clock_now_ms();
    kill(s->redis_pid, SIGSTOP);
    expect_up(s, false, 6000);
    cr_expect_leq(clock_now_ms() - before, 5000);
    cr_expect_str_eq(scene_route(s, "a.example"), "10.0.0.1:80");
    scene_run(s, 2500); /* the greeting goes unanswered, too */
    kill(s->redis_pid, SIGCONT);
    scene_do(s, "SET usher:host:a.example 10.0.0.2:80");
    expect_up(s, true, 5000);
    scene_expect(s, "a.example", "10.0.0.2:80");
    scene_end(s);
}

Test(store_outage, a_lookup_under_way_is_answered)
{
    struct scene *s = scene_new();

    s->settings.lookup_timeout_ms = 300;
    scene_open(s);
    kill(s->redis_pid, SIGSTOP);
    cr_expect_str_eq(scene_route(s, "a.example"), "store_timeout");
    kill(s->redis_pid, SIGCONT);
    scene_expect(s, "a.example", "unknown_host");
    s->settings.lookup_timeout_ms = 2000;
    scene_do(s, "SET usher:host:b.example 10.0.0.1:80");
    scene_do(s, "SET usher:host:c.example 10.0.0.1:80");
    scene_expect(s, "c.example", "10.0.0.1:80");
    kill(s->redis_pid, SIGSTOP);
    store_lookup(s->store, 0, STR("b.example"));
    scene_run(s, 20);
    scene_stop_redis(s);
    expect_up(s, false, 1000);
    cr_expect_str_eq(scene_known(s, "b.example"), "store_unavailable");
    scene_end(s);
}

Test(store_outage, flushed_with_permission)
{
    struct scene *s = scene_new();

    s->settings.max_loss_percent = 100;
    set_hosts(s, 0, 30);
    scene_open(s);
    expect_hosts(s, 0, 30);
    scene_do(s, "FLUSHDB");
    scene_expect(s, "h3.example", "unknown_host");
    scene_expect(s, "h29.example", "unknown_host");
    cr_expect(scene_await(s, is_settled, NULL, 3000));
    cr_expect_eq(store_status(s->store)->records_good, 0);
    scene_end(s);
}

Test(store_outage, a_few_hosts_may_go)
{
    struct scene *s = scene_new();

    set_hosts(s, 0, 9);
    scene_open(s);
    expect_hosts(s, 0, 9);
    scene_do(s, "FLUSHDB");
    scene_expect(s, "h3.example", "unknown_host");
    scene_end(s);
}

Test(store_outage, flushed_and_held_back)
{
    struct scene *s = scene_new();
    bool yes = true, no = false;

    scene_do(s, "HSET usher:endpoints:web 10.0.0.9:80 1");
    scene_do(s, "HSET usher:tenant:acme to service:web");
    scene_do(s, "SET usher:host:t.example tenant:acme");
    set_hosts(s, 0, 30);
    scene_open(s);
    expect_hosts(s, 0, 30);
    scene_expect(s, "t.example", "10.0.0.9:80");
    scene_do(s, "FLUSHDB");
    cr_assert(scene_await(s, is_regressed, &yes, 3000));
    expect_hosts(s, 0, 30);
    cr_expect_str_eq(scene_route(s, "t.example"), "10.0.0.9:80");
    scene_run(s, 2500);
    expect_hosts(s, 0, 30);
    cr_expect(store_status(s->store)->regressed);
    /* What is written meanwhile is taken one by one. */
    scene_do(s, "SET usher:host:h3.example 10.0.7.7:80");
    scene_expect(s, "h3.example", "10.0.7.7:80");
    scene_do(s, "DEL usher:host:h3.example");
    scene_expect(s, "h3.example", "unknown_host");
    cr_expect(store_status(s->store)->regressed);
    /* The data comes back, but for two. */
    scene_do(s, "HSET usher:endpoints:web 10.0.0.9:80 1");
    scene_do(s, "HSET usher:tenant:acme to service:web");
    scene_do(s, "SET usher:host:t.example tenant:acme");
    set_hosts(s, 5, 30);
    cr_assert(scene_await(s, is_regressed, &no, 6000));
    cr_expect(scene_await(s, is_settled, NULL, 3000));
    expect_hosts(s, 5, 30);
    scene_expect(s, "h1.example", "unknown_host");
    cr_expect_str_eq(scene_route(s, "t.example"), "10.0.0.9:80");
    scene_end(s);
}

Test(store_outage, back_but_empty)
{
    struct scene *s = scene_new();
    bool yes = true, no = false;

    set_hosts(s, 0, 30);
    scene_open(s);
    expect_hosts(s, 0, 30);
    scene_stop_redis(s);
    expect_up(s, false, 1000);
    scene_start_redis(s);
    expect_up(s, true, 5000);
    cr_assert(scene_await(s, is_regressed, &yes, 3000));
    expect_hosts(s, 0, 30);
    set_hosts(s, 0, 30);
    cr_assert(scene_await(s, is_regressed, &no, 6000));
    expect_hosts(s, 0, 30);
    scene_end(s);
}

Test(store_outage, another_data_base_is_flushed)
{
    struct scene *s = scene_new();
    uint64_t swaps;

    set_hosts(s, 0, 30);
    scene_open(s);
    expect_hosts(s, 0, 30);
    swaps = s->swaps_seen;
    scene_do(s, "SELECT 1");
    scene_do(s, "FLUSHDB");
    scene_do(s, "SELECT 0");
    scene_run(s, 200);
    cr_expect(scene_await(s, is_settled, NULL, 3000));
    cr_expect_not(store_status(s->store)->regressed);
    cr_expect_eq(s->swaps_seen, swaps);
    expect_hosts(s, 0, 30);
    scene_end(s);
}

Test(store_outage, deletions_key_by_key_are_obeyed)
{
    struct scene *s = scene_new();

    set_hosts(s, 0, 30);
    scene_open(s);
    expect_hosts(s, 0, 30);
    for (unsigned i = 0; i < 29; i++)
        scene_do(s, "DEL usher:host:h%u.example", i);
    for (unsigned i = 0; i < 29; i++) {
        char host[32];

        snprintf(host, sizeof(host), "h%u.example", i);
        scene_expect(s, host, "unknown_host");
    }
    expect_hosts(s, 29, 30);
    cr_expect_not(store_status(s->store)->regressed);
    scene_end(s);
}

Test(store_outage, connections_killed_again_and_again)
{
    struct scene *s = scene_new();

    set_hosts(s, 0, 20);
    scene_open(s);
    expect_hosts(s, 0, 20);
    for (unsigned i = 0; i < 10; i++) {
        store_lookup(s->store, 0, STR("h99.example"));
        scene_do(s, "CLIENT KILL TYPE normal SKIPME yes");
        scene_do(s, "SET usher:host:h7.example 10.0.0.2:%u", i + 1);
        scene_run(s, 30);
        expect_up(s, true, 6000);
    }
    scene_expect(s, "h7.example", "10.0.0.2:10");
    expect_hosts(s, 8, 20);
    scene_end(s);
}

Test(store_link, by_name_with_password_and_data_base)
{
    struct scene *s = scene_new();

    scene_use_tcp(s);
    snprintf(s->settings.redis.host, sizeof(s->settings.redis.host), "localhost");
    snprintf(s->settings.redis.user, sizeof(s->settings.redis.user), "edge");
    snprintf(s->settings.redis.password, sizeof(s->settings.redis.password), "a secret");
    s->settings.redis.db = 3;
    scene_do(s, "ACL SETUSER edge on %s ~* +@all", ">a secret");
    scene_do(s, "ACL SETUSER default nopass ~* +@all");
    scene_do(s, "SELECT 3");
    scene_do(s, "SET usher:host:a.example 10.0.0.1:80");
    scene_open(s);
    scene_expect(s, "a.example", "10.0.0.1:80");
    scene_do(s, "SET usher:host:a.example 10.0.0.2:80");
    scene_expect(s, "a.example", "10.0.0.2:80");
    scene_end(s);
}

Test(store_link, what_redis_refuses_is_a_failure_not_an_absence)
{
    struct scene *s = scene_new();
    bool yes = true;

    scene_use_tcp(s);
    snprintf(s->settings.redis.user, sizeof(s->settings.redis.user), "edge");
    snprintf(s->settings.redis.password, sizeof(s->settings.redis.password), "x");
    scene_do(s, "ACL SETUSER edge on >x ~* +@all");
    scene_do(s, "SET usher:host:a.example 10.0.0.1:80");
    scene_open(s);
    scene_expect(s, "a.example", "10.0.0.1:80");
    scene_do(s, "ACL SETUSER edge -memory|usage");
    scene_do(s, "SET usher:host:a.example 10.0.0.2:80");
    expect_up(s, false, 3000);
    scene_run(s, 500);
    cr_expect_str_eq(scene_known(s, "a.example"), "10.0.0.1:80");
    scene_do(s, "ACL SETUSER edge +@all");
    scene_expect(s, "a.example", "10.0.0.2:80");
    expect_up(s, yes, 3000);
    scene_end(s);
}

Test(store_link, a_closed_door)
{
    struct scene *s = scene_new();

    scene_use_tcp(s);
    snprintf(s->settings.redis.host, sizeof(s->settings.redis.host), "no-such-host.invalid");
    scene_open_down(s);
    scene_run(s, 300);
    cr_expect_not(store_status(s->store)->up);
    cr_expect_str_eq(scene_route(s, "a.example"), "store_unavailable");
    scene_end(s);
}

/* With noeviction, a Redis at its maxmemory refuses writes; and whatever is queued in a MULTI. */
Test(store_outage, at_its_maxmemory_redis_is_read_all_the_same)
{
    struct scene *s = scene_new();

    set_hosts(s, 0, 40);
    scene_do(s, "HSET usher:tenant:acme to 10.0.0.9:90 status active");
    scene_do(s, "SET usher:host:acme.example tenant:acme");
    scene_open(s);
    expect_hosts(s, 0, 10);
    scene_do(s, "CONFIG SET maxmemory 1");
    expect_hosts(s, 10, 40); /* never asked for before */
    cr_expect_str_eq(scene_route(s, "acme.example"), "10.0.0.9:90");
    scene_do(s, "DEL usher:host:h3.example usher:host:h13.example");
    scene_expect(s, "h3.example", "unknown_host");
    scene_expect(s, "h13.example", "unknown_host");
    cr_expect_eq(store_status(s->store)->reconnects, 0);
    scene_do(s, "CONFIG SET maxmemory 0");
    scene_do(s, "SET usher:host:h3.example 10.0.0.3:33");
    scene_expect(s, "h3.example", "10.0.0.3:33");
    scene_end(s);
}
