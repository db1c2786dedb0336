/* o_balance.c -- who of a service's endpoints gets a request: by load, by hash, by cookie, by zone.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: shares to the last percent (tests/unit/routing/test_balance.c).  */
#include "harness/scene.h"
#include "harness/verb.h"

#include <stdlib.h>

#define ORIGINS 4

static const char *const names[ORIGINS] = { "one", "two", "three", "four" };

/* A service `web` of so many origins, which the host a.test is. */
static void begin(struct scene *s, struct origin **origins, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        origins[i] = origin_start(names[i]);
        scene_endpoint(s, "web", origins[i]);
    }
    scene_redis(s, "SET usher:host:a.test service:web");
    scene_live(s);
}

/* A new policy, on every worker. */
static void policy(struct scene *s, const char *fields)
{
    scene_redis(s, "HSET usher:service:web %s", fields);
    scene_live(s);
}

static struct response ask(struct client *c, const char *path, const char *fields)
{
    client_sendf(c, "GET %s HTTP/1.1\r\nHost: a.test\r\n%s\r\n", path, fields);
    return client_read(c);
}

/* --- by load --- */

static unsigned active(struct scene *s, const struct origin *o)
{
    const char *page = scene_page(s, "/dump/services"), *at;

    at = page != NULL ? strstr(page, kept_format("\"address\":\"%s\"", origin_at(o))) : NULL;
    at = at != NULL ? strstr(at, "\"active\":") : NULL;
    return at != NULL ? (unsigned)atoi(at + strlen("\"active\":")) : 99;
}

SCENARIO(balance, least_conn_leaves_those_alone_that_are_busy)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o[3];
    struct client *c, *held[2];

    scene_start(&s, .workers = 2);
    begin(&s, o, 3);
    policy(&s, "balance least-conn");
    origin_script(o[0], origin_at_gate, &gate);
    origin_script(o[1], origin_at_gate, &gate);
    /* One after the other, so that each sees those before it, whatever worker has it. */
    for (unsigned i = 0; i < 2; i++) {
        unsigned before = gate_waiting(&gate);

        held[i] = scene_open(&s);
        do
            client_send(held[i], "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        while (!eventually(gate_waiting(&gate) > before, 150) &&
               client_read(held[i]).status == 200);
        cr_assert_gt(gate_waiting(&gate), before);
    }
    cr_assert_eq(origin_requests(o[0]), 1);
    cr_assert_eq(origin_requests(o[1]), 1);
    cr_assert_eq(active(&s, o[0]), 1);
    cr_assert_eq(active(&s, o[1]), 1);
    c = scene_open(&s);
    for (unsigned i = 0; i < 20; i++)
        cr_assert_str_eq(ask(c, "/", "").text, "three");
    gate_open(&gate);
    for (unsigned i = 0; i < 2; i++)
        expect_status(client_read(held[i]), 200);
    await(active(&s, o[0]) == 0 && active(&s, o[1]) == 0 && active(&s, o[2]) == 0);
    scene_end(&s);
}

static void hold_or_answer(struct origin_conn *c, struct origin_request *r, void *gate)
{
    if (strcmp(r->target, "/hold") == 0)
        gate_wait(gate);
    origin_reply(c, r, 200, "done");
}

SCENARIO(balance, random_two_leaves_the_busy_one_of_two_alone)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *o[2], *busy, *idle;
    struct client *c, *held;
    unsigned before;

    scene_start(&s, .workers = 1);
    begin(&s, o, 2);
    policy(&s, "balance random-two");
    origin_script(o[0], hold_or_answer, &gate);
    origin_script(o[1], hold_or_answer, &gate);
    held = scene_open(&s);
    client_send(held, "GET /hold HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await(gate_waiting(&gate) == 1);
    busy = origin_requests(o[0]) > 0 ? o[0] : o[1];
    idle = busy == o[0] ? o[1] : o[0];
    c = scene_open(&s);
    for (unsigned i = 0; i < 160; i++)
        expect_status(ask(c, "/", ""), 200);
    /* To the busy one only when each of four lots falls on it: 10 expected, deviation 3. */
    cr_assert_lt(origin_requests(busy), 35);
    gate_open(&gate);
    expect_status(client_read(held), 200);
    before = origin_requests(idle);
    for (unsigned i = 0; i < 160; i++)
        expect_status(ask(c, "/", ""), 200);
    /* Nobody is busy: by weight, like any lot. 80 expected, deviation 6. */
    cr_assert(origin_requests(idle) - before > 35 && origin_requests(idle) - before < 125, "%u",
              origin_requests(idle) - before);
    scene_end(&s);
}

