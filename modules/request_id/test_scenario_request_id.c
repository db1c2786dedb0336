/* test_scenario_request_id.c -- ids that endpoints and clients see.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: its settings by themselves (test_unit_request_id.c). */
#include "harness/scene.h"

#define GET(more) "GET / HTTP/1.1\r\nHost: a.test\r\nX-From: me\r\n" more "\r\n"

/* The value of this header in what the origin got last; "" when it has none. */
static const char *got(struct origin *o, const char *name)
{
    const char *field = strstr(origin_last(o)->head, kept_format("\r\n%s: ", name));
    size_t at = strlen(name) + 4;

    return field == NULL ? "" : kept_format("%.*s", (int)strcspn(field + at, "\r"), field + at);
}

/* One request; expects both sides to have the same id, and returns it. */
static const char *id_of(struct scene *s, struct origin *o, const char *request)
{
    struct response r = scene_exchange(s, request);
    const char *id = response_field(&r, "X-Request-Id");

    expect_status(r, 200);
    cr_assert_not_null(id);
    cr_assert_str_eq(id, got(o, "X-Request-Id"));
    return id;
}

SCENARIO(request_id, each_request_has_one_of_its_own_on_both_sides)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    const char *first, *second;

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme to %s modules request_id", origin_at(o));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/", 200, "one");
    first = id_of(&s, o, GET(""));
    second = id_of(&s, o, GET("X-Request-Id: mine\r\n"));
    cr_expect_eq(strlen(first), 32, "%s", first);
    cr_expect_eq(strlen(second), 32, "%s", second);
    cr_expect_str_neq(first, second);
    scene_end(&s);
}

/* An endpoint that takes trailers for headers would have the client's word for the module's. */
SCENARIO(request_id, the_client_does_not_say_it_in_a_trailer)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme to %s modules request_id", origin_at(o));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/", 200, "one");
    expect_status(scene_exchange(&s, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked"
                                     "\r\n\r\n2\r\nhi\r\n0\r\nX-Request-Id: mine\r\n\r\n"),
                  200);
    cr_expect_str_eq(origin_last(o)->body.trailers, "", "%s", origin_last(o)->body.trailers);
    scene_end(&s);
}

SCENARIO(request_id, the_clients_is_kept_when_it_is_trusted_and_well_formed)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme to %s modules 'request_id(trust)'", origin_at(o));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/", 200, "one");
    cr_expect_str_eq(id_of(&s, o, GET("X-Request-Id: mine-1\r\n")), "mine-1");
    cr_expect_eq(strlen(id_of(&s, o, GET("X-Request-Id: <b>mine\r\n"))), 32);
    cr_expect_eq(strlen(id_of(&s, o, GET("X-Request-Id: a\r\nX-Request-Id: b\r\n"))), 32);
    cr_expect_eq(strlen(id_of(&s, o, GET(""))), 32);
    scene_end(&s);
}

SCENARIO(request_id, the_name_is_a_setting_and_the_response_a_switch)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme to %s modules 'request_id(header=X-Id response=off)'",
                origin_at(o));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/", 200, "one");
    r = scene_exchange(&s, GET(""));
    cr_expect_null(response_field(&r, "X-Id"));
    cr_expect_eq(strlen(got(o, "X-Id")), 32);
    cr_expect_str_eq(got(o, "X-Request-Id"), "");
    scene_end(&s);
}
