/* d_routing_change.c -- which site a host is, and what each change in Redis does to it.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: changes that hold nonsense (e_bad_records.c); Redis away (f_store_outage.c); many
 *           changes raced (d_swaps.c); how soon (d_moments.c). */
#include "harness/scene.h"

#include <stdlib.h>

SCENARIO(routing, exact_host_beats_wildcards_and_the_longest_wildcard_wins)
{
    static struct scene s;

    scene_start(&s);
    scene_host(&s, "*", origin_start("any"));
    scene_host(&s, "*.test", origin_start("short"));
    scene_host(&s, "*.shop.test", origin_start("long"));
    scene_host(&s, "a.shop.test", origin_start("exact"));
    scene_live(&s);
    expect_get(&s, "a.shop.test", "/", 200, "exact");
    expect_get(&s, "b.shop.test", "/", 200, "long");
    expect_get(&s, "c.b.shop.test", "/", 200, "long");
    expect_get(&s, "shop.test", "/", 200, "short");
    expect_get(&s, "test", "/", 200, "any");
    expect_get(&s, "elsewhere.example", "/", 200, "any");
    scene_end(&s);
}

SCENARIO(routing, an_unknown_host_is_404)
{
    static struct scene s;

    scene_start(&s);
    scene_host(&s, "*.a.test", origin_start("one"));
    expect_fault(&s, "a.test", "unknown_host");
    expect_fault(&s, "xa.test", "unknown_host");
    expect_fault(&s, "b.test", "unknown_host");
    scene_end(&s);
}

SCENARIO(routing, a_new_host_is_served_though_it_was_unknown)
{
    static struct scene s;

    scene_start(&s);
    await_fault(&s, "a.test", "unknown_host");
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(routing, a_new_wildcard_undoes_the_unknown_and_the_shorter_below_it)
{
    static struct scene s;

    scene_start(&s);
    await_fault(&s, "a.b.test", "unknown_host");
    scene_host(&s, "*.test", origin_start("short"));
    await_get(&s, "a.b.test", "/", 200, "short");
    scene_host(&s, "*.b.test", origin_start("long"));
    await_get(&s, "a.b.test", "/", 200, "long");
    scene_host(&s, "a.b.test", origin_start("exact"));
    await_get(&s, "a.b.test", "/", 200, "exact");
    scene_redis(&s, "DEL usher:host:a.b.test");
    await_get(&s, "a.b.test", "/", 200, "long");
    scene_redis(&s, "DEL usher:host:*.b.test");
    await_get(&s, "a.b.test", "/", 200, "short");
    scene_redis(&s, "DEL usher:host:*.test");
    await_fault(&s, "a.b.test", "unknown_host");
    scene_end(&s);
}

SCENARIO(routing, the_wildcard_of_all_comes_and_goes_at_once)
{
    static struct scene s;

    scene_start(&s);
    scene_host(&s, "*.b.test", origin_start("parent"));
    await_fault(&s, "a.test", "unknown_host");
    await_get(&s, "a.b.test", "/", 200, "parent");
    scene_host(&s, "*", origin_start("all"));
    await_get(&s, "a.test", "/", 200, "all");
    await_get(&s, "192.0.2.1", "/", 200, "all");
    expect_get(&s, "a.b.test", "/", 200, "parent");
    scene_host(&s, "*", origin_start("other"));
    await_get(&s, "a.test", "/", 200, "other");
    scene_redis(&s, "DEL usher:host:*");
    await_fault(&s, "a.test", "unknown_host");
    expect_get(&s, "a.b.test", "/", 200, "parent");
    scene_redis(&s, "DEL usher:host:*.b.test");
    await_fault(&s, "a.b.test", "unknown_host");
    scene_end(&s);
}

SCENARIO(routing, a_host_moves_to_another_origin)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");

    scene_start(&s);
    scene_host(&s, "a.test", one);
    await_get(&s, "a.test", "/", 200, "one");
    for (unsigned i = 0; i < 10; i++) {
        scene_host(&s, "a.test", i % 2 == 0 ? two : one);
        await_get(&s, "a.test", "/", 200, i % 2 == 0 ? "two" : "one");
    }
    scene_end(&s);
}

