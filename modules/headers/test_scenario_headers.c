/* test_scenario_headers.c -- what endpoints and clients get of the headers that `headers` changes. */
#include "harness/scene.h"

#include <stdlib.h>

/* A tenant acme with the host a.test at `o`, and these modules. */
static void acme(struct scene *s, const struct origin *o, const char *modules)
{
    scene_redis(s, "HSET usher:tenant:acme to %s modules '%s'", origin_at(o), modules);
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_live(s);
}

static char *sent(struct origin *o, const char *name)
{
    return message_field(origin_last(o)->head, name);
}

static unsigned sent_count(struct origin *o, const char *name)
{
    return message_field_count(origin_last(o)->head, name);
}

SCENARIO(mod_headers, requests_get_what_is_said_and_lose_what_is_removed)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    acme(&s, o, "headers(set X-Edge=1 add X-Seen=edge remove X-Secret)");
    await_get(&s, "a.test", "/", 200, "one");
    expect_status(scene_exchange(&s, "GET / HTTP/1.1\r\nHost: a.test\r\nx-edge: 2\r\nX-Edge: 3\r\n"
                                     "x-secret: 4\r\nX-Seen: mine\r\nX-Other: 5\r\n"
                                     "Connection: close\r\n\r\n"),
                  200);
    cr_assert_eq(sent_count(o, "X-Edge"), 1);
    cr_assert_str_eq(sent(o, "X-Edge"), "1");
    cr_assert_eq(sent_count(o, "X-Seen"), 2);
    cr_assert_str_eq(sent(o, "X-Seen"), "mine");
    cr_assert_eq(sent_count(o, "X-Secret"), 0);
    cr_assert_str_eq(sent(o, "X-Other"), "5");
    cr_assert_str_eq(sent(o, "Host"), "a.test");
    scene_end(&s);
}

SCENARIO(mod_headers, responses_of_every_source_are_changed)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;

    scene_start(&s);
    origin_answers(o, "HTTP/1.1 201 Created\r\nServer: old\r\nX-Frame-Options: none\r\nX-Tag: a\r\n"
                      "Content-Length: 4\r\n\r\nbody");
    acme(&s, o,
         "headers(response_remove server response_set X-Frame-Options=DENY"
         " response_add X-Tag=b response_set X-Status=$status)");
    scene_redis(&s, "HSET usher:routes:acme no 'path /no deny' hi 'path /hi respond 200 \"hi\"'");
    await_get(&s, "a.test", "/no", 403, NULL);
    r = scene_get(&s, "a.test", "/");
    expect_status(r, 201);
    cr_assert_str_eq(r.text, "body");
    cr_assert_null(response_field(&r, "server"));
    cr_assert_str_eq(response_field(&r, "x-frame-options"), "DENY");
    cr_assert_eq(message_field_count(r.head, "x-frame-options"), 1);
    cr_assert_eq(message_field_count(r.head, "x-tag"), 2);
    cr_assert_str_eq(response_field(&r, "x-status"), "201");
    r = scene_get(&s, "a.test", "/no");
    cr_assert_str_eq(response_fault(&r), "denied");
    cr_assert_str_eq(response_field(&r, "x-frame-options"), "DENY");
    cr_assert_str_eq(response_field(&r, "x-status"), "403");
    r = scene_get(&s, "a.test", "/hi");
    cr_assert_str_eq(r.text, "hi");
    cr_assert_str_eq(response_field(&r, "x-status"), "200");
    scene_end(&s);
}

