/* test_wrong.c -- records that cannot be taken: the last good one stays, and the writer can see why. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "scene.h"

struct said {
    const char *key, *part; /* NULL: nothing is said */
};

static bool is_said(struct scene *s, const void *with)
{
    const struct said *w = with;
    char *text = scene_ask(s, "HGET usher:errors %s", w->key);
    bool yes = w->part ? text != NULL && strstr(text, w->part) != NULL : text == NULL;

    free(text);
    return yes;
}

static void expect_said(struct scene *s, const char *key, const char *part)
{
    struct said w = { key, part };
    char *text = NULL;

    if (!scene_await(s, is_said, &w, 5000))
        text = scene_ask(s, "HGET usher:errors %s", key);
    cr_expect(is_said(s, &w), "of %s it says %s, not %s", key, text ? text : "nothing",
              part ? part : "nothing");
    free(text);
}

Test(store_wrong, the_last_good_one_stays)
{
    struct scene *s = scene_new();
    char *text;

    scene_do(s, "SET usher:host:a.example 10.0.0.1:80");
    scene_open(s);
    scene_expect(s, "a.example", "10.0.0.1:80");
    scene_do(s, "SET usher:host:a.example 10.0.0.1:99999");
    expect_said(s, "usher:host:a.example", "expected a port from 1 to 65535");
    cr_expect_str_eq(scene_route(s, "a.example"), "10.0.0.1:80");
    text = scene_ask(s, "HGET usher:errors usher:host:a.example");
    cr_expect(strstr(text, "got \"10.0.0.1:99999\"") != NULL, "%s", text);
    cr_expect(strstr(text, "seen by edge edge-1") != NULL, "%s", text);
    cr_expect(strstr(text, "; since 20") != NULL, "%s", text);
    free(text);
    scene_do(s, "SET usher:host:a.example 10.0.0.2:80");
    expect_said(s, "usher:host:a.example", NULL);
    scene_expect(s, "a.example", "10.0.0.2:80");
    scene_do(s, "DEL usher:host:a.example");
    scene_do(s, "RPUSH usher:host:a.example x");
    expect_said(s, "usher:host:a.example", "got \"list\", expected a string or a hash");
    scene_do(s, "DEL usher:host:a.example");
    expect_said(s, "usher:host:a.example", NULL);
    scene_expect(s, "a.example", "unknown_host");
    cr_expect_eq(store_status(s->store)->bad_records_seen, 2);
    scene_end(s);
}

Test(store_wrong, each_family_keeps_its_own)
{
    struct scene *s = scene_new();

    scene_do(s, "HSET usher:endpoints:web 10.0.0.1:80 100");
    scene_do(s, "HSET usher:service:web balance random");
    scene_do(s, "HSET usher:tenant:acme to service:web");
    scene_do(s, "SET usher:host:a.example tenant:acme");
    scene_open(s);
    scene_expect(s, "a.example", "10.0.0.1:80");
    scene_do(s, "HSET usher:endpoints:web 10.0.0.2:80 1001");
    expect_said(s, "usher:endpoints:web", "field 10.0.0.2:80: got \"1001\"");
    scene_do(s, "HSET usher:service:web colour red");
    expect_said(s, "usher:service:web", "expected one of the fields balance");
    scene_do(s, "HSET usher:tenant:acme status gone");
    expect_said(s, "usher:tenant:acme", "field status: got \"gone\"");
    cr_expect_str_eq(scene_route(s, "a.example"), "10.0.0.1:80");
    /* Without a policy it had the default one: that was good, too. */
    scene_do(s, "HSET usher:endpoints:api 10.0.0.7:80 100");
    scene_do(s, "SET usher:host:b.example service:api");
    scene_expect(s, "b.example", "10.0.0.7:80");
    scene_do(s, "HSET usher:service:api balance best");
    expect_said(s, "usher:service:api", "field balance: got \"best\"");
    cr_expect_str_eq(scene_route(s, "b.example"), "10.0.0.7:80");
    scene_do(s, "HSET usher:endpoints:api 10.0.0.8:80 100");
    scene_expect(s, "b.example", "10.0.0.7:80 10.0.0.8:80");
    /* One part of a service goes on changing while the other is wrong. */
    scene_do(s, "HSET usher:endpoints:web 10.0.0.2:80 1000");
    scene_expect(s, "a.example", "10.0.0.1:80 10.0.0.2:80");
    expect_said(s, "usher:endpoints:web", NULL);
    scene_do(s, "HDEL usher:service:web colour");
    expect_said(s, "usher:service:web", NULL);
    scene_do(s, "HSET usher:tenant:acme status maintenance");
    scene_expect(s, "a.example", "maintenance");
    expect_said(s, "usher:tenant:acme", NULL);
    scene_end(s);
}

