/* test_text.c -- str, buf, address, log_quote. */
#include <criterion/criterion.h>

#include "base/address.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"

Test(base_str, split_gives_empty_parts_too)
{
    struct str rest = STR("a,,b,"), part;
    char seen[16] = "";

    while (str_split(&rest, ',', &part)) {
        strncat(seen, part.ptr, part.len);
        strncat(seen, "|", 2);
    }
    cr_expect_str_eq(seen, "a||b||");
}

Test(base_str, words)
{
    struct str rest = STR("  one\ttwo  three "), word;
    unsigned n = 0;

    while (str_word(&rest, &word))
        n++;
    cr_expect_eq(n, 3);
    cr_expect_not(str_word(&rest, &word));
}

Test(base_str, numbers)
{
    uint64_t n;

    cr_expect(str_to_u64(STR("0"), 10, &n) && n == 0);
    cr_expect(str_to_u64(STR("18446744073709551615"), UINT64_MAX, &n) && n == UINT64_MAX);
    cr_expect_not(str_to_u64(STR("18446744073709551616"), UINT64_MAX, &n));
    cr_expect(str_to_u64(STR("65535"), 65535, &n));
    cr_expect_not(str_to_u64(STR("65536"), 65535, &n));
    cr_expect_not(str_to_u64(STR(""), 10, &n));
    cr_expect_not(str_to_u64(STR("+1"), 10, &n));
    cr_expect_not(str_to_u64(STR("1 "), 10, &n));
    cr_expect_not(str_to_u64(STR("99999999999999999999999"), UINT64_MAX, &n));
    cr_expect_not(str_to_u64(STR("5"), 4, &n));
}

Test(base_str, copying_takes_what_fits_with_its_nul)
{
    char to[4] = "zzz";

    cr_expect(str_copy(STR("abc"), to, sizeof(to)));
    cr_expect_str_eq(to, "abc");
    cr_expect(!str_copy(STR("abcd"), to, sizeof(to)));
    cr_expect_str_eq(to, "abc", "left alone");
    cr_expect(str_copy((struct str){ NULL, 0 }, to, sizeof(to)));
    cr_expect_str_eq(to, "");
}

Test(base_str, comparing)
{
    cr_expect(str_equals_nocase(STR("Host"), STR("hOST")));
    cr_expect_not(str_equals_nocase(STR("Host"), STR("Hosts")));
    cr_expect(str_starts_with(STR("service:web"), STR("service:")));
    cr_expect_not(str_starts_with(STR("serv"), STR("service:")));
    cr_expect(str_equals(str_trim(STR(" \t x y \t")), STR("x y")));
    cr_expect_eq(str_trim(STR(" \t ")).len, 0);
}

Test(base_buf, grows_and_ends_in_nul)
{
    struct buf b = { 0 };

    for (unsigned i = 0; i < 1000; i++)
        buf_printf(&b, "%u,", i);
    cr_expect_eq(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    cr_expect_eq(b.ptr[b.len], '\0');
    buf_clear(&b);
    buf_add_str(&b, STR("x"));
    cr_expect_str_eq(b.ptr, "x");
    buf_free(&b);
}

Test(base_buf, json)
{
    struct buf b = { 0 };

    buf_add_json(&b, str_slice("a\"\\\n\x01\xc3\xa9\xff", 8));
    cr_expect_str_eq(b.ptr, "\"a\\\"\\\\\\u000a\\u0001\xc3\xa9\\u00ff\"");
    buf_free(&b);
}

Test(base_address, parse_and_say)
{
    static const char *const right[] = { "10.0.0.5:8080", "[2001:db8::5]:1", "[::1]:65535" };
    static const char *const wrong[] = { "",
                                         "10.0.0.5",
                                         "10.0.0.5:",
                                         "10.0.0.5:0",
                                         "10.0.0:80",
                                         "::1:80",
                                         "[::1]",
                                         "[::1:80",
                                         "[10.0.0.5]:80",
                                         "10.0.0.5:65536",
                                         "10.0.0.5:8x",
                                         "host:80",
                                         "10.0.0.5 :80",
                                         "[fe80::1%lo]:80",
                                         "10.0.0.5:-1" };
    char text[ADDRESS_TEXT_SIZE];
    const char *expected;
    struct address a;

    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        cr_expect(address_parse(str_from(right[i]), 1, &a, &expected), "%s", right[i]);
        cr_expect_str_eq(address_text(&a, text), right[i]);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_expect_not(address_parse(str_from(wrong[i]), 1, &a, &expected), "%s", wrong[i]);
    cr_expect(address_parse(STR("0.0.0.0:0"), 0, &a, &expected));
}

Test(base_log, quoting)
{
    char to[16];

    cr_expect_str_eq(log_quote(STR("a\"b\\"), to, sizeof(to)), "\"a\\\"b\\\\\"");
    cr_expect_str_eq(log_quote(STR("\n"), to, sizeof(to)), "\"\\x0a\"");
    log_quote(STR("0123456789012345678901234567890"), to, sizeof(to));
    cr_expect_lt(strlen(to), sizeof(to));
    cr_expect(strstr(to, "...\"") != NULL, "%s", to);
}
