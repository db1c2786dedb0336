/* test_forwarded.c -- whose a request is, by what forwarders have said. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "http/forwarded.h"
#include "http/parser.h"

static const struct parser_limits limits = { .head_bytes = 4096,
                                             .header_count = 40,
                                             .url_bytes = 1024 };

struct told {
    char client[ADDRESS_TEXT_SIZE], host[64];
    bool https;
};

/* 10.0.0.0/8 and 2001:db8:f::/48 are trusted; the request comes from `sender`. */
static struct told read_from(const char *sender, const char *fields)
{
    static const char *const ranges[] = { "10.0.0.0/8", "2001:db8:f::/48" };
    struct cidr trusted[2];
    struct cidr_set *set;
    struct forwarded f;
    struct parser p;
    struct head h;
    char text[2048];
    const char *expected;
    struct told told = { 0 };

    for (unsigned i = 0; i < 2; i++)
        cr_assert(cidr_parse(str_from(ranges[i]), &trusted[i], &expected));
    set = cidr_set_new(trusted, 2);
    cr_assert(address_parse(str_from(sender), 0, &f.client, &expected));
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a.test\r\n%s\r\n", fields);
    head_init(&h);
    parser_init(&p, true, &limits);
    parser_start(&p, &h);
    cr_assert_eq(parser_head(&p, text, 0, strlen(text)), PARSE_DONE, "%s", text);
    forwarded_read(&h, set, &f);
    address_text(&f.client, told.client);
    told.https = f.https;
    snprintf(told.host, sizeof(told.host), STR_FMT, STR_ARG(f.host));
    head_free(&h);
    cidr_set_free(set);
    return told;
}

#define expect_client(fields, address)                                                             \
    cr_expect_str_eq(read_from("10.0.0.1:999", fields).client, address, "%s", fields)

Test(http_forwarded, the_first_from_the_right_that_is_not_trusted)
{
    expect_client("", "10.0.0.1:999");
    expect_client("X-Forwarded-For: 203.0.113.7\r\n", "203.0.113.7:0");
    expect_client("X-Forwarded-For: 1.1.1.1, 203.0.113.7\r\n", "203.0.113.7:0");
    expect_client("X-Forwarded-For: 1.1.1.1, 203.0.113.7, 10.9.9.9\r\n", "203.0.113.7:0");
    expect_client("X-Forwarded-For: 1.1.1.1,203.0.113.7 ,\t2001:db8:f::1,10.9.9.9\r\n",
                  "203.0.113.7:0");
    expect_client("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 203.0.113.7\r\n"
                  "x-forwarded-for: 10.9.9.9\r\n",
                  "203.0.113.7:0");
}

Test(http_forwarded, where_all_are_trusted_it_is_the_first)
{
    expect_client("X-Forwarded-For: 10.3.3.3, 10.2.2.2\r\n", "10.3.3.3:0");
}

Test(http_forwarded, addresses_in_every_form)
{
    expect_client("X-Forwarded-For: 203.0.113.7:4711\r\n", "203.0.113.7:4711");
    expect_client("X-Forwarded-For: 2001:db8::7\r\n", "[2001:db8::7]:0");
    expect_client("X-Forwarded-For: [2001:db8::7]\r\n", "[2001:db8::7]:0");
    expect_client("X-Forwarded-For: [2001:db8::7]:4711\r\n", "[2001:db8::7]:4711");
    expect_client("X-Forwarded-For: ::ffff:203.0.113.7\r\n", "203.0.113.7:0");
    expect_client("X-Forwarded-For: [::ffff:10.3.3.3]:1, 10.2.2.2\r\n", "10.3.3.3:1");
}

Test(http_forwarded, what_is_no_address_ends_the_search)
{
    static const char *const wrong[] = { "unknown",
                                         "_hidden",
                                         "203.0.113",
                                         "203.0.113.7.",
                                         "[2001:db8::7",
                                         "[203.0.113.7]",
                                         "[2001:db8::7]x",
                                         "",
                                         "203.0.113.7 1",
                                         "\"203.0.113.7\"",
                                         "[]",
                                         ":",
                                         "203.0.113.256",
                                         "1.1.1.1, ",
                                         "host.example" };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char fields[256];

        snprintf(fields, sizeof(fields), "X-Forwarded-For: 1.1.1.1, %s, 10.2.2.2\r\n", wrong[i]);
        expect_client(fields, "10.2.2.2:0");
        snprintf(fields, sizeof(fields), "X-Forwarded-For: %s\r\n", wrong[i]);
        expect_client(fields, "10.0.0.1:999");
    }
}

Test(http_forwarded, rfc_7239_where_nothing_else_is_said)
{
    expect_client("Forwarded: for=203.0.113.7\r\n", "203.0.113.7:0");
    expect_client("Forwarded: for=1.1.1.1, For=\"203.0.113.7:4711\" ; proto=https\r\n",
                  "203.0.113.7:4711");
    expect_client("Forwarded: by=10.0.0.1;for=\"[2001:db8::7]:4711\"\r\n", "[2001:db8::7]:4711");
    expect_client("Forwarded: for=203.0.113.7:_port\r\n", "203.0.113.7:0");
    expect_client("Forwarded: for=203.0.113.7\r\nForwarded: for=10.2.2.2\r\n", "203.0.113.7:0");
    expect_client("Forwarded: for=1.1.1.1, for=unknown\r\n", "10.0.0.1:999");
    expect_client("Forwarded: for=1.1.1.1, for=_x, for=10.2.2.2\r\n", "10.2.2.2:0");
    expect_client("Forwarded: for=1.1.1.1, proto=https\r\n", "10.0.0.1:999");
    expect_client("Forwarded: for=\"1.1.1.1\r\n", "10.0.0.1:999");
    expect_client("Forwarded: for=1.1.1.1;x=\"a,b\"\r\n", "10.0.0.1:999");
    expect_client("Forwarded: ;;=,for\r\n", "10.0.0.1:999");
    expect_client("Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 203.0.113.7\r\n", "203.0.113.7:0");
    expect_client("Forwarded: for=1.1.1.1\r\nX-Forwarded-Proto: https\r\n", "10.0.0.1:999");
}

Test(http_forwarded, how_it_came)
{
    struct told t = read_from("10.0.0.1:1", "X-Forwarded-For: 203.0.113.7\r\n"
                                            "X-Forwarded-Proto: HTTPS\r\n"
                                            "X-Forwarded-Host: shop.example:8443\r\n");

    cr_expect(t.https);
    cr_expect_str_eq(t.host, "shop.example:8443");
    t = read_from("10.0.0.1:1", "X-Forwarded-Proto: https, http\r\n"
                                "X-Forwarded-Host: evil.example, shop.example\r\n");
    cr_expect_not(t.https, "the nearest has the last word");
    cr_expect_str_eq(t.host, "shop.example");
    t = read_from("10.0.0.1:1", "X-Forwarded-Host: \"; drop\r\nX-Forwarded-Proto: httpss\r\n");
    cr_expect_not(t.https);
    cr_expect_str_eq(t.host, "");
}

Test(http_forwarded, rfc_7239_tells_of_each_hop)
{
    struct told t =
        read_from("10.0.0.1:1",
                  "Forwarded: for=1.1.1.1;proto=http;host=evil.example, "
                  "for=203.0.113.7;proto=https;host=\"shop.example\", for=10.2.2.2;proto=http\r\n");

    cr_expect_str_eq(t.client, "203.0.113.7:0");
    cr_expect(t.https);
    cr_expect_str_eq(t.host, "shop.example");
}
