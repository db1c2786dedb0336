/* test_lookup.c -- hosts asked for: cold, by wildcard, unknown, in floods. */
#include <criterion/criterion.h>

#include "scene.h"
#include "base/clock.h"

Test(store_lookup, a_cold_host)
{
    struct scene *s = scene_new();
    uint64_t before;

    scene_do(s, "SET usher:host:shop.example %s", "10.0.0.5:8080 10.0.0.6:8080");
    scene_open(s);
    before = clock_now_ns();
    cr_expect_str_eq(scene_route(s, "shop.example"), "10.0.0.5:8080 10.0.0.6:8080");
    cr_log_info("cold lookup: %llu us", (unsigned long long)(clock_now_ns() - before) / 1000);
    cr_expect_str_eq(scene_route(s, "other.example"), "unknown_host");
    scene_end(s);
}

Test(store_lookup, through_tenant_and_service)
{
    struct scene *s = scene_new();

    scene_do(s, "HSET usher:endpoints:web 10.0.0.5:80 100");
    scene_do(s, "HSET usher:tenant:acme to service:web");
    scene_do(s, "SET usher:host:a.example tenant:acme");
    scene_do(s, "HSET usher:host:b.example tenant acme status maintenance");
    scene_do(s, "HSET usher:host:c.example tenant acme to 10.0.0.9:80");
    scene_open(s);
    cr_expect_str_eq(scene_route(s, "a.example"), "10.0.0.5:80");
    cr_expect_str_eq(scene_route(s, "b.example"), "maintenance");
    cr_expect_str_eq(scene_route(s, "c.example"), "10.0.0.9:80");
    scene_end(s);
}

Test(store_lookup, wildcards)
{
    struct scene *s = scene_new();

    scene_do(s, "SET usher:host:*.shop.example 10.0.0.1:80");
    scene_do(s, "SET usher:host:*.example 10.0.0.2:80");
    scene_do(s, "SET usher:host:x.shop.example 10.0.0.3:80");
    scene_open(s);
    cr_expect_str_eq(scene_route(s, "a.shop.example"), "10.0.0.1:80");
    cr_expect_str_eq(scene_route(s, "b.a.shop.example"), "10.0.0.1:80");
    cr_expect_str_eq(scene_route(s, "x.shop.example"), "10.0.0.3:80");
    cr_expect_str_eq(scene_route(s, "shop.example"), "10.0.0.2:80");
    cr_expect_str_eq(scene_route(s, "shop.test"), "unknown_host");
    cr_expect_str_eq(scene_route(s, "[2001:db8::1]"), "unknown_host");
    scene_do(s, "SET usher:host:* 10.0.0.4:80");
    scene_expect(s, "shop.test", "10.0.0.4:80");
    scene_expect(s, "[2001:db8::1]", "10.0.0.4:80");
    /* A key of its own, then a longer wildcard, come between. */
    scene_do(s, "SET usher:host:*.a.shop.example 10.0.0.5:80");
    scene_expect(s, "b.a.shop.example", "10.0.0.5:80");
    scene_do(s, "SET usher:host:b.a.shop.example 10.0.0.6:80");
    scene_expect(s, "b.a.shop.example", "10.0.0.6:80");
    scene_do(s, "DEL usher:host:b.a.shop.example usher:host:*.a.shop.example");
    scene_expect(s, "b.a.shop.example", "10.0.0.1:80");
    scene_end(s);
}

static bool are_answered(struct scene *s, const void *count)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->host_count; i++)
        n += s->hosts[i].answered;
    return n >= *(const unsigned *)count;
}

Test(store_lookup, a_flood_is_bounded)
{
    struct scene *s = scene_new();
    unsigned count = 3000, refused = 0;
    char host[64];

    s->settings.lookup_rate = 500;
    scene_open(s);
    for (unsigned i = 0; i < count; i++) {
        snprintf(host, sizeof(host), "h%u.example", i);
        store_lookup(s->store, 0, str_from(host));
    }
    cr_assert(scene_await(s, are_answered, &count, 5000));
    for (unsigned i = 0; i < s->host_count; i++)
        refused +=
            s->hosts[i].answer.kind == ANSWER_FAULT && s->hosts[i].answer.fault == FAULT_store_busy;
    /* 500 go at once, about 250 in the half second that one may wait for its turn */
    cr_expect_geq(refused, count - 500 - 250 - 150);
    cr_expect_leq(refused, count - 500 - 250);
    cr_expect_eq(store_status(s->store)->lookups_refused, refused);
    scene_end(s);
}

Test(store_lookup, what_is_not_asked_for_again_goes)
{
    struct scene *s = scene_new();
    char host[64];

    s->settings.cache_bytes = 200000;
    for (unsigned i = 0; i < 1000; i++)
        scene_do(s, "SET usher:host:h%u.example 10.0.0.1:%u", i, i + 1);
    scene_open(s);
    for (unsigned i = 0; i < 1000; i++) {
        char wanted[32];

        snprintf(host, sizeof(host), "h%u.example", i);
        snprintf(wanted, sizeof(wanted), "10.0.0.1:%u", i + 1);
        cr_assert_str_eq(scene_route(s, host), wanted);
    }
    cr_expect_gt(store_status(s->store)->records_evicted, 500);
    cr_expect_leq(store_status(s->store)->cache_bytes, 210000);
    cr_expect_str_eq(scene_known(s, "h0.example"), "?");
    cr_expect_str_eq(scene_route(s, "h0.example"), "10.0.0.1:1");
    scene_end(s);
}

Test(store_lookup, two_workers_share_one_wait)
{
    struct scene *s = scene_new();
    uint64_t reads;

    scene_do(s, "SET usher:host:shop.example 10.0.0.1:80");
    scene_open(s);
    scene_route(s, "other.example"); /* *.example and * are known now */
    reads = store_status(s->store)->reads;
    store_lookup(s->store, 0, STR("shop.example"));
    store_lookup(s->store, 1, STR("shop.example"));
    store_lookup(s->store, 1, STR("shop.example"));
    cr_expect_str_eq(scene_route(s, "shop.example"), "10.0.0.1:80");
    cr_expect_eq(store_status(s->store)->reads, reads + 1);
    scene_end(s);
}

Test(store_lookup, names_that_nobody_has_push_no_good_one_out)
{
    struct scene *s = scene_new();
    char host[64];

    s->settings.cache_bytes = 400000;
    scene_do(s, "ACL SETUSER default -scan"); /* so each name must be asked for */
    for (unsigned i = 0; i < 200; i++)
        scene_do(s, "SET usher:host:h%u.example 10.0.0.1:%u", i, i + 1);
    scene_open(s);
    for (unsigned i = 0; i < 200; i++) {
        snprintf(host, sizeof(host), "h%u.example", i);
        scene_route(s, host);
    }
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(host, sizeof(host), "random%u.example", i);
        cr_assert_str_eq(scene_route(s, host), "unknown_host");
    }
    cr_expect_eq(store_status(s->store)->records_evicted, 0);
    cr_expect_leq(store_status(s->store)->cache_bytes, 400000);
    cr_expect_gt(store_status(s->store)->records_absent, 200);
    scene_end(s);
}