SCENARIO(routing, a_kept_alive_client_sees_the_move)
{
    static struct scene s;
    struct client *c;

    scene_start(&s);
    scene_host(&s, "a.test", origin_start("one"));
    scene_live(&s);
    c = scene_open(&s);
    cr_assert_str_eq(client_get(c, "a.test", "/").text, "one");
    scene_host(&s, "a.test", origin_start("two"));
    await_within(strcmp(client_get(c, "a.test", "/").text, "two") == 0, 1000);
    scene_end(&s);
}

SCENARIO(routing, a_host_is_a_tenants_and_moves_to_another)
{
    static struct scene s;

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(origin_start("acme")));
    scene_redis(&s, "HSET usher:tenant:beta to %s status active", origin_at(origin_start("beta")));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    scene_redis(&s, "HSET usher:host:b.test tenant acme");
    await_get(&s, "a.test", "/", 200, "acme");
    await_get(&s, "b.test", "/", 200, "acme");
    scene_redis(&s, "SET usher:host:a.test tenant:beta");
    await_get(&s, "a.test", "/", 200, "beta");
    scene_redis(&s, "HSET usher:host:b.test tenant beta");
    await_get(&s, "b.test", "/", 200, "beta");
    scene_end(&s);
}

SCENARIO(routing, a_host_may_override_what_its_tenant_says)
{
    static struct scene s;

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(origin_start("acme")));
    scene_redis(&s, "HSET usher:host:a.test tenant acme to %s", origin_at(origin_start("own")));
    scene_redis(&s, "HSET usher:host:b.test tenant acme status maintenance");
    await_get(&s, "a.test", "/", 200, "own");
    await_fault(&s, "b.test", "maintenance");
    scene_redis(&s, "HDEL usher:host:a.test to");
    await_get(&s, "a.test", "/", 200, "acme");
    scene_redis(&s, "HDEL usher:host:b.test status");
    await_get(&s, "b.test", "/", 200, "acme");
    scene_end(&s);
}

SCENARIO(routing, a_tenant_changes_its_service)
{
    static struct scene s;

    scene_start(&s);
    scene_endpoint(&s, "blue", origin_start("blue"));
    scene_endpoint(&s, "green", origin_start("green"));
    scene_redis(&s, "HSET usher:tenant:acme to service:blue");
    for (unsigned i = 0; i < 5; i++)
        scene_redis(&s, "SET usher:host:h%u.test tenant:acme", i);
    for (unsigned i = 0; i < 5; i++)
        await_get(&s, kept_format("h%u.test", i), "/", 200, "blue");
    scene_redis(&s, "HSET usher:tenant:acme to service:green");
    for (unsigned i = 0; i < 5; i++)
        await_get(&s, kept_format("h%u.test", i), "/", 200, "green");
    scene_end(&s);
}

