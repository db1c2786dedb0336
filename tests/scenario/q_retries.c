/* q_retries.c -- a request that failed at one endpoint is sent to another, when that is safe.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: stale connections (c_keepalive.c); which endpoints are left alone (q_outlier.c). */
#include <stdio.h>

#include "harness/scene.h"

#define RETRIES(reason) "usher_retries_total{reason=\"" reason "\"}"
#define ALL_OF_IT "connect closed 502 503 504"

/* A service `web` of these two, with such fields, that a.test goes to. */
static void serve(struct scene *s, const char *one, const char *two, const char *fields)
{
    scene_redis(s, "HSET usher:endpoints:web %s 100 %s 100", one, two);
    scene_redis(s, "HSET usher:service:web outlier_failures 0 %s", fields);
    scene_redis(s, "SET usher:host:a.test service:web");
    scene_live(s);
}

static void hang_up(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    (void)arg;
    origin_hang_up(c);
}

static void reset(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    (void)arg;
    origin_reset(c);
}

static void read_and_hang_up(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)arg;
    origin_read_body(c, r);
    origin_hang_up(c);
}

SCENARIO(retries, a_dead_endpoint_of_a_plain_list_costs_no_request)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1);
    scene_redis(&s, "SET usher:host:a.test '%s %s'", origin_refusing(), origin_at(o));
    scene_live(&s);
    for (unsigned i = 0; i < 40; i++)
        expect_get(&s, "a.test", "/", 200, "one");
    cr_assert_eq(origin_requests(o), 40, "each once");
    /* after five failures it is left alone */
    expect_metric(&s, RETRIES("connect"), 5);
    expect_metric(&s, "usher_ejections_total{reason=\"failures\"}", 1);
    cr_assert_eq(scene_logged(&s, "endpoint_ejected"), 1);
    expect_fault_count(&s, "connect_failed", 0);
    scene_end(&s);
}

SCENARIO(retries, what_was_not_sent_may_be_anything)
{
    static struct scene s;
    static char body[100001];
    struct origin *o = origin_start("one");
    struct client *c;

    memset(body, 'x', sizeof(body) - 1);
    scene_start(&s, .workers = 1);
    serve(&s, origin_refusing(), origin_at(o), "retries 1");
    c = scene_open(&s);
    origin_script(o, origin_echo, NULL);
    for (unsigned i = 0; i < 6; i++) {
        struct response r;

        client_sendf(c, "POST /%u HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n%s", i,
                     body);
        r = client_read(c);
        cr_assert_eq(r.status, 200, "%d %s", r.status, response_fault(&r));
        cr_assert_eq(origin_last(o)->body.bytes, 100000);
    }
    cr_assert_eq(origin_requests(o), 6);
    cr_assert_geq(scene_metric(&s, RETRIES("connect")), 2);
    scene_end(&s);
}

/* What a client sends, and of how many endpoints may have seen it when all of them fail. */
static void expect_seen(const char *request, unsigned times)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");
    struct response r;

    scene_start(&s, .workers = 1);
    origin_script(one, read_and_hang_up, NULL);
    origin_script(two, read_and_hang_up, NULL);
    serve(&s, origin_at(one), origin_at(two),
          "retries 3 retry_on '" ALL_OF_IT "' retry_budget 100");
    r = scene_exchange(&s, request);
    cr_assert_eq(r.status, 502, "%d %s", r.status, r.why);
    cr_assert_str_eq(response_fault(&r), "response_closed");
    cr_assert_eq(origin_requests(one) + origin_requests(two), times, "%s", request);
    expect_metric(&s, RETRIES("closed"), times - 1);
    scene_end(&s);
}

