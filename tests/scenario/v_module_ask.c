/* v_module_ask.c -- modules ask Redis: what they get, what they may ask for, and what becomes of it when
 * Redis is away, slow, or gone while it is asked.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: modules that ask for a purpose (m_error_pages.c, m_redirect.c). */
#include "harness/module_build.h"

#include <stdlib.h>

#define NOTHING_ASKED "not asked"

/* a.test belongs to the tenant acme, whose module asks. */
static void write_records(struct scene *s, struct origin *o)
{
    scene_redis(s, "HSET usher:tenant:acme to %s modules asker", origin_at(o));
    scene_redis(s, "SET usher:host:a.test tenant:acme");
}

static void begin_at(struct scene *s, struct origin *o)
{
    unsigned at = 0;

    while (s->options.flags[at] != NULL)
        at++;
    s->options.flags[at++] = "--module";
    s->options.flags[at] = module_build(s, "asker", "tests/modules/asker.c", "modules", "");
    write_records(s, o);
    scene_edge_start(s);
    await_get(s, "a.test", "/", 200, "one");
}

static void begin(struct scene *s)
{
    begin_at(s, origin_start("one"));
}

static const char *ask(struct scene *s, const char *query)
{
    struct response r = scene_get(s, "a.test", kept_format("/ask?%s", query));

    cr_assert(r.status == 200 || r.status == 400, "/ask?%s: %d %s", query, r.status,
              response_fault(&r));
    return r.text;
}

#define expect_answer(s, query, wanted)                                                            \
    do {                                                                                           \
        const char *told_ = ask(s, query);                                                         \
        cr_assert_str_eq(told_, wanted, "/ask?%s: %s, expected %s", query, told_, wanted);         \
    } while (0)

SCENARIO(module_ask, each_kind_of_question_is_answered)
{
    static struct scene s;

    scene_start(&s, .without_edge = true);
    begin(&s);
    scene_redis(&s, "SET usher:t:acme:word good");
    scene_redis(&s, "SET usher:t:acme:nothing ''");
    scene_redis(&s, "HSET usher:t:acme:users anna A bert ''");
    scene_redis(&s, "SADD usher:t:acme:set a b");
    expect_answer(&s, "kind=get&key=word", "good good");
    expect_answer(&s, "kind=get&key=nothing", "good ");
    expect_answer(&s, "kind=get&key=absent", "good nil");
    expect_answer(&s, "kind=get&key=usher:t:acme:word", "good good");
    expect_answer(&s, "kind=hget&key=users&arg=anna", "good A");
    expect_answer(&s, "kind=hget&key=users&arg=nobody", "good nil");
    expect_answer(&s, "kind=hget&key=absent&arg=anna", "good nil");
    expect_answer(&s, "kind=hmget&key=users&arg=nobody&arg=anna&arg=bert", "good nil A ");
    expect_answer(&s, "kind=sismember&key=set&arg=a", "good 1");
    expect_answer(&s, "kind=sismember&key=set&arg=c", "good 0");
    expect_answer(&s, "kind=get&key=word&times=3", "good good\ngood good\ngood good");
    scene_end(&s);
}

SCENARIO(module_ask, a_counter_is_exact_and_has_an_end_from_the_beginning)
{
    static struct scene s;
    long ttl;

    scene_start(&s, .without_edge = true);
    begin(&s);
    expect_answer(&s, "kind=incrby&key=count&by=7&ttl=100000", "good 7");
    ttl = strtol(scene_redis(&s, "PTTL usher:t:acme:count"), NULL, 10);
    cr_assert(ttl > 0 && ttl <= 100000, "%ld", ttl);
    expect_answer(&s, "kind=incrby&key=count&by=-2&ttl=900000", "good 5");
    cr_assert_leq(strtol(scene_redis(&s, "PTTL usher:t:acme:count"), NULL, 10), 100000);
    scene_redis(&s, "SET usher:t:acme:large 9007199254740992");
    expect_answer(&s, "kind=incrby&key=large&by=1&ttl=1000", "good 9007199254740993");
    cr_assert_str_eq(redis_try(&s.redis, "PTTL usher:t:acme:large"), "-1"); /* it was there */
    scene_end(&s);
}