SCENARIO(routing, a_tenants_status_closes_and_opens_its_hosts)
{
    static struct scene s;
    struct response r;

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(origin_start("one")));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "HSET usher:tenant:acme status maintenance");
    await_fault(&s, "a.test", "maintenance");
    r = scene_get(&s, "a.test", "/");
    cr_assert_not_null(response_field(&r, "retry-after"), "%s", r.head);
    scene_redis(&s, "HSET usher:tenant:acme status suspended");
    await_fault(&s, "a.test", "suspended");
    scene_redis(&s, "HSET usher:tenant:acme status active");
    await_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(routing, a_site_without_to_has_no_route)
{
    static struct scene s;

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme status active");
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_fault(&s, "a.test", "no_route");
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(origin_start("one")));
    await_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(routing, an_endpoint_is_added_and_taken_out)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");

    scene_start(&s, .workers = 1);
    scene_endpoint(&s, "web", one);
    scene_redis(&s, "SET usher:host:a.test service:web");
    await_get(&s, "a.test", "/", 200, "one");
    cr_assert_eq(origin_requests(two), 0);
    scene_endpoint(&s, "web", two);
    await(scene_get(&s, "a.test", "/").status == 200 && origin_requests(two) > 0);
    scene_redis(&s, "HDEL usher:endpoints:web %s", origin_at(one));
    await_get(&s, "a.test", "/", 200, "two");
    scene_redis(&s, "DEL usher:endpoints:web");
    await_fault(&s, "a.test", "no_endpoint");
    scene_endpoint(&s, "web", one);
    await_get(&s, "a.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(routing, round_robin_keeps_the_weights)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *three = origin_start("three"),
                  *none = origin_start("none");
    struct client *c;

    scene_start(&s, .workers = 1);
    scene_redis(&s, "HSET usher:endpoints:web %s 100 %s weight=300 %s 0", origin_at(one),
                origin_at(three), origin_at(none));
    scene_redis(&s, "HSET usher:service:web balance round-robin");
    scene_redis(&s, "SET usher:host:a.test service:web");
    scene_live(&s);
    c = scene_open(&s);
    for (unsigned i = 0; i < 40; i++)
        expect_status(client_get(c, "a.test", "/"), 200);
    cr_assert_eq(origin_requests(one), 10);
    cr_assert_eq(origin_requests(three), 30);
    cr_assert_eq(origin_requests(none), 0);
    scene_end(&s);
}

SCENARIO(routing, random_keeps_the_weights_roughly)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *three = origin_start("three");
    struct client *c;

    scene_start(&s, .workers = 1);
    scene_redis(&s, "HSET usher:endpoints:web %s 100 %s 300", origin_at(one), origin_at(three));
    scene_redis(&s, "HSET usher:service:web balance random");
    scene_redis(&s, "SET usher:host:a.test service:web");
    scene_live(&s);
    c = scene_open(&s);
    for (unsigned i = 0; i < 800; i++)
        expect_status(client_get(c, "a.test", "/"), 200);
    /* 200 expected, deviation 12: eight of them */
    cr_assert(origin_requests(one) > 100 && origin_requests(one) < 300, "%u of 800",
              origin_requests(one));
    scene_end(&s);
}

SCENARIO(routing, several_endpoints_in_one_string_take_turns)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");
    struct client *c;

    scene_start(&s, .workers = 1);
    scene_redis(&s, "SET usher:host:a.test '%s  %s'", origin_at(one), origin_at(two));
    scene_live(&s);
    c = scene_open(&s);
    for (unsigned i = 0; i < 20; i++)
        expect_status(client_get(c, "a.test", "/"), 200);
    cr_assert_eq(origin_requests(one), 10);
    cr_assert_eq(origin_requests(two), 10);
    scene_end(&s);
}

SCENARIO(routing, all_weights_zero_is_no_endpoint)
{
    static struct scene s;

    scene_start(&s);
    scene_redis(&s, "HSET usher:endpoints:web %s 0", origin_at(origin_start("one")));
    scene_redis(&s, "SET usher:host:a.test service:web");
    await_fault(&s, "a.test", "no_endpoint");
    scene_end(&s);
}

SCENARIO(routing, what_is_deleted_is_gone)
{
    static struct scene s;

    scene_start(&s);
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(origin_start("one")));
    scene_redis(&s, "SET usher:host:a.test tenant:acme");
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "DEL usher:tenant:acme");
    await_fault(&s, "a.test", "tenant_gone");
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(origin_start("again")));
    await_get(&s, "a.test", "/", 200, "again");
    scene_redis(&s, "DEL usher:host:a.test");
    await_fault(&s, "a.test", "unknown_host");
    scene_redis(&s, "UNLINK usher:tenant:acme");
    scene_redis(&s, "SET usher:host:a.test %s", origin_at(origin_start("third")));
    await_get(&s, "a.test", "/", 200, "third");
    scene_end(&s);
}

