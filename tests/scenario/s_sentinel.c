/* s_sentinel.c -- Redis found by Sentinel, and followed when it moves.
 *
 * Owns:    nothing.
 * Thread:  the test's; the askers'.
 * Used by: make test.
 * Not here: reading from replicas (s_replica.c); one Redis going away (f_store_outage.c). */
#include "harness/module_build.h"
#include "harness/sentinel.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

static struct scene s;
static struct sentinels c;

static void begin(const char *flag, const char *value)
{
    scene_start(&s, .without_redis = true, .without_edge = true, .flags = { flag, value });
    sentinels_start(&c, &s, 2, "");
    s.options.redis = sentinels_url(&c);
    s.options.unready = false;
    scene_edge_start(&s);
}

static void end(void)
{
    scene_end(&s);
}

/* --- asking without a break --- */

static struct asking {
    pthread_t thread;
    atomic_bool stop;
    atomic_uint asked, wrong;
    char seen[100];
} asking;

static void *ask(void *owner)
{
    struct client *client = client_open(s.edge.at);

    while (!atomic_load(&asking.stop)) {
        struct response r = client_get(client, "known.test", "/");

        atomic_fetch_add(&asking.asked, 1);
        if (r.status != 200 && atomic_fetch_add(&asking.wrong, 1) == 0)
            snprintf(asking.seen, sizeof(asking.seen), "%d %s%s", r.status, response_fault(&r),
                     r.why);
        if (r.status == 0)
            break;
    }
    return owner;
}

static void begin_asking(void)
{
    await_thread(&asking.thread, ask, NULL);
    await(atomic_load(&asking.asked) > 10);
}

static void end_asking(void)
{
    unsigned before = atomic_load(&asking.asked);

    await(atomic_load(&asking.asked) > before + 10);
    atomic_store(&asking.stop, true);
    pthread_join(asking.thread, NULL);
    cr_assert_eq(asking.wrong, 0, "%u of %u answers, first: %s", (unsigned)asking.wrong,
                 (unsigned)asking.asked, asking.seen);
}

static void set_host(struct redis *r, const char *host, struct origin *o)
{
    redis_say(r, "SET usher:host:%s %s", host, origin_at(o));
}

/* Errors are written by the edge: where it writes to is seen by where they appear. */
static void expect_edge_writes_to(struct redis *r)
{
    redis_say(r, "SET usher:host:bad.test nonsense");
    await(has(redis_say(r, "HGETALL usher:errors"), "usher:host:bad.test"));
    redis_say(r, "DEL usher:host:bad.test");
    await(!has(redis_say(r, "HGETALL usher:errors"), "usher:host:bad.test"));
}

static bool leads_writes_to(const struct redis *node)
{
    return has(scene_page(&s, "/topology"),
               kept_format("\"writes_to\":{\"up\":true,\"address\":\"%s\"", sentinels_node(node)));
}

SCENARIO(sentinel, a_failover_fails_no_request_for_a_known_host_and_writes_after_it_are_live)
{
    struct origin *one = origin_start("one"), *two = origin_start("two");
    struct redis *primary;

    begin(NULL, NULL);
    set_host(&c.nodes[0], "known.test", one);
    await_get(&s, "known.test", "/", 200, "one");
    expect_edge_writes_to(&c.nodes[0]);
    await(has(redis_say(&c.nodes[1], "GET usher:host:known.test"), origin_at(one)));
    begin_asking();
    redis_kill(&c.nodes[0]);
    primary = sentinels_primary(&c, &c.nodes[0]);
    set_host(primary, "new.test", two);
    await_get(&s, "new.test", "/", 200, "two");
    end_asking();
    set_host(primary, "known.test", two);
    await_get(&s, "known.test", "/", 200, "two");
    expect_edge_writes_to(primary);
    await(scene_metric(&s, "usher_redis_switches_total") == 1);
    cr_assert_eq(scene_logged(&s, " redis_switched "), 1);
    cr_assert(has(scene_page(&s, "/topology"),
                  kept_format("\"primary\":{\"address\":\"%s\"", sentinels_node(primary))),
              "%s", scene_page(&s, "/topology"));
    cr_assert(
        has(scene_page(&s, "/topology?as=text"),
            kept_format("%s -> %s, took ", sentinels_node(&c.nodes[0]), sentinels_node(primary))),
        "%s", scene_page(&s, "/topology?as=text"));
    end();
    sentinels_end(&c);
}