SCENARIO(mod_headers, variables_stand_for_what_this_request_is)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;

    scene_start(&s);
    scene_endpoint(&s, "acme-web", o);
    scene_redis(&s, "HSET usher:routes:acme shop 'path /shop/* to service:acme-web'");
    acme(&s, o,
         "headers(set \"X-Who=$client_ip $host $tenant $route $service\""
         " set X-What=${method}:$path?$query set X-Scheme=$scheme set X-Price=$$5"
         " set X-Id=$request_id response_set X-Id=$request_id set X-Route=$route)");
    await_get(&s, "a.test", "/shop/x", 200, "one");
    r = scene_exchange(&s, "PUT /shop/%61?q=1 HTTP/1.1\r\nHost: A.test:80\r\nX-Route: mine\r\n"
                           "Content-Length: 0\r\nConnection: close\r\n\r\n");
    expect_status(r, 200);
    cr_assert_str_eq(sent(o, "X-Who"), "127.0.0.1 a.test acme shop acme-web");
    cr_assert_str_eq(sent(o, "X-What"), "PUT:/shop/a?q=1");
    cr_assert_str_eq(sent(o, "X-Scheme"), "http");
    cr_assert_str_eq(sent(o, "X-Price"), "$5");
    cr_assert_str_eq(sent(o, "X-Route"), "shop");
    cr_assert_eq(strlen(sent(o, "X-Id")), 32);
    cr_assert_str_eq(response_field(&r, "x-id"), sent(o, "X-Id"));
    /* No rule, no service, no query: nothing is said, and the client's word does not stand for it. */
    expect_status(scene_exchange(&s, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Route: mine\r\n"
                                     "Connection: close\r\n\r\n"),
                  200);
    cr_assert_null(sent(o, "X-Route"));
    cr_assert_str_eq(sent(o, "X-Who"), "127.0.0.1 a.test acme");
    cr_assert_str_eq(sent(o, "X-What"), "GET:/?");
    scene_end(&s);
}

SCENARIO(mod_headers, a_long_value_is_whole_and_one_too_long_is_a_fault)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct client *c;
    char *path = kept_alloc(3001);

    scene_start(&s, .flags = { "--max-head-bytes", "8192" });
    memset(path, 'x', 3000);
    path[0] = '/';
    acme(&s, o, "headers(set X-Path=$path)");
    await_get(&s, "a.test", path, 200, "one");
    cr_assert_str_eq(sent(o, "X-Path"), path);
    scene_redis(&s, "HSET usher:tenant:acme modules 'headers(set X-A=$path set X-B=$path)'");
    await_get(&s, "a.test", path, 500, NULL);
    cr_assert_gt(scene_fault_count(&s, "module_fault"), 0);
    c = scene_open(&s);
    expect_status(client_get(c, "a.test", path), 500);
    expect_status(client_get(c, "a.test", "/"), 200);
    scene_end(&s);
}

SCENARIO(mod_headers, wrong_settings_are_said_and_the_last_good_ones_serve_on)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    acme(&s, o, "headers(set X-Edge=1)");
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "HSET usher:tenant:acme modules 'headers(set X-Edge=$colour)'");
    await(has(scene_redis(&s, "HGET usher:errors usher:tenant:acme"), "not $colour but one of"));
    expect_get(&s, "a.test", "/", 200, "one");
    cr_assert_str_eq(sent(o, "X-Edge"), "1");
    scene_redis(&s, "HSET usher:tenant:acme modules none");
    await((expect_get(&s, "a.test", "/", 200, "one"), sent(o, "X-Edge") == NULL));
    await(scene_redis(&s, "HGET usher:errors usher:tenant:acme") == NULL);
    scene_end(&s);
}

SCENARIO(mod_headers, a_rules_settings_stand_in_place_of_its_tenants)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    scene_redis(&s, "HSET usher:routes:acme api 'path /api to %s modules headers(set X-B=rule)'",
                origin_at(o));
    acme(&s, o, "headers(set X-A=tenant)");
    await_get(&s, "a.test", "/api", 200, "one");
    cr_assert_null(sent(o, "X-A"));
    cr_assert_str_eq(sent(o, "X-B"), "rule");
    await_get(&s, "a.test", "/", 200, "one");
    cr_assert_str_eq(sent(o, "X-A"), "tenant");
    cr_assert_null(sent(o, "X-B"));
    scene_end(&s);
}
