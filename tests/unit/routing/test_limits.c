/* test_limits.c -- which range has the word on an address; what limits may be said. */
#include "routing/limits.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "routing/record.h"

static struct record_fields decoded(const char *field, const char *text, bool *good)
{
    struct value_field f = { str_from(field), str_from(text) };
    struct value value = { .kind = VALUE_HASH, .fields = &f, .count = 1 };
    struct record_fields fields;
    struct record_error error;

    *good = record_decode(NULL, FAMILY_tenant, STR("acme"), &value, &fields, &error);
    return fields;
}

static void expect_in(const char *allow, const char *deny, const char *ip, bool in)
{
    bool good_allow = true, good_deny = true;
    struct record_fields a = decoded("allow", allow ? allow : "off", &good_allow);
    struct record_fields d = decoded("deny", deny ? deny : "off", &good_deny);
    struct address client;
    const char *expected;
    char text[80];

    snprintf(text, sizeof(text), strchr(ip, ':') ? "[%s]:1" : "%s:1", ip);
    cr_assert(address_parse(str_from(text), 1, &client, &expected));
    cr_assert(good_allow && good_deny, "%s, %s", allow, deny);
    cr_expect_eq(
        limits_let_in(allow ? &a.limits.allow : NULL, deny ? &d.limits.deny : NULL, &client), in,
        "allow %s, deny %s, %s", allow, deny, ip);
    record_fields_free(&a);
    record_fields_free(&d);
}

Test(limits, the_most_specific_range_has_the_word)
{
    expect_in(NULL, NULL, "10.0.0.1", true);
    expect_in(NULL, "10.0.0.0/8", "10.0.0.1", false);
    expect_in(NULL, "10.0.0.0/8", "11.0.0.1", true);
    expect_in("10.0.0.0/8", NULL, "10.0.0.1", true);
    expect_in("10.0.0.0/8", NULL, "11.0.0.1", false);
    expect_in("10.0.0.0/8", "10.1.0.0/16, 192.0.2.1", "10.1.2.3", false);
    expect_in("10.0.0.0/8 10.1.2.0/24", "10.1.0.0/16", "10.1.2.3", true);
    expect_in("10.0.0.0/8", "10.0.0.0/8", "10.1.2.3", false);
    expect_in("off", "10.0.0.0/8", "10.1.2.3", false);
    expect_in("off", "10.0.0.0/8", "11.1.2.3", true);
    expect_in("10.0.0.0/8", "off", "11.1.2.3", false);
    expect_in("2001:db8::/32", NULL, "2001:db8::1", true);
    expect_in("2001:db8::/32", NULL, "10.0.0.1", false);
    expect_in("10.0.0.0/8", NULL, "::ffff:10.0.0.1", true);
}

static void expect_good(const char *field, const char *text, bool good)
{
    bool taken;
    struct record_fields f = decoded(field, text, &taken);

    cr_expect_eq(taken, good, "%s=\"%s\"", field, text);
    record_fields_free(&f);
}

Test(limits, fields_say_numbers_sizes_and_ranges)
{
    static const char *const numbers[] = { "max_conns", "max_requests", "rps" };
    static const char *const sizes[] = { "max_body", "bandwidth" };
    char many[257 * 12] = "";

    for (size_t i = 0; i < 3; i++) {
        expect_good(numbers[i], "1", true);
        expect_good(numbers[i], "1000000", true);
        expect_good(numbers[i], "off", true);
        expect_good(numbers[i], "0", false);
        expect_good(numbers[i], "1000001", false);
        expect_good(numbers[i], "10/s", false);
    }
    for (size_t i = 0; i < 2; i++) {
        expect_good(sizes[i], "512", true);
        expect_good(sizes[i], "64k", true);
        expect_good(sizes[i], "1g", true);
        expect_good(sizes[i], "off", true);
        expect_good(sizes[i], "0", false);
        expect_good(sizes[i], "k", false);
        expect_good(sizes[i], "1t", false);
        expect_good(sizes[i], "99999999999g", false);
    }
    expect_good("burst", "off", false);
    expect_good("burst", "20", true);
    expect_good("rps_of", "cluster", true);
    expect_good("rps_of", "all", false);
    expect_good("allow", "", false);
    expect_good("allow", " , ", false);
    expect_good("deny", "10.0.0.0/33", false);
    for (unsigned i = 0; i < 257; i++) {
        if (i == 256)
            expect_good("deny", many, true);
        snprintf(many + strlen(many), sizeof(many) - strlen(many), "10.0.%u.%u ", i / 256, i % 256);
    }
    expect_good("deny", many, false);
}

Test(limits, sizes_are_powers_of_two)
{
    bool good;
    struct record_fields f = decoded("max_body", "64k", &good);

    cr_expect_eq(f.limits.max_body, 65536);
    cr_expect(f.limits_said);
    record_fields_free(&f);
}
