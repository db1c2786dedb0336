/* e_bad_records.c -- records that hold nonsense: the last good version serves on, and the writer can
 * see what is wrong.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: deletions (d_routing_change.c); Redis that answers nonsense (f_store_outage.c). */
#include "harness/scene.h"

#include <stdlib.h>

#define HOST "usher:host:a.test"

static char *error_of(struct scene *s, const char *key)
{
    return scene_redis(s, "HGET usher:errors %s", key);
}

/* usher:errors says something of this key that holds both words. */
static void await_error(struct scene *s, const char *key, const char *word, const char *other)
{
    cr_assert(eventually(has(error_of(s, key), word) && has(error_of(s, key), other), AWAIT_MS),
              "usher:errors of %s: expected \"%s\" and \"%s\", is: %s", key, word, other,
              error_of(s, key));
}

/* What may not stand in a host's record: the commands that write it, and what its error names. */
struct bad {
    const char *write, *word, *other;
};

static const struct bad bad_hosts[] = {
    { "SET " HOST " nonsense", "nonsense", "expected" },
    { "SET " HOST " 10.0.0.5", "10.0.0.5", "PORT" },
    { "SET " HOST " 10.0.0.5:99999", "99999", "1 to 65535" },
    { "SET " HOST " 10.0.0.5:0", ":0", "1 to 65535" },
    { "SET " HOST " '127.0.0.1:80 300.1.1.1:80'", "300.1.1.1", "expected" },
    { "SET " HOST " [::1:80", "[::1:80", "expected" },
    { "SET " HOST " ''", "expected", "endpoints" },
    { "SET " HOST " service:No-Capitals", "No-Capitals", "expected" },
    { "SET " HOST " service:missing", "missing", "exist" },
    { "SET " HOST " tenant:missing", "missing", "exist" },
    { "SET " HOST " tenant:", "expected", "tenant" },
    { "HSET " HOST " to 10.0.0.5:99999", "to", "1 to 65535" },
    { "HSET " HOST " colour blue to 127.0.0.1:1", "colour", "expected" },
    { "HSET " HOST " status asleep", "status", "maintenance" },
    { "HSET " HOST " tenant missing", "tenant", "missing" },
    { "LPUSH " HOST " 127.0.0.1:80", "list", "expected" },
    { "SADD " HOST " 127.0.0.1:80", "set", "expected" },
    { "ZADD " HOST " 1 127.0.0.1:80", "zset", "expected" },
    { "XADD " HOST " * a b", "stream", "expected" },
};

SCENARIO(bad_records, each_kind_keeps_the_last_good_version_and_says_what_is_wrong)
{
    static struct scene s;
    struct origin *o = origin_start("good");
    unsigned n = sizeof(bad_hosts) / sizeof(bad_hosts[0]);

    scene_start(&s);
    for (unsigned i = 0; i < n; i++) {
        scene_redis(&s, "DEL " HOST);
        scene_host(&s, "a.test", o);
        await_get(&s, "a.test", "/", 200, "good");
        scene_redis(&s, "MULTI");
        scene_redis(&s, "DEL " HOST);
        scene_redis(&s, "%s", bad_hosts[i].write);
        scene_redis(&s, "EXEC");
        await_error(&s, HOST, bad_hosts[i].word, bad_hosts[i].other);
        expect_get(&s, "a.test", "/", 200, "good");
        expect_metric(&s, "usher_bad_records_total", i + 1);
        expect_metric(&s, "usher_records{state=\"bad\"}", 1);
        cr_assert_eq(scene_logged(&s, " bad_record key=\"" HOST "\""), i + 1, "%s",
                     bad_hosts[i].write);
        scene_redis(&s, "DEL " HOST);
        scene_host(&s, "a.test", o);
        await(error_of(&s, HOST) == NULL);
    }
    scene_end(&s);
}

SCENARIO(bad_records, without_a_good_version_it_is_503_bad_record)
{
    static struct scene s;
    struct origin *any = origin_start("any");
    unsigned before;

    scene_start(&s);
    scene_host(&s, "*.test", any); /* a wildcard does not stand in for a broken exact host */
    for (unsigned i = 0; i < sizeof(bad_hosts) / sizeof(bad_hosts[0]); i++) {
        scene_redis(&s, "DEL " HOST);
        await_get(&s, "a.test", "/", 200, "any");
        scene_redis(&s, "%s", bad_hosts[i].write);
        await_error(&s, HOST, bad_hosts[i].word, bad_hosts[i].other);
        await_fault(&s, "a.test", "bad_record");
        before = origin_requests(any);
        for (unsigned n = 0; n < 4; n++)
            expect_fault(&s, "a.test", "bad_record");
        cr_assert_eq(origin_requests(any), before);
    }
    scene_end(&s);
}

