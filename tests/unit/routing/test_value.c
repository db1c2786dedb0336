/* test_value.c -- values to bytes and back; bytes that are none are refused. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "routing/value.h"

static struct value hash_of(const struct value_field *fields, size_t count)
{
    return (struct value){ .kind = VALUE_HASH, .type = "hash", .fields = fields, .count = count };
}

Test(value, comes_back_as_it_went)
{
    struct value string = { .kind = VALUE_STRING, .string = { "10.0.0.5:80 \0 10.0.0.6:80", 24 } };
    struct value_field fields[] = { { STR("to"), STR("service:web") },
                                    { STR("status"), STR("") },
                                    { STR(""), { "\0\xff", 2 } } };
    struct value hash = hash_of(fields, 3), none = hash_of(NULL, 0), back;
    struct buf b = { 0 };

    value_encode(&string, &b);
    cr_assert(value_decode(str_slice(b.ptr, b.len), &back));
    cr_assert_eq(back.kind, VALUE_STRING);
    cr_assert(str_equals(back.string, string.string));
    value_free(&back);
    buf_clear(&b);
    value_encode(&hash, &b);
    cr_assert(value_decode(str_slice(b.ptr, b.len), &back));
    cr_assert_eq(back.kind, VALUE_HASH);
    cr_assert_eq(back.count, 3);
    cr_expect(str_equals(back.fields[0].name, STR("")));
    cr_expect(str_equals(back.fields[0].value, fields[2].value));
    cr_expect(str_equals(back.fields[1].name, STR("status")));
    cr_expect(str_equals(back.fields[2].value, STR("service:web")));
    value_free(&back);
    buf_clear(&b);
    value_encode(&none, &b);
    cr_assert(value_decode(str_slice(b.ptr, b.len), &back));
    cr_assert_eq(back.count, 0);
    value_free(&back);
    buf_free(&b);
}

Test(value, of_the_same_fields_in_another_order_is_the_same_bytes)
{
    struct value_field one[] = { { STR("a"), STR("1") },
                                 { STR("ab"), STR("2") },
                                 { STR("b"), STR("3") } };
    struct value_field two[] = { one[2], one[0], one[1] };
    struct value first = hash_of(one, 3), second = hash_of(two, 3);
    struct buf a = { 0 }, b = { 0 };

    value_encode(&first, &a);
    value_encode(&second, &b);
    cr_assert(str_equals(str_slice(a.ptr, a.len), str_slice(b.ptr, b.len)));
    buf_free(&a);
    buf_free(&b);
}

/* Whatever the bytes: no read outside of them (the sanitizer sees it), no value out of nothing. */
Test(value, cut_or_damaged_bytes_are_refused_or_shorter)
{
    struct value_field fields[] = { { STR("to"), STR("service:web") }, { STR("x"), STR("y") } };
    struct value hash = hash_of(fields, 2), back;
    struct buf b = { 0 };

    value_encode(&hash, &b);
    for (size_t len = 0; len < b.len; len++) {
        char *cut = malloc(len + 1);

        memcpy(cut, b.ptr, len);
        if (value_decode(str_slice(cut, len), &back))
            cr_expect_lt(back.count, 2);
        value_free(&back);
        free(cut);
    }
    for (size_t at = 0; at < b.len; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            char *bytes = malloc(b.len);

            memcpy(bytes, b.ptr, b.len);
            bytes[at] = (char)(bytes[at] ^ (1 << bit));
            value_decode(str_slice(bytes, b.len), &back);
            value_free(&back);
            free(bytes);
        }
    buf_free(&b);
}

Test(value, is_said_as_redis_cli_takes_it)
{
    const struct value_field fields[] = { { STR("to"), STR("10.0.0.1:80 10.0.0.2:80") },
                                          { STR(""), STR("a\"b\\c\n\x01\xff") },
                                          { STR("https"), STR("off") } };
    struct value hash = { .kind = VALUE_HASH, .fields = fields, .count = 3 };
    struct value string = { .kind = VALUE_STRING, .string = STR("service:web") };
    struct buf b = { 0 };

    value_say(&hash, &b);
    cr_assert_eq(
        b.len,
        strlen("to \"10.0.0.1:80 10.0.0.2:80\" \"\" \"a\\\"b\\\\c\\n\\x01\\xff\" https off"));
    cr_assert(memcmp(b.ptr,
                     "to \"10.0.0.1:80 10.0.0.2:80\" \"\" \"a\\\"b\\\\c\\n\\x01\\xff\" https off",
                     b.len) == 0);
    buf_clear(&b);
    value_say(&string, &b);
    cr_assert(b.len == 11 && memcmp(b.ptr, "service:web", 11) == 0);
    buf_free(&b);
}
