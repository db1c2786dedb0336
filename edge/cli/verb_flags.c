/* verb_flags.c -- the command line of verbs: own flags set, flags of `serve` handed to its table.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: the verbs.
 * Not here: the flags of `usher serve` (settings.c); what a verb does (its file). */
#include "cli/verb_flags.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"
#include "settings_numbers.h"

#define VARIABLE_SIZE 64
#define TIME_MOST_MS (24ull * 60 * 60 * 1000)

/* What is handed on to settings_read. */
struct passed {
    char **argv;
    int argc;
    char **environment;
};

struct reader {
    const struct verb_usage *usage;
    struct verb_words *words;
    struct passed passed;
    char error[SETTINGS_ERROR_SIZE];
};

/* --- which flags of `serve` --- */

static bool is_listed(const char *list, const char *name)
{
    struct str rest = str_from(list != NULL ? list : ""), part;

    while (str_split(&rest, ' ', &part))
        if (str_equals(part, str_from(name)))
            return true;
    return false;
}

/* What reaches Redis belongs together: --redis, and any --redis-something. */
static bool is_taken(const struct verb_usage *u, const char *name)
{
    bool redis = strcmp(name, "redis") == 0 || strncmp(name, "redis-", 6) == 0;

    return (!u->without_redis && (redis || strcmp(name, "prefix") == 0)) ||
           is_listed(u->settings, name);
}

static bool is_setting(const struct verb_usage *u, struct str flag)
{
    const char *name;

    for (unsigned i = 0; (name = settings_flag(i)) != NULL; i++)
        if (str_equals(flag, str_from(name)))
            return is_taken(u, name);
    return false;
}

static void pass_environment(struct reader *r)
{
    size_t count = 0;
    const char *name;

    while (environ[count] != NULL)
        count++;
    r->passed.environment = check_alloc((count + 1) * sizeof(char *));
    count = 0;
    for (unsigned i = 0; (name = settings_flag(i)) != NULL; i++) {
        char variable[VARIABLE_SIZE];
        int len = snprintf(variable, sizeof(variable), "USHER_%s=", name);

        if (!is_taken(r->usage, name))
            continue;
        for (char *c = variable; *c != '\0'; c++)
            *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        for (char **v = environ; *v != NULL; v++)
            if (strncmp(*v, variable, (size_t)len) == 0) {
                r->passed.environment[count++] = *v;
                break;
            }
    }
    r->passed.environment[count] = NULL;
}

/* --- own flags --- */

static bool complain(struct reader *r, const char *text)
{
    snprintf(r->error, sizeof(r->error), "%s", text);
    return false;
}

static bool complain_of(struct reader *r, const struct verb_flag *f, const char *value,
                        const char *expected)
{
    char shown[128];

    snprintf(r->error, sizeof(r->error), "--%s: got %s, expected %s", f->name,
             log_quote(str_from(value), shown, sizeof(shown)), expected);
    return false;
}

static bool add_word(struct reader *r, struct verb_words *words, const char *word)
{
    if (words == NULL || words->count == VERB_WORDS_MAX)
        return complain(r, "too many words");
    words->words[words->count++] = word;
    return true;
}

static bool set(struct reader *r, const struct verb_flag *f, const char *value)
{
    switch (f->kind) {
    case VERB_FLAG_SWITCH:
        *(bool *)f->to = true;
        return true;
    case VERB_FLAG_TEXT:
        *(const char **)f->to = value;
        return true;
    case VERB_FLAG_WORDS:
        return add_word(r, f->to, value);
    case VERB_FLAG_COUNT:
        return str_to_u64(str_from(value), UINT32_MAX, f->to) ||
               complain_of(r, f, value, "a number");
    case VERB_FLAG_TIME:
        return settings_time(str_from(value), TIME_MOST_MS, f->to) ||
               complain_of(r, f, value, "a time such as 500ms, 10s or 2m");
    }
    CHECK(!"a kind without a reader");
    return false;
}

static const struct verb_flag *own_flag(const struct verb_usage *u, struct str name, char letter)
{
    if (u->flags == NULL)
        return NULL;
    for (const struct verb_flag *f = u->flags; f->name != NULL; f++)
        if (letter != 0 ? f->letter == letter : str_equals(name, str_from(f->name)))
            return f;
    return NULL;
}