SCENARIO(bad_records, one_bad_record_touches_no_other)
{
    static struct scene s;

    scene_start(&s);
    scene_host(&s, "good.test", origin_start("good"));
    scene_redis(&s, "SET " HOST " nonsense");
    await_fault(&s, "a.test", "bad_record");
    expect_get(&s, "good.test", "/", 200, "good");
    scene_end(&s);
}

SCENARIO(bad_records, an_error_names_its_field_time_and_edge)
{
    static struct scene s;
    char *error;

    scene_start(&s, .flags = { "--name", "edge-seven" });
    scene_redis(&s, "HSET usher:tenant:acme to 10.0.0.5:99999");
    await_error(&s, "usher:tenant:acme", "field to", "1 to 65535");
    error = error_of(&s, "usher:tenant:acme");
    cr_assert(has(error, "10.0.0.5:99999") && has(error, "since 20") && has(error, "edge-seven"),
              "%s", error);
    cr_assert_eq(scene_logged(&s, " warn bad_record key=\"usher:tenant:acme\" field=\"to\""), 1,
                 "key and field are in the log");
    scene_end(&s);
}

SCENARIO(bad_records, are_found_though_nobody_asked_for_them)
{
    static struct scene s;

    scene_start(&s);
    scene_redis(&s, "SET usher:host:never.asked nonsense");
    await_error(&s, "usher:host:never.asked", "nonsense", "expected");
    scene_redis(&s, "HSET usher:endpoints:nobodys 10.0.0.1:80 heavy");
    await_error(&s, "usher:endpoints:nobodys", "heavy", "weight");
    scene_redis(&s, "HSET usher:endpoints:nobodys2 10.0.0.1 100");
    await_error(&s, "usher:endpoints:nobodys2", "10.0.0.1", "PORT");
    scene_redis(&s, "HSET usher:endpoints:nobodys3 10.0.0.1:80 1001");
    await_error(&s, "usher:endpoints:nobodys3", "1001", "1000");
    scene_redis(&s, "HSET usher:service:nobodys balance best");
    await_error(&s, "usher:service:nobodys", "balance", "round-robin");
    scene_redis(&s, "SET usher:tenant:nobodys x");
    await_error(&s, "usher:tenant:nobodys", "string", "hash");
    scene_redis(&s, "HSET usher:tenant:nobodys2 tenant x");
    await_error(&s, "usher:tenant:nobodys2", "tenant", "status");
    scene_redis(&s, "HSET usher:tenant:nobodys3 to service:missing");
    await_error(&s, "usher:tenant:nobodys3", "missing", "to");
    scene_redis(&s, "SET usher:host:UPPER.test 10.0.0.1:80");
    await_error(&s, "usher:host:UPPER.test", "lower case", "expected");
    scene_redis(&s, "SET usher:host:dot.test. 10.0.0.1:80");
    await_error(&s, "usher:host:dot.test.", "expected", "dot");
    scene_redis(&s, "SET usher:host:port.test:80 10.0.0.1:80");
    await_error(&s, "usher:host:port.test:80", "expected", "port");
    scene_redis(&s, "HSET usher:tenant:Upper to 10.0.0.1:80");
    await_error(&s, "usher:tenant:Upper", "expected", "Upper");
    scene_end(&s);
}

SCENARIO(bad_records, mended_ones_are_live_and_their_error_goes)
{
    static struct scene s;

    scene_start(&s);
    scene_redis(&s, "SET " HOST " nonsense");
    await_fault(&s, "a.test", "bad_record");
    await_error(&s, HOST, "nonsense", "expected");
    scene_host(&s, "a.test", origin_start("mended"));
    await_get(&s, "a.test", "/", 200, "mended");
    await(error_of(&s, HOST) == NULL);
    expect_metric(&s, "usher_records{state=\"bad\"}", 0);
    cr_assert_eq(scene_logged(&s, " record_mended key=\"" HOST "\""), 1);
    scene_end(&s);
}

SCENARIO(bad_records, deleted_ones_are_gone_with_their_error)
{
    static struct scene s;

    scene_start(&s);
    scene_host(&s, "a.test", origin_start("good"));
    await_get(&s, "a.test", "/", 200, "good");
    scene_redis(&s, "SET " HOST " nonsense");
    await_error(&s, HOST, "nonsense", "expected");
    expect_get(&s, "a.test", "/", 200, "good");
    scene_redis(&s, "DEL " HOST);
    await_fault(&s, "a.test", "unknown_host");
    await(error_of(&s, HOST) == NULL);
    scene_end(&s);
}

