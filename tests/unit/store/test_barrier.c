/* test_barrier.c -- a token is acknowledged when all that was written before it is applied, and
 * never sooner; edges announce themselves, sign off, and notice another of their name. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "scene.h"
#include "store/barrier.h"

/* What a confirmation finds: the owner of the scene. */
struct asked {
    unsigned count;
    uint64_t number; /* of the last one */
    bool hold;       /* the workers do not answer */
    char host[64], route[64];
};

static struct asked *asked_of(struct scene *s)
{
    return s->owner;
}

/* The pretended worker applies at once: whatever it is asked to confirm, it must have by now. */
static void on_confirm(void *scene, uint64_t number)
{
    struct scene *s = scene;
    struct asked *a = asked_of(s);

    a->count++;
    a->number = number;
    snprintf(a->route, sizeof(a->route), "%s", a->host[0] ? scene_known(s, a->host) : "");
    if (!a->hold)
        store_confirmed(s->store, number);
    uv_stop(&s->loop.uv);
}

static struct scene *scene_with(struct asked *a)
{
    struct scene *s = scene_new();

    memset(a, 0, sizeof(*a));
    s->owner = a;
    s->confirm = on_confirm;
    return s;
}

static char *write_token(struct scene *s)
{
    return scene_ask(s, "XADD usher:barrier MAXLEN ~ 1000 * by test");
}

static bool is_acknowledged(struct scene *s, const void *token)
{
    char *by = scene_ask(s, "LINDEX usher:ack:%s 0", (const char *)token);
    bool yes = by != NULL && strcmp(by, s->settings.name) == 0;

    free(by);
    return yes;
}

static void expect_acknowledged(struct scene *s, char *token)
{
    uint64_t until = clock_now_ms() + 5000;

    while (!is_acknowledged(s, token)) {
        cr_assert_lt(clock_now_ms(), until, "%s is not acknowledged", token);
        scene_run(s, 2);
    }
    free(token);
}

static void expect_silence(struct scene *s, const char *token, unsigned ms)
{
    scene_run(s, ms);
    cr_assert_not(is_acknowledged(s, token), "%s is acknowledged too soon", token);
}

Test(store_barrier, is_acknowledged_by_name_and_in_the_record_of_the_edge)
{
    struct asked a;
    struct scene *s = scene_with(&a);
    char *token, *applied;

    scene_open(s);
    token = write_token(s);
    expect_acknowledged(s, strdup(token));
    applied = scene_ask(s, "HGET usher:edge:edge-1 barrier");
    cr_assert_str_eq(applied, token);
    free(applied);
    free(token);
    scene_end(s);
}

/* Each of the ways in which a change and a token can come in one turn of Redis, or two. */
static void write_change(struct scene *s, unsigned i, const char *route)
{
    switch (i % 5) {
    case 0:
        scene_do(s, "SET usher:host:a.test %s", route);
        free(write_token(s));
        return;
    case 1:
        scene_do(s, "MULTI");
        scene_do(s, "SET usher:host:a.test %s", route);
        scene_do(s, "XADD usher:barrier * by test");
        scene_do(s, "EXEC");
        return;
    case 2: /* a token before it, which proves nothing of it */
        scene_do(s, "MULTI");
        scene_do(s, "XADD usher:barrier * by test");
        scene_do(s, "SET usher:host:a.test %s", route);
        scene_do(s, "XADD usher:barrier * by test");
        scene_do(s, "EXEC");
        return;
    case 3: /* all in one packet */
        redisAppendCommand(s->redis, "SET usher:host:other.test 10.0.0.1:1");
        redisAppendCommand(s->redis, "SET usher:host:a.test %s", route);
        redisAppendCommand(s->redis, "XADD usher:barrier * by test");
        for (unsigned n = 0; n < 3; n++) {
            void *reply = NULL;

            cr_assert_eq(redisGetReply(s->redis, &reply), REDIS_OK);
            freeReplyObject(reply);
        }
        return;
    default:
        scene_do(s, "SET usher:host:a.test %s", route);
        scene_do(s, "HSET usher:tenant:t%u to 10.0.0.1:1", i % 50);
        free(write_token(s));
        return;
    }
}

/* The newest token of the stream is in the record of the edge. */
static bool is_all_applied(struct scene *s, const void *with)
{
    redisReply *newest = redisCommand(s->redis, "XREVRANGE usher:barrier + - COUNT 1");
    char *applied = scene_ask(s, "HGET usher:edge:edge-1 barrier");
    bool yes = applied != NULL && newest->elements == 1 &&
               strcmp(newest->element[0]->element[0]->str, applied) == 0;

    (void)with;
    free(applied);
    freeReplyObject(newest);
    return yes;
}

