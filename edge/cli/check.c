/* check.c -- `usher check [FILE]`: what an edge would refuse, and what will surprise, before it does.
 *
 * Owns:    the text of the file.
 * Thread:  control
 * Used by: cli.c.
 * Not here: judging (lint.c); what commands leave behind (keyspace.c).  */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/cli.h"
#include "cli/command_file.h"
#include "cli/dangling.h"
#include "cli/keyspace.h"
#include "cli/lint.h"
#include "cli/verb_flags.h"
#include "cli/verb_modules.h"
#include "cli/verb_redis.h"
#include "store/keys.h"
#include "store/redis_records.h"

#define FILE_MAX (256u << 20)

struct check {
    struct settings settings;
    struct guard guard;
    bool json, strict, alone;
    const char *file; /* NULL: the whole keyspace */
    struct buf text;
    struct lint lint;
    struct verb_modules modules;
    bool learning;
    uint64_t written;
    struct redis_client *client; /* NULL: --alone */
    struct redis_records records;
    struct records source;
};

/* --- findings --- */

static const char *severity(const struct finding *f)
{
    return f->note ? "note" : f->warning ? "warning" : "error";
}

static void write_text(const struct check *c, const struct finding *f)
{
    struct buf line = { 0 };
    char key[400];

    if (c->file != NULL && f->line > 0)
        buf_printf(&line, "%s:%u: ", c->file, f->line);
    buf_printf(&line, "%s: ", severity(f));
    if (f->key.len > 0)
        buf_printf(&line, "%s: ", str_printable(f->key, key, sizeof(key)));
    if (f->error.value[0] == '\0')
        buf_add_text(&line, f->error.expected);
    else
        record_error_say(&f->error, &line);
    if (f->hint[0] != '\0')
        buf_printf(&line, "; %s", f->hint);
    puts(line.ptr);
    buf_free(&line);
}

static void add_member(struct buf *json, const char *name, struct str value)
{
    buf_printf(json, ",\"%s\":", name);
    buf_add_json(json, value);
}

static void write_json(struct check *c, const struct finding *f)
{
    struct buf json = { 0 };

    buf_printf(&json, "%s\n  {\"severity\":\"%s\"", c->written > 0 ? "," : "", severity(f));
    add_member(&json, "kind", str_from(f->kind));
    add_member(&json, "key", f->key);
    if (c->file != NULL && f->line > 0)
        buf_printf(&json, ",\"line\":%u", f->line);
    if (f->error.field[0] != '\0')
        add_member(&json, "field", str_from(f->error.field));
    if (f->error.value[0] != '\0')
        add_member(&json, "value", str_from(f->error.value));
    add_member(&json, f->error.value[0] != '\0' ? "expected" : "says", str_from(f->error.expected));
    if (f->hint[0] != '\0')
        add_member(&json, "hint", str_from(f->hint));
    buf_add_text(&json, "}");
    fputs(json.ptr, stdout);
    buf_free(&json);
}