SCENARIO(sentinel, what_modules_ask_is_asked_of_the_new_primary)
{
    struct redis *primary;

    scene_start(&s, .without_redis = true, .without_edge = true);
    sentinels_start(&c, &s, 2, "");
    s.options.redis = sentinels_url(&c);
    s.options.unready = false;
    s.options.flags[0] = "--module";
    s.options.flags[1] = module_build(&s, "asker", "tests/modules/asker.c", "modules", "");
    scene_edge_start(&s);
    redis_say(&c.nodes[0], "HSET usher:tenant:acme to %s modules asker",
              origin_at(origin_start("one")));
    redis_say(&c.nodes[0], "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/", 200, "one");
    expect_get(&s, "a.test", "/ask?kind=incrby&key=n&by=5&ttl=600000", 200, "good 5");
    await(has(redis_say(&c.nodes[1], "GET usher:t:acme:n"), "5"));
    redis_kill(&c.nodes[0]);
    primary = sentinels_primary(&c, &c.nodes[0]);
    await_get(&s, "a.test", "/ask?kind=get&key=absent", 200, "good nil");
    redis_say(primary, "SET usher:t:acme:word new");
    expect_get(&s, "a.test", "/ask?kind=get&key=word", 200, "good new");
    expect_get(&s, "a.test", "/ask?kind=incrby&key=m&by=1&ttl=600000", 200, "good 1");
    end();
    sentinels_end(&c);
}

SCENARIO(sentinel, a_primary_that_is_paused_is_left_and_not_gone_back_to)
{
    struct origin *one = origin_start("one"), *two = origin_start("two");
    struct redis *primary;

    begin(NULL, NULL);
    set_host(&c.nodes[0], "known.test", one);
    await_get(&s, "known.test", "/", 200, "one");
    await(has(redis_say(&c.nodes[1], "GET usher:host:known.test"), origin_at(one)));
    begin_asking();
    redis_stop(&c.nodes[0]);
    primary = sentinels_primary(&c, &c.nodes[0]);
    set_host(primary, "known.test", two);
    await(strcmp(scene_get(&s, "known.test", "/").text, "two") == 0);
    redis_continue(&c.nodes[0]); /* it believes itself the primary until Sentinel tells it */
    await_within(strcmp(sentinels_role(&c.nodes[0]), "slave") == 0, 20000);
    set_host(primary, "known.test", one);
    await_get(&s, "known.test", "/", 200, "one");
    expect_edge_writes_to(primary);
    end_asking();
    end();
    sentinels_end(&c);
}

SCENARIO(sentinel, all_sentinels_may_die_while_redis_lives)
{
    struct origin *one = origin_start("one"), *two = origin_start("two");

    begin(NULL, NULL);
    set_host(&c.nodes[0], "known.test", one);
    await_get(&s, "known.test", "/", 200, "one");
    begin_asking();
    for (unsigned i = 0; i < SENTINELS; i++)
        redis_kill(&c.sentinels[i]);
    await(scene_logged(&s, " sentinels_silent ") == 1);
    set_host(&c.nodes[0], "known.test", two);
    await_get(&s, "known.test", "/", 200, "two");
    expect_edge_writes_to(&c.nodes[0]);
    expect_metric(&s, "usher_store_reconnects_total", 0);
    /* what was known of Redis is enough to come back to it */
    redis_say(&c.nodes[0], "CLIENT KILL TYPE normal SKIPME yes");
    await(scene_metric(&s, "usher_store_reconnects_total") == 1);
    set_host(&c.nodes[0], "known.test", one);
    await_get(&s, "known.test", "/", 200, "one");
    end_asking();
    redis_restart(&c.sentinels[1]);
    await(has(scene_page(&s, "/topology"), "\"asked\":true"));
    end();
    sentinels_end(&c);
}

SCENARIO(sentinel, the_next_one_is_asked_when_one_is_deaf_and_others_are_learnt)
{
    begin(NULL, NULL);
    end();
    memset(&s, 0, sizeof(s));
    scene_start(&s, .without_redis = true, .without_edge = true);
    redis_stop(&c.sentinels[0]);
    s.options.redis = kept_format("sentinel://127.0.0.1:%u,127.0.0.1:%u/mymaster",
                                  c.sentinels[0].port, c.sentinels[1].port);
    s.options.unready = false;
    scene_edge_start(&s);
    await(has(scene_page(&s, "/topology"), sentinels_node(&c.sentinels[2])));
    redis_continue(&c.sentinels[0]);
    redis_kill(&c.sentinels[1]);
    await_within(has(scene_page(&s, "/topology"), "\"asked\":true"), 15000);
    scene_end(&s);
    sentinels_end(&c);
}

