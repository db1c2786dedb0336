/* test_scenario_rate_limit.c -- who gets 429, and when; edges that count together, and what they do without Redis.
 *
 * Rates are by the day, so that no time that a test takes gives anything back.
 */
#include "harness/scene.h"

#include <stdlib.h>

static void acme(struct scene *s, const struct origin *o, const char *modules)
{
    scene_redis(s, "HSET usher:tenant:acme to %s modules '%s'", origin_at(o), modules);
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_live(s);
}

/* New settings begin anew: waits until each worker has them, without using up what they allow. */
static void settle(struct scene *s, const char *modules)
{
    scene_redis(s, "HSET usher:tenant:acme modules '%s'", modules);
    scene_live(s);
}

static int asks(const char *at, const char *source, const char *host, const char *path,
                const char *more)
{
    struct client *c = client_open_from(at, source);
    struct response r;

    client_sendf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n", path, host, more);
    r = client_read(c);
    client_close(c);
    return r.status;
}

/* How many of `count` requests are answered with 200; the others must get 429. */
static unsigned passed(struct edge *e, unsigned count, const char *more)
{
    unsigned good = 0;

    for (unsigned i = 0; i < count; i++) {
        int status = asks(e->at, "127.0.0.1", "a.test", "/", more);

        cr_assert(status == 200 || status == 429, "status %d", status);
        good += status == 200;
    }
    return good;
}

SCENARIO(mod_rate_limit, a_client_that_asks_too_often_is_told_when_to_come_back)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;
    char *after;

    scene_start(&s);
    acme(&s, o, "rate_limit(rate=3/d)");
    r = scene_get(&s, "a.test", "/");
    expect_status(r, 200);
    cr_assert_str_eq(response_field(&r, "ratelimit-policy"), "\"default\";q=3;w=86400");
    cr_assert_str_eq(response_field(&r, "ratelimit"), "\"default\";r=2;t=28800");
    cr_assert_null(response_field(&r, "retry-after"));
    cr_assert_eq(passed(&s.edge, 5, ""), 2);
    r = scene_get(&s, "a.test", "/");
    expect_status(r, 429);
    cr_assert(has(r.text, "Too many requests"));
    cr_assert(starts(response_field(&r, "ratelimit"), "\"default\";r=0;t=86"));
    after = response_field(&r, "retry-after");
    cr_assert(after != NULL && strtol(after, NULL, 10) > 28000 && strtol(after, NULL, 10) <= 28800,
              "%s", after);
    cr_assert_eq(origin_requests(o), 3);
    cr_assert_eq(asks(s.edge.at, "127.0.0.2", "a.test", "/", ""), 200); /* somebody else */
    expect_metric(&s, "usher_module_rate_limit_allowed_total", 4);
    expect_metric(&s, "usher_module_rate_limit_refused_total", 4);
    settle(&s, "rate_limit(rate=3/d headers=off)");
    r = scene_get(&s, "a.test", "/");
    expect_status(r, 200);
    cr_assert_null(response_field(&r, "ratelimit"));
    cr_assert_null(response_field(&r, "ratelimit-policy"));
    scene_end(&s);
}

SCENARIO(mod_rate_limit, the_workers_of_an_edge_count_together_and_exactly)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 4);
    acme(&s, o, "rate_limit(rate=37/d)");
    cr_assert_eq(passed(&s.edge, 100, ""), 37);
    cr_assert_eq(origin_requests(o), 37);
    scene_end(&s);
}

