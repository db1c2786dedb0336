/* s_acl.c -- schema/acl.conf is enough, and no more than that.
 *
 * Whatever a test here makes an edge or a verb do must be allowed: what is not is named by ACL LOG,
 * and belongs into schema/acl.conf.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: TLS (s_redis_tls.c). */
#include "harness/module_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct scene s;
static struct redis redis;

static void begin(void)
{
    char here[4096];

    cr_assert_not_null(getcwd(here, sizeof(here)));
    scene_start(&s, .without_redis = true, .without_edge = true);
    cr_assert_eq(mkdir(kept_format("%s/acl", s.dir), 0700), 0);
    redis_start_configured(&redis, kept_format("%s/acl", s.dir), 0, false,
                           kept_format("include %s/schema/acl.conf\n", here));
    cr_assert_eq(mkdir(kept_format("%s/state", s.dir), 0700), 0);
    s.options.flags[0] = "--state-dir"; /* with it, the first sync reads everything */
    s.options.flags[1] = kept_format("%s/state", s.dir);
    s.options.redis = kept_format("redis://usher-edge:change-me@127.0.0.1:%u", redis.port);
    s.options.unready = false;
}

/* "command ... object ..." of each denial. */
static void expect_no_denial(void)
{
    const char *denied = redis_say(&redis, "ACL LOG 10");

    cr_assert_str_eq(denied, "", "schema/acl.conf does not allow:\n%s", denied);
}

static void run_as_writer(int expected, const char *verb, const char *flag, const char *value)
{
    const char *url = kept_format("redis://usher-writer:change-me@127.0.0.1:%u", redis.port);
    char *out, *err;
    int code =
        process_run((const char *[]){ edge_program(), verb, "--redis", url, flag, value, NULL },
                    NULL, &out, &err);

    cr_assert_eq(code, expected, "usher %s ended with %d: %s%s", verb, code, out, err);
}

/* Some words of a verb, up to a NULL. Returns what it complained of. */
static const char *say_as(const char *user, int expected, const char *verb, const char *a,
                          const char *b, const char *c, const char *d)
{
    const char *url = kept_format("redis://%s:change-me@127.0.0.1:%u", user, redis.port);
    char *out, *err;
    int code =
        process_run((const char *[]){ edge_program(), verb, "--redis", url, a, b, c, d, NULL },
                    NULL, &out, &err);

    cr_assert_eq(code, expected, "%s: usher %s %s ended with %d: %s%s", user, verb, a, code, out,
                 err);
    return err;
}

static void say_as_writer(const char *verb, const char *a, const char *b, const char *c,
                          const char *d)
{
    say_as("usher-writer", 0, verb, a, b, c, d);
}

