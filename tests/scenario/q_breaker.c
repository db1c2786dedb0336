/* q_breaker.c -- a service that fails too often is not asked for a while.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: single endpoints (q_outlier.c). */
#include "harness/scene.h"

static void hang_up(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    (void)arg;
    origin_hang_up(c);
}

static void serve(struct scene *s, struct origin *o, const char *fields)
{
    scene_endpoint(s, "web", o);
    scene_redis(s, "HSET usher:service:web %s", fields);
    scene_redis(s, "SET usher:host:a.test service:web");
    scene_live(s);
}

static unsigned get(struct scene *s, unsigned times, int status)
{
    unsigned count = 0;

    for (unsigned i = 0; i < times; i++)
        count += scene_get(s, "a.test", "/").status == status;
    return count;
}

SCENARIO(breaker, opens_answers_at_once_and_closes_when_all_is_well)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;

    scene_start(&s, .workers = 2);
    origin_script(o, hang_up, NULL);
    serve(&s, o, "breaker 50 breaker_min 10 breaker_open 3s");
    cr_assert_eq(get(&s, 10, 502), 10);
    r = scene_get(&s, "a.test", "/");
    cr_assert_eq(r.status, 503);
    cr_assert_str_eq(response_fault(&r), "circuit_open");
    cr_assert_str_eq(response_field(&r, "retry-after"), "3");
    cr_assert_eq(origin_requests(o), 10, "it is not asked");
    cr_assert(has(scene_page(&s, "/explain?url=http://a.test/"), "circuit_open"));
    cr_assert_eq(scene_logged(&s, "circuit_open service=web"), 1);
    expect_metric(&s, "usher_breakers_opened_total", 1);
    origin_script(o, NULL, NULL);
    await(get(&s, 1, 200) == 1);
    await(scene_logged(&s, "circuit_closed service=web") == 1 || get(&s, 1, 200) > 1);
    cr_assert_eq(get(&s, 10, 200), 10);
    scene_end(&s);
}

SCENARIO(breaker, opens_again_when_nothing_is_better)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1);
    origin_script(o, hang_up, NULL);
    serve(&s, o, "breaker 50 breaker_min 10 breaker_open 2s");
    cr_assert_eq(get(&s, 20, 502), 10);
    await(get(&s, 1, 502) == 1);
    cr_assert_eq(get(&s, 5, 503), 5);
    cr_assert_eq(origin_requests(o), 11, "one trial was enough");
    expect_metric(&s, "usher_breakers_opened_total", 2);
    scene_end(&s);
}

SCENARIO(breaker, few_failures_among_many_requests_open_nothing)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1);
    serve(&s, o, "breaker 50 breaker_min 10");
    cr_assert_eq(get(&s, 20, 200), 20);
    origin_script(o, hang_up, NULL);
    cr_assert_eq(get(&s, 10, 502), 10);
    origin_script(o, NULL, NULL);
    cr_assert_eq(get(&s, 10, 200), 10);
    expect_metric(&s, "usher_breakers_opened_total", 0);
    scene_end(&s);
}

SCENARIO(breaker, what_another_endpoint_made_good_is_no_failure)
{
    static struct scene s;
    struct origin *bad = origin_start("bad"), *good = origin_start("good");

    scene_start(&s, .workers = 1);
    origin_script(bad, hang_up, NULL);
    scene_endpoint(&s, "web", bad);
    serve(&s, good, "breaker 10 breaker_min 5 outlier_failures 0 retry_on closed retry_budget 100");
    cr_assert_eq(get(&s, 8, 200), 8);
    cr_assert_gt(origin_requests(bad), 0);
    expect_metric(&s, "usher_breakers_opened_total", 0);
    scene_end(&s);
}

/* Sends a request; has the endpoint got it? */
static bool asked(struct client *c, struct origin *o)
{
    unsigned before = origin_requests(o);

    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    if (eventually(origin_requests(o) > before, 300))
        return true;
    client_read(c); /* 503 */
    return false;
}

SCENARIO(breaker, a_trial_whose_client_goes_gives_its_place_back)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1);
    origin_script(o, hang_up, NULL);
    serve(&s, o, "breaker 50 breaker_min 10 breaker_open 300ms");
    cr_assert_eq(get(&s, 10, 502), 10);
    origin_script(o, origin_at_gate, &gate);
    scene_redis(&s, "HSET usher:service:web breaker_open 60s"); /* hanging trials would block it */
    scene_live(&s);
    for (unsigned i = 0; i < 5; i++) {
        struct client *c = scene_open(&s);

        await(asked(c, o));
        client_reset(c);
        await(scene_metric(&s, "usher_exchanges") == 0);
    }
    gate_open(&gate);
    origin_script(o, NULL, NULL);
    cr_assert_eq(get(&s, 10, 200), 10);
    scene_end(&s);
}