SCENARIO(sentinel, one_that_missed_the_failover_is_not_believed)
{
    struct origin *one = origin_start("one"), *two = origin_start("two");
    struct redis *primary;

    begin(NULL, NULL);
    set_host(&c.nodes[0], "known.test", one);
    await_get(&s, "known.test", "/", 200, "one");
    redis_kill(&c.sentinels[2]);
    redis_kill(&c.nodes[0]);
    primary = sentinels_primary(&c, &c.nodes[0]);
    set_host(primary, "known.test", two);
    await_get(&s, "known.test", "/", 200, "two");
    await(leads_writes_to(primary));
    /* only the one is left that names the old primary, which is there again */
    redis_kill(&c.sentinels[0]);
    redis_kill(&c.sentinels[1]);
    redis_restart(&c.nodes[0]);
    redis_restart(&c.sentinels[2]);
    await(scene_logged(&s, " sentinels_silent ") >= 1);
    stays(leads_writes_to(primary), 1500);
    set_host(primary, "known.test", one);
    await_get(&s, "known.test", "/", 200, "one");
    end();
    sentinels_end(&c);
}

/* Nobody cuts the edge's connection and no Sentinel tells it: it looks by itself. */
SCENARIO(sentinel, a_primary_that_is_turned_by_hand_is_noticed)
{
    struct origin *one = origin_start("one"), *two = origin_start("two");

    begin(NULL, NULL);
    set_host(&c.nodes[0], "known.test", one);
    await_get(&s, "known.test", "/", 200, "one");
    for (unsigned i = 0; i < SENTINELS; i++)
        redis_stop(&c.sentinels[i]);
    redis_say(&c.nodes[1], "REPLICAOF NO ONE");
    redis_say(&c.nodes[0], "REPLICAOF 127.0.0.1 %u", c.nodes[1].port);
    cr_assert(process_awaits_log(&s.edge.process, "READONLY it is a replica", AWAIT_MS));
    expect_get(&s, "known.test", "/", 200, "one");
    cr_assert_eq(scene_metric(&s, "usher_store_suspect"), 1);
    redis_say(&c.nodes[0], "REPLICAOF NO ONE");
    set_host(&c.nodes[0], "known.test", two);
    await_get(&s, "known.test", "/", 200, "two");
    expect_edge_writes_to(&c.nodes[0]);
    end();
    sentinels_end(&c);
}

/* The commonest real disaster: what was promoted has nothing. */
SCENARIO(sentinel, a_replica_promoted_without_the_data_is_not_believed)
{
    struct origin *one = origin_start("one");
    struct redis *primary;
    struct client *client;

    begin(NULL, NULL);
    client = scene_open(&s);
    for (unsigned i = 0; i < 30; i++) {
        set_host(&c.nodes[0], kept_format("h%u.test", i), one);
        await(client_get(client, kept_format("h%u.test", i), "/").status == 200);
    }
    redis_say(&c.nodes[1], "CONFIG SET replica-read-only no");
    redis_say(&c.nodes[1], "FLUSHALL");
    redis_kill(&c.nodes[0]);
    primary = sentinels_primary(&c, &c.nodes[0]);
    await(scene_metric(&s, "usher_store_regressed") == 1);
    for (unsigned i = 0; i < 30; i++)
        expect_get(&s, kept_format("h%u.test", i), "/", 200, "one");
    set_host(primary, "new.test", one);
    await_get(&s, "new.test", "/", 200, "one");
    end();
    sentinels_end(&c);
}

/* Records are written by many: no host may lead to Redis, also not to what the edge only heard of. */
SCENARIO(sentinel, no_endpoint_may_be_redis_or_a_sentinel)
{
    begin(NULL, NULL);
    await(has(scene_page(&s, "/topology"), sentinels_node(&c.nodes[1])));
    await(has(scene_page(&s, "/topology"), sentinels_node(&c.sentinels[2])));
    redis_say(&c.nodes[0], "SET usher:host:r.test %s", sentinels_node(&c.nodes[1]));
    redis_say(&c.nodes[0], "SET usher:host:s.test %s", sentinels_node(&c.sentinels[2]));
    await_fault(&s, "r.test", "bad_record");
    await_fault(&s, "s.test", "bad_record");
    end();
    sentinels_end(&c);
}

