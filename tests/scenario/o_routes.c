/* o_routes.c -- rules over the wire: every condition, action and modifier, which rule goes first, and
 * what the origin got.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: tricks and changes under load (o_routes_live.c); what hosts and tenants say
 *           (o_tenants.c); the grammar itself (tests/unit/routing). */
#include "harness/scene.h"

#include <stdlib.h>

#define ROUTES "usher:routes:acme"

/* A tenant whose requests go to `o` where no rule holds; one worker, so that a change that shows is
 * everywhere. */
static void begin(struct scene *s, struct origin *o)
{
    scene_start(s, .workers = 1);
    scene_redis(s, "HSET usher:tenant:acme to %s", origin_at(o));
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    await_get(s, "a.test", "/", 200, NULL);
}

/* Writes this one rule in place of all that were; returns when it holds. */
static void set_rule(struct scene *s, const char *rule)
{
    static unsigned turn;

    turn++;
    redis_queue(&s->redis, "MULTI");
    redis_queue(&s->redis, "DEL " ROUTES);
    redis_queue(&s->redis, "HSET " ROUTES " one '%s' turn 'path /turn respond 200 \"turn-%u\"'",
                rule, turn);
    redis_queue(&s->redis, "EXEC");
    redis_flush(&s->redis);
    cr_assert(
        eventually(!strcmp(scene_get(s, "a.test", "/turn").text, kept_format("turn-%u", turn)),
                   AWAIT_MS),
        "%s: %s", rule, scene_redis(s, "HGET usher:errors " ROUTES));
}

/* One request by its lines behind the Host. */
static struct response ask(struct scene *s, const char *line, const char *fields)
{
    return scene_exchange(
        s, kept_format("%s HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n%s\r\n", line, fields));
}

static const struct {
    const char *condition, *line, *fields;
    bool met;
} conditions[] = {
    { "path /x", "GET /x", "", true },
    { "path /x", "GET /x?q", "", true },
    { "path /x", "GET /x/", "", false },
    { "path /x", "GET /X", "", false },
    { "path /x/*", "GET /x", "", true },
    { "path /x/*", "GET /x/y/z", "", true },
    { "path /x/*", "GET /xy", "", false },
    { "path /*", "GET /", "", true },
    { "path ~[0-9]{3}$", "GET /a/123", "", true },
    { "path ~[0-9]{3}$", "GET /a/12", "", false },
    { "method POST,PUT", "GET /", "", false },
    { "method POST,PUT", "PUT /", "Content-Length: 0\r\n", true },
    { "method GET", "HEAD /", "", false },
    { "header X-Beta", "GET /", "x-beta:\r\n", true },
    { "header X-Beta", "GET /", "X-Betas: 1\r\n", false },
    { "header X-Beta=yes", "GET /", "X-Beta: no\r\nX-Beta: yes\r\n", true },
    { "header X-Beta=yes", "GET /", "X-Beta: yes!\r\n", false },
    { "header Accept~json", "GET /", "Accept: text/html, application/json\r\n", true },
    { "header Accept~json", "GET /", "Accept: text/html\r\n", false },
    { "query debug", "GET /?a=1&debug", "", true },
    { "query debug", "GET /?a=debug", "", false },
    { "query v=2", "GET /?v=1&v=2", "", true },
    { "query v=2", "GET /?v=%32", "", true },
    { "query v=2", "GET /?v=22", "", false },
    { "cookie stage=green", "GET /", "Cookie: a=b; stage=green\r\n", true },
    { "cookie stage=green", "GET /", "Cookie: a=b\r\nCookie: stage=blue\r\n", false },
    { "from 127.0.0.0/8", "GET /", "", true },
    { "from 10.0.0.0/8,::1/128", "GET /", "X-Forwarded-For: 10.0.0.1\r\n", false },
    { "websocket", "GET /",
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
      true },
    { "websocket", "GET /", "", false },
    { "path /x/* method POST header X-A=1", "POST /x/y", "X-A: 1\r\nContent-Length: 0\r\n", true },
    { "path /x/* method POST header X-A=1", "POST /x/y", "X-A: 2\r\nContent-Length: 0\r\n", false },
    { "path /x/* method POST header X-A=1", "GET /x/y", "X-A: 1\r\n", false },
};