SCENARIO(module_ask, a_key_that_is_not_this_tenants_is_not_asked_for)
{
    static const char *const keys[] = { "usher:t:other:users",
                                        "usher:t:acmeother:users",
                                        "usher:host:a.test",
                                        "usher:t:acme:",
                                        "usher:t:acme",
                                        "usher:",
                                        "" };
    static struct scene s;
    unsigned long before;

    scene_start(&s, .without_edge = true);
    begin(&s);
    scene_redis(&s, "SET usher:t:other:users secret");
    before = redis_calls(&s.redis, "eval") + redis_calls(&s.redis, "get");
    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        expect_answer(&s, kept_format("kind=get&key=%s", keys[i]), NOTHING_ASKED);
    expect_answer(&s, "kind=hget&key=users", NOTHING_ASKED);
    expect_answer(&s, "kind=get&key=users&arg=a", NOTHING_ASKED);
    expect_answer(&s, "kind=incrby&key=count&by=1", NOTHING_ASKED);
    expect_answer(&s, "kind=del&key=count", NOTHING_ASKED);
    cr_assert_eq(redis_calls(&s.redis, "eval") + redis_calls(&s.redis, "get"), before);
    /* What only looks like it is below the tenant's own. */
    expect_answer(&s, "kind=get&key=t:other:users", "good nil");
    scene_redis(&s, "SET usher:t:acme:t:other:users mine");
    expect_answer(&s, "kind=get&key=t:other:users", "good mine");
    scene_end(&s);
}

SCENARIO(module_ask, what_redis_refuses_is_told_by_its_sentence)
{
    static struct scene s;
    static char large[65537];
    const char *told;

    scene_start(&s, .without_edge = true);
    begin(&s);
    scene_redis(&s, "RPUSH usher:t:acme:list a");
    scene_redis(&s, "SET usher:t:acme:word many");
    told = ask(&s, "kind=get&key=list");
    cr_assert(has(told, "wrong WRONGTYPE "), "%s", told);
    told = ask(&s, "kind=hmget&key=word&arg=a&arg=b");
    cr_assert(has(told, "wrong WRONGTYPE ") && has(told, " nil"), "%s", told);
    told = ask(&s, "kind=sismember&key=word&arg=a");
    cr_assert(has(told, "wrong WRONGTYPE "), "%s", told);
    told = ask(&s, "kind=incrby&key=list&by=1&ttl=1000");
    cr_assert(has(told, "wrong WRONGTYPE "), "%s", told);
    told = ask(&s, "kind=incrby&key=word&by=1&ttl=1000");
    cr_assert(has(told, "wrong ERR value is not an integer"), "%s", told);
    memset(large, 'x', sizeof(large));
    redis_set_bytes(&s.redis, "usher:t:acme:large", large, sizeof(large));
    expect_answer(&s, "kind=get&key=large", "wrong it is longer than 65536 bytes");
    redis_set_bytes(&s.redis, "usher:t:acme:large", large, sizeof(large) - 1);
    cr_assert_eq(strlen(ask(&s, "kind=get&key=large")), strlen("good ") + 65536);
    scene_redis(&s, "HSET usher:t:acme:pages a %.40000s b %.40000s", large, large);
    expect_answer(&s, "kind=hmget&key=pages&arg=a&arg=b",
                  "wrong it is longer than 65536 bytes nil");
    cr_assert_eq(strlen(ask(&s, "kind=hget&key=pages&arg=b")), strlen("good ") + 40000);
    expect_metric(&s, "usher_module_asks_wrong_total", 7);
    scene_end(&s);
}

SCENARIO(module_ask, sixteen_at_once_and_no_more)
{
    static struct scene s;

    scene_start(&s, .without_edge = true);
    begin(&s);
    cr_assert_eq(strlen(ask(&s, "kind=incrby&key=n&by=1&ttl=60000&times=16")),
                 9 * strlen("good 1\n") + 7 * strlen("good 10\n") - 1);
    expect_answer(&s, "kind=incrby&key=other&by=1&ttl=60000&times=17", NOTHING_ASKED);
    scene_end(&s);
}

SCENARIO(module_ask, a_response_waits_for_its_answer_too)
{
    static struct scene s;
    struct response r;

    scene_start(&s, .without_edge = true);
    begin(&s);
    scene_redis(&s, "SET usher:t:acme:word good");
    r = scene_get(&s, "a.test", "/?later=1&kind=get&key=word&times=2");
    expect_status(r, 200);
    cr_assert_str_eq(r.text, "one");
    cr_assert_str_eq(response_field(&r, "x-asked"), "good good, good good");
    scene_end(&s);
}

SCENARIO(module_ask, with_redis_away_the_answer_is_there_at_once)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .without_edge = true, .flags = { "--lookup-timeout", "1m" });
    begin_at(&s, o);
    scene_redis(&s, "SET usher:t:acme:word good");
    expect_answer(&s, "kind=get&key=word", "good good");
    redis_kill(&s.redis);
    await(strcmp(ask(&s, "kind=get&key=word"), "away nil") == 0);
    for (unsigned i = 0; i < 20; i++)
        expect_answer(&s, "kind=hmget&key=word&arg=a&arg=b", "away nil nil");
    expect_answer(&s, "kind=incrby&key=n&by=1&ttl=60000&times=3", "away\naway\naway");
    expect_get(&s, "a.test", "/", 200, "one");
    cr_assert_geq(scene_metric(&s, "usher_module_asks_away_total"), 24);
    redis_restart(&s.redis);
    redis_reconnect(&s.redis);
    write_records(&s, o);
    scene_redis(&s, "SET usher:t:acme:word again");
    await(strcmp(scene_get(&s, "a.test", "/ask?kind=get&key=word").text, "good again") == 0);
    scene_end(&s);
}