SCENARIO(routing, rename_moves_a_host)
{
    static struct scene s;

    scene_start(&s);
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    await_fault(&s, "b.test", "unknown_host");
    scene_redis(&s, "RENAME usher:host:a.test usher:host:b.test");
    await_get(&s, "b.test", "/", 200, "one");
    await_fault(&s, "a.test", "unknown_host");
    scene_end(&s);
}

SCENARIO(routing, scripts_and_other_ways_to_write_are_seen)
{
    static struct scene s;
    struct origin *one = origin_start("one"), *two = origin_start("two");

    scene_start(&s);
    scene_host(&s, "a.test", one);
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "EVAL 'return redis.call(\"SET\",KEYS[1],ARGV[1])' 1 usher:host:a.test %s",
                origin_at(two));
    await_get(&s, "a.test", "/", 200, "two");
    scene_redis(&s, "COPY usher:host:a.test usher:host:b.test");
    await_get(&s, "b.test", "/", 200, "two");
    scene_redis(&s, "SET elsewhere %s", origin_at(one));
    scene_redis(&s, "RENAME elsewhere usher:host:b.test");
    await_get(&s, "b.test", "/", 200, "one");
    scene_redis(&s, "MOVE usher:host:b.test 1");
    await_fault(&s, "b.test", "unknown_host");
    scene_end(&s);
}

SCENARIO(routing, a_value_written_again_unchanged_swaps_nothing)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s, .workers = 1);
    scene_host(&s, "a.test", o);
    await_get(&s, "a.test", "/", 200, "one");
    for (unsigned i = 0; i < 20; i++)
        scene_host(&s, "a.test", o);
    await(scene_metric(&s, "usher_store_pushes_total") >= 2);
    await_get(&s, "a.test", "/", 200, "one");
    cr_assert_eq(origin_connections(o), 1, "its pool stays");
    scene_end(&s);
}

static void slow_at_gate(struct origin_conn *c, struct origin_request *r, void *arg)
{
    if (strcmp(r->target, "/slow") == 0)
        gate_wait(arg);
    origin_reply(c, r, 200, "old");
}

