/* test_proxy_header.c -- the PROXY protocol, read and written, whole and byte by byte. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "net/proxy_header.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define V4_ADDRESSES "\xcb\x00\x71\x07\x0a\x00\x00\x01\xdc\x04\x01\xbb"

#define BYTES(literal) (literal), sizeof(literal) - 1

static const char *at_text(const struct address *a)
{
    static char text[2][ADDRESS_TEXT_SIZE];
    static unsigned turn;

    return address_text(a, text[turn++ % 2]);
}

static struct proxy_header read_good(const char *bytes, size_t len)
{
    struct proxy_header h;
    const char *why = "";
    size_t taken = 0;

    cr_assert_eq(proxy_header_read(bytes, len, &h, &taken, &why), PROXY_HEADER_DONE, "%s", why);
    cr_assert_eq(taken, len);
    return h;
}

static const char *read_bad(const char *bytes, size_t len)
{
    struct proxy_header h;
    const char *why = NULL;
    size_t taken;

    cr_assert_eq(proxy_header_read(bytes, len, &h, &taken, &why), PROXY_HEADER_BAD, "%.*s",
                 (int)len, bytes);
    cr_assert_not_null(why);
    return why;
}

/* Each beginning of it is right so far; what follows it is not taken. */
static void drip(const char *bytes, size_t len)
{
    struct proxy_header h;
    const char *why = "";
    size_t taken = 0;
    char *alone;

    for (size_t n = 0; n < len; n++) {
        alone = malloc(n + 1); /* so that a look behind the end is seen */
        memcpy(alone, bytes, n);
        alone = realloc(alone, n > 0 ? n : 1);
        cr_assert_eq(proxy_header_read(alone, n, &h, &taken, &why), PROXY_HEADER_MORE,
                     "%zu of %zu bytes: %s", n, len, why);
        free(alone);
    }
    alone = malloc(len + 5);
    memcpy(alone, bytes, len);
    memcpy(alone + len, "GET /", 5);
    cr_assert_eq(proxy_header_read(alone, len + 5, &h, &taken, &why), PROXY_HEADER_DONE, "%s", why);
    cr_assert_eq(taken, len);
    free(alone);
}

Test(net_proxy_header, version_1)
{
    struct proxy_header h = read_good(BYTES("PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n"));

    cr_expect(h.known);
    cr_expect_str_eq(at_text(&h.source), "203.0.113.7:56324");
    cr_expect_str_eq(at_text(&h.destination), "10.0.0.1:443");
    h = read_good(BYTES("PROXY TCP6 2001:db8::7 2001:db8::1 0 65535\r\n"));
    cr_expect_str_eq(at_text(&h.source), "[2001:db8::7]:0");
    cr_expect_str_eq(at_text(&h.destination), "[2001:db8::1]:65535");
    h = read_good(BYTES("PROXY TCP6 ::ffff:203.0.113.7 ::ffff:10.0.0.1 1 2\r\n"));
    cr_expect_str_eq(at_text(&h.source), "203.0.113.7:1");
    cr_expect_not(read_good(BYTES("PROXY UNKNOWN\r\n")).known);
    cr_expect_not(
        read_good(BYTES("PROXY UNKNOWN ffff::1 whatever 1 2 3 4 5 6 7 8 9 10 11\r\n")).known);
}

Test(net_proxy_header, version_1_that_is_wrong)
{
    static const char *const lines[] = {
        "PROXY TCP4 203.0.113.7 10.0.0.1 56324\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443 \r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443 1\r\n",
        "PROXY TCP4  203.0.113.7 10.0.0.1 56324 443\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 56324 65536\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 056 443\r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 -1 443\r\n",
        "PROXY TCP4 203.0.113.007 10.0.0.1 1 443\r\n",
        "PROXY TCP4 203.0.113.256 10.0.0.1 1 443\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
        "PROXY TCP6 203.0.113.7 10.0.0.1 1 2\r\n",
        "PROXY TCP6 2001:db8::7%eth0 2001:db8::1 1 2\r\n",
        "PROXY UDP4 203.0.113.7 10.0.0.1 1 2\r\n",
        "PROXY unknown\r\n",
        "PROXY \r\n",
        "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\n",
        "PROXY\r\n",
        "proxy TCP4 203.0.113.7 10.0.0.1 56324 443\r\n",
        "GET / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\n",
    };
    char longest[200];

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        read_bad(lines[i], strlen(lines[i]));
    cr_expect_not_null(strstr(read_bad(BYTES("GET /")), "does not begin with one"));
    snprintf(longest, sizeof(longest), "PROXY UNKNOWN %0*d\r\n", 107 - 14 - 2, 0);
    cr_assert_eq(strlen(longest), 107);
    read_good(longest, 107);
    snprintf(longest, sizeof(longest), "PROXY UNKNOWN %0*d\r\n", 107 - 14 - 1, 0);
    read_bad(longest, 108);
    read_bad(longest, 107); /* it cannot become one any more */
}

