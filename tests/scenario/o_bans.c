/* o_bans.c -- addresses that are turned away, on all edges, by `usher ban` or by the key alone.
 *
 * Clients come from 127.0.0.8 and 127.0.0.9; whoever looks whether they are served is 127.0.0.1.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: looking up among many ranges (tests/unit/base). */
#include "harness/scene.h"
#include "harness/verb.h"

#include <sys/stat.h>

#define BAD "127.0.0.9"
#define OTHER "127.0.0.8"
#define REFUSED "usher_client_connections_refused_total{reason=\"banned\"}"

static struct origin *begin(struct scene *s, const char *flag, const char *value)
{
    struct origin *o = origin_start("one");

    scene_start(s, .workers = 2, .flags = { "--name", "one", flag, value });
    scene_host(s, "a.test", o);
    scene_live(s);
    return o;
}

static struct verb_said usher(struct scene *s, const char *line)
{
    struct verb_said v = verb_say(s, "%s", line);

    cr_assert_eq(v.code, 0, "usher %s: %d %s%s", line, v.code, v.out, v.err);
    return v;
}

static bool is_served(const char *edge, const char *from)
{
    struct client *c = client_open_from(edge, from);
    bool served;

    client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    served = client_read(c).status == 200;
    client_close(c);
    return served;
}

/* Several connections in a row meet every worker. */
static bool all_are(struct scene *s, const char *from, bool served)
{
    for (unsigned i = 0; i < 8; i++)
        if (is_served(s->edge.at, from) != served)
            return false;
    return true;
}

SCENARIO(bans, a_banned_client_is_dropped_at_accept_and_nobody_else)
{
    static struct scene s;
    struct origin *o = begin(&s, NULL, NULL);
    unsigned asked;

    cr_assert(all_are(&s, BAD, true));
    asked = origin_requests(o);
    usher(&s, "ban 127.0.0.9 --reason 'scrapes us'");
    cr_assert(all_are(&s, BAD, false), "from the moment at which the verb ends");
    cr_assert_eq(origin_requests(o), asked);
    cr_assert(all_are(&s, OTHER, true));
    cr_assert_eq(scene_metric(&s, REFUSED), 8);
    cr_assert_eq(scene_metric(&s, "usher_bans"), 1);
    cr_assert_str_eq(scene_redis(&s, "GET usher:ban:127.0.0.9"), "scrapes us");
    usher(&s, "ban rm 127.0.0.9");
    cr_assert(all_are(&s, BAD, true));
    cr_assert_eq(scene_metric(&s, "usher_bans"), 0);
    scene_end(&s);
}

SCENARIO(bans, a_range_and_its_end_by_redis_cli_alone)
{
    static struct scene s;

    begin(&s, NULL, NULL);
    scene_redis(&s, "SET usher:ban:127.0.0.8/31 x");
    await(all_are(&s, BAD, false) && all_are(&s, OTHER, false));
    cr_assert(all_are(&s, "127.0.0.10", true));
    scene_redis(&s, "SET usher:ban:127.0.0.9/32 y");
    scene_redis(&s, "DEL usher:ban:127.0.0.8/31");
    await(all_are(&s, OTHER, true));
    cr_assert(all_are(&s, BAD, false), "the other one still holds it");
    scene_redis(&s, "PEXPIRE usher:ban:127.0.0.9/32 1");
    await(all_are(&s, BAD, true));
    scene_end(&s);
}

SCENARIO(bans, every_edge_obeys)
{
    static struct scene s;
    static struct edge other;

    begin(&s, NULL, NULL);
    scene_second_edge(&s, &other, "--name", "two", NULL);
    await(is_served(other.at, BAD));
    usher(&s, "wait --edges 2");
    cr_assert(has(usher(&s, "ban 127.0.0.9").out, "127.0.0.9 is banned; 2 edges do so"));
    for (unsigned i = 0; i < 6; i++)
        cr_assert_not(is_served(other.at, BAD));
    cr_assert(all_are(&s, BAD, false));
    edge_stop(&other);
    edge_free(&other);
    scene_end(&s);
}

