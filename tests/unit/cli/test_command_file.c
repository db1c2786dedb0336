/* test_command_file.c -- words as redis-cli reads them, and words written so that it would. */
#include <criterion/criterion.h>

#include "base/random.h"
#include "cli/command_file.h"
#include "cli/near_miss.h"

/* The words of the first command, each in brackets; or what is wrong with it. */
static const char *words_of(const char *text, struct buf *to)
{
    struct command_file f;

    buf_clear(to);
    buf_add_text(to, "");
    command_file_open(&f, str_from(text));
    switch (command_file_next(&f)) {
    case COMMAND_READ:
        for (unsigned i = 0; i < f.count; i++)
            buf_printf(to, "[" STR_FMT "]", STR_ARG(f.words[i]));
        break;
    case COMMAND_WRONG:
        buf_add_text(to, f.wrong);
        break;
    case COMMAND_END:
        buf_add_text(to, "end");
    }
    command_file_free(&f);
    return to->ptr;
}

Test(command_file, words_and_quotes)
{
    static const struct {
        const char *text, *words;
    } rows[] = {
        { "SET a b", "[SET][a][b]" },
        { "  SET\ta   b \r\n", "[SET][a][b]" },
        { "SET a \"b c\"", "[SET][a][b c]" },
        { "SET a 'b c'", "[SET][a][b c]" },
        { "SET a ''", "[SET][a][]" },
        { "SET a \"\"", "[SET][a][]" },
        { "SET a \"x\\\"y\\\\z\"", "[SET][a][x\"y\\z]" },
        { "SET a '\\'x\\n'", "[SET][a]['x\\n]" },
        { "SET a \"\\x41\\x4a\\n|\\t|\\q\"", "[SET][a][AJ\n|\t|q]" },
        { "SET a \"\\x4\"", "[SET][a][x4]" },
        { "SET a pre\"post\"", "[SET][a][prepost]" },
        { "SET a \"b\"c", "a space must stand behind the closing quote" },
        { "SET a 'b'c", "a space must stand behind the closing quote" },
        { "SET a \"b", "a quote is opened and not closed" },
        { "SET a 'b\nSET c 'd'", "a quote is opened and not closed" },
        { "SET a \"b\\", "a quote is opened and not closed" },
        { "# SET a b\n\n   \n   # x\nDEL a", "[DEL][a]" },
        { "\xef\xbb\xbfSET a b", "[SET][a][b]" },
        { "", "end" },
        { "#", "end" },
        { "\n\n", "end" },
    };
    struct buf said = { 0 };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_str_eq(words_of(rows[i].text, &said), rows[i].words, "%s", rows[i].text);
    buf_free(&said);
}

Test(command_file, lines_are_counted_and_a_wrong_one_does_not_stop)
{
    struct command_file f;

    command_file_open(&f, STR("\n# x\nSET a b\nSET \"c\nDEL a\n"));
    cr_assert_eq(command_file_next(&f), COMMAND_READ);
    cr_expect_eq(f.line, 3);
    cr_assert_eq(command_file_next(&f), COMMAND_WRONG);
    cr_expect_eq(f.line, 4);
    cr_assert_eq(command_file_next(&f), COMMAND_READ);
    cr_expect_eq(f.line, 5);
    cr_expect(str_equals(f.words[1], STR("a")));
    cr_assert_eq(command_file_next(&f), COMMAND_END);
    command_file_free(&f);
}

/* Whatever bytes a word holds, what is written is read back as that word. */
Test(command_file, a_quoted_word_is_read_back)
{
    struct random random;
    char bytes[40];

    random_init(&random);
    for (unsigned i = 0; i < 5000; i++) {
        size_t len = (size_t)random_below(&random, sizeof(bytes));
        struct buf text = { 0 };
        struct command_file f;

        for (size_t j = 0; j < len; j++)
            bytes[j] = random_below(&random, 2) ? (char)random_below(&random, 256)
                                                : "'\"\\ #x a"[random_below(&random, 8)];
        buf_add_text(&text, "SET key ");
        command_quote(&text, str_slice(bytes, len));
        command_file_open(&f, str_slice(text.ptr, text.len));
        cr_assert_eq(command_file_next(&f), COMMAND_READ, "%s: %s", text.ptr, f.wrong);
        cr_assert_eq(f.count, 3, "%s", text.ptr);
        cr_assert(str_equals(f.words[2], str_slice(bytes, len)), "%s", text.ptr);
        command_file_free(&f);
        buf_free(&text);
    }
}

Test(command_file, any_bytes_are_read_to_their_end)
{
    struct random random;
    char bytes[300];

    random_init(&random);
    for (unsigned i = 0; i < 5000; i++) {
        struct command_file f;
        unsigned lines = 0;

        for (size_t j = 0; j < sizeof(bytes); j++)
            bytes[j] = random_below(&random, 3) ? "'\"\\ \nx4"[random_below(&random, 7)]
                                                : (char)random_below(&random, 256);
        command_file_open(&f, str_slice(bytes, sizeof(bytes)));
        while (command_file_next(&f) != COMMAND_END)
            cr_assert_leq(++lines, sizeof(bytes));
        command_file_free(&f);
    }
}

Test(near_miss, slips_of_the_fingers)
{
    static const char *const known[] = { "tenant", "host", "service", "endpoints", "to", "set" };
    static const struct {
        const char *word, *meant;
    } rows[] = {
        { "tenat", "tenant" },       { "tennant", "tenant" },
        { "etnant", "tenant" },      { "Tenant", "tenant" },
        { "hosts", "host" },         { "servise", "service" },
        { "endpoint", "endpoints" }, { "ot", "to" },
        { "xyzzy", NULL },           { "t", NULL },
        { "colour", NULL },          { "", NULL },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *near = near_miss(str_from(rows[i].word), known, 6);

        if (rows[i].meant == NULL)
            cr_expect_null(near, "%s: %s", rows[i].word, near);
        else
            cr_expect(near != NULL && strcmp(near, rows[i].meant) == 0, "%s: %s", rows[i].word,
                      near ? near : "none");
    }
}
