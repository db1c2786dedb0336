/* test_ask.c -- which questions may be asked, of which keys; answers as they travel. */
#include <criterion/criterion.h>

#include "module_host/ask.h"

#define TEXT(literal) ((struct usher_text){ (literal), sizeof(literal) - 1 })

static const char *key_of(const char *prefix, const char *tenant, const char *key)
{
    static char text[200];
    size_t len = ask_key(str_from(prefix), str_from(tenant), str_from(key), NULL);

    if (len == 0)
        return "";
    cr_assert_eq(ask_key(str_from(prefix), str_from(tenant), str_from(key), text), len);
    text[len] = '\0';
    return text;
}

Test(ask, a_key_is_the_tenants_own_or_the_rest_of_one)
{
    static const struct {
        const char *prefix, *tenant, *key, *whole;
    } rows[] = {
        { "usher:", "acme", "users", "usher:t:acme:users" },
        { "usher:", "acme", "usher:t:acme:users", "usher:t:acme:users" },
        { "usher:", "acme", "usher:t:acme:a:b", "usher:t:acme:a:b" },
        { "usher:", "acme", "usher:t:acme:", "" },
        { "usher:", "acme", "usher:t:acme", "" },
        { "usher:", "acme", "usher:t:acme2:users", "" },
        { "usher:", "acme2", "usher:t:acme:users", "" },
        { "usher:", "acme", "usher:tenant:acme", "" },
        { "usher:", "acme", "usher:t:", "" },
        { "usher:", "acme", "", "" },
        { "usher:", "acme", "t:other:users", "usher:t:acme:t:other:users" },
        { "", "acme", "users", "t:acme:users" },
        { "", "acme", "t:acme:users", "t:acme:users" },
        { "", "acme", "t:other:users", "" },
        { "{u}:", "a", "k", "{u}:t:a:k" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_str_eq(key_of(rows[i].prefix, rows[i].tenant, rows[i].key), rows[i].whole,
                         "%s of %s: %s", rows[i].key, rows[i].tenant,
                         key_of(rows[i].prefix, rows[i].tenant, rows[i].key));
}

Test(ask, a_question_has_what_its_kind_needs_and_is_bounded)
{
    static char large[ASK_BYTES_MAX];
    struct usher_text args[ASK_ARGS_MAX + 1] = { TEXT("a"), TEXT("b") };
    struct usher_question q = { .kind = USHER_ASK_GET, .key = TEXT("k"), .args = args };

    for (unsigned i = 2; i <= ASK_ARGS_MAX; i++)
        args[i] = TEXT("c");
    cr_expect(ask_is_right(&q));
    q.arg_count = 1;
    cr_expect_not(ask_is_right(&q), "GET has no args");
    q.kind = USHER_ASK_HGET;
    cr_expect(ask_is_right(&q));
    q.arg_count = 2;
    cr_expect_not(ask_is_right(&q), "HGET has one");
    q.kind = USHER_ASK_HMGET;
    q.arg_count = ASK_ARGS_MAX;
    cr_expect(ask_is_right(&q));
    q.arg_count = ASK_ARGS_MAX + 1;
    cr_expect_not(ask_is_right(&q));
    q.arg_count = 2;
    args[1] = (struct usher_text){ large, ASK_BYTES_MAX - 2 };
    cr_expect(ask_is_right(&q));
    args[1].len++;
    cr_expect_not(ask_is_right(&q), "16 KiB in all");
    q = (struct usher_question){ .kind = USHER_ASK_INCRBY, .key = TEXT("k"), .amount = -1 };
    cr_expect_not(ask_is_right(&q), "a new key would live for ever");
    q.ttl_ms = 1;
    cr_expect(ask_is_right(&q));
    q.kind = USHER_ASK_INCRBY + 1;
    cr_expect_not(ask_is_right(&q));
}

Test(ask, an_answer_is_a_copy_and_may_be_given_anew)
{
    char bytes[] = "value";
    struct usher_text values[] = { { bytes, 5 }, { NULL, 0 }, { bytes, 0 } };
    struct ask a = { .kind = USHER_ASK_HMGET, .arg_count = 3 };

    ask_give(&a, values, 3);
    bytes[0] = 'x';
    cr_assert_eq(a.state, USHER_ANSWER_GOOD);
    cr_assert_eq(a.count, 3);
    cr_expect(a.values[0].len == 5 && memcmp(a.values[0].ptr, "value", 5) == 0);
    cr_expect_null(a.values[1].ptr);
    cr_expect(a.values[2].ptr != NULL && a.values[2].len == 0, "empty is not absent");
    ask_give_wrong(&a, STR("no"));
    cr_assert(a.state == USHER_ANSWER_WRONG && a.count == 1 && a.values[0].len == 2);
    ask_give_away(&a);
    cr_assert(a.state == USHER_ANSWER_AWAY && a.count == 0 && a.values == NULL);
    ask_clear(&a);
}