SCENARIO(routes, each_condition_is_met_or_not)
{
    static struct scene s;
    const char *written = "";

    begin(&s, origin_start("else"));
    for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
        struct response r;

        if (strcmp(written, conditions[i].condition) != 0)
            set_rule(&s, kept_format("%s respond 299 \"met\"", conditions[i].condition));
        written = conditions[i].condition;
        r = starts(conditions[i].line, "HEAD") ? (struct response){ .status = 200 }
                                               /* asked below */
                                               : ask(&s, conditions[i].line, conditions[i].fields);
        if (starts(conditions[i].line, "HEAD")) {
            struct client *c = scene_open(&s);

            client_sendf(c, "%s HTTP/1.1\r\nHost: a.test\r\n%s\r\n", conditions[i].line,
                         conditions[i].fields);
            r = client_read_to_head(c);
        }
        cr_expect_eq(r.status, conditions[i].met ? 299 : 200, "%s: %s %s came %d %s",
                     conditions[i].condition, conditions[i].line, conditions[i].fields, r.status,
                     r.text);
    }
    scene_end(&s);
}

SCENARIO(routes, the_more_specific_rule_goes_first)
{
    static struct scene s;

    begin(&s, origin_start("else"));
    scene_redis(
        &s, "HSET " ROUTES " any 'respond 200 \"any\"' re 'path ~^/a respond 200 \"re\"'"
            " a 'path /a/* respond 200 \"a\"' b 'path /a/b/* respond 200 \"b\"'"
            " c 'path /a/b/c respond 200 \"c\"' d 'path /a/b/c method PUT respond 200 \"d\"'"
            " e 'path /e/* respond 200 \"e\"' f 'path /* query now respond 200 \"f\" priority 9'");
    await_get(&s, "a.test", "/a/b/c", 200, "c");
    expect_get(&s, "a.test", "/a/b/d", 200, "b");
    expect_get(&s, "a.test", "/a/c", 200, "a");
    expect_get(&s, "a.test", "/a", 200, "a");
    expect_get(&s, "a.test", "/ab", 200, "re");
    expect_get(&s, "a.test", "/", 200, "any");
    cr_expect_str_eq(ask(&s, "PUT /a/b/c", "Content-Length: 0\r\n").text, "d");
    expect_get(&s, "a.test", "/a/b/c?now", 200, "f");
    /* Rules are named: one goes, one comes, the others stay. */
    scene_redis(&s, "HDEL " ROUTES " c f");
    await_get(&s, "a.test", "/a/b/c?now", 200, "b");
    scene_redis(&s, "HSET " ROUTES " a0 'path /a/* respond 200 \"a0\"'");
    scene_redis(&s, "HSET " ROUTES " b 'path /b/* respond 200 \"b\"'");
    await_get(&s, "a.test", "/b", 200, "b");
    expect_get(&s, "a.test", "/a/b/c", 200, "a"); /* by name: a, then a0 */
    scene_redis(&s, "DEL " ROUTES);
    await_get(&s, "a.test", "/a/b/c", 200, "else");
    scene_end(&s);
}