SCENARIO(balance, counts_are_right_when_the_policy_changes_under_requests)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct client *before[3], *after[3];
    struct origin *o[1];

    scene_start(&s, .workers = 1);
    begin(&s, o, 1);
    origin_script(o[0], origin_at_gate, &gate);
    for (unsigned i = 0; i < 3; i++) {
        before[i] = scene_open(&s);
        client_send(before[i], "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    await(gate_waiting(&gate) == 3);
    policy(&s, "balance least-conn");
    cr_assert_eq(active(&s, o[0]), 0);
    for (unsigned i = 0; i < 3; i++) {
        after[i] = scene_open(&s);
        client_send(after[i], "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    await(gate_waiting(&gate) == 6);
    cr_assert_eq(active(&s, o[0]), 3);
    policy(&s, "balance round-robin");
    policy(&s, "balance random-two");
    cr_assert_eq(active(&s, o[0]), 3, "they are still under way");
    client_reset(after[0]);
    await(active(&s, o[0]) == 2);
    gate_open(&gate);
    for (unsigned i = 0; i < 3; i++) {
        expect_status(client_read(before[i]), 200);
        if (i > 0)
            expect_status(client_read(after[i]), 200);
    }
    await(active(&s, o[0]) == 0);
    scene_end(&s);
}

/* --- by hash --- */

#define KEYS 60

static void map_keys(struct scene *s, const char *field, const char **whose)
{
    struct client *c = scene_open(s);

    for (unsigned i = 0; i < KEYS; i++) {
        struct response r = ask(c, "/", kept_format("%s%u\r\n", field, i));

        expect_status(r, 200);
        whose[i] = r.text;
    }
    client_close(c);
}

static unsigned count_of(const char **whose, const char *name)
{
    unsigned count = 0;

    for (unsigned i = 0; i < KEYS; i++)
        count += strcmp(whose[i], name) == 0;
    return count;
}

SCENARIO(balance, a_hash_moves_the_keys_of_what_goes_and_no_others)
{
    static struct scene s;
    const char *before[KEYS], *after[KEYS], *second[KEYS];
    struct origin *o[4];
    struct edge other;

    scene_start(&s, .workers = 2);
    begin(&s, o, 4);
    policy(&s, "balance hash hash_by header:X-User");
    map_keys(&s, "x-user: u", before);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_gt(count_of(before, names[i]), 2, "%s", names[i]);
    scene_second_edge(&s, &other, NULL);
    for (unsigned i = 0; i < KEYS; i++) {
        struct client *c = client_open(other.at);

        second[i] = ask(c, "/", kept_format("X-User: u%u\r\n", i)).text;
        cr_assert_str_eq(second[i], before[i], "edges do not agree on key %u", i);
        client_close(c);
    }
    edge_stop(&other);
    scene_redis(&s, "HDEL usher:endpoints:web %s", origin_at(o[2]));
    scene_live(&s);
    map_keys(&s, "X-User: u", after);
    for (unsigned i = 0; i < KEYS; i++)
        cr_assert_eq(strcmp(before[i], "three") == 0, strcmp(before[i], after[i]) != 0,
                     "key %u went from %s to %s", i, before[i], after[i]);
    scene_endpoint(&s, "web", o[2]);
    scene_live(&s);
    map_keys(&s, "X-User: u", after);
    for (unsigned i = 0; i < KEYS; i++)
        cr_assert_str_eq(before[i], after[i]);
    scene_end(&s);
}

static void expect_same(struct client *c, const char *path, const char *fields, const char *whose)
{
    for (unsigned i = 0; i < 4; i++)
        cr_assert_str_eq(ask(c, path, fields).text, whose);
}

SCENARIO(balance, a_hash_is_of_client_path_or_cookie)
{
    static struct scene s;
    const char *whose[KEYS], *own;
    unsigned differ = 0;
    struct origin *o[4];
    struct client *c;

    scene_start(&s, .workers = 2);
    begin(&s, o, 4);
    policy(&s, "balance hash");
    c = scene_open(&s);
    own = ask(c, "/", "").text;
    expect_same(c, "/other", "X-User: 5\r\n", own);
    for (unsigned i = 2; i < 22; i++) {
        struct client *d = client_open_from(s.edge.at, kept_format("127.0.0.%u", i));

        differ += strcmp(ask(d, "/", "").text, own) != 0;
        client_close(d);
    }
    cr_assert_gt(differ, 5, "clients all hash alike");
    policy(&s, "hash_by cookie:cart");
    map_keys(&s, "Cookie: a=b; cart=", whose);
    cr_assert_lt(count_of(whose, own), KEYS);
    expect_same(c, "/", "Cookie: cart=7; a=b\r\n", whose[7]);
    expect_same(c, "/", "Cookie: cartoon=7\r\n", own); /* by its address: it has no such cookie */
    policy(&s, "hash_by path");
    own = ask(c, "/a/7", "").text;
    expect_same(c, "/a/7?q=1", "", own);
    expect_same(c, "/b/../a/%37", "", own);
    differ = 0;
    for (unsigned i = 0; i < 20; i++)
        differ += strcmp(ask(c, kept_format("/p%u", i), "").text, own) != 0;
    cr_assert_gt(differ, 5, "paths all hash alike");
    scene_end(&s);
}

SCENARIO(balance, a_bound_spreads_what_a_hash_would_pile_up)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct client *held[12];
    struct origin *o[3];

    scene_start(&s, .workers = 2);
    begin(&s, o, 3);
    policy(&s, "balance hash hash_by path hash_bound 125");
    for (unsigned i = 0; i < 3; i++)
        origin_script(o[i], origin_at_gate, &gate);
    for (unsigned i = 0; i < 12; i++) {
        held[i] = scene_open(&s);
        client_send(held[i], "GET /hot HTTP/1.1\r\nHost: a.test\r\n\r\n");
        await(gate_waiting(&gate) == i + 1);
    }
    for (unsigned i = 0; i < 3; i++)
        cr_assert(origin_requests(o[i]) >= 2 && origin_requests(o[i]) <= 6, "%s has %u of 12",
                  names[i], origin_requests(o[i]));
    gate_open(&gate);
    for (unsigned i = 0; i < 12; i++)
        expect_status(client_read(held[i]), 200);
    scene_end(&s);
}

/* --- by cookie --- */

/* What a client would send back; NULL: none was set. */
static const char *cookie_of(const struct response *r)
{
    char *line = response_field(r, "set-cookie"), *end;

    if (line == NULL)
        return NULL;
    end = strchr(line, ';');
    cr_assert_not_null(end);
    cr_assert_str_eq(end, "; Path=/; HttpOnly; SameSite=Lax");
    return kept_format("Cookie: theme=dark; %.*s\r\n", (int)(end - line), line);
}

SCENARIO(balance, clients_stick_by_a_cookie_that_tells_nothing)
{
    static struct scene s;
    const char *cookie, *whose;
    struct origin *o[3];
    struct response r;
    struct client *c;

    scene_start(&s, .workers = 2);
    begin(&s, o, 3);
    policy(&s, "sticky srv");
    c = scene_open(&s);
    r = ask(c, "/", "");
    whose = r.text;
    cookie = cookie_of(&r);
    cr_assert_not_null(cookie);
    cr_assert(has(cookie, "; srv="));
    cr_assert_not(has(cookie, "127") && has(cookie, "."), "%s", cookie);
    for (unsigned i = 0; i < 12; i++) {
        struct client *d = scene_open(&s);

        r = ask(d, "/", cookie);
        cr_assert_str_eq(r.text, whose);
        cr_assert_null(response_field(&r, "set-cookie"), "it has one that is right");
        client_close(d);
    }
    r = ask(c, "/", "Cookie: srv=0123456789abcdef\r\n"); /* a made-up one is replaced */
    cr_assert_not_null(cookie_of(&r));
    r = ask(c, "/", "Cookie: srv=x\r\n");
    cr_assert_not_null(cookie_of(&r));
    policy(&s, "sticky other");
    r = ask(c, "/", cookie);
    cr_assert(has(response_field(&r, "set-cookie"), "other="));
    scene_redis(&s, "HDEL usher:service:web sticky");
    scene_live(&s);
    r = ask(c, "/", cookie);
    cr_assert_null(response_field(&r, "set-cookie"));
    scene_end(&s);
}

static struct origin *find(struct origin **o, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return o[i];
    cr_assert_fail("no origin is %s", name);
    return NULL;
}

SCENARIO(balance, one_that_drains_keeps_its_clients_and_gets_no_more)
{
    static struct scene s;
    const char *cookie, *whose;
    struct origin *o[3], *own;
    struct response r;
    struct client *c;

    scene_start(&s, .workers = 2);
    begin(&s, o, 3);
    policy(&s, "sticky srv");
    c = scene_open(&s);
    r = ask(c, "/", "");
    cookie = cookie_of(&r);
    whose = r.text;
    own = find(o, 3, whose);
    scene_redis(&s, "HSET usher:endpoints:web %s 'weight=100 drain'", origin_at(own));
    scene_live(&s);
    for (unsigned i = 0; i < 12; i++) {
        cr_assert_str_neq(ask(c, "/", "").text, whose);
        cr_assert_str_eq(ask(c, "/", cookie).text, whose);
    }
    /* Gone: another is found, and it is told. */
    scene_redis(&s, "HDEL usher:endpoints:web %s", origin_at(own));
    scene_live(&s);
    r = ask(c, "/", cookie);
    expect_status(r, 200);
    cr_assert_str_neq(r.text, whose);
    cookie = cookie_of(&r);
    cr_assert_not_null(cookie);
    cr_assert_str_eq(ask(c, "/", cookie).text, r.text);
    scene_end(&s);
}

SCENARIO(balance, who_is_retried_elsewhere_sticks_there)
{
    static struct scene s;
    const char *cookie;
    struct origin *o[2], *own;
    struct response r;
    struct client *c;

    scene_start(&s, .workers = 1);
    begin(&s, o, 2);
    policy(&s, "sticky srv");
    c = scene_open(&s);
    r = ask(c, "/", "");
    cookie = cookie_of(&r);
    own = find(o, 2, r.text);
    origin_stop(own);
    r = ask(c, "/", cookie); /* refused there, and tried at the other */
    expect_status(r, 200);
    cr_assert_str_eq(r.text, own == o[0] ? "two" : "one");
    cookie = cookie_of(&r);
    cr_assert_not_null(cookie);
    r = ask(c, "/", cookie);
    expect_status(r, 200);
    cr_assert_null(response_field(&r, "set-cookie"));
    scene_end(&s);
}

SCENARIO(balance, a_websocket_sticks_too_and_faults_set_no_cookie)
{
    static struct scene s;
    struct origin *o[1];
    struct response r;
    struct client *c;

    scene_start(&s, .workers = 1);
    begin(&s, o, 1);
    policy(&s, "sticky srv balance least-conn");
    origin_script(o[0], origin_websocket, NULL);
    c = scene_open(&s);
    client_send(
        c, "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: mine\r\n\r\n");
    r = client_read(c);
    expect_status(r, 101);
    cr_assert_not_null(cookie_of(&r));
    cr_assert_eq(active(&s, o[0]), 1, "a tunnel is under way as long as it is open");
    client_close(c);
    await(scene_metric(&s, "usher_tunnels") == 0 && active(&s, o[0]) == 0);
    scene_redis(&s, "DEL usher:endpoints:web");
    scene_redis(&s, "HSET usher:endpoints:web %s 100", origin_refusing());
    scene_live(&s);
    r = scene_get(&s, "a.test", "/");
    cr_assert_eq(r.status, 502);
    cr_assert_null(response_field(&r, "set-cookie"));
    scene_end(&s);
}

/* --- backups, zones, slow start --- */

static void expect_only(struct scene *s, const char *names_expected)
{
    struct client *c = scene_open(s);

    for (unsigned i = 0; i < 12; i++) {
        struct response r = ask(c, "/", "");

        expect_status(r, 200);
        cr_assert(has(names_expected, r.text), "%s, but %s is expected", r.text, names_expected);
    }
    client_close(c);
}

SCENARIO(balance, a_backup_is_for_when_no_other_takes_requests)
{
    static struct scene s;
    struct origin *o[3];

    scene_start(&s, .workers = 2);
    begin(&s, o, 3);
    scene_redis(&s, "HSET usher:endpoints:web %s '100 backup'", origin_at(o[2]));
    scene_live(&s);
    expect_only(&s, "one two");
    scene_redis(&s, "HSET usher:endpoints:web %s drain", origin_at(o[0]));
    scene_live(&s);
    expect_only(&s, "two");
    scene_redis(&s, "HSET usher:endpoints:web %s 0", origin_at(o[1]));
    scene_live(&s);
    expect_only(&s, "three");
    scene_redis(&s, "HSET usher:endpoints:web %s 100", origin_at(o[1]));
    scene_live(&s);
    expect_only(&s, "two");
    scene_end(&s);
}

SCENARIO(balance, an_edge_prefers_endpoints_of_its_zone)
{
    static struct scene s;
    struct origin *o[4];

    scene_start(&s, .workers = 2, .flags = { "--zone", "eu-1" });
    begin(&s, o, 4);
    expect_only(&s, "one two three four");
    for (unsigned i = 0; i < 3; i++)
        scene_redis(&s, "HSET usher:endpoints:web %s zone=%s", origin_at(o[i]),
                    i < 2 ? "eu-1" : "us-2");
    scene_live(&s);
    expect_only(&s, "one two");
    cr_assert(has(scene_page(&s, "/dump/services"), "\"zone\":\"eu-1\",\"near\":true"));
    scene_redis(&s, "HSET usher:endpoints:web %s 'zone=eu-1 drain'", origin_at(o[0]));
    scene_live(&s);
    expect_only(&s, "two");
    scene_redis(&s, "HDEL usher:endpoints:web %s", origin_at(o[1]));
    scene_live(&s);
    expect_only(&s, "three four");
    scene_end(&s);
}

SCENARIO(balance, what_is_new_in_a_service_starts_slowly_and_what_starts_with_it_does_not)
{
    static struct scene s;
    struct origin *o[3];
    struct client *c;
    unsigned before;

    scene_start(&s, .workers = 1);
    begin(&s, o, 2);
    policy(&s, "slow_start 1h");
    c = scene_open(&s);
    for (unsigned i = 0; i < 40; i++)
        expect_status(ask(c, "/", ""), 200);
    cr_assert_eq(origin_requests(o[0]), 20, "they came together");
    o[2] = origin_start("three");
    scene_endpoint(&s, "web", o[2]);
    scene_live(&s);
    for (unsigned i = 0; i < 420; i++)
        expect_status(ask(c, "/", ""), 200);
    /* A tenth of a third: 20 expected, deviation 4.2; 140 without it. */
    cr_assert(origin_requests(o[2]) > 0 && origin_requests(o[2]) < 50, "%u of 420",
              origin_requests(o[2]));
    before = origin_requests(o[2]);
    policy(&s, "slow_start 1ms");
    for (unsigned i = 0; i < 30; i++)
        expect_status(ask(c, "/", ""), 200);
    cr_assert_eq(origin_requests(o[2]) - before, 10);
    scene_end(&s);
}

SCENARIO(balance, when_checks_fail_clients_that_stuck_and_all_others_go_to_the_backup)
{
    static struct scene s;
    struct origin *o[2];
    const char *cookie;
    struct response r;
    struct client *c;

    scene_start(&s, .workers = 2);
    begin(&s, o, 2);
    scene_redis(&s, "HSET usher:endpoints:web %s '100 backup'", origin_at(o[1]));
    policy(&s, "sticky srv health tcp health_interval 100ms health_fall 1 health_rise 1");
    c = scene_open(&s);
    r = ask(c, "/", "");
    cr_assert_str_eq(r.text, "one");
    cookie = cookie_of(&r);
    origin_stop(o[0]);
    await((r = ask(c, "/", cookie)).status == 200);
    cr_assert_str_eq(r.text, "two");
    cr_assert_not_null(cookie_of(&r));
    expect_only(&s, "two");
    scene_end(&s);
}

/* --- changes --- */

SCENARIO(balance, warm_connections_survive_every_change_but_their_own)
{
    static struct scene s;
    static const char *const changes[] = {
        "HSET usher:service:web balance least-conn",
        "HSET usher:service:web balance hash hash_by header:X-User hash_bound 150",
        "HSET usher:service:web balance random-two sticky srv",
        "HSET usher:service:web balance round-robin slow_start 10s zone_min 70",
        "DEL usher:service:web",
        "HSET usher:service:other balance random",
    };
    struct origin *o[2];
    struct client *c;

    scene_start(&s, .workers = 1, .flags = { "--upstream-idle-timeout", "1m" });
    begin(&s, o, 1);
    c = scene_open(&s);
    expect_status(ask(c, "/", ""), 200);
    for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        scene_redis(&s, "%s", changes[i]);
        scene_live(&s);
        expect_status(ask(c, "/", ""), 200);
    }
    scene_redis(&s, "HSET usher:endpoints:web %s 'weight=7 zone=eu'", origin_at(o[0]));
    scene_live(&s);
    expect_status(ask(c, "/", ""), 200);
    o[1] = origin_start("two");
    scene_endpoint(&s, "web", o[1]);
    scene_live(&s);
    for (unsigned i = 0; i < 8; i++)
        expect_status(ask(c, "/", ""), 200);
    scene_redis(&s, "HDEL usher:endpoints:web %s", origin_at(o[1]));
    scene_live(&s);
    expect_status(ask(c, "/", ""), 200);
    cr_assert_eq(origin_connections(o[0]), 1);
    scene_end(&s);
}

SCENARIO(balance, values_that_are_none_are_refused_and_said)
{
    static const struct {
        const char *field, *value, *expected;
    } wrong[] = {
        { "balance", "fastest", "round-robin, random, random-two, least-conn or hash" },
        { "hash_by", "header", "client, path, header:NAME or cookie:NAME" },
        { "hash_by", "client:x", "client, path, header:NAME or cookie:NAME" },
        { "hash_by", "'cookie:a b'", "client, path, header:NAME or cookie:NAME" },
        { "hash_bound", "100", "a percentage from 101 to 1000" },
        { "sticky", "'a=b'", "a cookie" },
        { "slow_start", "2h", "a time from 1ms to 1h" },
        { "zone_min", "101", "a percentage from 0 to 100" },
    };
    static const char *const options[] = { "drain=1", "backup=yes", "zone", "zone=EU", "100 zonk" };
    static struct scene s;
    struct origin *o[1];

    scene_start(&s, .workers = 1);
    begin(&s, o, 1);
    expect_get(&s, "a.test", "/", 200, "one");
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        scene_redis(&s, "HSET usher:service:web %s %s", wrong[i].field, wrong[i].value);
        await(has(scene_redis(&s, "HGET usher:errors usher:service:web"), wrong[i].expected));
        cr_assert(has(scene_redis(&s, "HGET usher:errors usher:service:web"), wrong[i].field));
        expect_get(&s, "a.test", "/", 200, "one");
        scene_redis(&s, "DEL usher:service:web");
        await(scene_redis(&s, "HGET usher:errors usher:service:web") == NULL);
    }
    for (unsigned i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        scene_redis(&s, "HSET usher:endpoints:web %s '%s'", origin_at(o[0]), options[i]);
        await(scene_redis(&s, "HGET usher:errors usher:endpoints:web") != NULL);
        expect_get(&s, "a.test", "/", 200, "one");
        scene_redis(&s, "HSET usher:endpoints:web %s 100", origin_at(o[0]));
        await(scene_redis(&s, "HGET usher:errors usher:endpoints:web") == NULL);
    }
    scene_end(&s);
}

