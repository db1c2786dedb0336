/* test_scenario_cors.c -- what browsers are told of other origins' pages. */
#include "harness/scene.h"

#include <stdlib.h>

static void acme(struct scene *s, const struct origin *o, const char *modules)
{
    scene_redis(s, "HSET usher:tenant:acme to %s modules '%s'", origin_at(o), modules);
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_live(s);
    await_get(s, "a.test", "/", 200, NULL);
}

/* What a page of `origin` is told; `more`: header lines. */
static struct response asks(struct scene *s, const char *method, const char *origin,
                            const char *more)
{
    return scene_exchange(s, kept_format("%s / HTTP/1.1\r\nHost: a.test\r\nOrigin: %s\r\n%s"
                                         "Connection: close\r\n\r\n",
                                         method, origin, more));
}

static struct response preflight(struct scene *s, const char *origin)
{
    return asks(s, "OPTIONS", origin, "Access-Control-Request-Method: PUT\r\n");
}

static void expect_field(struct response r, const char *name, const char *value)
{
    char *is = response_field(&r, name);

    if (value == NULL)
        cr_assert_null(is, "%s: %s", name, is);
    else
        cr_assert(is != NULL && strcmp(is, value) == 0, "%s: %s, not %s", name, is, value);
}

SCENARIO(mod_cors, preflights_are_answered_and_no_endpoint_sees_them)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;
    unsigned before;

    scene_start(&s);
    acme(&s, o,
         "cors(origins=https://app.example,https://*.sub.example:8443 methods=GET,PUT"
         " headers=X-One,X-Two expose=X-Three credentials max_age=5m)");
    before = origin_requests(o);
    r = preflight(&s, "https://app.example");
    expect_status(r, 204);
    expect_field(r, "access-control-allow-origin", "https://app.example");
    expect_field(r, "access-control-allow-credentials", "true");
    expect_field(r, "access-control-allow-methods", "GET, PUT");
    expect_field(r, "access-control-allow-headers", "X-One, X-Two");
    expect_field(r, "access-control-max-age", "300");
    expect_field(r, "access-control-expose-headers", NULL);
    expect_field(r, "vary", "Origin");
    r = preflight(&s, "https://evil.example");
    expect_status(r, 204);
    expect_field(r, "access-control-allow-origin", NULL);
    expect_field(r, "access-control-allow-methods", NULL);
    expect_field(r, "vary", "Origin");
    cr_assert_eq(origin_requests(o), before);
    expect_metric(&s, "usher_module_cors_preflights_total", 2);
    expect_metric(&s, "usher_module_cors_refused_total", 1);
    /* OPTIONS that is no preflight is the endpoint's to answer. */
    expect_status(asks(&s, "OPTIONS", "https://app.example", ""), 200);
    cr_assert_eq(origin_requests(o), before + 1);
    scene_end(&s);
}

SCENARIO(mod_cors, only_the_origins_that_are_named_are_allowed)
{
    static const struct {
        const char *origin;
        bool allowed;
    } cases[] = {
        { "https://app.example", true },
        { "https://app.example:443", false }, /* no browser says the usual port */
        { "http://app.example", false },
        { "https://app.example:8443", false },
        { "https://xapp.example", false },
        { "https://app.example.evil.test", false },
        { "https://a.sub.example:8443", true },
        { "https://a.b.sub.example:8443", true },
        { "https://sub.example:8443", false },
        { "https://.sub.example:8443", false },
        { "https://a.sub.example", false },
        { "https://evil.test/.sub.example:8443", false },
        { "https://evil.test:80@x.sub.example:8443", false },
        { "https://evil.testsub.example:8443", false },
        { "null", false },
    };
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    acme(&s, o, "cors(origins=https://app.example:443,https://*.sub.example:8443)");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct response r = asks(&s, "GET", cases[i].origin, "");

        expect_status(r, 200); /* it is the browser that keeps the page from reading */
        cr_assert_str_eq(r.text, "one");
        expect_field(r, "access-control-allow-origin", cases[i].allowed ? cases[i].origin : NULL);
        expect_field(r, "access-control-allow-credentials", NULL);
        expect_field(r, "vary", "Origin");
    }
    scene_end(&s);
}

SCENARIO(mod_cors, what_the_endpoint_says_of_it_is_replaced)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;

    scene_start(&s);
    origin_answers(o, "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\n"
                      "access-control-allow-credentials: true\r\nACCESS-CONTROL-MAX-AGE: 9\r\n"
                      "Access-Control-Allow-Origin: https://other.example\r\n"
                      "Vary: Accept, origin\r\nX-Kept: yes\r\nContent-Length: 0\r\n\r\n");
    acme(&s, o, "cors(origins=https://app.example expose=X-Kept)");
    r = asks(&s, "GET", "https://app.example", "");
    cr_assert_eq(message_field_count(r.head, "access-control-allow-origin"), 1);
    expect_field(r, "access-control-allow-origin", "https://app.example");
    expect_field(r, "access-control-allow-credentials", NULL);
    expect_field(r, "access-control-max-age", NULL);
    expect_field(r, "access-control-expose-headers", "X-Kept");
    expect_field(r, "x-kept", "yes");
    cr_assert_eq(message_field_count(r.head, "vary"), 1);
    r = asks(&s, "GET", "https://evil.example", "");
    expect_field(r, "access-control-allow-origin", NULL);
    expect_field(r, "access-control-allow-credentials", NULL);
    scene_end(&s);
}

SCENARIO(mod_cors, a_star_is_for_all_and_faults_can_be_read_too)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;

    scene_start(&s);
    scene_redis(&s, "HSET usher:routes:acme no 'path /no deny'");
    acme(&s, o, "cors(origins=* headers=*)");
    r = asks(&s, "GET", "https://any.example", "");
    expect_field(r, "access-control-allow-origin", "*");
    expect_field(r, "vary", NULL);
    r = preflight(&s, "null");
    expect_status(r, 204);
    expect_field(r, "access-control-allow-origin", "*");
    expect_field(r, "access-control-allow-methods", "GET, HEAD, POST");
    expect_field(r, "access-control-allow-headers", "*");
    expect_field(r, "access-control-max-age", "600");
    r = scene_exchange(&s, "GET /no HTTP/1.1\r\nHost: a.test\r\nOrigin: https://any.example\r\n"
                           "Connection: close\r\n\r\n");
    expect_status(r, 403);
    expect_field(r, "access-control-allow-origin", "*");
    r = scene_get(&s, "a.test", "/");
    expect_field(r, "access-control-allow-origin", NULL);
    scene_end(&s);
}
