/* test_digest.c -- base64 in both alphabets: the one way to write bytes, and no other. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "net/digest.h"

#define WRONG SIZE_MAX

static size_t decode(const char *text, bool url, uint8_t to[256])
{
    return base64_decode(str_from(text), url, to, 256);
}

/* RFC 4648 10 */
Test(digest, base64_says_what_the_rfc_says)
{
    static const char *const said[] = { "",         "Zg==",     "Zm8=",    "Zm9v",
                                        "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };
    uint8_t to[256];

    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        cr_expect_eq(decode(said[i], false, to), i);
        cr_expect_eq(memcmp(to, "foobar", i), 0, "%s", said[i]);
    }
    cr_expect_eq(decode("Zm8", true, to), 2);
    cr_expect_eq(decode("-_-_", true, to), 3);
    cr_expect_eq(memcmp(to, "\xfb\xff\xbf", 3), 0);
    cr_expect_eq(decode("+/+/", false, to), 3);
    cr_expect_eq(memcmp(to, "\xfb\xff\xbf", 3), 0);
}

Test(digest, base64_takes_no_second_way_to_write_the_same)
{
    static const char *const wrong[] = {
        "Zg",         "Zg=",  "Zg===", "Zh==", "Zm9=", "Z",        "Zm9v ", " Zm9v",  "Zm9v\r\n",
        "Zm\r\n9v==", "Zm9-", "====",  "=",    "Z===", "Zg==Zg==", "Zm9v=", "Zm9\x80"
    };
    static const char *const wrong_url[] = { "Zg==",  "Zh",   "Zm9",  "Z",
                                             "Zm9vZ", "Zm9+", "Zm9/", "Zm 9" };
    uint8_t to[256];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_expect_eq(decode(wrong[i], false, to), WRONG, "\"%s\"", wrong[i]);
    for (size_t i = 0; i < sizeof(wrong_url) / sizeof(wrong_url[0]); i++)
        cr_expect_eq(decode(wrong_url[i], true, to), WRONG, "\"%s\"", wrong_url[i]);
}

/* Longer than one block, and into exactly as much room as it needs. */
Test(digest, base64_of_any_length_fits_the_room_it_needs)
{
    char text[401];
    uint8_t *to;

    memset(text, 'A', sizeof(text) - 1);
    for (size_t len = 4; len < sizeof(text); len += 4) {
        text[len] = '\0';
        to = malloc(len / 4 * 3); /* a byte more would be seen by the sanitizer */
        cr_expect_eq(base64_decode(str_from(text), false, to, len / 4 * 3), len / 4 * 3);
        cr_expect_eq(to[len / 4 * 3 - 1], 0);
        cr_expect_eq(base64_decode(str_from(text), false, to, len / 4 * 3 - 1), WRONG);
        free(to);
        text[len] = 'A';
    }
}
