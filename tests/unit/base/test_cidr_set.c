/* test_cidr_set.c -- many ranges asked as one, against each of them asked alone. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/cidr_set.h"
#include "base/random.h"

static struct cidr range_of(const char *text)
{
    const char *expected;
    struct cidr c;

    cr_assert(cidr_parse(str_from(text), &c, &expected), "%s: %s", text, expected);
    return c;
}

static struct address ip_of(const char *text)
{
    const char *expected;
    struct address a;

    cr_assert(address_parse(str_from(text), 0, &a, &expected), "%s: %s", text, expected);
    return a;
}

static bool holds(const struct cidr_set *s, const char *address)
{
    struct address a = ip_of(address);

    return cidr_set_holds(s, &a);
}

static struct cidr_set *set_of(const char *const *texts, size_t count)
{
    struct cidr ranges[16];

    for (size_t i = 0; i < count; i++)
        ranges[i] = range_of(texts[i]);
    return cidr_set_new(ranges, count);
}

Test(base_cidr_set, of_nothing_it_holds_nothing)
{
    struct cidr_set *s = cidr_set_new(NULL, 0);

    cr_expect_not(holds(s, "10.0.0.1:80"));
    cr_expect_not(holds(s, "[2001:db8::1]:80"));
    cr_expect_eq(cidr_set_count(s), 0);
    cidr_set_free(s);
}

Test(base_cidr_set, ranges_of_many_lengths)
{
    static const char *const texts[] = { "10.0.0.0/8",     "192.168.4.0/22", "203.0.113.9",
                                         "172.16.0.0/12",  "2001:db8::/32",  "2001:db8:1::/48",
                                         "2001:db9::5/128" };
    struct cidr_set *s = set_of(texts, sizeof(texts) / sizeof(texts[0]));

    cr_expect(holds(s, "10.255.0.1:1"));
    cr_expect_not(holds(s, "11.0.0.1:1"));
    cr_expect(holds(s, "192.168.7.255:1"));
    cr_expect_not(holds(s, "192.168.8.0:1"));
    cr_expect(holds(s, "203.0.113.9:1"));
    cr_expect_not(holds(s, "203.0.113.8:1"));
    cr_expect(holds(s, "[::ffff:203.0.113.9]:1"));
    cr_expect(holds(s, "[2001:db8:ffff::1]:1"));
    cr_expect(holds(s, "[2001:db9::5]:1"));
    cr_expect_not(holds(s, "[2001:db9::4]:1"));
    cr_expect_eq(cidr_set_count(s), 6, "one lies in another");
    cidr_set_free(s);
}

Test(base_cidr_set, what_holds_everything)
{
    static const char *const v4[] = { "0.0.0.0/0", "10.0.0.0/8" };
    static const char *const v6[] = { "::/0", "10.0.0.0/8" };
    struct cidr_set *s = set_of(v4, 2);

    cr_expect(holds(s, "203.0.113.9:1"));
    cr_expect_not(holds(s, "[2001:db8::1]:1"));
    cidr_set_free(s);
    s = set_of(v6, 2);
    cr_expect(holds(s, "203.0.113.9:1"));
    cr_expect(holds(s, "[2001:db8::1]:1"));
    cr_expect_eq(cidr_set_count(s), 1);
    cidr_set_free(s);
}

/* Few bits differ, so that ranges lie in each other and addresses near their ends. */
static void draw(struct random *r, uint8_t ip[16], bool v4)
{
    memset(ip, 0, 16);
    if (v4) {
        ip[10] = ip[11] = 0xff;
        ip[12] = 10;
        for (unsigned i = 13; i < 16; i++)
            ip[i] = (uint8_t)(random_below(r, 4) << (random_below(r, 2) * 6));
    } else {
        ip[0] = 0x20;
        for (unsigned i = 1; i < 16; i++)
            ip[i] = (uint8_t)(random_below(r, 2) << (random_below(r, 2) * 7));
    }
}

Test(base_cidr_set, as_if_each_range_were_asked)
{
    struct random r;
    unsigned held = 0, looks = 0;

    random_init(&r);
    for (unsigned round = 0; round < 300; round++) {
        struct cidr ranges[200];
        size_t count = 1 + random_below(&r, 200);
        struct cidr_set *s;

        for (size_t i = 0; i < count; i++) {
            bool v4 = random_below(&r, 2);

            draw(&r, ranges[i].ip, v4);
            ranges[i].bits =
                (uint8_t)(v4 ? 96 + 12 + random_below(&r, 21) : 20 + random_below(&r, 109));
        }
        s = cidr_set_new(ranges, count);
        for (unsigned n = 0; n < 400; n++) {
            struct address a = { .v6 = { .sin6_family = AF_INET6 } };
            bool expected = false;

            draw(&r, a.v6.sin6_addr.s6_addr, random_below(&r, 2));
            for (size_t i = 0; i < count && !expected; i++)
                expected = cidr_holds(&ranges[i], &a);
            held += expected;
            looks++;
            cr_assert_eq(cidr_set_holds(s, &a), expected, "round %u, address %u of %zu ranges",
                         round, n, count);
        }
        cidr_set_free(s);
    }
    cr_expect(held > looks / 20 && held < looks / 20 * 19, "%u of %u are held", held, looks);
}

Test(base_cidr_set, a_hundred_thousand)
{
    size_t count = 100000;
    struct cidr *ranges = calloc(count, sizeof(*ranges));
    struct cidr_set *s;
    struct address a = ip_of("10.0.0.0:0");

    for (size_t i = 0; i < count; i++) {
        ranges[i] = range_of("10.0.0.0/32");
        ranges[i].ip[13] = (uint8_t)(i >> 15);
        ranges[i].ip[14] = (uint8_t)(i >> 7);
        ranges[i].ip[15] = (uint8_t)(i << 1); /* every second one */
    }
    s = cidr_set_new(ranges, count);
    cr_expect_eq(cidr_set_count(s), count);
    for (uint32_t n = 0; n < 2 * count; n++) {
        a.v4.sin_addr.s_addr = htonl(0x0a000000 + n);
        cr_assert_eq(cidr_set_holds(s, &a), n % 2 == 0, "%u", n);
    }
    cidr_set_free(s);
    free(ranges);
}