Test(store_barrier, never_comes_before_a_change_that_was_written_before_it)
{
    struct asked a;
    struct scene *s = scene_with(&a);
    char route[64];

    scene_do(s, "SET usher:host:a.test 10.0.0.1:1");
    scene_open(s);
    scene_route(s, "a.test");
    snprintf(a.host, sizeof(a.host), "a.test");
    for (unsigned i = 0; i < 1500; i++) {
        snprintf(route, sizeof(route), "10.0.0.1:%u", i + 2);
        write_change(s, i, route);
        while (!is_all_applied(s, NULL))
            scene_run(s, 1);
        cr_assert_str_eq(scene_known(s, "a.test"), route);
        cr_assert_str_eq(a.route, route, "confirmed with %s, not %s", a.route, route);
    }
    scene_end(s);
}

Test(store_barrier, waits_for_what_is_looked_at_again_because_of_a_change)
{
    struct asked a;
    struct scene *s = scene_with(&a);

    scene_do(s, "SET usher:host:a.test tenant:acme"); /* bad: there is none */
    scene_open(s);
    cr_assert_str_eq(scene_route(s, "a.test"), "bad_record");
    snprintf(a.host, sizeof(a.host), "a.test");
    for (unsigned i = 0; i < 100; i++) {
        scene_do(s, "HSET usher:tenant:acme to 10.0.0.1:1");
        expect_acknowledged(s, write_token(s));
        cr_assert_str_eq(a.route, "10.0.0.1:1");
        scene_do(s, "SET usher:host:a.test 10.0.0.1:5");
        scene_do(s, "DEL usher:tenant:acme");
        expect_acknowledged(s, write_token(s));
        scene_do(s, "DEL usher:host:a.test");
        expect_acknowledged(s, write_token(s));
        scene_do(s, "SET usher:host:a.test tenant:acme");
        expect_acknowledged(s, write_token(s));
        cr_assert_str_eq(scene_route(s, "a.test"), "bad_record");
    }
    scene_end(s);
}

Test(store_barrier, waits_for_the_workers_word)
{
    struct asked a;
    struct scene *s = scene_with(&a);
    char *first, *second;

    a.hold = true;
    scene_open(s);
    first = write_token(s);
    expect_silence(s, first, 100);
    cr_assert_eq(a.count, 1);
    second = write_token(s); /* behind one under way: asked for on its own */
    expect_silence(s, second, 50);
    cr_assert_eq(a.count, 1);
    store_confirmed(s->store, a.number);
    expect_acknowledged(s, first);
    expect_silence(s, second, 50);
    cr_assert_eq(a.count, 2);
    store_confirmed(s->store, a.number - 1); /* of before: says nothing of it */
    expect_silence(s, second, 50);
    store_confirmed(s->store, a.number);
    expect_acknowledged(s, second);
    scene_end(s);
}

Test(store_barrier, many_tokens_at_once_are_all_acknowledged)
{
    struct asked a;
    struct scene *s = scene_with(&a);
    char *tokens[300];

    scene_open(s);
    for (unsigned i = 0; i < 300; i++)
        tokens[i] = write_token(s);
    for (unsigned i = 0; i < 300; i++)
        expect_acknowledged(s, tokens[i]);
    cr_assert_lt(a.count, 300, "tokens of one moment share a confirmation");
    scene_end(s);
}

Test(store_barrier, under_constant_writes_it_still_comes)
{
    struct asked a;
    struct scene *s = scene_with(&a);
    char *token;
    uint64_t until;
    unsigned n = 0;

    scene_open(s);
    token = write_token(s);
    until = clock_now_ms() + 5000;
    while (!is_acknowledged(s, token)) {
        cr_assert_lt(clock_now_ms(), until);
        for (unsigned i = 0; i < 50; i++, n++)
            scene_do(s, "SET usher:host:h%u.test 10.0.0.1:1", n % 5000);
        uv_run(&s->loop.uv, UV_RUN_NOWAIT);
    }
    free(token);
    scene_end(s);
}

Test(store_barrier, written_while_the_link_is_down_it_is_acknowledged_after_it)
{
    struct asked a;
    struct scene *s = scene_with(&a);
    char *token;

    scene_do(s, "SET usher:host:a.test 10.0.0.1:1");
    scene_open(s);
    scene_route(s, "a.test");
    snprintf(a.host, sizeof(a.host), "a.test");
    for (unsigned i = 0; i < 10; i++) {
        scene_do(s, "SET usher:host:a.test 10.0.0.1:%u", 100 + i);
        scene_do(s, "CLIENT KILL TYPE normal SKIPME yes");
        scene_do(s, "SET usher:host:a.test 10.0.0.1:%u", 200 + i);
        token = write_token(s);
        expect_acknowledged(s, token);
        cr_assert_eq(atoi(strchr(a.route, ':') + 1), 200 + (int)i, "confirmed with %s", a.route);
    }
    scene_end(s);
}

