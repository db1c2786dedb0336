/* t_allow_deny.c -- who may ask a tenant at all.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: rules with `from` (o_routes.c); bans of the whole cluster. */
#include "harness/scene.h"

static struct origin *begin(struct scene *s)
{
    struct origin *o = origin_start("one");

    scene_start(s, .workers = 2);
    scene_redis(s, "HSET usher:tenant:acme to %s", origin_at(o));
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_host(s, "c.test", o);
    scene_live(s);
    return o;
}

static struct response get_from(struct scene *s, const char *source, const char *host)
{
    struct client *c = client_open_from(s->edge.at, source);
    struct response r = client_get(c, host, "/");

    client_close(c);
    return r;
}

SCENARIO(allow_deny, ranges_hold_at_once_and_the_narrower_one_has_the_word)
{
    static struct scene s;
    struct origin *o = begin(&s);
    struct response r;

    expect_status(get_from(&s, "127.0.0.9", "a.test"), 200);
    scene_redis(&s, "HSET usher:tenant:acme deny '127.0.0.8/29 192.0.2.0/24'");
    scene_live(&s);
    r = get_from(&s, "127.0.0.9", "a.test");
    expect_status(r, 403);
    cr_expect_str_eq(response_fault(&r), "denied_address");
    cr_expect_eq(origin_requests(o), 1);
    expect_status(get_from(&s, "127.0.0.9", "c.test"), 200);
    expect_status(get_from(&s, "127.0.0.1", "a.test"), 200);
    scene_redis(&s, "HSET usher:tenant:acme allow '127.0.0.9, 127.0.0.16/28'");
    scene_live(&s);
    expect_status(get_from(&s, "127.0.0.9", "a.test"), 200);
    expect_status(get_from(&s, "127.0.0.10", "a.test"), 403);
    expect_status(get_from(&s, "127.0.0.17", "a.test"), 200);
    expect_status(get_from(&s, "127.0.0.1", "a.test"), 403);
    scene_redis(&s, "HDEL usher:tenant:acme allow deny");
    scene_live(&s);
    expect_status(get_from(&s, "127.0.0.10", "a.test"), 200);
    scene_end(&s);
}

SCENARIO(allow_deny, a_denied_client_spends_nothing_of_the_tenant)
{
    static struct scene s;

    begin(&s);
    scene_redis(&s, "HSET usher:tenant:acme deny 127.0.0.9 rps 1 burst 2 max_conns 1");
    scene_live(&s);
    for (unsigned i = 0; i < 20; i++)
        expect_status(get_from(&s, "127.0.0.9", "a.test"), 403);
    expect_status(get_from(&s, "127.0.0.1", "a.test"), 200);
    expect_fault_count(&s, "denied_address", 20);
    cr_expect(strstr(scene_page(&s, "/dump/tenants"), "\"address\":20"));
    scene_end(&s);
}

SCENARIO(allow_deny, a_host_and_the_defaults_may_say_it)
{
    static struct scene s;
    struct origin *o = begin(&s);

    scene_redis(&s, "HSET usher:defaults deny 127.0.0.9");
    scene_redis(&s, "HSET usher:host:b.test to %s deny off", origin_at(o));
    scene_live(&s);
    expect_status(get_from(&s, "127.0.0.9", "a.test"), 403);
    expect_status(get_from(&s, "127.0.0.9", "c.test"), 403);
    expect_status(get_from(&s, "127.0.0.9", "b.test"), 200);
    expect_status(get_from(&s, "127.0.0.1", "c.test"), 200);
    scene_redis(&s, "HSET usher:tenant:acme deny 127.0.0.x");
    await(atoi(scene_redis(&s, "HEXISTS usher:errors usher:tenant:acme")) == 1);
    cr_expect(
        strstr(scene_redis(&s, "HGET usher:errors usher:tenant:acme"), "a range of addresses"));
    expect_status(get_from(&s, "127.0.0.9", "a.test"), 403);
    scene_end(&s);
}

/* Whose address it is: the client's, as whoever is trusted forwards it. */
SCENARIO(allow_deny, the_address_is_the_client_s_own_behind_a_trusted_forwarder)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1, .flags = { "--trusted-forwarders", "127.0.0.1" });
    scene_redis(&s, "HSET usher:host:a.test to %s allow 192.0.2.0/24", origin_at(o));
    scene_live(&s);
    expect_status(
        scene_exchange(&s, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"),
        200);
    expect_status(
        scene_exchange(&s, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 192.0.3.7\r\n\r\n"),
        403);
    expect_status(scene_exchange(&s, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"), 403);
    scene_end(&s);
}