SCENARIO(bad_records, one_version_is_logged_and_counted_once)
{
    static struct scene s;

    scene_start(&s);
    scene_redis(&s, "SET " HOST " nonsense");
    await_fault(&s, "a.test", "bad_record");
    for (unsigned i = 0; i < 10; i++) {
        scene_redis(&s, "SET " HOST " nonsense");
        expect_fault(&s, "a.test", "bad_record");
    }
    await(scene_metric(&s, "usher_store_pushes_total") >= 2);
    stays(scene_logged(&s, " bad_record ") == 1, 100);
    expect_metric(&s, "usher_bad_records_total", 1);
    scene_redis(&s, "SET " HOST " other-nonsense");
    await(scene_logged(&s, " bad_record ") == 2);
    scene_end(&s);
}

SCENARIO(bad_records, a_missing_thing_that_comes_heals_who_waits_for_it)
{
    static struct scene s;

    scene_start(&s);
    scene_redis(&s, "SET " HOST " tenant:late");
    await_fault(&s, "a.test", "bad_record");
    scene_redis(&s, "HSET usher:tenant:late to service:later");
    await_error(&s, "usher:tenant:late", "later", "to");
    expect_fault(&s, "a.test", "bad_record");
    scene_endpoint(&s, "later", origin_start("here"));
    await_get(&s, "a.test", "/", 200, "here");
    await(error_of(&s, HOST) == NULL && error_of(&s, "usher:tenant:late") == NULL);
    scene_end(&s);
}

SCENARIO(bad_records, a_tenant_with_nonsense_serves_all_its_hosts_as_before)
{
    static struct scene s;

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(origin_start("good")));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    scene_redis(&s, "SET usher:host:b.test tenant:acme");
    await_get(&s, "a.test", "/", 200, "good");
    scene_redis(&s, "HSET usher:tenant:acme status asleep");
    await_error(&s, "usher:tenant:acme", "status", "asleep");
    expect_get(&s, "a.test", "/", 200, "good");
    expect_get(&s, "b.test", "/", 200, "good"); /* first asked for now */
    scene_redis(&s, "HSET usher:tenant:acme to service:missing status active");
    await_error(&s, "usher:tenant:acme", "missing", "to");
    expect_get(&s, "a.test", "/", 200, "good");
    scene_end(&s);
}

SCENARIO(bad_records, endpoints_with_nonsense_serve_as_before)
{
    static struct scene s;
    struct origin *o = origin_start("good");

    scene_start(&s);
    scene_endpoint(&s, "web", o);
    scene_redis(&s, "SET " HOST " service:web");
    await_get(&s, "a.test", "/", 200, "good");
    scene_redis(&s, "HSET usher:endpoints:web nonsense 1");
    await_error(&s, "usher:endpoints:web", "nonsense", "expected");
    expect_get(&s, "a.test", "/", 200, "good");
    scene_redis(&s, "HDEL usher:endpoints:web nonsense");
    await(error_of(&s, "usher:endpoints:web") == NULL);
    expect_get(&s, "a.test", "/", 200, "good");
    scene_redis(&s, "HSET usher:service:web balance best");
    await_error(&s, "usher:service:web", "balance", "best");
    expect_get(&s, "a.test", "/", 200, "good");
    scene_redis(&s, "DEL usher:service:web");
    await(error_of(&s, "usher:service:web") == NULL);
    scene_redis(&s, "SET usher:service:web x");
    await_error(&s, "usher:service:web", "string", "hash");
    expect_get(&s, "a.test", "/", 200, "good");
    scene_end(&s);
}

SCENARIO(bad_records, a_huge_value_is_refused_unread)
{
    static struct scene s;
    size_t len = 64u << 20;
    char *huge = malloc(len);
    long before;

    scene_start(&s);
    scene_host(&s, "a.test", origin_start("good"));
    await_get(&s, "a.test", "/", 200, "good");
    before = process_rss_kb(&s.edge.process);
    memset(huge, 'x', len);
    redis_set_bytes(&s.redis, HOST, huge, len);
    await_error(&s, HOST, "large", "");
    expect_get(&s, "a.test", "/", 200, "good");
    redis_set_bytes(&s.redis, "usher:host:b.test", huge, len);
    await_fault(&s, "b.test", "bad_record");
    redis_queue(&s.redis, "MULTI");
    for (unsigned i = 0; i < 50000; i++)
        redis_queue(&s.redis, "HSET usher:endpoints:web 10.%u.%u.1:80 1", i / 250, i % 250);
    redis_queue(&s.redis, "EXEC");
    redis_flush(&s.redis);
    await_error(&s, "usher:endpoints:web", "large", "");
    cr_assert_leq(process_rss_kb(&s.edge.process) - before, 32 * 1024, "it was read");
    free(huge);
    scene_end(&s);
}

