/* test_guard.c -- where no endpoint may be: this edge, its Redis, addresses that serve a machine. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "net/guard.h"

static struct address at(const char *text)
{
    const char *expected;
    struct address a;

    cr_assert(address_parse(str_from(text), 0, &a, &expected), "%s: %s", text, expected);
    return a;
}

static void allow(struct settings *s, const char *range)
{
    const char *expected;

    cr_assert(
        cidr_parse(str_from(range), &s->allow_endpoints.at[s->allow_endpoints.count++], &expected));
}

static void expect(const struct guard *g, const char *text, enum guard_verdict verdict)
{
    struct address a = at(text);

    cr_expect_eq(guard_judge(g, &a), verdict, "%s: %d", text, (int)guard_judge(g, &a));
}

static void setup(struct settings *s, struct guard *g)
{
    memset(s, 0, sizeof(*s));
    s->listen[0] = at("0.0.0.0:8080");
    s->listen[1] = at("127.0.0.1:8081");
    s->listen_count = 2;
    s->admin = at("127.0.0.1:9090");
    s->admin_on = true;
    guard_init(g, s);
}

Test(net_guard, an_edge_is_no_endpoint_of_itself)
{
    struct settings s;
    struct guard g;

    setup(&s, &g);
    allow(&s, "0.0.0.0/0"); /* no flag makes it one */
    expect(&g, "127.0.0.1:8080", GUARD_SELF);
    expect(&g, "127.9.9.9:8080", GUARD_SELF); /* the wildcard listens there as well */
    expect(&g, "0.0.0.0:8080", GUARD_SELF);
    expect(&g, "127.0.0.1:8081", GUARD_SELF);
    expect(&g, "0.0.0.0:8081", GUARD_SELF); /* is 127.0.0.1 to whoever connects */
    expect(&g, "127.0.0.1:9090", GUARD_SELF);
    expect(&g, "[::ffff:127.0.0.1]:8081", GUARD_SELF);
    expect(&g, "[::ffff:127.0.0.1]:8080", GUARD_SELF);
    expect(&g, "127.0.0.1:8082", GUARD_ALLOWED);
    expect(&g, "192.0.2.1:8080", GUARD_ALLOWED); /* another machine may use the same port */
    s.admin_on = false;
    expect(&g, "127.0.0.1:9090", GUARD_ALLOWED);
}

Test(net_guard, ports_of_the_edge_on_other_addresses_of_the_machine)
{
    struct settings s;
    struct guard g;

    setup(&s, &g);
    expect(&g, "127.0.0.2:8081", GUARD_OWN_PORT);
    expect(&g, "[::1]:8081", GUARD_OWN_PORT);
    expect(&g, "[::1]:8080", GUARD_OWN_PORT); /* IPv4's wildcard is not IPv6's */
    allow(&s, "127.0.0.2");
    allow(&s, "::1/128");
    expect(&g, "127.0.0.2:8081", GUARD_ALLOWED);
    expect(&g, "[::1]:8081", GUARD_ALLOWED);
    expect(&g, "127.0.0.3:8081", GUARD_OWN_PORT);
    s.listen[0] = at("[::]:8080");
    expect(&g, "[::1]:8080", GUARD_SELF);
}

Test(net_guard, addresses_that_are_no_place)
{
    struct settings s;
    struct guard g;

    setup(&s, &g);
    expect(&g, "169.254.169.254:80", GUARD_LOCAL);
    expect(&g, "[::ffff:169.254.169.254]:80", GUARD_LOCAL);
    expect(&g, "[::ffff:a9fe:a9fe]:80", GUARD_LOCAL);
    expect(&g, "[fe80::1]:80", GUARD_LOCAL);
    expect(&g, "[febf::1]:80", GUARD_LOCAL);
    expect(&g, "[fec0::1]:80", GUARD_ALLOWED);
    expect(&g, "169.253.1.1:80", GUARD_ALLOWED);
    expect(&g, "0.0.0.0:80", GUARD_NO_PLACE);
    expect(&g, "0.1.2.3:80", GUARD_NO_PLACE);
    expect(&g, "[::]:80", GUARD_NO_PLACE);
    expect(&g, "[::ffff:0.0.0.0]:80", GUARD_NO_PLACE);
    expect(&g, "224.0.0.1:80", GUARD_MANY);
    expect(&g, "239.255.255.250:80", GUARD_MANY);
    expect(&g, "255.255.255.255:80", GUARD_MANY);
    expect(&g, "[ff02::1]:80", GUARD_MANY);
    expect(&g, "10.0.0.5:80", GUARD_ALLOWED);
    expect(&g, "[2001:db8::5]:80", GUARD_ALLOWED);
    expect(&g, "127.0.0.1:80", GUARD_ALLOWED);
    allow(&s, "169.254.0.0/16");
    expect(&g, "169.254.169.254:80", GUARD_ALLOWED);
    expect(&g, "[::ffff:169.254.169.254]:80", GUARD_ALLOWED);
    expect(&g, "[fe80::1]:80", GUARD_LOCAL);
}

Test(net_guard, redis_wherever_it_was_found)
{
    struct settings s;
    struct guard g;
    struct address a;
    char text[ADDRESS_TEXT_SIZE];

    setup(&s, &g);
    expect(&g, "10.0.0.9:6379", GUARD_ALLOWED);
    a = at("10.0.0.9:6379");
    guard_add_store(&g, &a);
    a = at("127.0.0.1:6380");
    guard_add_store(&g, &a);
    expect(&g, "10.0.0.9:6379", GUARD_STORE);
    expect(&g, "[::ffff:10.0.0.9]:6379", GUARD_STORE);
    expect(&g, "10.0.0.9:6378", GUARD_ALLOWED);
    expect(&g, "10.0.0.8:6379", GUARD_ALLOWED);
    expect(&g, "127.0.0.2:6380", GUARD_STORE); /* it may listen on all of this machine's */
    allow(&s, "10.0.0.9/32");
    expect(&g, "10.0.0.9:6379", GUARD_ALLOWED);
    expect(&g, "127.0.0.1:6380", GUARD_STORE);
    /* The newest are remembered; one that comes again takes no second place. */
    for (unsigned i = 0; i < GUARD_STORES; i++) {
        snprintf(text, sizeof(text), "10.1.0.%u:6379", i);
        a = at(text);
        guard_add_store(&g, &a);
        guard_add_store(&g, &a);
    }
    expect(&g, "10.1.0.0:6379", GUARD_STORE);
    snprintf(text, sizeof(text), "10.1.0.%u:6379", GUARD_STORES - 1);
    expect(&g, text, GUARD_STORE);
    expect(&g, "127.0.0.1:6380", GUARD_ALLOWED);
}

Test(net_guard, each_refusal_says_what_was_expected)
{
    for (unsigned v = GUARD_SELF; v <= GUARD_MANY; v++) {
        const char *expected = guard_expects((enum guard_verdict)v);

        cr_expect(str_starts_with(str_from(expected), STR("an endpoint ")), "%s", expected);
        cr_expect_eq(strstr(expected, "--allow-endpoints") != NULL, v != GUARD_SELF, "%s",
                     expected);
    }
}