Test(net_proxy_header, version_2)
{
    struct proxy_header h = read_good(BYTES(V2 "\x21\x11\x00\x0c" V4_ADDRESSES));

    cr_expect(h.known);
    cr_expect_not(h.tls);
    cr_expect_str_eq(at_text(&h.source), "203.0.113.7:56324");
    cr_expect_str_eq(at_text(&h.destination), "10.0.0.1:443");
    h = read_good(BYTES(V2 "\x21\x21\x00\x24"
                           "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
                           "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                           "\xdc\x04\x01\xbb"));
    cr_expect_str_eq(at_text(&h.source), "[2001:db8::7]:56324");
    cr_expect_str_eq(at_text(&h.destination), "[2001:db8::1]:443");
    cr_expect_not(read_good(BYTES(V2 "\x20\x00\x00\x00")).known);
    cr_expect_not(read_good(BYTES(V2 "\x20\x11\x00\x0c" V4_ADDRESSES)).known, "LOCAL");
    cr_expect_not(read_good(BYTES(V2 "\x21\x00\x00\x00")).known);
    cr_expect_not(read_good(BYTES(V2 "\x21\x00\x00\x04\x04\x00\x01x")).known);
}

Test(net_proxy_header, version_2_of_a_unix_socket)
{
    char bytes[16 + 216] = V2 "\x21\x31\x00\xd8/run/somewhere";

    cr_expect_not(read_good(bytes, sizeof(bytes)).known);
    bytes[15] = (char)0xd7;
    read_bad(bytes, sizeof(bytes) - 1);
}

Test(net_proxy_header, version_2_with_additions)
{
    /* What the checksum is of: the header with zeros in its place. */
    static const char checked[] = V2 "\x21\x11\x00\x13" V4_ADDRESSES "\x03\x00\x04\xf9\x06\x3d\x3d";
    struct proxy_header h;
    char wrong[sizeof(checked)];

    h = read_good(BYTES(V2 "\x21\x11\x00\x1f" V4_ADDRESSES "\x01\x00\x02h2"
                           "\x20\x00\x05\x01\0\0\0\0"
                           "\x04\x00\x03xyz"));
    cr_expect(h.known && h.tls);
    h = read_good(BYTES(V2 "\x21\x11\x00\x14" V4_ADDRESSES "\x20\x00\x05\x06\0\0\0\0"));
    cr_expect_not(h.tls);
    read_good(BYTES(checked));
    memcpy(wrong, checked, sizeof(wrong));
    wrong[17] ^= 1;
    cr_expect_not_null(strstr(read_bad(wrong, sizeof(wrong) - 1), "checksum"));
    read_bad(BYTES(V2 "\x21\x11\x00\x0f" V4_ADDRESSES "\x01\x00\x01"));
    read_bad(BYTES(V2 "\x21\x11\x00\x0e" V4_ADDRESSES "\x01\x00"));
}

Test(net_proxy_header, version_2_that_is_wrong)
{
    char *longest = calloc(1, 70000);

    read_bad(BYTES(V2 "\x11\x11\x00\x0c" V4_ADDRESSES));
    read_bad(BYTES(V2 "\x22\x11\x00\x0c" V4_ADDRESSES));
    read_bad(BYTES(V2 "\x21\x41\x00\x0c" V4_ADDRESSES));
    read_bad(BYTES(V2 "\x21\x13\x00\x0c" V4_ADDRESSES));
    read_bad(BYTES(V2 "\x21\x11\x00\x0b" V4_ADDRESSES));
    read_bad(BYTES(V2 "\x21\x21\x00\x0c" V4_ADDRESSES));
    read_bad(BYTES("\r\n\r\n\0\r\nQUIR"));
    read_bad(BYTES("\r\n\r\nGET"));
    memcpy(longest, V2 "\x20\x00\x10\x00", 16);
    read_good(longest, 16 + 4096);
    longest[15] = 1;
    read_bad(longest, 16); /* before the rest is waited for */
    free(longest);
}

Test(net_proxy_header, byte_by_byte)
{
    drip(BYTES("PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n"));
    drip(BYTES("PROXY UNKNOWN\r\n"));
    drip(BYTES(V2 "\x21\x11\x00\x0c" V4_ADDRESSES));
    drip(BYTES(V2 "\x21\x11\x00\x11" V4_ADDRESSES "\x01\x00\x02h2"));
    drip(BYTES(V2 "\x20\x00\x00\x00"));
}

static struct address address_of(const char *text)
{
    const char *expected;
    struct address a;

    cr_assert(address_parse(str_from(text), 0, &a, &expected), "%s", text);
    return a;
}

static void expect_round_trip(enum proxy_version version, const char *source,
                              const char *destination)
{
    struct address from = address_of(source), at = address_of(destination);
    char bytes[PROXY_HEADER_ROOM];
    size_t len = proxy_header_write(version, &from, &at, bytes);
    struct proxy_header h = read_good(bytes, len);

    cr_expect(h.known);
    cr_expect_str_eq(at_text(&h.source), source);
    cr_expect_str_eq(at_text(&h.destination), destination);
}

Test(net_proxy_header, what_is_written_reads_the_same)
{
    char bytes[PROXY_HEADER_ROOM];
    struct address from = address_of("203.0.113.7:56324"), at = address_of("10.0.0.1:443");
    size_t len;

    for (enum proxy_version v = PROXY_V1; v <= PROXY_V2; v++) {
        expect_round_trip(v, "203.0.113.7:56324", "10.0.0.1:443");
        expect_round_trip(v, "[2001:db8::7]:1", "[2001:db8::1]:65535");
        expect_round_trip(v, "203.0.113.7:0", "[2001:db8::1]:443");
        expect_round_trip(v, "[fe80:1234:5678:9abc:def0:1234:5678:9abc]:65535",
                          "[fe80:1234:5678:9abc:def0:1234:5678:9abd]:65535");
        expect_round_trip(v, "[2001:db8::7]:1", "10.0.0.1:443");
        len = proxy_header_write_local(v, bytes);
        cr_expect_not(read_good(bytes, len).known);
    }
    len = proxy_header_write(PROXY_V1, &from, &at, bytes);
    cr_expect_arr_eq(bytes, "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n", len);
    len = proxy_header_write(PROXY_V2, &from, &at, bytes);
    cr_expect_arr_eq(bytes, V2 "\x21\x11\x00\x0c" V4_ADDRESSES, 28);
    cr_expect_eq(len, 28);
}

/* Whatever comes: it ends, reads nothing behind the end, and does not change its mind. */
Test(net_proxy_header, anything)
{
    static const char seeds[][64] = { V2 "\x21\x11\x00\x14" V4_ADDRESSES "\x20\x00\x05\x01",
                                      V2 "\x21\x21\x00\x24",
                                      "PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\n",
                                      "PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n" };
    unsigned results[3] = { 0 };
    struct random r;

    random_init(&r);
    for (unsigned round = 0; round < 200000; round++) {
        size_t len = random_below(&r, 64);
        char *bytes = malloc(len > 0 ? len : 1);
        struct proxy_header h;
        const char *why;
        size_t taken = 0;
        enum proxy_header_result whole, part;

        memcpy(bytes, seeds[random_below(&r, 4)], len);
        for (unsigned n = (unsigned)random_below(&r, 4); n > 0 && len > 0; n--)
            bytes[random_below(&r, len)] = (char)random_next(&r);
        whole = proxy_header_read(bytes, len, &h, &taken, &why);
        results[whole]++;
        cr_assert(whole != PROXY_HEADER_DONE || taken <= len);
        if (len > 0) {
            part = proxy_header_read(bytes, len - 1, &h, &taken, &why);
            cr_assert(part == whole || part == PROXY_HEADER_MORE, "it changed its mind");
        }
        free(bytes);
    }
    cr_expect(results[0] > 100 && results[1] > 100 && results[2] > 100, "%u %u %u", results[0],
              results[1], results[2]);
}