Test(store_barrier, waits_while_redis_has_lost_records)
{
    struct asked a;
    struct scene *s = scene_with(&a);
    char host[32], *token;

    for (unsigned i = 0; i < 30; i++)
        scene_do(s, "SET usher:host:h%u.test 10.0.0.1:1", i);
    scene_open(s);
    for (unsigned i = 0; i < 30; i++) {
        snprintf(host, sizeof(host), "h%u.test", i);
        scene_route(s, host);
    }
    scene_do(s, "FLUSHDB");
    token = write_token(s);
    expect_silence(s, token, 300);
    cr_assert(store_status(s->store)->regressed);
    for (unsigned i = 0; i < 30; i++)
        scene_do(s, "SET usher:host:h%u.test 10.0.0.1:2", i);
    expect_acknowledged(s, token);
    scene_end(s);
}

static bool is_back(struct scene *s, const void *with)
{
    (void)with;
    return store_status(s->store)->reconnects > 0 && !store_status(s->store)->suspect;
}

/* As after a failover to a replica that had not got them: what was written before the token may be
 * lost with it. Whoever asks must not be told that it is applied. */
Test(store_barrier, of_a_redis_that_does_not_have_it_any_more_is_not_acknowledged)
{
    struct asked a;
    struct scene *s = scene_with(&a);
    char *lost, *token;

    scene_do(s, "SET usher:host:a.test 10.0.0.1:1");
    scene_open(s);
    scene_expect(s, "a.test", "10.0.0.1:1");
    a.hold = true; /* the workers are slow: the tokens behind the first one wait */
    free(write_token(s));
    while (a.count == 0)
        scene_run(s, 2);
    lost = write_token(s);
    scene_run(s, 50); /* it is read */
    scene_do(s, "MULTI");
    scene_do(s, "DEL usher:barrier");
    scene_do(s, "CLIENT KILL TYPE normal SKIPME yes");
    scene_do(s, "EXEC");
    cr_assert(scene_await(s, is_back, NULL, 8000));
    a.hold = false;
    store_confirmed(s->store, a.number);
    token = write_token(s);
    expect_acknowledged(s, token);
    cr_expect_not(is_acknowledged(s, lost), "it is not there");
    free(lost);
    scene_end(s);
}

Test(store_barrier, a_key_of_another_type_in_its_place_harms_nothing)
{
    struct asked a;
    struct scene *s = scene_with(&a);

    scene_open(s);
    scene_do(s, "SET usher:barrier nonsense");
    scene_do(s, "SET usher:host:a.test 10.0.0.1:1");
    scene_expect(s, "a.test", "10.0.0.1:1");
    scene_do(s, "DEL usher:barrier");
    scene_do(s, "XADD usher:barrier 99999999999999-5 by clock"); /* of a far future */
    scene_run(s, 50);
    scene_do(s, "FLUSHALL");
    expect_acknowledged(s, write_token(s)); /* smaller than the one before */
    scene_end(s);
}

Test(store_barrier, ids_are_numbers_and_compared_as_such)
{
    struct stream_id a, b;
    char text[STREAM_ID_TEXT_SIZE];

    cr_assert(stream_id_parse(STR("1700000000000-9"), &a));
    cr_assert(stream_id_parse(STR("1700000000000-10"), &b));
    cr_assert_lt(stream_id_compare(a, b), 0);
    cr_assert_gt(stream_id_compare(b, a), 0);
    cr_assert_eq(stream_id_compare(a, a), 0);
    cr_assert_str_eq(stream_id_text(b, text), "1700000000000-10");
    cr_assert_not(stream_id_parse(STR("1700000000000"), &a));
    cr_assert_not(stream_id_parse(STR("1-2-3"), &a));
    cr_assert_not(stream_id_parse(STR(""), &a));
    cr_assert_not(stream_id_parse(STR("-"), &a));
}

/* --- presence --- */

static bool is_announced(struct scene *s, const void *name)
{
    char key[80], *boot;
    bool yes;

    snprintf(key, sizeof(key), "usher:edge:%s", (const char *)name);
    boot = scene_ask(s, "HGET %s boot", key);
    yes = boot != NULL;
    free(boot);
    return yes;
}

