/* q_names.c -- endpoints that have a name: resolved while they are in use, followed, kept when that fails.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: addresses as endpoints (b_proxy_basic.c). */
#include "harness/dns_server.h"
#include "harness/places.h"
#include "harness/responder.h"
#include "harness/scene.h"

#define NAME "app.internal"

static struct dns_server *dns;
static struct places *places;

/* An origin at every address of 127.0.0.0/8, which says at which it was asked. */
static void begin(struct scene *s, unsigned workers, const char *more, const char *value)
{
    dns = dns_server_start();
    places = places_start();
    scene_start(s, .workers = workers, .flags = { "--resolver", dns_server_at(dns), more, value });
}

static void name_host(struct scene *s, const char *host)
{
    scene_redis(s, "SET usher:host:%s " NAME ":%u", host, places_port(places));
    scene_live(s);
}

static void end(struct scene *s)
{
    places_stop(places); /* before its memory goes */
    scene_end(s);
}

SCENARIO(names, a_name_is_resolved_and_followed_when_its_time_to_live_is_over)
{
    static struct scene s;
    double rounds;

    begin(&s, 2, NULL, NULL);
    dns_server_say(dns, NAME, 1, "127.1.1.1");
    name_host(&s, "a.test");
    await_get(&s, "a.test", "/", 200, "127.1.1.1");
    rounds = scene_metric(&s, "usher_changes_published_total");
    dns_server_say(dns, NAME, 3600, "127.1.1.2");
    await_get(&s, "a.test", "/", 200, "127.1.1.2");
    cr_assert_eq(scene_metric(&s, "usher_changes_published_total"), rounds,
                 "nothing is compiled anew");
    cr_assert(has(scene_page(&s, "/dump/names"),
                  "[{\"name\":\"" NAME "\",\"failures\":0,\"addresses\":[\"127.1.1.2\"]}]"));
    end(&s);
}

SCENARIO(names, all_addresses_of_a_name_are_used)
{
    static const char *const all[] = { "127.1.1.1", "127.1.1.2", "127.1.1.3" };
    static struct scene s;
    unsigned seen[3] = { 0 };

    begin(&s, 1, NULL, NULL);
    dns_server_say(dns, NAME, 3600, "127.1.1.1 127.1.1.2 127.1.1.3");
    name_host(&s, "a.test");
    for (unsigned i = 0; i < 12; i++) {
        struct response got = scene_get(&s, "a.test", "/");

        for (unsigned j = 0; j < 3; j++)
            seen[j] += strcmp(got.text, all[j]) == 0;
    }
    for (unsigned j = 0; j < 3; j++)
        cr_assert_eq(seen[j], 4, "%s: %u", all[j], seen[j]);
    end(&s);
}

SCENARIO(names, an_address_that_refuses_is_no_fault_while_there_is_another)
{
    static struct scene s;

    begin(&s, 1, NULL, NULL);
    dns_server_say(dns, NAME, 3600, "::1 127.1.1.1"); /* the origin has no IPv6 */
    name_host(&s, "a.test");
    for (unsigned i = 0; i < 8; i++)
        expect_get(&s, "a.test", "/", 200, "127.1.1.1");
    dns_server_say(dns, "none.internal", 3600, "::1 ::2");
    scene_redis(&s, "SET usher:host:b.test none.internal:%u", places_port(places));
    scene_live(&s);
    expect_fault(&s, "b.test", "connect_failed");
    cr_assert_eq(scene_fault_count(&s, "connect_failed"), 1);
    end(&s);
}

/* It fails like this; what was known serves on, and is followed again once it is mended. */
static void expect_kept(struct scene *s, enum dns_mood mood)
{
    double before = scene_metric(s, "usher_name_failures_total");

    dns_server_mood(dns, mood);
    await_within(scene_metric(s, "usher_name_failures_total") > before, 20000);
    expect_get(s, "a.test", "/", 200, NULL);
    cr_assert_eq(scene_metric(s, "usher_names_failing"), 1);
    cr_assert_eq(scene_metric(s, "usher_names{state=\"resolved\"}"), 1);
    dns_server_mood(dns, DNS_ANSWERS);
    await_within(scene_metric(s, "usher_names_failing") == 0, 40000);
}