SCENARIO(bans, hold_while_redis_is_away_and_end_at_their_moment_all_the_same)
{
    static struct scene s;
    uint64_t began;

    begin(&s, NULL, NULL);
    cr_assert(all_are(&s, BAD, true)); /* the host is known, and stays so without Redis */
    began = await_now_ms();
    usher(&s, "ban 127.0.0.9 --for 2s");
    usher(&s, "ban 127.0.0.8");
    redis_kill(&s.redis);
    cr_assert(all_are(&s, OTHER, false));
    await(is_served(s.edge.at, BAD));
    cr_assert_geq(await_now_ms() - began, 1900);
    cr_assert(all_are(&s, OTHER, false), "this one has no end");
    scene_end(&s);
}

SCENARIO(bans, are_known_after_a_start)
{
    static struct scene s;

    scene_start(&s, .without_edge = true);
    for (unsigned i = 0; i < 3000; i++)
        redis_queue(&s.redis, "SET usher:ban:10.0.%u.%u x EX 600", i / 250, i % 250);
    redis_queue(&s.redis, "SET usher:ban:" BAD " x");
    redis_flush(&s.redis);
    scene_edge_start(&s);
    scene_host(&s, "a.test", origin_start("one"));
    usher(&s, "wait");
    cr_assert(all_are(&s, BAD, false));
    cr_assert(all_are(&s, OTHER, true));
    cr_assert_eq(scene_metric(&s, "usher_bans"), 3001);
    scene_end(&s);
}

/* Stops the edge and starts it again, while Redis is away or not. */
static void start_anew(struct scene *s)
{
    edge_stop(&s->edge);
    edge_free(&s->edge);
    scene_edge_start_unready(s);
}

SCENARIO(bans, are_kept_for_a_start_without_redis)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .without_edge = true);
    s.options.flags[0] = "--state-dir";
    s.options.flags[1] = kept_format("%s/state", s.dir);
    cr_assert_eq(mkdir(s.options.flags[1], 0700), 0);
    scene_edge_start(&s);
    scene_host(&s, "a.test", o);
    usher(&s, "ban 127.0.0.9");
    usher(&s, "ban 127.0.0.8 --for 2s");
    usher(&s, "ban 203.0.113.0/24 --for 10m");
    await(all_are(&s, "127.0.0.1", true));
    await(scene_metric(&s, "usher_state_complete") == 1 &&
          scene_metric(&s, "usher_store_complete") == 1 &&
          scene_metric(&s, "usher_state_queued") == 0);
    redis_kill(&s.redis);
    start_anew(&s);
    await(all_are(&s, "127.0.0.1", true)); /* from the copy */
    cr_assert(all_are(&s, BAD, false));
    await(all_are(&s, OTHER, true)); /* its moment has come */
    cr_assert_eq(scene_metric(&s, "usher_bans"), 2);
    redis_restart(&s.redis); /* empty: the host is set anew, the bans are not */
    scene_host(&s, "a.test", o);
    await(scene_metric(&s, "usher_bans") == 0);
    await(all_are(&s, BAD, true));
    start_anew(&s);
    await(all_are(&s, BAD, true));
    scene_end(&s);
}

SCENARIO(bans, what_was_written_while_nobody_listened_is_found)
{
    static struct scene s;

    begin(&s, NULL, NULL);
    usher(&s, "ban 127.0.0.9");
    redis_queue(&s.redis, "MULTI"); /* the edge's links are cut before the writes */
    redis_queue(&s.redis, "CLIENT KILL TYPE normal SKIPME yes");
    redis_queue(&s.redis, "DEL usher:ban:127.0.0.9");
    redis_queue(&s.redis, "SET usher:ban:127.0.0.8 x");
    redis_queue(&s.redis, "EXEC");
    redis_flush(&s.redis);
    await(all_are(&s, BAD, true) && all_are(&s, OTHER, false));
    usher(&s, "ban 127.0.0.9"); /* and the next one is heard of again */
    cr_assert(all_are(&s, BAD, false));
    scene_end(&s);
}

SCENARIO(bans, stay_when_redis_has_lost_its_data)
{
    static struct scene s;
    struct origin *o = begin(&s, NULL, NULL);

    scene_hosts(&s, 30, o);
    usher(&s, "ban 127.0.0.9");
    scene_redis(&s, "FLUSHDB");
    await(process_awaits_log(&s.edge.process, "store_regressed", AWAIT_MS));
    stays(!is_served(s.edge.at, BAD), 600);
    usher(&s, "accept");
    await(scene_metric(&s, "usher_bans") == 0);
    scene_end(&s);
}

