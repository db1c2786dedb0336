/* o_tenants.c -- what tenants, hosts and the defaults say: which of them wins, maintenance, https,
 * paths as sent, who owns a service.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: rules (o_routes.c); wrong records of the other kinds (e_bad_records.c). */
#include "harness/scene.h"

#include <stdlib.h>

static void await_error(struct scene *s, const char *key, const char *word)
{
    char *said = NULL;

    cr_assert(eventually(has(said = scene_redis(s, "HGET usher:errors %s", key), word), AWAIT_MS),
              "usher:errors of %s: expected \"%s\", is: %s", key, word, said);
}

/* The target that the origin got last. */
static const char *target_of(struct origin *o)
{
    return origin_last(o)->target;
}

static bool answers(struct scene *s, const char *host, int status, const char *field,
                    const char *value)
{
    struct response r = scene_get(s, host, "/");
    char *is = response_field(&r, field);

    return r.status == status && (value == NULL ? is == NULL : is != NULL && !strcmp(is, value));
}

SCENARIO(tenants, each_field_is_taken_from_the_host_then_its_tenant_then_the_defaults)
{
    static struct scene s;
    struct origin *host = origin_start("host"), *tenant = origin_start("tenant"),
                  *defaults = origin_start("defaults");

    scene_start(&s);
    scene_redis(&s, "HSET usher:defaults to %s", origin_at(defaults));
    scene_redis(&s, "HSET usher:tenant:acme status active");
    scene_redis(&s, "HSET usher:host:a.test tenant acme");
    scene_redis(&s, "HSET usher:host:alone.test https off");
    await_get(&s, "a.test", "/", 200, "defaults");
    await_get(&s, "alone.test", "/", 200, "defaults");
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(tenant));
    await_get(&s, "a.test", "/", 200, "tenant");
    scene_redis(&s, "HSET usher:host:a.test to %s", origin_at(host));
    await_get(&s, "a.test", "/", 200, "host");
    expect_get(&s, "alone.test", "/", 200, "defaults");

    scene_redis(&s, "HSET usher:defaults status maintenance");
    await_fault(&s, "alone.test", "maintenance");
    expect_get(&s, "a.test", "/", 200, "host"); /* its tenant says active */
    scene_redis(&s, "HSET usher:host:a.test status suspended");
    await_fault(&s, "a.test", "suspended");
    scene_redis(&s, "HDEL usher:host:a.test to status");
    await_get(&s, "a.test", "/", 200, "tenant");
    scene_redis(&s, "DEL usher:tenant:acme usher:defaults");
    await_fault(&s, "a.test", "tenant_gone");
    await_fault(&s, "alone.test", "no_route");
    scene_end(&s);
}

SCENARIO(tenants, defaults_hold_from_the_first_request_on)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .without_edge = true);
    scene_redis(&s, "HSET usher:defaults to %s https redirect", origin_at(o));
    scene_redis(&s, "HSET usher:host:a.test https off");
    scene_edge_start(&s);
    expect_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(tenants, wrong_defaults_keep_the_last_good_ones)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    scene_redis(&s, "HSET usher:host:a.test status active");
    scene_redis(&s, "HSET usher:defaults to service:missing");
    await_error(&s, "usher:defaults", "service that exists");
    await_fault(&s, "a.test", "no_route"); /* a good version never was: nothing is said */
    scene_endpoint(&s, "missing", o);
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "HSET usher:defaults colour red");
    await_error(&s, "usher:defaults", "colour");
    expect_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "SET usher:defaults text");
    await_error(&s, "usher:defaults", "hash");
    expect_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "DEL usher:defaults");
    await_fault(&s, "a.test", "no_route");
    await(scene_redis(&s, "HGET usher:errors usher:defaults") == NULL);
    scene_end(&s);
}