SCENARIO(names, a_failure_keeps_the_last_addresses)
{
    static struct scene s;

    begin(&s, 2, NULL, NULL);
    dns_server_say(dns, NAME, 1, "127.1.1.1");
    name_host(&s, "a.test");
    expect_get(&s, "a.test", "/", 200, "127.1.1.1");
    expect_kept(&s, DNS_SERVFAIL);
    cr_assert_eq(scene_logged(&s, "name_failed name=" NAME), 1);
    cr_assert_eq(scene_logged(&s, "name_resolved_again name=" NAME), 1);
    expect_kept(&s, DNS_SILENT);
    dns_server_say(dns, NAME, 1, ""); /* there is such a name, and it has no address any more */
    await(scene_metric(&s, "usher_names_failing") == 1);
    expect_get(&s, "a.test", "/", 200, "127.1.1.1");
    dns_server_say(dns, NAME, 1, "127.1.1.5");
    await_get(&s, "a.test", "/", 200, "127.1.1.5");
    end(&s);
}

SCENARIO(names, a_name_that_is_none_is_told_at_once_and_asked_for_again)
{
    static struct scene s;

    begin(&s, 2, NULL, NULL);
    name_host(&s, "a.test");
    expect_fault(&s, "a.test", "name_unresolved");
    await(scene_metric(&s, "usher_names{state=\"unresolved\"}") == 1);
    dns_server_say(dns, NAME, 3600, "127.1.1.1");
    await_get(&s, "a.test", "/", 200, "127.1.1.1");
    end(&s);
}