SCENARIO(bans, open_connections_are_cut)
{
    static struct gate gate = GATE_CLOSED;
    static struct scene s;
    struct origin *o = begin(&s, NULL, NULL), *web = origin_start("web");
    struct client *idle, *waiting, *tunnel, *stays_on;

    origin_script(web, origin_websocket, NULL);
    scene_host(&s, "ws.test", web);
    scene_live(&s);
    idle = client_open_from(s.edge.at, BAD);
    expect_status(client_get(idle, "a.test", "/"), 200);
    tunnel = client_open_from(s.edge.at, BAD);
    client_send(tunnel, "GET / HTTP/1.1\r\nHost: ws.test\r\nConnection: Upgrade\r\n"
                        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    cr_assert_eq(client_read_head(tunnel).status, 101);
    stays_on = client_open_from(s.edge.at, OTHER);
    expect_status(client_get(stays_on, "a.test", "/"), 200);
    origin_script(o, origin_at_gate, &gate);
    waiting = client_open_from(s.edge.at, BAD);
    client_send(waiting, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await(gate_waiting(&gate) == 1);
    usher(&s, "ban 127.0.0.0/8 --force"); /* ours, too */
    await(client_ended(idle, AWAIT_MS) && client_ended(waiting, AWAIT_MS) &&
          client_ended(tunnel, AWAIT_MS) && client_ended(stays_on, AWAIT_MS));
    usher(&s, "ban rm 127.0.0.0/8");
    await(scene_fault_count(&s, "banned") == 1);
    await(scene_metric(&s, "usher_tunnels") == 0);
    gate_open(&gate);
    cr_assert(is_served(s.edge.at, OTHER));
    scene_end(&s);
}

SCENARIO(bans, behind_a_proxy_the_client_is_judged_and_never_the_proxy)
{
    static struct scene s;
    struct client *c;

    begin(&s, "--proxy-protocol", "127.0.0.2");
    usher(&s, "ban 203.0.113.0/24");
    usher(&s, "ban 127.0.0.2");
    for (unsigned i = 0; i < 6; i++) {
        c = client_open_from(s.edge.at, "127.0.0.2");
        client_send(c, "PROXY TCP4 203.0.113.7 10.0.0.1 1 2\r\n");
        cr_assert(client_ended(c, AWAIT_MS));
        c = client_open_from(s.edge.at, "127.0.0.2");
        client_send(c, "PROXY TCP4 198.51.100.7 10.0.0.1 1 2\r\n");
        expect_status(client_get(c, "a.test", "/"), 200);
        c = client_open_from(s.edge.at, "127.0.0.2");
        client_send(c, "PROXY UNKNOWN\r\n");
        expect_status(client_get(c, "a.test", "/"), 200);
    }
    cr_assert_eq(scene_metric(&s, REFUSED), 6);
    scene_end(&s);
}

SCENARIO(bans, behind_a_forwarder_the_request_is_refused_and_its_connection_stays)
{
    static struct scene s;
    struct origin *o = begin(&s, "--trusted-forwarders", "127.0.0.2,203.0.113.99");
    struct client *c = client_open_from(s.edge.at, "127.0.0.2");
    struct response r;

    expect_status(client_get(c, "a.test", "/"), 200);
    usher(&s, "ban 203.0.113.0/24");
    usher(&s, "ban 127.0.0.2");
    for (unsigned i = 0; i < 3; i++) {
        client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n");
        r = client_read(c);
        expect_status(r, 403);
        cr_assert_str_eq(response_fault(&r), "banned");
        client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n");
        expect_status(client_read(c), 200);
        client_send(c, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 203.0.113.99\r\n\r\n");
        expect_status(client_read(c), 200);
    }
    expect_status(client_get(c, "a.test", "/"), 200);
    expect_fault_count(&s, "banned", 3);
    cr_assert_eq(origin_requests(o), 8);
    scene_end(&s);
}

SCENARIO(bans, a_key_that_is_no_range_is_told_of_and_bans_nobody)
{
    static struct scene s;

    begin(&s, NULL, NULL);
    scene_redis(&s, "SET usher:ban:127.0.0.256 x");
    scene_redis(&s, "HSET usher:ban:127.0.0.9 a b"); /* whatever its value, the key says it */
    await(scene_metric(&s, "usher_bans_wrong") == 1);
    cr_assert_eq(scene_logged(&s, "ban_wrong key=\"127.0.0.256\""), 1);
    await(all_are(&s, BAD, false));
    cr_assert(all_are(&s, OTHER, true));
    cr_assert(has(usher(&s, "ban ls").out, "127.0.0.256  -         (this is no range"));
    scene_redis(&s, "DEL usher:ban:127.0.0.256");
    await(scene_metric(&s, "usher_bans_wrong") == 0);
    scene_end(&s);
}

SCENARIO(bans, explain_asks_the_edge)
{
    static struct scene s;
    struct verb_said v;

    begin(&s, "--trusted-forwarders", "127.0.0.2");
    usher(&s, "ban 203.0.113.0/24");
    v = verb_say(&s, "explain http://a.test/ --from 203.0.113.7 --admin %s", s.edge.admin);
    cr_assert(has(v.out, "403 banned") &&
                  has(v.out, "usher:ban:203.0.113.0/24 holds its address") &&
                  has(v.out, "its connections are reset"),
              "%s%s", v.out, v.err);
    v = verb_say(&s,
                 "explain http://a.test/ --from 127.0.0.2 -H 'X-Forwarded-For: 203.0.113.7' "
                 "--admin %s",
                 s.edge.admin);
    cr_assert(has(v.out, "403 banned") && !has(v.out, "are reset"), "%s%s", v.out, v.err);
    v = verb_say(&s, "explain http://a.test/ --from 127.0.0.2 --admin %s", s.edge.admin);
    cr_assert_not(has(v.out, "banned"), "%s%s", v.out, v.err);
    scene_end(&s);
}

SCENARIO(bans, the_verb_takes_care)
{
    static struct scene s;
    struct verb_said v;

    begin(&s, NULL, NULL);
    v = verb_say(&s, "ban 0.0.0.0/0");
    cr_assert_eq(v.code, 2);
    cr_assert(has(v.err, "--force"), "%s", v.err);
    cr_assert_eq(verb_say(&s, "ban ::/0").code, 2);
    cr_assert_eq(verb_say(&s, "ban 10.0.0.0/33").code, 2);
    cr_assert_eq(verb_say(&s, "ban here").code, 2);
    cr_assert_eq(verb_say(&s, "ban 10.1.2.3 --for 10").code, 2);
    cr_assert(has(usher(&s, "ban ls").out, "nobody is banned"));
    usher(&s, "ban 10.1.2.3/24 --for 10m --reason 'a \"b\"'");
    usher(&s, "ban 2001:DB8::1");
    v = usher(&s, "ban ls");
    cr_assert(has(v.out, "10.1.2.0/24  "), "%s", v.out);
    cr_assert(has(v.out, "  a \"b\"\n"), "%s", v.out);
    v = usher(&s, "ban ls --json");
    cr_assert(has(v.out, "{\"range\":\"2001:db8::1\",\"left_ms\":null,\"reason\":\"\""), "%s",
              v.out);
    v = verb_say(&s, "ban rm 10.1.2.9");
    cr_assert_eq(v.code, 1);
    cr_assert(has(v.err, "10.1.2.9 is not banned\n  it lies in 10.1.2.0/24, which is\n"), "%s",
              v.err);
    usher(&s, "ban rm 10.1.2.3/24");
    usher(&s, "ban rm 2001:db8:0::1/128");
    cr_assert(has(usher(&s, "ban ls").out, "nobody is banned"));
    scene_end(&s);
}

SCENARIO(bans, many_cost_a_connection_no_more_than_one)
{
    static struct scene s;
    unsigned most = edge_has_sanitizer() ? 5000 : 50000;

    begin(&s, NULL, NULL);
    for (unsigned i = 0; i < most; i++)
        redis_queue(&s.redis, "SET usher:ban:10.%u.%u.%u x EX 3600", i >> 16, (i >> 8) & 255,
                    i & 255);
    redis_queue(&s.redis, "SET usher:ban:" BAD " x");
    redis_flush(&s.redis);
    await_within(scene_metric(&s, "usher_bans") == most + 1, 30000);
    usher(&s, "wait");
    cr_assert(all_are(&s, BAD, false));
    cr_assert(all_are(&s, OTHER, true));
    scene_end(&s);
}