static void say_facts(void *scene, struct store_facts *f)
{
    (void)scene;
    *f = (struct store_facts){ .connections = 7, .requests = 1234, .faults = 5 };
}

static void expect_field(struct scene *s, const char *name, const char *value)
{
    char *is = scene_ask(s, "HGET usher:edge:edge-1 %s", name);

    cr_assert(is != NULL && strcmp(is, value) == 0, "%s is %s, not %s", name, is ? is : "nothing",
              value);
    free(is);
}

Test(store_presence, an_edge_announces_itself_with_a_time_to_live)
{
    struct asked a;
    struct scene *s = scene_with(&a);
    redisReply *r;

    s->facts = say_facts;
    scene_do(s, "ZADD usher:edges 1 long-gone"); /* pruned */
    scene_open(s);
    cr_assert(scene_await(s, is_announced, "edge-1", 5000));
    expect_field(s, "id", "edge-1");
    expect_field(s, "connections", "7");
    expect_field(s, "requests", "1234");
    expect_field(s, "faults", "5");
    expect_field(s, "store_up", "1");
    expect_field(s, "regressed", "0");
    r = redisCommand(s->redis, "PTTL usher:edge:edge-1");
    cr_assert(r->integer > 10000 && r->integer <= 15000, "%lld", r->integer);
    freeReplyObject(r);
    scene_run(s, 20);
    r = redisCommand(s->redis, "ZRANGE usher:edges 0 -1");
    cr_assert_eq(r->elements, 1);
    cr_assert_str_eq(r->element[0]->str, "edge-1");
    freeReplyObject(r);
    scene_end(s);
}

static void on_left(void *gone)
{
    *(bool *)gone = true;
}

static bool is_true(struct scene *s, const void *flag)
{
    (void)s;
    return *(const volatile bool *)flag;
}

static unsigned announced_count(struct scene *s)
{
    redisReply *r = redisCommand(s->redis, "EXISTS usher:edges usher:edge:edge-1");
    unsigned count = (unsigned)r->integer;

    freeReplyObject(r);
    return count;
}

Test(store_presence, it_signs_off_and_says_no_more)
{
    struct asked a;
    struct scene *s = scene_with(&a);
    bool gone = false;

    scene_open(s);
    cr_assert(scene_await(s, is_announced, "edge-1", 5000));
    store_leave(s->store, on_left, &gone);
    cr_assert(scene_await(s, is_true, &gone, 5000));
    cr_assert_eq(announced_count(s), 0);
    expect_acknowledged(s, write_token(s)); /* it still serves */
    scene_run(s, 50);
    cr_assert_eq(announced_count(s), 0, "a token brings no record of it back");
    scene_end(s);
}

Test(store_presence, with_redis_gone_it_leaves_without_waiting_long)
{
    struct asked a;
    struct scene *s = scene_with(&a);
    bool gone = false;
    uint64_t began;

    scene_open(s);
    scene_stop_redis(s);
    began = clock_now_ms();
    store_leave(s->store, on_left, &gone);
    cr_assert(scene_await(s, is_true, &gone, 5000));
    cr_assert_lt(clock_now_ms() - began, 3000);
    scene_end(s);
}

static bool is_taken(struct scene *s, const void *with)
{
    char *taken = scene_ask(s, "HGET usher:edge:edge-1 name_taken");
    bool yes = taken != NULL && strcmp(taken, "1") == 0;

    (void)with;
    free(taken);
    return yes;
}

/* scene_await looks after each turn of the loop; the next announcement is seconds away. */
static void await_turns(struct scene *s, bool (*fn)(struct scene *s, const void *with))
{
    uint64_t until = clock_now_ms() + 15000;

    while (!fn(s, NULL)) {
        cr_assert_lt(clock_now_ms(), until);
        scene_run(s, 100);
    }
}

Test(store_presence, another_that_runs_under_the_name_is_noticed_and_not_signed_off)
{
    struct asked a;
    struct scene *s = scene_with(&a);
    bool gone = false;

    /* One that died: at the start it means nothing. */
    scene_do(s, "HSET usher:edge:edge-1 boot 0123456789abcdef host elsewhere pid 7");
    scene_open(s);
    scene_run(s, 1500);
    expect_field(s, "name_taken", "0");
    /* One that lives: it writes over what this one wrote. */
    scene_do(s, "HSET usher:edge:edge-1 boot 0123456789abcdef host elsewhere pid 7");
    await_turns(s, is_taken);
    store_leave(s->store, on_left, &gone);
    cr_assert(scene_await(s, is_true, &gone, 5000));
    cr_assert_eq(announced_count(s), 2, "the other is still there");
    scene_end(s);
}