SCENARIO(routes, each_action)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");
    struct response r;
    struct client *c;

    begin(&s, origin_start("else"));
    scene_endpoint(&s, "web", one);
    set_rule(&s, "path /w/* to service:web");
    expect_get(&s, "a.test", "/w/x", 200, "one");
    set_rule(&s, kept_format("path /w/* to %s %s", origin_at(one), origin_at(two)));
    expect_get(&s, "a.test", "/w/x", 200, "one");
    expect_get(&s, "a.test", "/w/x", 200, "two");
    expect_get(&s, "a.test", "/w/x", 200, "one");
    set_rule(&s, "path /old/* redirect 301 https://new.example/n$path?$query");
    r = scene_get(&s, "a.test", "/old/%61?b=%20");
    expect_status(r, 301);
    cr_expect_str_eq(response_field(&r, "location"), "https://new.example/n/old/a?b=%20");
    cr_expect_str_eq(response_field(&r, "content-length"), "0");
    set_rule(&s, "path /old/* redirect 307 http://$host:81$uri");
    r = scene_get(&s, "a.test", "/old/x?");
    cr_expect_str_eq(response_field(&r, "location"), "http://a.test:81/old/x?");
    r = scene_get(&s, "a.test", "/old/x");
    cr_expect_str_eq(response_field(&r, "location"), "http://a.test:81/old/x");
    set_rule(&s, "path /t respond 418 \"short and\\nstout\"");
    r = scene_get(&s, "a.test", "/t");
    expect_status(r, 418);
    cr_expect_str_eq(r.text, "short and\nstout");
    cr_expect_str_eq(response_field(&r, "content-type"), "text/plain; charset=utf-8");
    cr_expect_str_eq(response_fault(&r), "");
    c = scene_open(&s);
    client_send(c, "HEAD /t HTTP/1.1\r\nHost: a.test\r\n\r\n");
    r = client_read_to_head(c);
    cr_expect_str_eq(response_field(&r, "content-length"), "15");
    cr_expect_str_eq(client_get(c, "a.test", "/t").text, "short and\nstout");
    set_rule(&s, "path /t respond 204");
    r = client_get(c, "a.test", "/t");
    expect_status(r, 204);
    cr_expect_null(response_field(&r, "content-length"));
    expect_status(client_get(c, "a.test", "/t"), 204);
    set_rule(&s, "path /t deny");
    r = client_get(c, "a.test", "/t");
    expect_status(r, 403);
    cr_expect_str_eq(response_fault(&r), "denied");
    expect_fault_count(&s, "denied", 1);
    scene_end(&s);
}

/* What the edge answers by itself does not want the body: small ones are skipped, others end the
 * connection behind the answer. */
SCENARIO(routes, bodies_of_requests_that_the_edge_answers)
{
    static struct scene s;
    static const char *const rules[] = { "path /t respond 200 \"yes\"", "path /t redirect 302 /u",
                                         "path /t deny" };
    static const int statuses[] = { 200, 302, 403 };
    struct client *c;

    begin(&s, origin_start("else"));
    for (unsigned i = 0; i < 3; i++) {
        set_rule(&s, rules[i]);
        c = scene_open(&s);
        client_send(c, "POST /t HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
        expect_status(client_read(c), statuses[i]);
        client_send(c, "POST /t HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhe");
        expect_status(client_read(c), statuses[i]);
        client_send(c, "lloGET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"); /* the rest, and one more */
        cr_expect_str_eq(client_read(c).text, "else");
        client_send(c,
                    "POST /t HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n");
        expect_status(client_read(c), statuses[i]);
        cr_expect(client_ended(c, AWAIT_MS));
        c = scene_open(&s);
        client_send(c, "POST /t HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n"
                       "Expect: 100-continue\r\n\r\n");
        expect_status(client_read(c), statuses[i]);
    }
    scene_end(&s);
}

static const struct {
    const char *modifiers, *path, *got;
} paths[] = {
    { "strip /api", "/api/x/y?q=1", "/x/y?q=1" },
    { "strip /api", "/api", "/" },
    { "strip /api", "/api?q", "/?q" },
    { "strip /api", "/api/", "/" },
    { "strip /api", "/apis/x", "/apis/x" },
    { "strip /api", "//api//x", "//x" },
    { "strip /api", "/%61pi/%2fx", "/%2Fx" },
    { "strip /api", "/x/../api/y", "/y" },
    { "prepend /v2", "/x", "/v2/x" },
    { "prepend /v2", "/", "/v2/" },
    { "strip /api prepend /v2", "/api/x", "/v2/x" },
    { "strip /api prepend /v2", "/api", "/v2" },
    { "strip /api prepend /v2", "/other", "/v2/other" },
};

SCENARIO(routes, paths_are_stripped_and_prepended)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    const char *written = "";

    begin(&s, origin_start("else"));
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (strcmp(written, paths[i].modifiers) != 0)
            set_rule(&s, kept_format("to %s %s", origin_at(o), paths[i].modifiers));
        written = paths[i].modifiers;
        expect_get(&s, "a.test", paths[i].path, 200, "one");
        cr_expect_str_eq(origin_last(o)->target, paths[i].got, "%s on %s gave %s", written,
                         paths[i].path, origin_last(o)->target);
    }
    /* Raw: stripped as it was sent where that can be, else in its normal form. */
    scene_redis(&s, "HSET usher:tenant:acme path raw");
    set_rule(&s, kept_format("to %s strip /api", origin_at(o)));
    expect_get(&s, "a.test", "/api/%61?s=%61", 200, "one");
    cr_expect_str_eq(origin_last(o)->target, "/%61?s=%61");
    expect_get(&s, "a.test", "/%61pi/%61", 200, "one");
    cr_expect_str_eq(origin_last(o)->target, "/a");
    scene_end(&s);
}