SCENARIO(balance, an_explanation_says_whom_this_request_gets)
{
    static struct scene s;
    struct origin *o[3];
    const char *page;
    struct client *c;
    struct response r;

    scene_start(&s, .workers = 1);
    begin(&s, o, 3);
    policy(&s, "balance hash hash_by header:X-User");
    scene_redis(&s, "HSET usher:endpoints:web %s '50 backup'", origin_at(o[2]));
    scene_live(&s);
    c = scene_open(&s);
    for (unsigned i = 0; i < 10; i++) {
        r = ask(c, "/", kept_format("X-User: u%u\r\n", i));
        page = verb_say(&s, "explain http://a.test/ --header 'X-User: u%u'", i).out;
        cr_assert(has(page, "web, hash by header:X-User"), "%s", page);
        cr_assert(has(page, kept_format("%s  weight 100, 50%% of the requests  (this one's)",
                                        origin_at(find(o, 3, r.text)))),
                  "%s got it:\n%s", r.text, page);
        cr_assert(has(page, "weight 50, out: backup: used when no other is available"), "%s", page);
    }
    policy(&s, "balance round-robin sticky srv");
    r = ask(c, "/", "");
    page = verb_say(&s, "explain http://a.test/ --json --header '%s'",
                    kept_format("Cookie: %.20s", strstr(cookie_of(&r), "srv=")))
               .out;
    cr_assert(has(page, "\"sticky\":\"srv\""), "%s", page);
    cr_assert(has(strstr(page, origin_at(find(o, 3, r.text))), "\"chosen\":true"), "%s", page);
    scene_end(&s);
}