SCENARIO(mod_rate_limit, each_key_has_a_limit_of_its_own)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    const char *at;

    scene_start(&s);
    at = s.edge.at;
    scene_redis(&s, "SET usher:host:b.test tenant:acme");
    acme(&s, o, "rate_limit(rate=1/d key=header:X-Key)");
    cr_assert_eq(asks(at, "127.0.0.1", "a.test", "/", "X-Key: a\r\n"), 200);
    cr_assert_eq(asks(at, "127.0.0.2", "b.test", "/x", "x-key: a\r\n"), 429);
    cr_assert_eq(asks(at, "127.0.0.1", "a.test", "/", "X-Key: b\r\n"), 200);
    /* To leave it away is no way around: then the address counts. */
    cr_assert_eq(asks(at, "127.0.0.1", "a.test", "/", ""), 200);
    cr_assert_eq(asks(at, "127.0.0.1", "a.test", "/", "X-Key:\r\n"), 429);
    cr_assert_eq(asks(at, "127.0.0.2", "a.test", "/", ""), 200);

    settle(&s, "rate_limit(rate=1/d key=cookie:session)");
    cr_assert_eq(asks(at, "127.0.0.1", "a.test", "/", "Cookie: x=y; session=a\r\n"), 200);
    cr_assert_eq(asks(at, "127.0.0.2", "a.test", "/", "Cookie: session=a\r\n"), 429);
    cr_assert_eq(asks(at, "127.0.0.1", "a.test", "/", "Cookie: session=b\r\n"), 200);

    settle(&s, "rate_limit(rate=1/d key=path)");
    cr_assert_eq(asks(at, "127.0.0.1", "a.test", "/x", ""), 200);
    cr_assert_eq(asks(at, "127.0.0.2", "b.test", "/%78?q", ""), 429);
    cr_assert_eq(asks(at, "127.0.0.1", "a.test", "/y", ""), 200);

    settle(&s, "rate_limit(rate=1/d key=host,address)");
    cr_assert_eq(asks(at, "127.0.0.1", "a.test", "/", ""), 200);
    cr_assert_eq(asks(at, "127.0.0.1", "A.test", "/x", ""), 429);
    cr_assert_eq(asks(at, "127.0.0.1", "b.test", "/", ""), 200);
    cr_assert_eq(asks(at, "127.0.0.2", "a.test", "/", ""), 200);
    scene_end(&s);
}

/* Tokens of HS256 that never end, with the secret below. */
#define JANE                                                                                       \
    "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqYW5lIn0"                               \
    ".Va_ZTLqsHubqRKfpcV9nfm5JWDiB5Zu5intyGtW18A0\r\n"
#define JOE                                                                                        \
    "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqb2UifQ."                               \
    "3xHUdt7q1jzhMB2K0zv-SzzVoLROVwixaqyBkvmklls\r\n"

SCENARIO(mod_rate_limit, a_claim_that_jwt_tells_is_a_key_that_nobody_makes_up)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    const char *at;

    scene_start(&s);
    at = s.edge.at;
    scene_redis(&s, "SET usher:t:acme:jwt 0123456789abcdef0123456789abcdef");
    acme(&s, o,
         "jwt(alg=HS256 secret=jwt without_exp claim sub=X-User)"
         " rate_limit(rate=1/d key=claim:X-User)");
    cr_assert_eq(asks(at, "127.0.0.1", "a.test", "/", "X-User: joe\r\n"), 401);
    cr_assert_eq(asks(at, "127.0.0.1", "a.test", "/", JANE), 200);
    cr_assert_eq(asks(at, "127.0.0.2", "a.test", "/", JANE), 429);
    cr_assert_eq(asks(at, "127.0.0.1", "a.test", "/", "X-User: other\r\n" JANE), 429);
    cr_assert_eq(asks(at, "127.0.0.1", "a.test", "/", JOE), 200);
    cr_assert_str_eq(message_field(origin_last(o)->head, "x-user"), "joe");
    scene_end(&s);
}

/* Each rule counts by itself. */
SCENARIO(mod_rate_limit, a_rule_may_have_a_limit_of_its_own)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    scene_redis(&s, "HSET usher:routes:acme api 'path /api to %s modules rate_limit(rate=1/d)'",
                origin_at(o));
    acme(&s, o, "rate_limit(rate=2/d)");
    cr_assert_eq(asks(s.edge.at, "127.0.0.1", "a.test", "/api", ""), 200);
    cr_assert_eq(asks(s.edge.at, "127.0.0.1", "a.test", "/api", ""), 429);
    cr_assert_eq(passed(&s.edge, 4, ""), 2);
    scene_end(&s);
}

