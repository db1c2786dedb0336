/* test_upstream.c -- addresses that are not connected to, whoever named them and when. */
#include <criterion/criterion.h>

#include "net/guard.h"
#include "proxy/upstream.h"
#include "proxy/worker_state.h"

static struct address at(const char *text)
{
    const char *expected;
    struct address a;

    cr_assert(address_parse(str_from(text), 1, &a, &expected));
    return a;
}

/* Judged once more on the very address: what was fit when its record was written may not be now. */
Test(proxy_upstream, what_has_become_redis_is_not_connected_to)
{
    static struct settings settings;
    static struct guard guard;
    struct worker_shared shared = { .settings = &settings, .guard = &guard };
    struct worker w = { .shared = &shared, .settings = &settings };
    struct pool_bucket bucket = { .address = at("[::ffff:10.0.0.9]:6379") };
    struct address redis = at("10.0.0.9:6379");
    enum fault fault = FAULT_NONE;

    guard_init(&guard, &settings);
    guard_add_store(&guard, &redis);
    cr_assert_null(upstream_open(&w, &bucket, &fault));
    cr_assert_eq(fault, FAULT_endpoint_forbidden);
    bucket.address = at("169.254.169.254:80");
    fault = FAULT_NONE;
    cr_assert_null(upstream_open(&w, &bucket, &fault));
    cr_assert_eq(fault, FAULT_endpoint_forbidden);
    cr_assert_eq(bucket.upstreams, 0);
}
