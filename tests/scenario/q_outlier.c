/* q_outlier.c -- an endpoint that fails is left alone for a while, and comes back.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: requests that are saved by another endpoint (q_retries.c); active checks. */
#include "harness/scene.h"

#define EJECTED(reason) "usher_ejections_total{reason=\"" reason "\"}"

static void hang_up(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    (void)arg;
    origin_hang_up(c);
}

static void read_late(struct origin_conn *c, struct origin_request *r, void *arg)
{
    uint64_t until = await_now_ms() + 120;

    (void)arg;
    while (await_now_ms() < until)
        await_nap();
    origin_reply(c, r, 200, "late");
}

/* A service `web` of these, with such fields, that a.test goes to; no retries, so that each failure is
 * seen. */
static void serve(struct scene *s, struct origin *one, struct origin *two, const char *fields)
{
    scene_endpoint(s, "web", one);
    scene_endpoint(s, "web", two);
    scene_redis(s, "HSET usher:service:web retries 0 %s", fields);
    scene_redis(s, "SET usher:host:a.test service:web");
    scene_live(s);
}

/* Of so many requests, how many got this status. */
static unsigned get(struct scene *s, unsigned times, int status)
{
    unsigned count = 0;

    for (unsigned i = 0; i < times; i++)
        count += scene_get(s, "a.test", "/").status == status;
    return count;
}

SCENARIO(outlier, one_that_fails_five_times_in_a_row_is_left_alone_and_comes_back)
{
    static struct scene s;
    struct origin *bad = origin_start("bad"), *good = origin_start("good");

    scene_start(&s, .workers = 2);
    origin_script(bad, hang_up, NULL);
    serve(&s, bad, good, "outlier_eject 2s");
    cr_assert_eq(get(&s, 40, 502), 5, "the sixth goes to the other one");
    cr_assert_eq(origin_requests(bad), 5);
    cr_assert_eq(scene_logged(&s, "endpoint_ejected"), 1);
    cr_assert_eq(scene_logged(&s, "reason=failures for_ms=2000"), 1);
    expect_metric(&s, EJECTED("failures"), 1);
    origin_script(bad, NULL, NULL);
    await(get(&s, 1, 200) == 1 && origin_requests(bad) > 5);
    await(scene_logged(&s, "endpoint_back") == 1);
    cr_assert_eq(get(&s, 20, 200), 20);
    scene_end(&s);
}

SCENARIO(outlier, one_that_is_still_bad_is_left_alone_for_longer)
{
    static struct scene s;
    struct origin *bad = origin_start("bad"), *good = origin_start("good");

    scene_start(&s, .workers = 1);
    origin_script(bad, hang_up, NULL);
    serve(&s, bad, good, "outlier_eject 300ms outlier_failures 2");
    await(get(&s, 1, 502) == 0 && scene_logged(&s, "for_ms=300") == 1);
    await(get(&s, 1, 502) <= 1 && scene_logged(&s, "for_ms=600") == 1);
    cr_assert_eq(origin_requests(bad), 3, "when it is back, one more failure is enough");
    scene_end(&s);
}

SCENARIO(outlier, successes_in_between_keep_it)
{
    static struct scene s;
    struct origin *flaky = origin_start("flaky"), *good = origin_start("good");

    scene_start(&s, .workers = 1);
    serve(&s, flaky, good, "outlier_failures 3");
    for (unsigned i = 0; i < 10; i++) {
        origin_script(flaky, hang_up, NULL);
        get(&s, 4, 200);
        origin_script(flaky, NULL, NULL);
        get(&s, 4, 200);
    }
    cr_assert_eq(scene_logged(&s, "endpoint_ejected"), 0);
    scene_end(&s);
}

SCENARIO(outlier, the_last_one_is_never_left_alone)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");

    scene_start(&s, .workers = 2);
    origin_script(one, hang_up, NULL);
    origin_script(two, hang_up, NULL);
    serve(&s, one, two, "outlier_max_ejected 100");
    cr_assert_eq(get(&s, 40, 502), 40);
    cr_assert_eq(scene_logged(&s, "endpoint_ejected"), 1);
    cr_assert_eq(origin_requests(one) + origin_requests(two), 40, "each was tried");
    origin_script(one, NULL, NULL);
    origin_script(two, NULL, NULL);
    cr_assert_eq(get(&s, 10, 200), 10);
    /* and one that is alone */
    scene_redis(&s, "HDEL usher:endpoints:web %s", origin_at(two));
    scene_live(&s);
    origin_script(one, hang_up, NULL);
    cr_assert_eq(get(&s, 20, 502), 20);
    origin_script(one, NULL, NULL);
    cr_assert_eq(get(&s, 20, 200), 20);
    scene_end(&s);
}

SCENARIO(outlier, gateway_errors_count_when_asked_for)
{
    static struct scene s;
    struct origin *bad = origin_start("bad"), *good = origin_start("good");

    scene_start(&s, .workers = 1);
    origin_answers(bad, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    serve(&s, bad, good, "");
    cr_assert_eq(get(&s, 40, 503), 20);
    scene_redis(&s, "HSET usher:service:web outlier_gateway_errors 4");
    scene_live(&s);
    cr_assert_eq(get(&s, 40, 503), 4);
    expect_metric(&s, EJECTED("gateway_errors"), 1);
    scene_end(&s);
}

SCENARIO(outlier, a_slow_one_is_left_alone_when_asked_for)
{
    static struct scene s;
    struct origin *slow = origin_start("slow"), *good = origin_start("good");

    scene_start(&s, .workers = 1);
    origin_script(slow, read_late, NULL);
    serve(&s, slow, good, "outlier_latency 3x");
    await(get(&s, 8, 200) == 8 && scene_logged(&s, "reason=latency") == 1);
    cr_assert_leq(origin_requests(slow), 40);
    expect_metric(&s, EJECTED("latency"), 1);
    scene_end(&s);
}

SCENARIO(outlier, what_is_known_survives_changes_of_the_records)
{
    static struct scene s;
    struct origin *bad = origin_start("bad"), *good = origin_start("good");
    struct origin *third = origin_start("third");

    scene_start(&s, .workers = 2);
    origin_script(bad, hang_up, NULL);
    serve(&s, bad, good, "");
    cr_assert_eq(get(&s, 20, 502), 5);
    scene_endpoint(&s, "web", third);
    scene_redis(&s, "HSET usher:service:web balance random");
    scene_live(&s);
    cr_assert_eq(get(&s, 20, 502), 0);
    cr_assert_eq(origin_requests(bad), 5);
    cr_assert(has(scene_page(&s, "/dump/services"), "\"ejected_ms\":"));
    cr_assert(has(scene_page(&s, "/explain?url=http://a.test/"), "s more: failures"));
    scene_end(&s);
}

SCENARIO(outlier, a_client_that_goes_blames_nobody)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *one = origin_start("one"), *two = origin_start("two");

    scene_start(&s, .workers = 1);
    origin_script(one, origin_at_gate, &gate);
    origin_script(two, origin_at_gate, &gate);
    serve(&s, one, two, "outlier_failures 1");
    for (unsigned i = 0; i < 6; i++) {
        struct client *c = scene_open(&s);

        client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        await(gate_waiting(&gate) == i + 1);
        client_reset(c);
        await(scene_metric(&s, "usher_exchanges") == 0);
    }
    gate_open(&gate);
    cr_assert_eq(get(&s, 4, 200), 4);
    cr_assert_eq(scene_logged(&s, "endpoint_ejected"), 0);
    scene_end(&s);
}