static void on_found(void *owner, const struct finding *f)
{
    struct check *c = owner;

    if (c->json)
        write_json(c, f);
    else
        write_text(c, f);
    c->written++;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static int finish(struct check *c)
{
    const struct lint *l = &c->lint;

    if (c->json) {
        printf("%s],\"checked\":%llu,\"errors\":%llu,\"warnings\":%llu,\"notes\":%llu}\n",
               c->written > 0 ? "\n" : "", (unsigned long long)l->keys,
               (unsigned long long)l->errors, (unsigned long long)l->warnings,
               (unsigned long long)l->notes);
    } else {
        printf("%llu key%s checked: %llu error%s, %llu warning%s", (unsigned long long)l->keys,
               plural(l->keys), (unsigned long long)l->errors, plural(l->errors),
               (unsigned long long)l->warnings, plural(l->warnings));
        if (l->notes > 0)
            printf(", %llu note%s", (unsigned long long)l->notes, plural(l->notes));
        puts("");
    }
    return l->errors > 0 || (c->strict && l->warnings > 0) ? CLI_EXIT_FAILED : 0;
}

/* Half a report may not be taken for a whole one. */
static int fail(struct check *c, const char *why)
{
    fflush(stdout);
    if (c->json)
        printf("%s],\"failed\":true}\n", c->written > 0 ? "\n" : "");
    fprintf(stderr, "usher check: Redis: %s\n", why);
    return CLI_EXIT_USAGE;
}

/* --- the whole keyspace --- */

/* Hosts are judged when everything that they may name is known: in a second walk. */
static bool on_key_first(void *owner, struct str key, const enum family *family, struct str name)
{
    struct check *c = owner;

    if (family != NULL && *family == FAMILY_host)
        return false;
    return c->learning ? family != NULL : lint_key(&c->lint, key, family, name);
}

static bool on_key_host(void *owner, struct str key, const enum family *family, struct str name)
{
    struct check *c = owner;

    return family != NULL && lint_key(&c->lint, key, family, name);
}

static void on_value(void *owner, enum family family, struct str name, const struct value *value)
{
    struct check *c = owner;

    if (c->learning)
        lint_learn(&c->lint, family, name, value);
    else
        lint_record(&c->lint, family, name, value);
}

static bool walk(struct check *c, const char *behind,
                 bool (*key)(void *owner, struct str key, const enum family *family,
                             struct str name))
{
    struct redis_walk w = { .owner = c, .key = key, .value = on_value };

    return redis_records_walk(&c->records, behind, &w);
}

static int check_all(struct check *c)
{
    c->learning = true;
    if (!walk(c, "", on_key_first))
        return fail(c, c->records.error);
    c->learning = false;
    if (!walk(c, "", on_key_first) || !walk(c, "host:", on_key_host))
        return fail(c, c->records.error);
    lint_unnamed(&c->lint);
    return finish(c);
}

/* --- a file --- */

static bool read_file(struct check *c, FILE *file)
{
    char piece[65536];
    size_t len;

    while ((len = fread(piece, 1, sizeof(piece), file)) > 0 && c->text.len <= FILE_MAX)
        buf_add(&c->text, piece, len);
    if (ferror(file) || c->text.len > FILE_MAX) {
        fprintf(stderr, "usher check: %s: %s\n", c->file,
                ferror(file) ? strerror(errno) : "is larger than 256 MB");
        return false;
    }
    return true;
}

static bool open_file(struct check *c)
{
    FILE *file;
    bool good;

    if (strcmp(c->file, "-") == 0) {
        c->file = "(input)";
        return read_file(c, stdin);
    }
    file = fopen(c->file, "r");
    if (file == NULL) {
        fprintf(stderr, "usher check: %s: %s\n", c->file, strerror(errno));
        return false;
    }
    good = read_file(c, file);
    fclose(file);
    return good;
}

static void complain(struct check *c, unsigned line, bool warning, struct str key, struct str value,
                     const char *expected)
{
    struct finding f = { .warning = warning, .kind = "bad_command", .key = key, .line = line };

    if (value.len > 0)
        record_error_set(&f.error, "", value, "%s", expected);
    else
        snprintf(f.error.expected, sizeof(f.error.expected), "cannot be read: %s", expected);
    lint_report(&c->lint, &f);
}

static bool is_command(const struct command_file *f, const char *name)
{
    return str_equals_nocase(f->words[0], str_from(name));
}

/* How the MULTI that was just read ends: 'e' by EXEC, 'd' by DISCARD, 0: not at all. */
static char end_of_multi(const struct command_file *from)
{
    struct command_file f;
    enum command_result result;
    char end = 0;

    command_file_open(&f, from->rest);
    while (end == 0 && (result = command_file_next(&f)) != COMMAND_END)
        if (result == COMMAND_READ)
            end = is_command(&f, "exec") ? 'e' : is_command(&f, "discard") ? 'd' : 0;
    command_file_free(&f);
    return end;
}

/* What MULTI, EXEC and DISCARD do to what stands between them. */
struct multi {
    bool open, skipped; /* DISCARD follows, or nothing does */
};

static bool take_multi(struct check *c, struct command_file *f, struct multi *m)
{
    bool begins = is_command(f, "multi"), ends = is_command(f, "exec") || is_command(f, "discard");
    char end;

    if (!begins && !ends)
        return false;
    if (begins == m->open) {
        complain(c, f->line, false, STR(""), f->words[0],
                 begins ? "EXEC first: MULTI calls cannot be nested" : "MULTI before it");
        return true;
    }
    m->open = begins;
    m->skipped = false;
    if (!begins)
        return true;
    end = end_of_multi(f);
    m->skipped = end != 'e';
    if (end == 0)
        complain(c, f->line, false, STR(""), f->words[0],
                 "an EXEC behind it: without one nothing from here on is written");
    return true;
}

static void run_commands(struct check *c, struct keyspace *k)
{
    struct command_file f;
    struct multi multi = { 0 };
    struct keyspace_complaint said;
    enum command_result result;

    command_file_open(&f, str_slice(c->text.ptr, c->text.len));
    while ((result = command_file_next(&f)) != COMMAND_END) {
        if (result == COMMAND_WRONG)
            complain(c, f.line, false, STR(""), STR(""), f.wrong);
        else if (!take_multi(c, &f, &multi) && !multi.skipped &&
                 !keyspace_apply(k, f.line, f.count, f.words, &said))
            complain(c, f.line, said.warning, said.key, said.value, said.expected);
    }
    command_file_free(&f);
}

static void judge_touched(struct check *c, struct keyspace *k)
{
    struct keyspace_entry e;

    for (size_t at = 0; keyspace_next(k, &at, &e);) {
        struct str name = STR("");
        enum family family;
        bool ours = keys_split(c->lint.prefix, e.key, &family, &name);

        c->lint.line = e.line;
        if (e.value->kind == VALUE_ABSENT)
            c->lint.keys++;
        else if (lint_key(&c->lint, e.key, ours ? &family : NULL, name))
            lint_record(&c->lint, family, name, e.value);
    }
}

static int check_file(struct check *c)
{
    struct keyspace *k = keyspace_new(c->lint.prefix, c->client != NULL ? &c->source : NULL);
    struct records after = keyspace_records(k);
    int code;

    c->lint.all = &after;
    run_commands(c, k);
    judge_touched(c, k);
    if (c->client != NULL && c->lint.why == NULL)
        (void)dangling_find(k, &c->records, &c->lint);
    if (c->lint.why != NULL)
        code = fail(c, c->lint.why);
    else if (c->records.error[0] != '\0')
        code = fail(c, c->records.error);
    else
        code = finish(c);
    keyspace_free(k);
    return code;
}

/* --- the verb --- */

static bool read_flags(struct check *c, int argc, char **argv, int *code)
{
    struct verb_words words;
    const struct verb_flag flags[] = {
        { "alone", 0, NULL, VERB_FLAG_SWITCH, &c->alone,
          "judge FILE on top of nothing, without asking Redis" },
        { "strict", 0, NULL, VERB_FLAG_SWITCH, &c->strict, "warnings count as errors" },
        { "json", 0, NULL, VERB_FLAG_SWITCH, &c->json, "findings as one JSON object" },
        { NULL, 0, NULL, VERB_FLAG_SWITCH, NULL, NULL },
    };
    const struct verb_usage usage = {
        .line = "check [FLAGS] [FILE]",
        .says =
            "What an edge would refuse (errors, in the words of usher:errors), what it takes and\n"
            "will surprise (warnings), and what nobody names (notes): in all keys under --prefix;\n"
            "or, with FILE (- for standard input), errors and warnings in what its redis-cli\n"
            "commands would leave behind on top of what stands in Redis. Nothing is written.\n\n"
            "Exit: 0 without errors, 1 with, 2 when it cannot be checked.\n",
        .flags = flags,
        .settings = "allow-endpoints unix-endpoints module module-dir module-option",
        .words_most = 1,
    };

    if (!verb_flags_read(&usage, argc, argv, &c->settings, &words, code))
        return false;
    c->file = words.count > 0 ? words.words[0] : NULL;
    if (c->alone && c->file == NULL) {
        fputs("usher check: --alone: FILE must follow (see usher check --help)\n", stderr);
        *code = CLI_EXIT_USAGE;
        return false;
    }
    return true;
}

static int run(struct check *c)
{
    int code;

    if (c->file != NULL && !open_file(c))
        return CLI_EXIT_USAGE;
    if (!c->alone) {
        c->client = verb_redis_open(&c->settings);
        if (c->client == NULL)
            return CLI_EXIT_USAGE;
    }
    redis_records_init(&c->records, c->client, str_from(c->settings.prefix));
    c->source = redis_records_source(&c->records);
    if (c->json)
        printf("{\"findings\":[");
    code = c->file != NULL ? check_file(c) : check_all(c);
    redis_records_free(&c->records);
    if (c->client != NULL)
        redis_client_close(c->client);
    return code;
}

int check_verb(int argc, char **argv)
{
    struct check *c = check_alloc(sizeof(*c));
    int code;

    if (read_flags(c, argc, argv, &code)) {
        lint_init(&c->lint, str_from(c->settings.prefix), NULL);
        c->lint.owner = c;
        c->lint.found = on_found;
        c->lint.guard = &c->guard;
        verb_redis_guard(&c->guard, &c->settings);
        code = verb_modules_open(&c->modules, &c->settings);
        c->lint.modules = &c->modules.host;
        if (code == 0)
            code = run(c);
        lint_free(&c->lint);
        verb_modules_close(&c->modules);
    }
    buf_free(&c->text);
    free(c);
    return code;
}