SCENARIO(acl, an_edge_may_do_all_that_it_does)
{
    struct origin *one = origin_start("one");

    begin();
    redis_say(&redis, "SET usher:host:early.test %s", origin_at(one));
    scene_edge_start(&s);
    await_get(&s, "early.test", "/", 200, "one");
    redis_say(&redis, "HSET usher:endpoints:web %s 1", origin_at(one));
    redis_say(&redis, "HSET usher:service:web balance random");
    redis_say(&redis, "HSET usher:tenant:acme to service:web");
    redis_say(&redis, "HSET usher:routes:acme r1 'path /x/* to service:web'");
    redis_say(&redis, "HSET usher:defaults timeout 5s");
    redis_say(&redis, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/", 200, "one");
    /* a rate of all edges */
    redis_say(&redis, "HSET usher:tenant:acme rps 1000 rps_of cluster");
    await(scene_get(&s, "a.test", "/").status == 200 &&
          has(redis_say(&redis, "KEYS usher:rate:*"), "usher:rate:acme"));
    /* what checks find */
    redis_say(&redis, "HSET usher:service:web health tcp health_interval 100ms");
    await(scene_metric(&s, "usher_health_services{role=\"checks\"}") == 1);
    await(has(redis_say(&redis, "HGETALL usher:health:web"), "up | "));
    say_as_writer("endpoints", "web", NULL, NULL, NULL);
    redis_say(&redis, "HDEL usher:service:web health");
    await(atoi(redis_say(&redis, "EXISTS usher:health:web")) == 0);
    /* bad, and mended */
    redis_say(&redis, "SET usher:host:bad.test nonsense");
    await(has(redis_say(&redis, "HGETALL usher:errors"), "usher:host:bad.test"));
    redis_say(&redis, "SET usher:host:bad.test %s", origin_at(one));
    await(!has(redis_say(&redis, "HGETALL usher:errors"), "usher:host:bad.test"));
    /* history, of a tenant's records and of others */
    redis_say(&redis, "HSET usher:tenant:acme to 127.0.0.1:1");
    redis_say(&redis, "DEL usher:host:early.test");
    await_fault(&s, "early.test", "unknown_host");
    await(has(redis_say(&redis, "KEYS usher:*"), "usher:history:acme"));
    /* it announces itself, and acknowledges */
    await(has(redis_say(&redis, "ZRANGE usher:edges 0 -1"), ""));
    run_as_writer(0, "wait", "--timeout", "8s");
    await(has(redis_say(&redis, "KEYS usher:*"), "usher:edge:"));
    /* bans, written and walked */
    redis_say(&redis, "SET usher:ban:192.0.2.0/24 x EX 600");
    await(scene_metric(&s, "usher_bans") == 1);
    /* back after a loss, with what others have said */
    redis_say(&redis, "HSET usher:errors usher:host:gone.test 'seen by edge another'");
    redis_say(&redis, "CLIENT KILL TYPE normal SKIPME yes");
    await(scene_metric(&s, "usher_store_reconnects_total") >= 1);
    await(scene_metric(&s, "usher_store_suspect") == 0);
    cr_assert_eq(scene_logged(&s, "bans_refused"), 0);
    redis_say(&redis, "FLUSHALL");
    await_fault(&s, "unheard.test", "unknown_host");
    edge_stop(&s.edge); /* it signs off */
    expect_no_denial();
    scene_end(&s);
    redis_free(&redis);
}

SCENARIO(acl, an_edge_may_ask_what_modules_ask)
{
    static const char *const asked[][2] = {
        { "get&key=word", "good good" },
        { "hget&key=users&arg=anna", "good A" },
        { "hmget&key=users&arg=anna&arg=b", "good A nil" },
        { "sismember&key=set&arg=a", "good 1" },
        { "incrby&key=count&by=2&ttl=60000", "good 2" },
    };

    begin();
    s.options.flags[2] = "--module";
    s.options.flags[3] = module_build(&s, "asker", "tests/modules/asker.c", "modules", "");
    redis_say(&redis, "AUTH usher-writer change-me");
    redis_say(&redis, "SET usher:t:acme:word good");
    redis_say(&redis, "HSET usher:t:acme:users anna A");
    redis_say(&redis, "SADD usher:t:acme:set a");
    redis_say(&redis, "HSET usher:tenant:acme to %s modules asker", origin_at(origin_start("one")));
    redis_say(&redis, "SET usher:host:a.test tenant:acme");
    redis_reconnect(&redis);
    scene_edge_start(&s);
    await_get(&s, "a.test", "/", 200, "one");
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
        expect_get(&s, "a.test", kept_format("/ask?kind=%s", asked[i][0]), 200, asked[i][1]);
    expect_no_denial();
    /* What is not allowed is told to the module, and once to who runs the edge. */
    redis_say(&redis, "ACL SETUSER usher-edge -incrby");
    for (unsigned i = 0; i < 3; i++)
        cr_assert(has(scene_get(&s, "a.test", "/ask?kind=incrby&key=n&by=1&ttl=9").text,
                      "wrong NOPERM "));
    await(scene_logged(&s, " ask_refused ") == 1);
    expect_get(&s, "a.test", "/ask?kind=get&key=word", 200, "good good");
    scene_end(&s);
    redis_free(&redis);
}

SCENARIO(acl, an_edge_may_not_write_configuration_nor_a_writer_what_edges_say)
{
    static const char *const edge[] = { "SET usher:host:a.test x",
                                        "DEL usher:tenant:acme",
                                        "HSET usher:routes:acme r 'path / deny'",
                                        "FLUSHALL",
                                        "KEYS *",
                                        "CONFIG GET *",
                                        "GET other:key" };
    static const char *const writer[] = {
        "HSET usher:errors a b", "DEL usher:edges",        "FLUSHDB",
        "FUNCTION FLUSH",        "CONFIG SET maxmemory 1", "SET other:key x"
    };

    begin();
    redis_say(&redis, "AUTH usher-edge change-me");
    cr_assert_null(redis_say(&redis, "GET usher:host:a.test"));
    for (size_t i = 0; i < sizeof(edge) / sizeof(edge[0]); i++)
        cr_expect(starts(redis_try(&redis, "%s", edge[i]), "-NOPERM"), "%s", edge[i]);
    redis_say(&redis, "AUTH usher-writer change-me");
    cr_assert_str_eq(redis_say(&redis, "SET usher:host:a.test 127.0.0.1:1"), "OK");
    for (size_t i = 0; i < sizeof(writer) / sizeof(writer[0]); i++)
        cr_expect(starts(redis_try(&redis, "%s", writer[i]), "-NOPERM"), "%s", writer[i]);
    scene_end(&s);
    redis_free(&redis);
}

SCENARIO(acl, a_writer_may_run_the_verbs)
{
    begin();
    redis_say(&redis, "SET usher:host:a.test nonsense");
    redis_say(&redis, "HSET usher:tenant:acme to 127.0.0.1:1");
    run_as_writer(1, "check", "--json", NULL);
    run_as_writer(0, "edges", "--json", NULL);
    run_as_writer(0, "topology", "--json", NULL);
    /* the verbs that write records, and what they leave in the history */
    say_as_writer("route", "add", "acme", "tea", "path /tea respond 418");
    say_as_writer("route", "ls", "acme", NULL, NULL);
    say_as_writer("history", "acme", NULL, NULL, NULL);
    say_as_writer("rollback", "acme", NULL, NULL, NULL);
    cr_assert_str_eq(redis_say(&redis, "EXISTS usher:routes:acme"), "0");
    say_as_writer("tenant", "show", "acme", NULL, NULL);
    say_as_writer("explain", "http://b.test/", NULL, NULL, NULL);
    say_as_writer("tenant", "rm", "acme", "--yes", NULL);
    expect_no_denial();
    scene_end(&s);
    redis_free(&redis);
}

SCENARIO(acl, an_operator_may_forget_edges_too_and_a_writer_is_told_that_it_may_not)
{
    begin();
    scene_edge_start(&s);
    await(has(redis_say(&redis, "ZRANGE usher:edges 0 -1"), ""));
    say_as_writer("accept", NULL, NULL, NULL, NULL);
    say_as("usher-operator", 0, "accept", NULL, NULL, NULL, NULL);
    say_as("usher-operator", 0, "wait", NULL, NULL, NULL, NULL);
    redis_say(&redis, "ZADD usher:edges 1 gone");
    cr_assert(has(say_as("usher-writer", 1, "edges", "forget", "gone", NULL, NULL), "NOPERM"));
    cr_assert(has(say_as("usher-writer", 1, "ban", "192.0.2.1", NULL, NULL, NULL), "NOPERM"));
    redis_say(&redis, "ACL LOG RESET");
    say_as("usher-operator", 0, "ban", "192.0.2.1", "--for", "10m", NULL);
    say_as("usher-operator", 0, "ban", "ls", NULL, NULL, NULL);
    say_as("usher-operator", 0, "ban", "rm", "192.0.2.1", NULL, NULL);
    say_as("usher-operator", 0, "edges", "forget", "gone", NULL, NULL);
    say_as("usher-operator", 0, "edges", "--json", NULL, NULL, NULL);
    say_as("usher-operator", 0, "check", "--json", NULL, NULL, NULL);
    if (strstr(redis_say(&redis, "INFO server"), "redis_version:6") == NULL)
        say_as("usher-operator", 0, "schema", "install", NULL, NULL, NULL);
    expect_no_denial();
    scene_end(&s);
    redis_free(&redis);
}

SCENARIO(acl, a_wrong_password_is_told_and_the_next_try_may_be_right)
{
    begin();
    redis_say(&redis, "ACL SETUSER usher-edge >other");
    redis_say(&redis, "ACL SETUSER usher-edge <change-me");
    scene_edge_start_unready(&s);
    cr_assert(process_awaits_log(&s.edge.process, "WRONGPASS", AWAIT_MS));
    cr_assert(!has(process_log(&s.edge.process), "change-me"), "the password is in the log");
    redis_say(&redis, "ACL SETUSER usher-edge >change-me");
    await(scene_ready(&s) == 200);
    scene_end(&s);
    redis_free(&redis);
}