SCENARIO(names, the_first_request_waits_for_the_first_address)
{
    static struct scene s;
    struct client *c[5];

    begin(&s, 2, "--connect-timeout", "30s");
    dns_server_say(dns, NAME, 3600, "127.1.1.1");
    dns_server_mood(dns, DNS_SILENT);
    name_host(&s, "a.test");
    for (unsigned i = 0; i < 5; i++) {
        c[i] = scene_open(&s);
        client_send(c[i], "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    }
    await(scene_metric(&s, "usher_exchanges") >= 5 && dns_server_questions(dns) > 0);
    client_close(c[4]); /* who goes away meanwhile is forgotten */
    dns_server_mood(dns, DNS_ANSWERS);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_str_eq(client_read(c[i]).text, "127.1.1.1");
    await(scene_metric(&s, "usher_exchanges") == 0);
    end(&s);
}

SCENARIO(names, it_waits_no_longer_than_for_a_connection)
{
    static struct scene s;
    uint64_t began;

    begin(&s, 1, "--connect-timeout", "300ms");
    dns_server_mood(dns, DNS_SILENT);
    name_host(&s, "a.test");
    began = await_now_ms();
    expect_fault(&s, "a.test", "name_unresolved");
    cr_assert_lt(await_now_ms() - began, 3000);
    end(&s);
}

SCENARIO(names, an_answer_that_does_not_fit_is_asked_for_by_tcp)
{
    static struct scene s;

    begin(&s, 1, NULL, NULL);
    dns_server_say(dns, NAME, 3600, "127.1.1.1");
    dns_server_mood(dns, DNS_TRUNCATES);
    name_host(&s, "a.test");
    expect_get(&s, "a.test", "/", 200, "127.1.1.1");
    cr_assert_gt(dns_server_by_tcp(dns), 0);
    end(&s);
}

SCENARIO(names, lead_to_no_place_where_no_endpoint_may_be)
{
    static struct scene s;

    begin(&s, 1, NULL, NULL);
    dns_server_say(dns, NAME, 3600, "169.254.169.254");
    name_host(&s, "a.test");
    expect_fault(&s, "a.test", "endpoint_forbidden");
    dns_server_say(dns, "self.internal", 3600, "127.0.0.1");
    scene_redis(&s, "SET usher:host:b.test self.internal:%s", strrchr(s.edge.at, ':') + 1);
    scene_live(&s);
    expect_fault(&s, "b.test", "endpoint_forbidden");
    dns_server_say(dns, "both.internal", 3600, "169.254.169.254 127.1.1.1");
    scene_redis(&s, "SET usher:host:c.test both.internal:%u", places_port(places));
    scene_live(&s);
    for (unsigned i = 0; i < 4; i++)
        expect_get(&s, "c.test", "/", 200, "127.1.1.1");
    end(&s);
}

SCENARIO(names, one_name_is_asked_for_once_and_no_more_when_nobody_has_it)
{
    static struct scene s;

    begin(&s, 2, NULL, NULL);
    dns_server_say(dns, NAME, 3600, "127.1.1.1");
    for (unsigned i = 0; i < 20; i++)
        scene_redis(&s, "SET usher:host:h%u.test '" NAME ":%u 127.1.1.1:%u'", i,
                    places_port(places), i + 1);
    name_host(&s, "a.test");
    scene_redis(&s, "HSET usher:endpoints:web " NAME ":%u 100", places_port(places));
    scene_redis(&s, "SET usher:host:b.test service:web");
    scene_live(&s);
    expect_get(&s, "a.test", "/", 200, "127.1.1.1");
    expect_get(&s, "b.test", "/", 200, "127.1.1.1");
    expect_get(&s, "h3.test", "/", 200, "127.1.1.1");
    cr_assert_eq(dns_server_questions(dns), 1);
    cr_assert_eq(scene_metric(&s, "usher_names{state=\"resolved\"}"), 1);
    for (unsigned i = 0; i < 20; i++)
        scene_redis(&s, "DEL usher:host:h%u.test", i);
    scene_redis(&s, "DEL usher:host:a.test usher:host:b.test usher:endpoints:web");
    await(scene_metric(&s, "usher_names{state=\"resolved\"}") == 0);
    end(&s);
}

SCENARIO(names, a_time_to_live_of_nothing_is_no_storm)
{
    static struct scene s;
    uint64_t began;

    begin(&s, 1, NULL, NULL);
    dns_server_say(dns, NAME, 0, "127.1.1.1");
    name_host(&s, "a.test");
    began = await_now_ms();
    for (unsigned i = 0; i < 200; i++)
        expect_get(&s, "a.test", "/", 200, "127.1.1.1");
    await(dns_server_questions(dns) >= 3);
    cr_assert_leq(dns_server_questions(dns), (await_now_ms() - began) / 1000 + 2);
    end(&s);
}

SCENARIO(names, the_system_resolves_where_nobody_else_is_named)
{
    static struct scene s;

    places = places_start();
    scene_start(&s, .workers = 1);
    scene_redis(&s, "SET usher:host:a.test localhost:%u", places_port(places));
    scene_live(&s);
    for (unsigned i = 0; i < 4; i++)
        expect_get(&s, "a.test", "/", 200, "127.0.0.1");
    end(&s);
}

SCENARIO(names, are_checked_at_the_addresses_they_have)
{
    static struct scene s;

    begin(&s, 1, NULL, NULL);
    dns_server_say(dns, NAME, 3600, "127.1.1.1");
    scene_redis(&s, "HSET usher:endpoints:app " NAME ":%u 100 [::1]:%u 100", places_port(places),
                places_port(places));
    scene_redis(&s, "HSET usher:service:app health_path / health_interval 100ms health_fall 1");
    scene_redis(&s, "SET usher:host:a.test service:app");
    scene_live(&s);
    scene_get(&s, "a.test", "/");
    await(scene_logged(&s, "[::1]") > 0); /* that one is down, the name is not */
    for (unsigned i = 0; i < 6; i++)
        expect_get(&s, "a.test", "/", 200, "127.1.1.1");
    cr_assert(!has(process_log(&s.edge.process), "its name has no address"));
    end(&s);
}

SCENARIO(names, fastcgi_endpoints_have_names_too)
{
    static struct scene s;
    struct responder *r = responder_start("127.0.0.1:0");

    begin(&s, 1, NULL, NULL);
    dns_server_say(dns, NAME, 3600, "127.0.0.1");
    scene_redis(&s, "SET usher:host:a.test 'fcgi://" NAME "%s root=/srv'",
                strrchr(responder_at(r), ':'));
    scene_live(&s);
    expect_get(&s, "a.test", "/x.php", 200, NULL);
    cr_assert_str_eq(responder_param(r, "SCRIPT_FILENAME"), "/srv/x.php");
    end(&s);
}