SCENARIO(module_ask, the_first_question_while_redis_is_away_does_not_wait_either)
{
    static struct scene s;

    scene_start(&s, .without_edge = true, .flags = { "--lookup-timeout", "1m" });
    begin(&s);
    redis_kill(&s.redis);
    await(scene_metric(&s, "usher_store_up") == 0);
    expect_answer(&s, "kind=get&key=word", "away nil");
    scene_end(&s);
}

SCENARIO(module_ask, a_slow_redis_holds_a_question_no_longer_than_the_limit)
{
    static struct scene s;
    struct client *c[8];

    scene_start(&s, .without_edge = true, .flags = { "--lookup-timeout", "200ms" });
    begin(&s);
    scene_redis(&s, "SET usher:t:acme:word good");
    expect_answer(&s, "kind=get&key=word", "good good");
    redis_stop(&s.redis);
    for (unsigned i = 0; i < 8; i++) {
        c[i] = scene_open(&s);
        client_sendf(c[i], "GET /ask?kind=incrby&key=n&by=1&ttl=60000 HTTP/1.1\r\nHost: a.test\r\n"
                           "\r\n");
    }
    expect_get(&s, "a.test", "/", 200, "one"); /* nobody else waits */
    for (unsigned i = 0; i < 8; i++)
        cr_assert_str_eq(client_read(c[i]).text, "away");
    redis_continue(&s.redis);
    await(strcmp(ask(&s, "kind=get&key=word"), "good good") == 0);
    for (unsigned i = 0; i < 8; i++) /* what came late went to nobody */
        cr_assert_str_eq(client_get(c[i], "a.test", "/ask?kind=get&key=word").text, "good good");
    scene_end(&s);
}

#define CROWD 1000

SCENARIO(module_ask, a_thousand_at_once_get_each_their_own_answer)
{
    static struct scene s;
    static struct client *c[CROWD];
    static bool seen[CROWD + 1];

    scene_start(&s, .without_edge = true, .flags = { "--lookup-timeout", "1m" });
    begin(&s);
    expect_answer(&s, "kind=get&key=n", "good nil"); /* its link is there */
    for (unsigned i = 0; i < CROWD; i++)
        c[i] = scene_open(&s);
    scene_redis(&s, "CLIENT PAUSE 1000 ALL"); /* so that they wait at the same time */
    for (unsigned i = 0; i < CROWD; i++)
        client_sendf(c[i], "GET /ask?kind=incrby&key=n&by=1&ttl=600000 HTTP/1.1\r\nHost: a.test\r\n"
                           "\r\n");
    for (unsigned i = 0; i < CROWD; i++) {
        struct response r = client_read(c[i]);
        unsigned long n = strncmp(r.text, "good ", 5) == 0 ? strtoul(r.text + 5, NULL, 10) : 0;

        cr_assert(n >= 1 && n <= CROWD && !seen[n], "%d %s", r.status, r.text);
        seen[n] = true;
    }
    cr_assert_str_eq(scene_redis(&s, "GET usher:t:acme:n"), "1000");
    cr_assert_eq(scene_metric(&s, "usher_module_asks_away_total"), 0);
    scene_end(&s);
}

SCENARIO(module_ask, whoever_goes_while_redis_is_asked_leaves_nothing_behind)
{
    static struct scene s;
    struct client *c[50];

    scene_start(&s, .without_edge = true,
                .flags = { "--lookup-timeout", "1m", "--drain-timeout", "100ms" });
    begin(&s);
    scene_redis(&s, "SET usher:t:acme:word good");
    expect_answer(&s, "kind=get&key=word", "good good");
    redis_stop(&s.redis);
    for (unsigned i = 0; i < 50; i++) {
        c[i] = scene_open(&s);
        client_sendf(c[i], "GET /ask?kind=get&key=word&times=%u HTTP/1.1\r\nHost: a.test\r\n\r\n",
                     1 + i % 16);
    }
    eventually(scene_metric(&s, "usher_exchanges") == 50, 2500);
    for (unsigned i = 0; i < 25; i++)
        client_reset(c[i]);
    await(scene_metric(&s, "usher_exchanges") == 25);
    redis_continue(&s.redis);
    for (unsigned i = 25; i < 50; i++)
        expect_status(client_read(c[i]), 200);
    await(strcmp(ask(&s, "kind=get&key=word"), "good good") == 0);
    /* And at the edge's end, with questions under way. */
    redis_stop(&s.redis);
    for (unsigned i = 25; i < 50; i++)
        client_sendf(c[i], "GET /ask?kind=get&key=word&times=2 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    eventually(scene_metric(&s, "usher_exchanges") == 25, 2500);
    edge_stop(&s.edge);
    redis_continue(&s.redis);
    scene_edge_start(&s);
    scene_end(&s);
}
