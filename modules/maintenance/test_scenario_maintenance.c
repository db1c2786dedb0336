/* test_scenario_maintenance.c -- who is served while a tenant is being worked on. */
#include "harness/scene.h"

static void acme(struct scene *s, const struct origin *o, const char *modules)
{
    scene_redis(s, "HSET usher:tenant:acme to %s modules '%s'", origin_at(o), modules);
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_live(s);
}

static int status_from(struct scene *s, const char *source, const char *path, const char *cookies)
{
    struct client *c = client_open_from(s->edge.at, source);
    struct response r;

    client_sendf(c, "GET %s HTTP/1.1\r\nHost: a.test\r\n%sConnection: close\r\n\r\n", path,
                 cookies);
    r = client_read(c);
    client_close(c);
    return r.status;
}

SCENARIO(mod_maintenance, all_are_told_when_to_come_back)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;
    struct client *c;

    scene_start(&s);
    acme(&s, o, "maintenance");
    await_get(&s, "a.test", "/", 503, NULL);
    r = scene_get(&s, "a.test", "/");
    cr_assert(has(r.text, "being worked on"));
    cr_assert_str_eq(response_field(&r, "content-type"), "text/plain; charset=utf-8");
    cr_assert_str_eq(response_field(&r, "retry-after"), "30");
    cr_assert_str_eq(response_field(&r, "cache-control"), "no-store");
    scene_redis(&s, "HSET usher:tenant:acme modules '%s'",
                "maintenance(retry_after=2m page=\"<h1>Back (soon)</h1>\")");
    await_get(&s, "a.test", "/", 503, "<h1>Back (soon)</h1>");
    c = scene_open(&s);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    r = client_read(c);
    expect_status(r, 503);
    cr_assert_str_eq(response_field(&r, "retry-after"), "120");
    cr_assert_str_eq(response_field(&r, "content-type"), "text/html; charset=utf-8");
    expect_status(client_get(c, "a.test", "/"), 503); /* the connection serves on */
    cr_assert_eq(origin_requests(o), 0);
    scene_redis(&s, "HDEL usher:tenant:acme modules");
    await_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(mod_maintenance, those_within_the_ranges_are_served)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    acme(&s, o, "maintenance(allow=127.0.0.8/30,127.0.1.0,2001:db8::/32)");
    await_get(&s, "a.test", "/", 503, NULL);
    cr_assert_eq(status_from(&s, "127.0.0.7", "/", ""), 503);
    cr_assert_eq(status_from(&s, "127.0.0.8", "/", ""), 200);
    cr_assert_eq(status_from(&s, "127.0.0.11", "/", ""), 200);
    cr_assert_eq(status_from(&s, "127.0.0.12", "/", ""), 503);
    cr_assert_eq(status_from(&s, "127.0.1.0", "/", ""), 200);
    cr_assert_eq(status_from(&s, "127.0.1.1", "/", ""), 503);
    /* A header is nobody's address. */
    cr_assert_eq(status_from(&s, "127.0.0.7", "/", "X-Forwarded-For: 127.0.0.8\r\n"), 503);
    scene_redis(&s, "HSET usher:tenant:acme modules 'maintenance(allow=::ffff:127.0.0.0/104)'");
    await(status_from(&s, "127.0.0.7", "/", "") == 200);
    scene_end(&s);
}

SCENARIO(mod_maintenance, clients_that_come_by_ipv6_are_judged_too)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .flags = { "--listen", "[::1]:0" });
    acme(&s, o, "maintenance(allow=::1)");
    await_get(&s, "a.test", "/", 503, NULL);
    cr_assert_eq(client_get_once(s.edge.also[1], "a.test", "/").status, 200);
    scene_redis(&s, "HSET usher:tenant:acme modules 'maintenance(allow=::2,127.0.0.1)'");
    await_get(&s, "a.test", "/", 200, "one");
    cr_assert_eq(client_get_once(s.edge.also[1], "a.test", "/").status, 503);
    scene_end(&s);
}

SCENARIO(mod_maintenance, bearers_of_the_cookie_are_served_and_open_paths_to_all)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    const char *at = "127.0.0.1";

    scene_start(&s);
    acme(&s, o, "maintenance(cookie door=s3cret-9 open=/health,/public/*)");
    await_get(&s, "a.test", "/", 503, NULL);
    cr_assert_eq(status_from(&s, at, "/", "Cookie: a=b; door=s3cret-9\r\n"), 200);
    cr_assert_eq(status_from(&s, at, "/", "Cookie: door=s3cret-\r\n"), 503);
    cr_assert_eq(status_from(&s, at, "/", "Cookie: door=s3cret-90\r\n"), 503);
    cr_assert_eq(status_from(&s, at, "/", "Cookie: Door=s3cret-9\r\n"), 503);
    cr_assert_eq(status_from(&s, at, "/", "Cookie: xdoor=s3cret-9\r\n"), 503);
    cr_assert_eq(status_from(&s, at, "/", "Cookie: door=\r\n"), 503);
    cr_assert_eq(status_from(&s, at, "/health", ""), 200);
    cr_assert_eq(status_from(&s, at, "/health?x=1", ""), 200);
    cr_assert_eq(status_from(&s, at, "/healthy", ""), 503);
    cr_assert_eq(status_from(&s, at, "/health/", ""), 503);
    cr_assert_eq(status_from(&s, at, "/public", ""), 200);
    cr_assert_eq(status_from(&s, at, "/public/x/y", ""), 200);
    cr_assert_eq(status_from(&s, at, "/publicly", ""), 503);
    cr_assert_eq(status_from(&s, at, "/public/../x", ""), 503);
    cr_assert_eq(status_from(&s, at, "/x/%2e%2e/health", ""), 200);
    expect_metric(&s, "usher_module_maintenance_passed_total", 6);
    scene_end(&s);
}