Test(store_wrong, never_good)
{
    struct scene *s = scene_new();

    scene_do(s, "SET usher:host:*.example 10.0.0.9:80");
    scene_do(s, "SET usher:host:a.example nonsense");
    scene_do(s, "SET usher:tenant:acme x");
    scene_do(s, "SET usher:host:b.example tenant:acme");
    scene_do(s, "HSET usher:endpoints:web nowhere 100");
    scene_do(s, "SET usher:host:c.example service:web");
    scene_open(s);
    scene_expect(s, "a.example", "bad_record");
    scene_expect(s, "b.example", "bad_record");
    scene_expect(s, "c.example", "bad_record");
    expect_said(s, "usher:tenant:acme", "got \"string\", expected a hash");
    expect_said(s, "usher:endpoints:web", "field nowhere");
    scene_do(s, "SET usher:host:a.example 10.0.0.1:80");
    scene_do(s, "DEL usher:tenant:acme");
    scene_do(s, "HSET usher:tenant:acme to 10.0.0.2:80");
    scene_do(s, "HDEL usher:endpoints:web nowhere");
    scene_do(s, "HSET usher:endpoints:web 10.0.0.3:80 1");
    scene_expect(s, "a.example", "10.0.0.1:80");
    scene_expect(s, "b.example", "10.0.0.2:80");
    scene_expect(s, "c.example", "10.0.0.3:80");
    scene_end(s);
}

Test(store_wrong, what_is_named_must_exist)
{
    struct scene *s = scene_new();

    scene_do(s, "HSET usher:tenant:acme to 10.0.0.1:80");
    scene_do(s, "SET usher:host:a.example tenant:acme");
    scene_open(s);
    scene_expect(s, "a.example", "10.0.0.1:80");
    scene_do(s, "SET usher:host:a.example tenant:bolt");
    expect_said(s, "usher:host:a.example", "there is no usher:tenant:bolt");
    cr_expect_str_eq(scene_route(s, "a.example"), "10.0.0.1:80");
    scene_do(s, "HSET usher:tenant:acme to service:web");
    expect_said(s, "usher:tenant:acme", "there is no usher:endpoints:web");
    scene_do(s, "SET usher:host:b.example service:api");
    expect_said(s, "usher:host:b.example", "there is no usher:endpoints:api");
    scene_expect(s, "b.example", "bad_record");
    /* They come into being. */
    scene_do(s, "HSET usher:tenant:bolt to 10.0.0.2:80");
    expect_said(s, "usher:host:a.example", NULL);
    scene_expect(s, "a.example", "10.0.0.2:80");
    scene_do(s, "HSET usher:endpoints:api 10.0.0.3:80 1");
    expect_said(s, "usher:host:b.example", NULL);
    scene_expect(s, "b.example", "10.0.0.3:80");
    scene_do(s, "HSET usher:service:web balance random");
    expect_said(s, "usher:tenant:acme", NULL);
    scene_end(s);
}