static bool refuse(struct reader *r, const char *word)
{
    char shown[128];

    snprintf(r->error, sizeof(r->error), "no flag is named %s",
             log_quote(str_from(word), shown, sizeof(shown)));
    return false;
}

/* argv[*at] begins with a hyphen. */
static bool read_flag(struct reader *r, int argc, char *const *argv, int *at)
{
    const char *word = argv[*at], *equals = strchr(word, '=');
    bool longer = word[1] == '-', bare;
    struct str name = longer ? str_from(word + 2) : str_from("");
    const struct verb_flag *own;

    if (!longer && word[2] != '\0')
        return refuse(r, word);
    if (longer && equals != NULL)
        name.len = (size_t)(equals - word) - 2;
    own = own_flag(r->usage, name, longer ? 0 : word[1]);
    if (own == NULL && !(longer && is_setting(r->usage, name)))
        return refuse(r, word);
    bare = own != NULL && own->kind == VERB_FLAG_SWITCH;
    if (bare && longer && equals != NULL)
        return complain_of(r, own, equals + 1, "nothing behind it");
    if (!bare && !(longer && equals != NULL) && *at + 1 == argc) {
        snprintf(r->error, sizeof(r->error), "%s: %s must follow", word,
                 own != NULL ? own->value : "its value");
        return false;
    }
    if (own == NULL) {
        r->passed.argv[r->passed.argc++] = argv[*at];
        if (equals == NULL)
            r->passed.argv[r->passed.argc++] = argv[++*at];
        return true;
    }
    return set(r, own, bare ? NULL : longer && equals != NULL ? equals + 1 : argv[++*at]);
}

static bool read_words(struct reader *r, int argc, char *const *argv)
{
    unsigned most = r->usage->words_most, count = 0;
    bool flags = true;

    for (int i = 0; i < argc; i++) {
        if (flags && strcmp(argv[i], "--") == 0) {
            flags = false;
        } else if (flags && argv[i][0] == '-' && argv[i][1] != '\0') {
            if (!read_flag(r, argc, argv, &i))
                return false;
        } else if (count++ == most) {
            return complain(r, most == 0 ? "takes flags only" : "too many words");
        } else if (!add_word(r, r->words, argv[i])) {
            return false;
        }
    }
    return count >= r->usage->words_least || complain(r, "a word is missing");
}

/* --- help --- */

static void write_help(const struct verb_usage *u)
{
    struct buf text = { 0 };
    const char *name;

    buf_printf(&text, "usage: usher %s\n\n%s\n", u->line, u->says);
    for (const struct verb_flag *f = u->flags; f != NULL && f->name != NULL; f++) {
        if (f->letter != 0)
            buf_printf(&text, "  -%c, --%s", f->letter, f->name);
        else
            buf_printf(&text, "  --%s", f->name);
        buf_printf(&text, "%s%s\n      %s\n", f->value ? " " : "", f->value ? f->value : "",
                   f->says);
    }
    for (unsigned i = 0; (name = settings_flag(i)) != NULL; i++)
        if (is_taken(u, name))
            settings_help_flag(i, &text);
    fwrite(text.ptr, 1, text.len, stdout);
    buf_free(&text);
}

static bool wants_help(int argc, char *const *argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

bool verb_flags_read(const struct verb_usage *u, int argc, char *const *argv, struct settings *s,
                     struct verb_words *words, int *code)
{
    struct reader r = { .usage = u, .words = words };
    int verb = (int)strcspn(u->line, " ");
    bool good;

    if (wants_help(argc, argv)) {
        write_help(u);
        *code = 0;
        return false;
    }
    r.passed.argv = check_alloc(((size_t)argc + 1) * sizeof(char *));
    pass_environment(&r);
    if (words != NULL)
        words->count = 0;
    good = read_words(&r, argc, argv) &&
           settings_read(s, r.passed.argc, r.passed.argv, r.passed.environment, r.error);
    if (!good)
        fprintf(stderr, "usher %.*s: %s (see usher %.*s --help)\n", verb, u->line, r.error, verb,
                u->line);
    free(r.passed.argv);
    free(r.passed.environment);
    *code = CLI_EXIT_USAGE;
    return good;
}
