/* test_answers.c -- what Redis and Sentinel say about themselves; how far a replica is behind. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "store/redis_answers.h"
#include "store/replica.h"
#include "store/topology_view.h"

/* A reply as hiredis reads it from `wire`. */
static redisReply *reply(const char *wire)
{
    redisReader *reader = redisReaderCreate();
    void *r = NULL;

    redisReaderFeed(reader, wire, strlen(wire));
    cr_assert_eq(redisReaderGetReply(reader, &r), REDIS_OK);
    cr_assert_not_null(r);
    redisReaderFree(reader);
    return r;
}

static struct redis_server server(const char *name, const char *version, const char *role)
{
    struct redis_server s;
    char wire[256];
    redisReply *r;

    snprintf(wire, sizeof(wire),
             "%%5\r\n+server\r\n+%s\r\n+version\r\n+%s\r\n+proto\r\n:3\r\n+mode\r\n+cluster\r\n"
             "+role\r\n+%s\r\n",
             name, version, role);
    r = reply(wire);
    cr_assert(redis_server_read(r, &s));
    freeReplyObject(r);
    return s;
}

Test(answers, hello_of_redis_and_of_valkey)
{
    static const struct {
        const char *name, *version;
        bool too_old;
    } rows[] = {
        { "redis", "6.2.0", false },  { "redis", "6.2.14", false }, { "redis", "7.0.15", false },
        { "redis", "10.1.0", false }, { "redis", "6.0.16", true },  { "redis", "5.9.9", true },
        { "redis", "6", true },       { "redis", "new", true },     { "redis", "7.4-rc1", false },
        { "valkey", "8.0.1", false }, { "valkey", "7.2.4", false },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct redis_server s = server(rows[i].name, rows[i].version, "master");

        cr_expect_eq(redis_server_is_too_old(&s), rows[i].too_old, "%s %s", rows[i].name,
                     rows[i].version);
        cr_expect_str_eq(s.name, rows[i].name);
        cr_expect_str_eq(s.version, rows[i].version);
        cr_expect_str_eq(s.mode, "cluster");
        cr_expect_not(s.replica);
    }
    cr_expect(server("redis", "7.0.0", "replica").replica);
}

Test(answers, an_error_in_place_of_hello)
{
    const char *denied = "NOAUTH HELLO must be called with the client already authenticated";

    cr_expect_str_eq(redis_hello_refusal(denied), denied);
    cr_expect_str_eq(redis_hello_refusal("ERR unknown command `HELLO`, with args beginning with: "),
                     "it is older than Redis 6.2, which is needed: it knows no HELLO");
}

Test(answers, what_is_no_hello)
{
    static const char *const rows[] = { "+OK\r\n", "%1\r\n+server\r\n+redis\r\n", "*0\r\n",
                                        "%1\r\n+version\r\n:7\r\n", "_\r\n" };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        redisReply *r = reply(rows[i]);
        struct redis_server s;

        cr_expect_not(redis_server_read(r, &s), "%s", rows[i]);
        freeReplyObject(r);
    }
}

Test(answers, refusals_that_are_about_the_place)
{
    cr_expect_eq(redis_refusal_of("READONLY You can't write"), REFUSAL_READONLY);
    cr_expect_eq(redis_refusal_of("LOADING Redis is loading"), REFUSAL_LOADING);
    cr_expect_eq(redis_refusal_of("MASTERDOWN Link with MASTER"), REFUSAL_MASTERDOWN);
    cr_expect_eq(redis_refusal_of("MOVED 1 a:1"), REFUSAL_MOVED);
    cr_expect_eq(redis_refusal_of("ASK 1 a:1"), REFUSAL_CLUSTER);
    cr_expect_eq(redis_refusal_of("CLUSTERDOWN The cluster is down"), REFUSAL_CLUSTER);
    cr_expect_eq(redis_refusal_of("WRONGTYPE Operation"), REFUSAL_NONE);
    cr_expect_eq(redis_refusal_of("READONLYISH"), REFUSAL_NONE);
    cr_expect_eq(redis_refusal_of(""), REFUSAL_NONE);
}

Test(answers, where_moved_leads)
{
    static const struct {
        const char *error, *host;
        unsigned port;
    } rows[] = {
        { "MOVED 3999 127.0.0.1:6381", "127.0.0.1", 6381 },
        { "MOVED 3999 node-2.internal:6381", "node-2.internal", 6381 },
        { "MOVED 0 ::1:7000", "::1", 7000 },
        { "MOVED 0 [::1]:7000", "::1", 7000 },
        { "MOVED 0 :7001", "here", 7001 },
        { "MOVED 0 ?:7002", "here", 7002 },
    };
    static const char *const wrong[] = { "MOVED",          "MOVED 1",        "MOVED 1 host",
                                         "MOVED 1 host:0", "MOVED 1 host:x", "MOVED 1 host:70000",
                                         "ASK 1 h:1" };
    struct redis_place p;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        p = (struct redis_place){ "here", 6379 };
        cr_expect(redis_moved_to(rows[i].error, &p), "%s", rows[i].error);
        cr_expect_str_eq(p.host, rows[i].host, "%s", rows[i].error);
        cr_expect_eq(p.port, rows[i].port, "%s", rows[i].error);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_expect_not(redis_moved_to(wrong[i], &p), "%s", wrong[i]);
}