SCENARIO(routes, the_origin_gets_the_headers_that_a_rule_says)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    const char *head;

    begin(&s, origin_start("else"));
    set_rule(&s, kept_format("to %s host inner.example:81 set X-Stage=green set \"X-Note=a b\" "
                             "unset Cookie unset x-none set X-Twice=1 set x-twice=2",
                             origin_at(o)));
    expect_status(ask(&s, "GET /",
                      "Cookie: a=b\r\ncookie: c=d\r\nX-Stage: mine\r\nX-STAGE: yours\r\n"
                      "X-Other: stays\r\n"),
                  200);
    head = origin_last(o)->head;
    cr_expect_str_eq(message_field(head, "Host"), "inner.example:81");
    cr_expect_str_eq(message_field(head, "X-Forwarded-Host"), "a.test");
    cr_expect_str_eq(message_field(head, "X-Stage"), "green");
    cr_expect_eq(message_field_count(head, "X-Stage"), 1);
    cr_expect_str_eq(message_field(head, "X-Note"), "a b");
    cr_expect_eq(message_field_count(head, "Cookie"), 0);
    cr_expect_str_eq(message_field(head, "X-Twice"), "2");
    cr_expect_eq(message_field_count(head, "X-Twice"), 1);
    cr_expect_str_eq(message_field(head, "X-Other"), "stays");
    /* A body goes along, whatever the rule does to the head. */
    expect_status(scene_exchange(&s, "POST / HTTP/1.1\r\nHost: a.test\r\nCookie: x\r\n"
                                     "Connection: close\r\nContent-Length: 5\r\n\r\nhello"),
                  200);
    cr_expect_str_eq(origin_last(o)->text, "hello");
    cr_expect_eq(message_field_count(origin_last(o)->head, "Cookie"), 0);
    scene_end(&s);
}

SCENARIO(routes, a_rules_own_time_limit)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *slow = origin_start("slow");

    begin(&s, origin_start("else"));
    origin_script(slow, origin_at_gate, &gate);
    scene_redis(&s, "HSET usher:tenant:acme timeout 1h");
    set_rule(&s, kept_format("to %s timeout 50ms", origin_at(slow)));
    expect_fault(&s, "a.test", "response_timeout");
    gate_open(&gate);
    scene_end(&s);
}

