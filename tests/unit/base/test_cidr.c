/* test_cidr.c -- ranges of addresses, from text, and what lies in them. */
#include <criterion/criterion.h>

#include "base/cidr.h"

static bool holds(const char *range, const char *address)
{
    const char *expected;
    struct address a;
    struct cidr c;

    cr_assert(cidr_parse(str_from(range), &c, &expected), "%s: %s", range, expected);
    cr_assert(address_parse(str_from(address), 0, &a, &expected), "%s: %s", address, expected);
    return cidr_holds(&c, &a);
}

Test(base_cidr, what_lies_in_a_range)
{
    cr_expect(holds("10.0.0.0/8", "10.255.255.255:1"));
    cr_expect_not(holds("10.0.0.0/8", "11.0.0.0:1"));
    cr_expect(holds("10.0.0.5", "10.0.0.5:80"));
    cr_expect_not(holds("10.0.0.5", "10.0.0.4:80"));
    cr_expect(
        holds("10.0.0.5/31", "10.0.0.4:80")); /* what stands behind the prefix means nothing */
    cr_expect(holds("0.0.0.0/0", "203.0.113.9:80"));
    cr_expect_not(holds("0.0.0.0/0", "[2001:db8::1]:80"));
    cr_expect(holds("::/0", "[2001:db8::1]:80"));
    cr_expect(holds("2001:db8::/33", "[2001:db8:7fff::1]:80"));
    cr_expect_not(holds("2001:db8::/33", "[2001:db8:8000::1]:80"));
    cr_expect(holds("192.168.0.0/17", "192.168.127.255:0"));
    cr_expect_not(holds("192.168.0.0/17", "192.168.128.0:0"));
}

Test(base_cidr, both_forms_of_an_ipv4_address)
{
    cr_expect(holds("10.0.0.0/8", "[::ffff:10.1.2.3]:80"));
    cr_expect(holds("::ffff:10.0.0.0/104", "10.1.2.3:80"));
    cr_expect_not(holds("10.0.0.0/8", "[::10.1.2.3]:80"));
}

Test(base_cidr, what_is_no_range)
{
    static const char *const wrong[] = {
        "",           "/8",           "10.0.0.0/",   "10.0.0.0/33", "10.0.0/8",
        "fd00::/129", "10.0.0.0/-1",  "10.0.0.0/8 ", "localhost",   "10.0.0.0/8/8",
        "[fd00::]/8", "10.0.0.0/0x8", "fe80::1%lo",  "1.2.3.4.5/8"
    };
    const char *expected;
    struct cidr c;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        expected = NULL;
        cr_expect_not(cidr_parse(str_from(wrong[i]), &c, &expected), "%s", wrong[i]);
        cr_expect(expected != NULL && expected[0] != '\0');
    }
    cr_expect_not(cidr_parse(str_slice("10.0.0.0\0/8", 11), &c, &expected));
}

Test(base_cidr, in_its_one_form)
{
    static const char *const rows[][2] = {
        { "10.0.0.5", "10.0.0.5" },
        { "10.0.0.5/32", "10.0.0.5" },
        { "10.1.2.3/8", "10.0.0.0/8" },
        { "203.0.113.255/25", "203.0.113.128/25" },
        { "0.0.0.0/0", "0.0.0.0/0" },
        { "2001:DB8::5", "2001:db8::5" },
        { "2001:db8::5/128", "2001:db8::5" },
        { "2001:db8:ffff::1/33", "2001:db8:8000::/33" },
        { "::/0", "::/0" },
        { "::ffff:10.0.0.0/104", "10.0.0.0/8" },
    };
    const char *expected;
    char text[CIDR_TEXT_SIZE];
    struct cidr c;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_assert(cidr_parse(str_from(rows[i][0]), &c, &expected));
        cr_expect_str_eq(cidr_text(&c, text), rows[i][1]);
    }
}