Test(store_wrong, nobody_has_to_ask_for_it)
{
    struct scene *s = scene_new();

    scene_open(s);
    scene_do(s, "SET usher:host:a.example 10.0.0.1");
    expect_said(s, "usher:host:a.example", "expected ADDRESS:PORT or NAME:PORT");
    scene_do(s, "SET usher:host:A.Example 10.0.0.1:80");
    expect_said(s, "usher:host:A.Example", "expected a key that ends in a host");
    scene_do(s, "SET usher:tenant:a/b 10.0.0.1:80");
    expect_said(s, "usher:tenant:a/b", "expected a key that ends in a name");
    scene_do(s, "HSET usher:endpoints:a:b 10.0.0.1:80 1");
    expect_said(s, "usher:endpoints:a:b", "expected a key that ends in a name");
    scene_do(s, "DEL usher:host:A.Example usher:tenant:a/b usher:endpoints:a:b");
    expect_said(s, "usher:host:A.Example", NULL);
    expect_said(s, "usher:tenant:a/b", NULL);
    expect_said(s, "usher:endpoints:a:b", NULL);
    scene_end(s);
}

Test(store_wrong, too_large_is_not_fetched)
{
    struct scene *s = scene_new();

    scene_do(s, "SET usher:host:a.example 10.0.0.1:80");
    scene_do(s, "HSET usher:endpoints:web 10.0.0.2:80 1");
    scene_do(s, "SET usher:host:b.example service:web");
    scene_open(s);
    scene_expect(s, "a.example", "10.0.0.1:80");
    scene_expect(s, "b.example", "10.0.0.2:80");
    scene_do(s, "SETRANGE usher:host:a.example 500000000 x");
    expect_said(s, "usher:host:a.example", "too large");
    scene_do(s, "EVAL %s 1 usher:endpoints:web",
             "for i = 1, 1100 do redis.call('HSET', KEYS[1], '10.0.0.3:' .. i, '1') end");
    expect_said(s, "usher:endpoints:web", "too large");
    scene_do(s, "SET usher:big x");
    scene_do(s, "SETRANGE usher:big 400000 x");
    scene_do(s, "EVAL %s 2 usher:tenant:acme usher:big",
             "redis.call('HSET', KEYS[1], 'to', redis.call('GET', KEYS[2]))");
    expect_said(s, "usher:tenant:acme", "too large");
    cr_expect_str_eq(scene_route(s, "a.example"), "10.0.0.1:80");
    cr_expect_str_eq(scene_route(s, "b.example"), "10.0.0.2:80");
    cr_expect(store_status(s->store)->up);
    cr_expect_eq(store_status(s->store)->reconnects, 0);
    scene_end(s);
}

Test(store_wrong, entries_of_dead_edges_go)
{
    struct scene *s = scene_new();

    scene_do(s, "HSET usher:errors usher:host:a.example x usher:host:b.example y");
    scene_do(s, "SET usher:host:a.example 10.0.0.1:80");
    scene_do(s, "SET usher:host:c.example nonsense");
    scene_do(s, "HSET usher:errors usher:host:c.example z");
    scene_open(s);
    expect_said(s, "usher:host:a.example", NULL);
    expect_said(s, "usher:host:b.example", NULL);
    expect_said(s, "usher:host:c.example", "seen by edge edge-1");
    scene_end(s);
}

Test(store_wrong, entries_are_bounded)
{
    struct scene *s = scene_new();
    struct said more = { "(more)", "5" };
    redisReply *r;

    scene_open(s);
    for (unsigned i = 0; i < 1005; i++)
        redisAppendCommand(s->redis, "SET usher:host:h%u.example nonsense", i);
    for (unsigned i = 0; i < 1005; i++) {
        cr_assert_eq(redisGetReply(s->redis, (void **)&r), REDIS_OK);
        freeReplyObject(r);
    }
    cr_assert(scene_await(s, is_said, &more, 5000));
    r = redisCommand(s->redis, "HLEN usher:errors");
    cr_expect_eq(r->integer, 1001);
    freeReplyObject(r);
    for (unsigned i = 0; i < 1005; i++)
        scene_do(s, "DEL usher:host:h%u.example", i);
    expect_said(s, "(more)", NULL);
    expect_said(s, "usher:host:h1004.example", NULL);
    scene_run(s, 50);
    r = redisCommand(s->redis, "EXISTS usher:errors");
    cr_expect_eq(r->integer, 0);
    freeReplyObject(r);
    scene_end(s);
}