SCENARIO(retries, a_get_goes_to_each_endpoint_once)
{
    expect_seen("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 2);
}

SCENARIO(retries, a_post_without_a_body_is_sent_once)
{
    expect_seen("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n", 1);
}

SCENARIO(retries, a_body_is_sent_once)
{
    expect_seen("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc", 1);
}

SCENARIO(retries, an_idempotent_body_is_sent_once)
{
    expect_seen(
        "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        1);
}

SCENARIO(retries, a_head_whose_body_has_not_come_is_sent_once)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");
    struct client *c;

    scene_start(&s, .workers = 1);
    origin_script(one, hang_up, NULL);
    origin_script(two, hang_up, NULL);
    serve(&s, origin_at(one), origin_at(two), "retry_on '" ALL_OF_IT "'");
    c = scene_open(&s);
    client_send(c, "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\n");
    expect_status(client_read(c), 502);
    cr_assert_eq(origin_requests(one) + origin_requests(two), 1);
    scene_end(&s);
}

SCENARIO(retries, what_closes_before_a_head_is_tried_elsewhere_when_the_service_says_so)
{
    static const char half[] = "HTTP/1.1 200 OK\r\nContent-Le";
    static struct scene s;
    struct origin *bad = origin_start("bad"), *good = origin_start("good");

    scene_start(&s, .workers = 1);
    serve(&s, origin_at(bad), origin_at(good), "retry_on closed");
    for (unsigned how = 0; how < 4; how++) {
        unsigned before = origin_requests(bad);

        if (how < 2)
            origin_script(bad, how == 0 ? hang_up : reset, NULL);
        else
            origin_answers_and_closes(bad, how == 2 ? half : "SMTP is spoken here\r\n\r\n");
        for (unsigned i = 0; i < 2; i++)
            expect_get(&s, "a.test", "/", 200, "good");
        cr_assert_gt(origin_requests(bad), before, "way %u", how);
    }
    /* and not when it does not */
    scene_redis(&s, "HDEL usher:service:web retry_on");
    scene_live(&s);
    await(scene_get(&s, "a.test", "/").status == 502);
    scene_end(&s);
}

SCENARIO(retries, gateway_errors_are_tried_elsewhere_when_the_service_says_so)
{
    static struct scene s;
    struct origin *bad = origin_start("bad"), *good = origin_start("good");
    unsigned refused = 0;
    struct response r;

    scene_start(&s, .workers = 1);
    origin_answers(bad, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    serve(&s, origin_at(bad), origin_at(good), "retry_on 503");
    for (unsigned i = 0; i < 4; i++)
        expect_get(&s, "a.test", "/", 200, "good");
    cr_assert_eq(origin_requests(good), 4);
    cr_assert_gt(origin_requests(bad), 0);
    expect_metric(&s, RETRIES("gateway"), origin_requests(bad));
    /* a method that is not idempotent gets what came */
    for (unsigned i = 0; i < 4; i++)
        refused +=
            scene_exchange(&s, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n")
                .status == 503;
    cr_assert_eq(refused, 2);
    /* and so does everyone when all say so */
    origin_answers(good, "HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\ntoo");
    r = scene_get(&s, "a.test", "/");
    cr_assert_eq(r.status, 503);
    cr_assert_str_eq(response_fault(&r), "", "it is the endpoint's own");
    scene_end(&s);
}

SCENARIO(retries, a_client_that_has_something_of_a_response_gets_no_other)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");
    struct client *c;

    scene_start(&s, .workers = 1);
    origin_answers_and_closes(one, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    origin_answers_and_closes(two, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    serve(&s, origin_at(one), origin_at(two), "retry_on '" ALL_OF_IT "'");
    c = scene_open(&s);
    cr_assert_eq(client_get(c, "a.test", "/").status, 103);
    expect_status(client_read(c), 502);
    cr_assert_eq(origin_requests(one) + origin_requests(two), 1);
    client_close(c);
    origin_answers_and_closes(one, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    origin_answers_and_closes(two, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    c = scene_open(&s);
    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    cr_assert_str_eq(client_read(c).text, "half");
    cr_assert_eq(origin_requests(one) + origin_requests(two), 2);
    scene_end(&s);
}

SCENARIO(retries, stay_within_their_budget_when_all_is_dead)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");
    struct client *c;
    uint64_t begun = await_now_ms(), seconds;

    scene_start(&s, .workers = 1);
    origin_script(one, hang_up, NULL);
    origin_script(two, hang_up, NULL);
    serve(&s, origin_at(one), origin_at(two), "retry_on closed retry_budget 10");
    c = scene_open(&s);
    for (unsigned i = 0; i < 400; i++)
        expect_status(client_get(c, "a.test", "/"), 502);
    seconds = (await_now_ms() - begun) / 1000 + 2;
    cr_assert_geq(origin_requests(one) + origin_requests(two), 401);
    /* a tenth of them in each of two seconds' windows, some of luck, and ten for each second */
    cr_assert_leq(origin_requests(one) + origin_requests(two), 400 + 80 + 40 + 10 * seconds);
    cr_assert_gt(scene_metric(&s, "usher_retries_refused_total"), 0);
    scene_redis(&s, "HSET usher:service:web retry_budget 0");
    scene_live(&s);
    {
        unsigned before = origin_requests(one) + origin_requests(two);

        for (unsigned i = 0; i < 20; i++)
            expect_status(client_get(c, "a.test", "/"), 502);
        cr_assert_eq(origin_requests(one) + origin_requests(two), before + 20);
    }
    scene_end(&s);
}

SCENARIO(retries, as_many_as_the_nearest_record_says)
{
    static struct scene s;
    struct origin *good = origin_start("good");
    struct origin *bad = NULL;
    unsigned failed = 0;

    scene_start(&s, .workers = 1);
    for (unsigned i = 0; i < 3; i++) {
        bad = origin_start("bad");
        origin_script(bad, hang_up, NULL);
        scene_endpoint(&s, "web", bad);
    }
    serve(&s, origin_at(good), origin_at(bad), "retries 3 retry_on closed retry_budget 100");
    for (unsigned i = 0; i < 2; i++)
        expect_get(&s, "a.test", "/", 200, "good");
    scene_redis(&s, "HSET usher:tenant:t to service:web retries 0");
    scene_redis(&s, "SET usher:host:t.test tenant:t");
    scene_redis(&s, "HSET usher:defaults retries 0");
    scene_live(&s);
    for (unsigned i = 0; i < 8; i++)
        failed += scene_get(&s, "t.test", "/").status == 502;
    cr_assert_geq(failed, 4);
    /* a service is nearer than the defaults */
    expect_get(&s, "a.test", "/", 200, "good");
    scene_end(&s);
}

SCENARIO(retries, all_attempts_together_take_no_longer_than_one)
{
    static struct scene s;
    uint64_t begun;
    struct response r;

    scene_start(&s, .workers = 1, .flags = { "--connect-timeout", "2s" });
    serve(&s, origin_deaf(), origin_deaf(), "retries 3");
    scene_redis(&s, "HSET usher:tenant:t to service:web timeout 2500ms");
    scene_redis(&s, "SET usher:host:a.test tenant:t");
    scene_live(&s);
    begun = await_now_ms();
    r = scene_get(&s, "a.test", "/");
    cr_assert_eq(r.status, 504, "%d %s", r.status, r.why);
    cr_assert_str_eq(response_fault(&r), "connect_timeout");
    cr_assert_lt(await_now_ms() - begun, 3700);
    cr_assert_geq(await_now_ms() - begun, 2450);
    expect_metric(&s, RETRIES("connect"), 1);
    scene_end(&s);
}

static bool file_holds(const char *path, const char *text)
{
    char bytes[8192] = "";
    FILE *f = fopen(path, "re");

    if (f != NULL)
        bytes[fread(bytes, 1, sizeof(bytes) - 1, f)] = '\0';
    if (f != NULL)
        fclose(f);
    return has(bytes, text);
}

SCENARIO(retries, the_access_log_tells_how_many_attempts_there_were)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1, .flags = { "--access-log", "-" });
    serve(&s, origin_refusing(), origin_at(o), "");
    for (unsigned i = 0; i < 2; i++)
        expect_get(&s, "a.test", "/", 200, "one");
    await(file_holds(s.edge.out, "\"attempts\":2"));
    scene_end(&s);
}

SCENARIO(retries, of_endpoints_with_max_conns_give_their_places_back)
{
    static struct scene s;
    struct origin *bad = origin_start("bad"), *good = origin_start("good");

    scene_start(&s, .workers = 1);
    serve(&s, origin_at(bad), origin_at(good),
          "max_conns 1 queue_timeout 5s retry_on 'connect closed 503' retry_budget 100");
    for (unsigned how = 0; how < 3; how++) {
        if (how == 0)
            origin_script(bad, hang_up, NULL);
        else if (how == 1)
            origin_answers(bad, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
        else
            origin_stop(bad);
        for (unsigned i = 0; i < 3; i++)
            expect_get(&s, "a.test", "/", 200, "good");
    }
    await(scene_metric(&s, "usher_exchanges") == 0);
    expect_metric(&s, "usher_requests_total{class=\"5xx\"}", 0);
    scene_end(&s);
}

SCENARIO(retries, what_modules_say_of_the_request_is_said_once)
{
    static struct scene s;
    struct origin *bad = origin_start("bad"), *good = origin_start("good");

    scene_start(&s, .workers = 1);
    origin_script(bad, hang_up, NULL);
    serve(&s, origin_at(bad), origin_at(good), "retry_on closed");
    scene_redis(&s, "HSET usher:tenant:t to service:web modules 'headers(add X-Edge=1)'");
    scene_redis(&s, "SET usher:host:a.test tenant:t");
    scene_live(&s);
    for (unsigned i = 0; i < 3; i++)
        expect_get(&s, "a.test", "/", 200, "good");
    cr_assert_gt(origin_requests(bad), 0);
    for (unsigned i = 0; i < origin_requests(good); i++)
        cr_assert_eq(message_field_count(origin_request(good, i)->head, "x-edge"), 1);
    scene_end(&s);
}
