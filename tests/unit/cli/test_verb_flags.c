/* test_verb_flags.c -- own flags, flags of serve, environment twins, words, and what is refused. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/verb_flags.h"

struct given {
    bool json;
    const char *method;
    struct verb_words headers;
    uint64_t edges, timeout_ms;
    struct settings s;
    struct verb_words words;
    int code;
    bool good;
};

static struct given read_line(const char *line)
{
    static struct given g;
    static char text[512]; /* words point into it */
    const struct verb_flag flags[] = {
        { "json", 0, NULL, VERB_FLAG_SWITCH, &g.json, "as JSON" },
        { "method", 'X', "METHOD", VERB_FLAG_TEXT, &g.method, "the method" },
        { "header", 'H', "FIELD", VERB_FLAG_WORDS, &g.headers, "a field" },
        { "edges", 0, "N", VERB_FLAG_COUNT, &g.edges, "so many" },
        { "timeout", 0, "TIME", VERB_FLAG_TIME, &g.timeout_ms, "so long" },
        { 0 },
    };
    const struct verb_usage usage = { .line = "ask [FLAGS] URL",
                                      .says = "Asks.\n",
                                      .flags = flags,
                                      .settings = "admin",
                                      .words_least = 1,
                                      .words_most = 2 };
    char *argv[32], *rest;
    int argc = 0;

    snprintf(text, sizeof(text), "%s", line);
    memset(&g, 0, sizeof(g));
    g.timeout_ms = 10000;
    for (char *w = strtok_r(text, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
        argv[argc++] = w;
    g.good = verb_flags_read(&usage, argc, argv, &g.s, &g.words, &g.code);
    return g;
}

Test(verb_flags, defaults_stay_where_nothing_is_said)
{
    struct given g = read_line("url");

    cr_assert(g.good);
    cr_assert_eq(g.words.count, 1);
    cr_assert_str_eq(g.words.words[0], "url");
    cr_assert_not(g.json);
    cr_assert_null(g.method);
    cr_assert_eq(g.timeout_ms, 10000);
    cr_assert_str_eq(g.s.prefix, "usher:");
    cr_assert_eq(g.s.redis.port, 6379);
}

Test(verb_flags, each_kind_is_read_long_short_and_with_an_equals_sign)
{
    struct given g = read_line("-X POST --json -H a:b one --header=c:d --edges 3 --timeout=1500ms "
                               "--redis redis://10.0.0.9:7000/2 --prefix=mine: -- --two");

    cr_assert(g.good);
    cr_assert(g.json);
    cr_assert_str_eq(g.method, "POST");
    cr_assert_eq(g.headers.count, 2);
    cr_assert_str_eq(g.headers.words[1], "c:d");
    cr_assert_eq(g.edges, 3);
    cr_assert_eq(g.timeout_ms, 1500);
    cr_assert_str_eq(g.s.redis.host, "10.0.0.9");
    cr_assert_eq(g.s.redis.db, 2);
    cr_assert_str_eq(g.s.prefix, "mine:");
    cr_assert_eq(g.words.count, 2);
    cr_assert_str_eq(g.words.words[1], "--two");
}

Test(verb_flags, the_environment_counts_for_flags_that_are_taken_and_for_no_other)
{
    struct given g;

    setenv("USHER_PREFIX", "env:", 1);
    setenv("USHER_WORKERS", "no number", 1); /* a flag of serve, none of this verb */
    g = read_line("url");
    cr_assert(g.good);
    cr_assert_str_eq(g.s.prefix, "env:");
    g = read_line("--prefix flag: url");
    cr_assert_str_eq(g.s.prefix, "flag:");
    cr_redirect_stderr();
    setenv("USHER_ADMIN", "nowhere", 1); /* named by the verb */
    cr_assert_not(read_line("url").good);
}

static const char *said(FILE *redirected)
{
    static char text[4096];
    size_t len;

    fflush(stderr);
    fflush(stdout);
    len = fread(text, 1, sizeof(text) - 1, redirected);
    text[len] = '\0';
    return text;
}

#define REFUSED(name, line, part)                                                                  \
    Test(verb_flags, name, .init = cr_redirect_stderr)                                             \
    {                                                                                              \
        struct given g = read_line(line);                                                          \
        const char *text;                                                                          \
                                                                                                   \
        cr_assert_not(g.good);                                                                     \
        cr_assert_eq(g.code, 2);                                                                   \
        text = said(cr_get_redirected_stderr());                                                   \
        cr_assert(strstr(text, part) != NULL, "%s", text);                                         \
        cr_assert(strstr(text, "usher ask") != NULL, "%s", text);                                  \
    }

REFUSED(an_unknown_flag_is_named, "--colour url", "--colour")
REFUSED(a_flag_of_serve_that_is_not_taken_is_unknown, "--workers 2 url", "--workers")
REFUSED(letters_are_not_run_together, "-XPOST url", "-XPOST")
REFUSED(a_value_must_follow, "url --timeout", "TIME must follow")
REFUSED(a_time_has_a_unit, "--timeout 5 url", "a time such as")
REFUSED(a_number_is_one, "--edges two url", "a number")
REFUSED(a_switch_takes_no_value, "--json=yes url", "nothing behind it")
REFUSED(too_few_words, "--json", "a word is missing")
REFUSED(too_many_words, "a b c", "too many words")
REFUSED(a_wrong_setting_is_told_by_its_own_rule, "--redis http://x url",
        "--redis: expected redis://")

Test(verb_flags, help_tells_of_every_flag, .init = cr_redirect_stdout)
{
    struct given g = read_line("--help");
    const char *text = said(cr_get_redirected_stdout());

    cr_assert_not(g.good);
    cr_assert_eq(g.code, 0);
    cr_assert(strstr(text, "usage: usher ask [FLAGS] URL") != NULL);
    cr_assert(strstr(text, "-X, --method METHOD") != NULL);
    cr_assert(strstr(text, "--redis URL") != NULL);
    cr_assert(strstr(text, "USHER_ADMIN") != NULL);
    cr_assert(strstr(text, "--workers") == NULL);
}