SCENARIO(routes, a_websocket_may_have_a_rule_of_its_own)
{
    static struct scene s;
    struct origin *o = origin_start("socket");
    struct client *c;
    struct response r;

    begin(&s, origin_start("else"));
    origin_script(o, origin_websocket, NULL);
    set_rule(&s, kept_format("path /ws/* websocket to %s strip /ws", origin_at(o)));
    c = scene_open(&s);
    client_send(c, "GET /ws/chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\n"
                   "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    r = client_read_head(c);
    expect_status(r, 101);
    client_send(c, "ping");
    cr_expect_str_eq(client_read_bytes(c, 4), "ping");
    cr_expect_str_eq(origin_last(o)->target, "/chat");
    expect_get(&s, "a.test", "/ws/chat", 200, "else");
    client_close(c);
    scene_end(&s);
}

SCENARIO(routes, a_split_keeps_its_shares_and_its_clients)
{
    static struct scene s;
    struct origin *a = origin_start("a"), *b = origin_start("b");
    unsigned at_b = 0, moved = 0;
    char was[250];

    begin(&s, origin_start("else"));
    scene_endpoint(&s, "a", a);
    scene_endpoint(&s, "b", b);
    set_rule(&s, "split service:a=75 service:b=25");
    for (unsigned n = 0; n < sizeof(was); n++) {
        struct client *c = client_open_from(s.edge.at, kept_format("127.0.1.%u", n + 1));

        was[n] = client_get(c, "a.test", "/").text[0];
        cr_expect_eq(client_get(c, "a.test", "/other").text[0], was[n]);
        at_b += was[n] == 'b';
        client_close(c);
    }
    cr_expect(at_b > 40 && at_b < 90, "%u of 250 at b", at_b);
    /* More for b: whoever was there stays. */
    set_rule(&s, "split service:a=50 service:b=50");
    for (unsigned n = 0; n < sizeof(was); n++) {
        struct client *c = client_open_from(s.edge.at, kept_format("127.0.1.%u", n + 1));
        char now = client_get(c, "a.test", "/").text[0];

        cr_expect(was[n] == 'a' || now == 'b', "client %u left b", n);
        moved += was[n] != now;
        client_close(c);
    }
    cr_expect(moved > 30 && moved < 95, "%u of 250 moved", moved);
    set_rule(&s, "split service:a=0 service:b=1");
    expect_get(&s, "a.test", "/", 200, "b");
    scene_end(&s);
}

SCENARIO(routes, a_regex_that_takes_too_long_opens_nothing_and_is_counted)
{
    static struct scene s;
    char path[200] = "GET /x/";

    memset(path + strlen(path), 'a', 60);
    begin(&s, origin_start("origin"));
    set_rule(&s, "path ~^/x/(a+)+$ deny");
    cr_assert_eq(ask(&s, "GET /x/b", "").status, 200);
    cr_assert_eq(scene_metric(&s, "usher_regexes_given_up_total"), 0);
    cr_assert_eq(ask(&s, kept_format("%sb", path), "").status, 403);
    expect_metric(&s, "usher_regexes_given_up_total", 1);
    set_rule(&s, "path ~^/x/(a+)+$ respond 418");
    cr_assert_eq(ask(&s, kept_format("%sb", path), "").status, 200);
    expect_metric(&s, "usher_regexes_given_up_total", 2);
    scene_end(&s);
}

SCENARIO(routes, a_host_says_otherwise_for_itself_alone)
{
    static struct scene s;
    struct origin *own = origin_start("own");

    begin(&s, origin_start("else"));
    scene_redis(&s, "HSET usher:host:b.test tenant acme to %s", origin_at(own));
    set_rule(&s, "path /r respond 200 \"rule\"");
    scene_live(&s);
    expect_get(&s, "b.test", "/r", 200, "rule"); /* rules are for all hosts of the tenant, */
    expect_get(&s, "b.test", "/", 200, "own");   /* `to` is where the others go */
    expect_get(&s, "a.test", "/", 200, "else");
    scene_redis(&s, "HSET usher:tenant:acme status maintenance");
    await_fault(&s, "a.test", "maintenance");
    scene_redis(&s, "HSET usher:host:b.test status active");
    await_get(&s, "b.test", "/r", 200, "rule");
    scene_redis(&s, "HDEL usher:tenant:acme status to");
    await_fault(&s, "a.test", "no_route");
    expect_get(&s, "a.test", "/r", 200, "rule");
    scene_end(&s);
}

SCENARIO(routes, a_line_of_the_access_log_names_tenant_rule_and_service)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    char *out = NULL;

    scene_start(&s, .flags = { "--access-log", "-" });
    scene_endpoint(&s, "web", o);
    scene_redis(&s, "HSET " ROUTES " api 'path /api/* to service:web' no 'path /no deny'");
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/api/x", 200, "one");
    expect_get(&s, "a.test", "/no", 403, NULL);
    scene_redis(&s, "PING");
    await((process_run((const char *const[]){ "/bin/cat", s.edge.out, NULL }, NULL, &out, NULL),
           has(out, "\"tenant\":\"acme\",\"route\":\"api\",\"service\":\"web\"") &&
               has(out, "\"fault\":\"denied\",\"tenant\":\"acme\",\"route\":\"no\"")));
    scene_end(&s);
}