SCENARIO(tenants, maintenance_says_when_to_come_back_and_may_have_a_page)
{
    static struct scene s;
    struct response r;
    struct client *c;

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme to 127.0.0.1:1 status maintenance");
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await(answers(&s, "a.test", 503, "retry-after", "30"));
    scene_redis(&s, "HSET usher:tenant:acme retry_after 120 page '<h1>Back soon</h1>'");
    await(answers(&s, "a.test", 503, "retry-after", "120"));
    r = scene_get(&s, "a.test", "/");
    cr_assert_str_eq(r.text, "<h1>Back soon</h1>");
    cr_assert_str_eq(response_field(&r, "content-type"), "text/html; charset=utf-8");
    cr_assert_str_eq(response_fault(&r), "maintenance");
    /* A host's own page; HEAD has none, and the connection serves on, also behind a body. */
    scene_redis(&s, "DEL usher:host:a.test");
    scene_redis(&s, "HSET usher:host:a.test tenant acme page moved");
    await(has(scene_get(&s, "a.test", "/").text, "moved"));
    c = scene_open(&s);
    client_send(c, "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    r = client_read_to_head(c);
    cr_assert_str_eq(response_field(&r, "content-length"), "5");
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    expect_status(client_read(c), 503);
    expect_status(client_get(c, "a.test", "/"), 503);
    scene_redis(&s, "HSET usher:tenant:acme status suspended");
    await(answers(&s, "a.test", 503, "retry-after", NULL));
    expect_fault(&s, "a.test", "suspended");
    scene_end(&s);
}

SCENARIO(tenants, https_redirect_keeps_host_path_and_query)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;
    struct client *c;

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme to %s https redirect", origin_at(o));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await(answers(&s, "a.test", 308, "location", "https://a.test/"));
    r = scene_get(&s, "a.test", "/x/%61?q=1&r=%2F");
    cr_assert_str_eq(response_field(&r, "location"), "https://a.test/x/a?q=1&r=%2F");
    r = scene_get(&s, "A.test:8080", "/x?");
    cr_assert_str_eq(response_field(&r, "location"), "https://a.test/x?");
    /* A body is of no use here: it is skipped, and the connection goes on. */
    c = scene_open(&s);
    client_send(c, "POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    expect_status(client_read(c), 308);
    expect_status(client_get(c, "a.test", "/"), 308);
    client_send(c,
                "POST /p HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
    expect_status(client_read(c), 308);
    cr_assert(client_ended(c, AWAIT_MS)); /* of unknown length: not waited for */
    c = scene_open(&s);
    client_send(c, "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n");
    r = client_read(c);
    cr_assert_str_eq(response_field(&r, "location"), "https://a.test/");
    cr_assert_eq(origin_requests(o), 0);
    /* This host alone: off. */
    scene_redis(&s, "DEL usher:host:a.test");
    scene_redis(&s, "HSET usher:host:a.test tenant acme https off");
    await_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(tenants, a_raw_path_goes_on_as_it_was_sent)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(o));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/x/../%61//b%2fc?q=%61", 200, "one");
    cr_assert_str_eq(target_of(o), "/a//b%2Fc?q=%61");
    scene_redis(&s, "HSET usher:tenant:acme path raw");
    await(scene_get(&s, "a.test", "/x/../%61//b%2fc?q=%61").status == 200 &&
          !strcmp(target_of(o), "/x/../%61//b%2fc?q=%61"));
    /* What no path may hold is refused all the same. */
    expect_status(scene_get(&s, "a.test", "/a%00b"), 400);
    scene_end(&s);
}

SCENARIO(tenants, the_time_a_response_may_take)
{
    static struct scene s;
    static struct gate gate = GATE_CLOSED;
    struct origin *slow = origin_start("slow");

    origin_script(slow, origin_at_gate, &gate);
    scene_start(&s, .flags = { "--response-timeout", "60s" });
    scene_redis(&s, "HSET usher:tenant:acme to %s timeout 100ms", origin_at(slow));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    scene_live(&s);
    expect_fault(&s, "a.test", "response_timeout");
    gate_open(&gate);
    scene_end(&s);
}

SCENARIO(tenants, a_service_with_an_owner_is_for_its_tenant_alone)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    scene_endpoint(&s, "web", o);
    scene_redis(&s, "HSET usher:service:web owner acme");
    scene_redis(&s, "HSET usher:tenant:acme to service:web");
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/", 200, "one");
    /* Nobody else may name it: neither another tenant, nor a host without one, nor the defaults. */
    scene_redis(&s, "HSET usher:tenant:beta to service:web");
    await_error(&s, "usher:tenant:beta", "usher:service:web says owner acme");
    scene_redis(&s, "SET usher:host:b.test service:web");
    await_error(&s, "usher:host:b.test", "owner acme");
    expect_fault(&s, "b.test", "bad_record");
    scene_redis(&s, "HSET usher:defaults to service:web");
    await_error(&s, "usher:defaults", "owner acme");
    /* A host of the tenant may. */
    scene_redis(&s, "HSET usher:host:c.test tenant acme to service:web");
    await_get(&s, "c.test", "/", 200, "one");
    /* Another owner: who was right is refused now, and who was wrong is looked at again. */
    scene_redis(&s, "HSET usher:service:web owner beta");
    await_fault(&s, "a.test", "service_forbidden");
    await_fault(&s, "c.test", "service_forbidden");
    await(scene_redis(&s, "HGET usher:errors usher:tenant:beta") == NULL);
    scene_redis(&s, "SET usher:host:d.test tenant:beta");
    await_get(&s, "d.test", "/", 200, "one");
    scene_redis(&s, "HDEL usher:service:web owner");
    await_get(&s, "a.test", "/", 200, "one");
    await_get(&s, "b.test", "/", 200, "one");
    await_get(&s, "d.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(tenants, a_host_that_moves_to_another_tenant_takes_no_service_along)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    scene_endpoint(&s, "web", o);
    scene_redis(&s, "HSET usher:service:web owner acme");
    scene_redis(&s, "HSET usher:tenant:acme status active");
    scene_redis(&s, "HSET usher:tenant:beta status active");
    scene_redis(&s, "HSET usher:host:a.test tenant acme to service:web");
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "HSET usher:host:a.test tenant beta");
    await_error(&s, "usher:host:a.test", "owner acme");
    expect_get(&s, "a.test", "/", 200, "one"); /* the last good version: acme's */
    scene_end(&s);
}