static const char *run_verb(int expected, const char *const argv[])
{
    char *out, *err;
    int code = process_run(argv, NULL, &out, &err);

    cr_assert_eq(code, expected, "%s ended with %d: %s%s", argv[1], code, out, err);
    return kept_format("%s%s", out, err);
}

SCENARIO(sentinel, usher_topology_draws_it_from_an_edge_and_without_one)
{
    const char *bin = edge_program(), *drawn, *url, *server;

    begin(NULL, NULL);
    url = s.options.redis;
    await(has(scene_page(&s, "/topology"), sentinels_node(&c.nodes[1])));
    drawn = run_verb(0, (const char *[]){ bin, "topology", "--admin", s.edge.admin, NULL });
    cr_assert_str_eq(drawn, scene_page(&s, "/topology?as=text"));
    for (unsigned i = 0; i < SENTINELS; i++)
        cr_assert(has(drawn, sentinels_node(&c.sentinels[i])), "%s", drawn);
    cr_assert(has(drawn, "<- writes  <- reads"), "%s", drawn);
    drawn = run_verb(
        0, (const char *[]){ bin, "topology", "--redis", url, "--read-from", "replica", NULL });
    cr_assert(has(drawn, "mymaster, by Sentinel"), "%s", drawn);
    server = redis_hello(&c.nodes[0], "server");
    cr_assert(has(drawn, kept_format("reads from  %s, %s ", sentinels_node(&c.nodes[1]), server)),
              "%s", drawn);
    cr_assert(has(drawn, kept_format("writes to   %s, %s ", sentinels_node(&c.nodes[0]), server)),
              "%s", drawn);
    cr_assert(has(drawn, "bytes behind"), "%s", drawn);
    drawn = run_verb(0, (const char *[]){ bin, "topology", "--redis", url, "--json", NULL });
    cr_assert(has(drawn, "{\"kind\":\"sentinel\",\"name\":\"mymaster\""), "%s", drawn);
    /* other verbs find the primary by the same URL */
    redis_say(&c.nodes[0], "SET usher:host:bad.test nonsense");
    drawn = run_verb(1, (const char *[]){ bin, "check", "--redis", url, NULL });
    cr_assert(has(drawn, "usher:host:bad.test"), "%s", drawn);
    drawn = run_verb(
        1, (const char *[]){ bin, "topology", "--redis", "sentinel://127.0.0.1:1/m", NULL });
    cr_assert(has(drawn, "127.0.0.1:1: Connection refused"), "%s", drawn);
    end();
    sentinels_end(&c);
}

SCENARIO(sentinel, what_cannot_be_found_is_said)
{
    scene_start(&s, .without_edge = true, .tcp = true);
    s.options.redis = "sentinel://127.0.0.1:1,127.0.0.1:2/mymaster";
    scene_edge_start_unready(&s);
    cr_assert(process_awaits_log(&s.edge.process, " store_down ", AWAIT_MS));
    cr_assert(process_awaits_log(&s.edge.process, "no Sentinel tells where mymaster is", AWAIT_MS));
    expect_fault(&s, "a.test", "store_unavailable");
    edge_stop(&s.edge);
    /* a Redis where a Sentinel should be */
    s.options.redis = kept_format("sentinel://127.0.0.1:%u/mymaster", s.redis.port);
    scene_edge_start_unready(&s);
    cr_assert(process_awaits_log(&s.edge.process, "it is no Sentinel", AWAIT_MS));
    scene_end(&s);
}

SCENARIO(sentinel, a_name_that_sentinel_does_not_know_and_a_sentinel_taken_for_redis)
{
    begin(NULL, NULL);
    edge_stop(&s.edge);
    s.options.redis = kept_format("sentinel://127.0.0.1:%u/other", c.sentinels[0].port);
    scene_edge_start_unready(&s);
    cr_assert(process_awaits_log(&s.edge.process, "No such master with that name", AWAIT_MS));
    edge_stop(&s.edge);
    s.options.redis = kept_format("redis://127.0.0.1:%u", c.sentinels[0].port);
    scene_edge_start_unready(&s);
    cr_assert(
        process_awaits_log(&s.edge.process, "it is a Sentinel: --redis sentinel://", AWAIT_MS));
    end();
    sentinels_end(&c);
}