Test(answers, lists_of_sentinel_in_either_protocol)
{
    static const char *const wires[] = {
        "*1\r\n%4\r\n+ip\r\n+10.0.0.2\r\n+port\r\n+6380\r\n+flags\r\n+slave\r\n"
        "+master-link-status\r\n+ok\r\n",
        "*2\r\n*8\r\n$2\r\nip\r\n$8\r\n10.0.0.2\r\n$4\r\nport\r\n$4\r\n6380\r\n$5\r\nflags\r\n"
        "$5\r\nslave\r\n$18\r\nmaster-link-status\r\n$2\r\nok\r\n*2\r\n$2\r\nip\r\n$1\r\nx\r\n",
    };
    static const char *const ill[] = {
        "*1\r\n%4\r\n+ip\r\n+10.0.0.2\r\n+port\r\n+6380\r\n+flags\r\n+slave,s_down\r\n"
        "+master-link-status\r\n+ok\r\n",
        "*1\r\n%4\r\n+ip\r\n+10.0.0.2\r\n+port\r\n+6380\r\n+flags\r\n+slave\r\n"
        "+master-link-status\r\n+err\r\n",
    };
    static struct topology_view v;
    struct redis_place at = { "10.0.0.2", 6380 };

    for (unsigned i = 0; i < 2; i++) {
        redisReply *r = reply(wires[i]), *down = reply(ill[i]);

        topology_take_replicas(&v, r, 100);
        cr_assert_eq(v.replica_count, 1);
        cr_expect(redis_place_equals(&v.replicas[0].at, &at));
        cr_expect(v.replicas[0].healthy);
        cr_expect_eq(v.replicas[0].known_since, 100);
        v.replicas[0].latency_us = 7;
        topology_take_replicas(&v, down, 200);
        cr_expect_not(v.replicas[0].healthy);
        cr_expect_eq(v.replicas[0].latency_us, 7, "what was known of it is kept");
        topology_take_replicas(&v, r, 300);
        cr_expect_eq(v.replicas[0].known_since, 300, "healthy anew");
        freeReplyObject(r);
        freeReplyObject(down);
        memset(&v, 0, sizeof(v));
    }
}

static void primary_at(struct replica *r, uint64_t now_ms, unsigned offset)
{
    char text[128];

    snprintf(text, sizeof(text), "role:master\r\nmaster_replid:aa\r\nmaster_repl_offset:%u\r\n",
             offset);
    replica_primary_said(r, str_from(text), now_ms);
}

static void replica_at(struct replica *r, const char *link, unsigned io_s, unsigned offset)
{
    char text[256];

    snprintf(text, sizeof(text),
             "role:slave\r\nmaster_link_status:%s\r\nmaster_last_io_seconds_ago:%u\r\n"
             "master_sync_in_progress:0\r\nslave_repl_offset:%u\r\nmaster_replid:aa\r\n",
             link, io_s, offset);
    replica_said(r, str_from(text));
}

Test(answers, a_replica_is_stale_when_its_primary_has_gone_on_without_it)
{
    struct replica r = { 0 };

    cr_expect_not_null(replica_is_stale(&r, 0, 5000), "it has not said anything yet");
    replica_at(&r, "up", 1, 100);
    cr_expect_null(replica_is_stale(&r, 0, 5000));
    cr_expect_eq(replica_lag_ms(&r, 0), UINT64_MAX, "the primary was not asked");
    primary_at(&r, 1000, 100);
    primary_at(&r, 2000, 150);
    cr_expect_eq(replica_lag_ms(&r, 2500), 500, "it lacks what was written at 2000");
    cr_expect_null(replica_is_stale(&r, 2500, 5000));
    cr_expect_not_null(replica_is_stale(&r, 7001, 5000));
    replica_at(&r, "up", 1, 150);
    cr_expect_null(replica_is_stale(&r, 7001, 5000));
    cr_expect_eq(replica_lag_ms(&r, 7001), 0);
    replica_at(&r, "down", 1, 150);
    cr_expect_str_eq(replica_is_stale(&r, 7001, 5000), "its link to the primary is down");
    replica_at(&r, "up", 16, 150);
    cr_expect_not_null(replica_is_stale(&r, 7001, 5000), "silence, longer than pings are apart");
    for (unsigned i = 0; i < 3 * REPLICA_SAMPLES; i++)
        primary_at(&r, 8000 + i, 150 + i);
    replica_at(&r, "up", 0, 150 + 3 * REPLICA_SAMPLES - 1);
    cr_expect_eq(replica_lag_ms(&r, 9000), 0);
}