SCENARIO(mod_rate_limit, edges_count_together_with_few_questions_to_redis)
{
    static struct scene s;
    static struct edge second;
    struct origin *o = origin_start("one");
    unsigned good = 0;
    char *keys, *ttl;
    double asked;

    scene_start(&s);
    acme(&s, o, "rate_limit(rate=200/d key=header:X-Key shared wait=2s name=api)");
    scene_second_edge(&s, &second, NULL);
    await(asks(second.at, "127.0.0.1", "a.test", "/", "X-Key: other\r\n") == 200);
    for (unsigned i = 0; i < 30; i++) {
        good += passed(&s.edge, 10, "X-Key: secret\r\n");
        good += passed(&second, 10, "X-Key: secret\r\n");
    }
    cr_assert_eq(good, 200, "%u of 600 passed", good);
    asked = scene_metric(&s, "usher_module_rate_limit_asked_total");
    cr_assert(asked >= 1 && asked <= 12, "asked %f times", asked);
    expect_metric(&s, "usher_module_rate_limit_away_total", 0);

    keys = scene_redis(&s, "KEYS usher:t:acme:rate_limit:api:*");
    cr_assert(has(keys, "usher:t:acme:rate_limit:api:"), "%s", keys);
    cr_assert_not(has(scene_redis(&s, "KEYS *"), "secret"));
    keys = kept_text(keys, strcspn(keys, "\n"));
    ttl = scene_redis(&s, "PTTL %s", keys);
    cr_assert(strtol(ttl, NULL, 10) > 0 && strtol(ttl, NULL, 10) <= 2 * 86400000l + 10000, "%s",
              ttl);
    edge_stop(&second);
    edge_free(&second);
    scene_end(&s);
}

SCENARIO(mod_rate_limit, without_redis_each_edge_holds_the_limit_alone)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    acme(&s, o, "rate_limit(rate=20/d shared)");
    cr_assert_eq(passed(&s.edge, 5, ""), 5);
    redis_kill(&s.redis);
    cr_assert_eq(passed(&s.edge, 40, ""), 15);
    cr_assert_eq(asks(s.edge.at, "127.0.0.2", "a.test", "/", ""), 200);
    cr_assert_gt(scene_metric(&s, "usher_module_rate_limit_away_total"), 0);
    scene_end(&s);
}

/* A Redis that has stopped holds nobody up for long. */
SCENARIO(mod_rate_limit, a_redis_that_does_not_answer_is_waited_for_once)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    uint64_t begin;
    double asked, away;

    scene_start(&s, .flags = { "--lookup-timeout", "60s" });
    acme(&s, o, "rate_limit(rate=1000/d shared)");
    cr_assert_eq(passed(&s.edge, 1, ""), 1);
    redis_stop(&s.redis);
    begin = await_now_ms();
    cr_assert_eq(passed(&s.edge, 80, ""), 80);
    cr_assert_lt(await_now_ms() - begin, AWAIT_MS);
    await(passed(&s.edge, 20, "") == 20 &&
          scene_metric(&s, "usher_module_rate_limit_away_total") > 0);
    redis_continue(&s.redis);
    asked = scene_metric(&s, "usher_module_rate_limit_asked_total");
    await((passed(&s.edge, 1, ""), scene_metric(&s, "usher_module_rate_limit_asked_total")) >
          asked);
    await((away = scene_metric(&s, "usher_module_rate_limit_away_total"), passed(&s.edge, 5, "")) ==
              5 &&
          scene_metric(&s, "usher_module_rate_limit_away_total") == away);
    scene_end(&s);
}

SCENARIO(mod_rate_limit, what_cannot_be_shared_is_said)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    scene_redis(&s, "HSET usher:host:a.test to %s modules 'rate_limit(rate=1/s shared)'",
                origin_at(o));
    await(has(scene_redis(&s, "HGET usher:errors usher:host:a.test"),
              "without a tenant there are no keys to count with"));
    scene_end(&s);
}