SCENARIO(routing, running_exchanges_end_as_they_began)
{
    static struct scene s;
    struct origin *o = origin_start("old");
    static struct gate gate = GATE_CLOSED;
    struct client *c;

    scene_start(&s);
    origin_script(o, slow_at_gate, &gate);
    scene_host(&s, "a.test", o);
    scene_live(&s);
    c = scene_open(&s);
    client_send(c, "GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    await(gate_waiting(&gate) == 1);
    scene_host(&s, "a.test", origin_start("new"));
    await_get(&s, "a.test", "/", 200, "new");
    scene_redis(&s, "DEL usher:host:a.test");
    await_fault(&s, "a.test", "unknown_host");
    gate_open(&gate);
    cr_assert_str_eq(client_read(c).text, "old");
    scene_end(&s);
}

SCENARIO(routing, two_edges_hear_the_same)
{
    static struct scene s;
    static struct edge other;

    scene_start(&s);
    scene_second_edge(&s, &other, NULL);
    scene_host(&s, "a.test", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    await(client_get_once(other.at, "a.test", "/").status == 200);
    scene_host(&s, "a.test", origin_start("two"));
    await_get(&s, "a.test", "/", 200, "two");
    await(strcmp(client_get_once(other.at, "a.test", "/").text, "two") == 0);
    edge_stop(&other);
    edge_free(&other);
    scene_end(&s);
}

SCENARIO(routing, a_service_without_endpoints_is_known_but_has_none)
{
    static struct scene s;

    scene_start(&s);
    scene_redis(&s, "HSET usher:service:web balance random");
    scene_redis(&s, "SET usher:host:a.test service:web");
    await_fault(&s, "a.test", "no_endpoint");
    scene_endpoint(&s, "web", origin_start("one"));
    await_get(&s, "a.test", "/", 200, "one");
    scene_redis(&s, "RENAME usher:endpoints:web usher:endpoints:other");
    await_fault(&s, "a.test", "no_endpoint");
    scene_redis(&s, "SET usher:host:b.test service:other");
    await_get(&s, "b.test", "/", 200, "one");
    scene_end(&s);
}

SCENARIO(routing, a_tenants_change_costs_one_record_however_many_hosts_it_has)
{
    static struct scene s;
    struct client *c;
    double before;

    scene_start(&s, .workers = 1);
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(origin_start("one")));
    for (unsigned i = 0; i < 500; i++)
        redis_queue(&s.redis, "SET usher:host:h%u.test tenant:acme", i);
    redis_flush(&s.redis);
    scene_live(&s);
    c = scene_open(&s);
    for (unsigned i = 0; i < 500; i++)
        expect_status(client_get(c, kept_format("h%u.test", i), "/"), 200);
    before = scene_metric(&s, "usher_store_reads_total");
    scene_redis(&s, "HSET usher:tenant:acme to %s", origin_at(origin_start("two")));
    for (unsigned i = 0; i < 500; i++)
        await(strcmp(client_get(c, kept_format("h%u.test", i), "/").text, "two") == 0);
    cr_assert_leq(scene_metric(&s, "usher_store_reads_total") - before, 4);
    scene_end(&s);
}

SCENARIO(routing, a_redis_that_reloads_itself_loses_no_host)
{
    static struct scene s;
    struct origin *o = origin_start("one");

    scene_start(&s);
    for (unsigned i = 0; i < 25; i++)
        scene_redis(&s, "SET usher:host:h%u.test %s", i, origin_at(o));
    await_get(&s, "h0.test", "/", 200, "one");
    for (unsigned i = 0; i < 5; i++) {
        scene_redis(&s, "DEBUG RELOAD");
        expect_get(&s, "h0.test", "/", 200, "one");
        await_get(&s, "h24.test", "/", 200, "one");
    }
    scene_host(&s, "h0.test", origin_start("two"));
    await_get(&s, "h0.test", "/", 200, "two");
    scene_end(&s);
}

SCENARIO(routing, a_thousand_endpoints_of_odd_weights_take_bounded_memory)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    long before;

    scene_start(&s);
    scene_host(&s, "a.test", o);
    await_get(&s, "a.test", "/", 200, "one");
    before = process_rss_kb(&s.edge.process);
    redis_queue(&s.redis, "MULTI");
    for (unsigned i = 0; i < 1000; i++)
        redis_queue(&s.redis, "HSET usher:endpoints:web 127.0.%u.%u:1 %u", i / 250, i % 250 + 1,
                    i % 2 == 0 ? 1 : 2);
    redis_queue(&s.redis, "HSET usher:endpoints:web %s 997", origin_at(o));
    redis_queue(&s.redis, "EXEC");
    redis_flush(&s.redis);
    scene_redis(&s, "SET usher:host:b.test service:web");
    await(scene_get(&s, "b.test", "/").status == 200);
    for (unsigned i = 0; i < 1000; i++)
        redis_queue(&s.redis, "HSET usher:endpoints:web 127.0.%u.%u:1 %u", i / 250, i % 250 + 1,
                    1000 - i);
    redis_flush(&s.redis);
    await(has(scene_page(&s, "/dump/services"), "127.0.0.1:1\",\"weight\":1000"));
    await(scene_metric(&s, "usher_objects_retired") == 0);
    cr_assert_leq(process_rss_kb(&s.edge.process) - before, edge_has_sanitizer() ? 80000 : 12000);
    scene_end(&s);
}