SCENARIO(bad_records, any_bytes_can_stand_there)
{
    static const char odd[] = "a\0b\r\n\xff\xfe\"\\ {}";
    static struct scene s;
    char *error;

    scene_start(&s);
    redis_set_bytes(&s.redis, HOST, odd, sizeof(odd) - 1);
    await_fault(&s, "a.test", "bad_record");
    await(error_of(&s, HOST) != NULL);
    error = error_of(&s, HOST);
    for (const char *c = error; *c != '\0'; c++)
        cr_assert(*c >= 0x20 && *c < 0x7f, "not printable: %s", error);
    redis_set_bytes(&s.redis, "usher:host:\xff\n", "127.0.0.1:80", 12);
    redis_set_bytes(&s.redis, "usher:host:", "127.0.0.1:80", 12);
    await(scene_metric(&s, "usher_bad_records_total") == 3);
    expect_fault(&s, "b.test", "unknown_host");
    scene_end(&s);
}

SCENARIO(bad_records, errors_of_a_dead_edge_are_taken_away)
{
    static struct scene s;

    scene_start(&s, .without_edge = true);
    scene_host(&s, "a.test", origin_start("good"));
    scene_redis(&s, "HSET usher:errors " HOST " old");
    scene_redis(&s, "HSET usher:errors usher:host:gone.test old");
    scene_redis(&s, "SET usher:host:bad.test nonsense");
    scene_redis(&s, "HSET usher:errors usher:host:bad.test old");
    scene_edge_start(&s);
    await(error_of(&s, HOST) == NULL);
    await(error_of(&s, "usher:host:gone.test") == NULL);
    await_error(&s, "usher:host:bad.test", "nonsense", "expected");
    scene_end(&s);
}

SCENARIO(bad_records, there_is_a_bound_on_how_many_are_listed)
{
    static struct scene s;

    scene_start(&s);
    for (unsigned i = 0; i < 3000; i++)
        redis_queue(&s.redis, "SET usher:host:h%u.test nonsense", i);
    redis_flush(&s.redis);
    await(scene_metric(&s, "usher_bad_records_total") >= 3000);
    await(scene_redis(&s, "HGET usher:errors (more)") != NULL);
    cr_assert_leq(atoi(scene_redis(&s, "HLEN usher:errors")), 1001);
    await(has(scene_redis(&s, "HGET usher:errors (more)"), "2000"));
    expect_fault(&s, "h2999.test", "bad_record");
    for (unsigned i = 0; i < 3000; i++)
        redis_queue(&s.redis, "DEL usher:host:h%u.test", i);
    redis_flush(&s.redis);
    await(atoi(scene_redis(&s, "HLEN usher:errors")) == 0);
    scene_end(&s);
}

SCENARIO(bad_records, an_edge_that_may_not_write_errors_serves_on)
{
    static struct scene s;

    scene_start(&s, .without_edge = true);
    scene_redis(&s, "SET usher:errors 'of a wrong type'");
    scene_host(&s, "a.test", origin_start("good"));
    scene_edge_start(&s);
    scene_redis(&s, "SET usher:host:b.test nonsense");
    await_fault(&s, "b.test", "bad_record");
    expect_get(&s, "a.test", "/", 200, "good");
    scene_end(&s);
}

SCENARIO(bad_records, a_key_longer_than_any_host_harms_nobody)
{
    static struct scene s;
    unsigned long lengths[] = { 253, 254, 300, 65535, 65536, 70000, 1 << 20 };

    scene_start(&s);
    scene_host(&s, "a.test", origin_start("good"));
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        static const char *const families[] = { "host", "tenant", "service", "endpoints" };
        char *name = kept_alloc(lengths[i] + 1);

        memset(name, 'x', lengths[i]);
        for (unsigned f = 0; f < 4; f++)
            redis_set_bytes(&s.redis, kept_format("usher:%s:%s", families[f], name), "x", 1);
        scene_redis(&s, "SET usher:host:b%u.test %s", i, "127.0.0.1:1");
        await_get(&s, kept_format("b%u.test", i), "/", 502, NULL); /* it has come this far */
        for (unsigned f = 0; f < 4; f++)
            scene_redis(&s, "DEL usher:%s:%s", families[f], name);
    }
    expect_get(&s, "a.test", "/", 200, "good");
    await(scene_metric(&s, "usher_records{state=\"bad\"}") == 0);
    scene_end(&s);
}
