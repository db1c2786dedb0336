/* record_write.c -- looks, judges, and writes what it has judged: or nothing, when somebody else wrote
 * in between.
 *
 * Owns:    the commands, until they are sent.
 * Thread:  control
 * Used by: route.c, tenant.c, rollback.c.
 * Not here: what edges record of writes by others (store/history.c).  */
#include "cli/record_write.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "cli/cli.h"
#include "cli/command_file.h"
#include "cli/keyspace.h"
#include "cli/lint.h"
#include "cli/verb_redis.h"
#include "routing/value.h"
#include "store/history_script.h"
#include "store/keys.h"

#define ATTEMPTS 5
#define NO_TENANT "-" /* as in store/history.c */
#define HISTORY_VALUE_MOST (64u * 1024)

/* What the history gets for one record. */
struct entry {
    struct buf stream, mark, before, after;
    const char *before_type, *after_type;
    struct str key;
    bool changes; /* else nothing is recorded */
};

/* One attempt. */
struct attempt {
    struct record_write *write;
    struct redis_records records;
    struct records source;
    struct keyspace *after;
    struct lint lint;
    struct guard guard;
    struct entry entries[RECORD_WRITE_MOST]; /* of each touched key, in their order */
    const char *why;                         /* Redis cannot be read; NULL: it can */
};

void record_write_open(struct record_write *w, struct settings *settings,
                       struct redis_client *client, const char *by)
{
    *w = (struct record_write){ .settings = settings, .client = client, .by = by };
}

void record_write_free(struct record_write *w)
{
    for (unsigned i = 0; i < w->count; i++)
        buf_free(&w->commands[i]);
}

void record_write_add(struct record_write *w, unsigned count, const struct str *words)
{
    struct buf line = { 0 };

    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            buf_add_text(&line, " ");
        command_quote(&line, words[i]);
    }
    record_write_add_line(w, str_slice(line.ptr, line.len));
    buf_free(&line);
}

void record_write_add_line(struct record_write *w, struct str line)
{
    CHECK(w->count < RECORD_WRITE_MOST);
    buf_add_str(&w->commands[w->count++], line);
}

/* Calls fn with the words of each command. */
static bool each_command(struct record_write *w,
                         bool (*fn)(void *owner, unsigned count, const struct str *words),
                         void *owner)
{
    bool good = true;

    for (unsigned i = 0; i < w->count && good; i++) {
        struct command_file f;

        command_file_open(&f, str_slice(w->commands[i].ptr, w->commands[i].len));
        good = command_file_next(&f) == COMMAND_READ && fn(owner, f.count, f.words);
        command_file_free(&f);
    }
    return good;
}

static void say_redis(struct record_write *w)
{
    fprintf(stderr, "usher: Redis: %s\n", redis_client_error(w->client));
}

/* --- looking and judging --- */

static bool watch_key(void *owner, unsigned count, const struct str *words)
{
    struct record_write *w = owner;
    redisReply *r;

    CHECK(count >= 2);
    r = verb_redis_do(w->client, 2, (struct str[]){ STR("WATCH"), words[1] });
    freeReplyObject(r);
    return r != NULL;
}

static bool apply(void *owner, unsigned count, const struct str *words)
{
    struct attempt *a = owner;
    struct keyspace_complaint said;
    char key[300];

    if (keyspace_apply(a->after, 1, count, words, &said) || said.warning)
        return true;
    fprintf(stderr, "usher: %s: expected %s\n", str_printable(said.key, key, sizeof(key)),
            said.expected);
    return false;
}

static void on_found(void *owner, const struct finding *f)
{
    struct buf line = { 0 };
    char key[300];

    (void)owner;
    buf_printf(&line, "usher: %s%s: ", f->warning ? "warning: " : "",
               str_printable(f->key, key, sizeof(key)));
    if (f->error.value[0] != '\0')
        record_error_say(&f->error, &line);
    else
        buf_add_text(&line, f->error.expected);
    if (f->hint[0] != '\0')
        buf_printf(&line, "; %s", f->hint);
    fprintf(stderr, "%s\n", line.ptr);
    buf_free(&line);
}

static bool judge(struct attempt *a)
{
    struct records all = keyspace_records(a->after);
    struct keyspace_entry e;
    bool good;

    lint_init(&a->lint, str_from(a->write->settings->prefix), &all);
    a->lint.found = on_found;
    a->lint.guard = &a->guard;
    a->lint.modules = a->write->modules;
    verb_redis_guard(&a->guard, a->write->settings);
    for (size_t at = 0; keyspace_next(a->after, &at, &e);) {
        struct str name = STR("");
        enum family family;
        bool ours = keys_split(a->lint.prefix, e.key, &family, &name);

        if (e.value->kind != VALUE_ABSENT && lint_key(&a->lint, e.key, ours ? &family : NULL, name))
            lint_record(&a->lint, family, name, e.value);
    }
    good = a->lint.errors == 0 && a->lint.why == NULL;
    lint_free(&a->lint);
    return good;
}

/* --- the history --- */

const char *record_write_say(const struct value *v, struct buf *to)
{
    struct buf raw = { 0 };
    struct value sorted;
    const char *type = v->kind == VALUE_HASH ? "hash" : "string";

    buf_add_text(to, "");
    if (v->kind == VALUE_ABSENT)
        return "none";
    if (v->kind != VALUE_HASH && v->kind != VALUE_STRING)
        return "large";
    value_encode(v, &raw);
    if (raw.len > HISTORY_VALUE_MOST)
        type = "large";
    else if (value_decode(str_slice(raw.ptr, raw.len), &sorted))
        value_say(&sorted, to);
    value_free(&sorted);
    buf_free(&raw);
    return type;
}

/* Whose a host or a service is; false: nobody's. */
static bool add_tenant(enum family family, struct str name, const struct value *v, struct buf *to)
{
    struct record_fields f;
    struct record_error error;
    size_t before = to->len;

    if (v->kind == VALUE_ABSENT)
        return false;
    if (record_decode(NULL, family, name, v, &f, &error)) {
        if (f.has_tenant)
            buf_add_str(to, f.names.items[f.tenant].name);
        else
            buf_add_text(to, f.policy.owner);
    }
    record_fields_free(&f);
    return to->len > before;
}

static bool add_fetched_tenant(const struct records *from, enum family family, struct str name,
                               struct buf *to)
{
    struct value v;
    const char *why;

    return records_fetch(from, family, name, &v, &why) && add_tenant(family, name, &v, to);
}

static void add_stream(struct attempt *a, enum family family, struct str name, struct buf *to)
{
    struct records after = keyspace_records(a->after);
    enum family asked = family == FAMILY_endpoints ? FAMILY_service : family;

    buf_add_text(to, a->write->settings->prefix);
    buf_add_text(to, "history:");
    if (family == FAMILY_tenant || family == FAMILY_routes)
        buf_add_str(to, name);
    else if (family == FAMILY_defaults || (!add_fetched_tenant(&after, asked, name, to) &&
                                           !add_fetched_tenant(&a->source, asked, name, to)))
        buf_add_text(to, NO_TENANT);
}

static void free_entry(struct entry *n)
{
    buf_free(&n->stream);
    buf_free(&n->mark);
    buf_free(&n->before);
    buf_free(&n->after);
}

static struct str text_of(const struct buf *b)
{
    return b->len > 0 ? str_slice(b->ptr, b->len) : STR("");
}

/* What stood there, what will, and under which names that is recorded. False: nothing changes, or it
 * is no record of ours, or it cannot be read (a->why). */
static bool make_entry(struct attempt *a, const struct keyspace_entry *e, struct entry *n)
{
    struct str prefix = str_from(a->write->settings->prefix), name;
    enum family family;
    struct value before;
    const char *why;

    *n = (struct entry){ .key = e->key };
    if (!keys_split(prefix, e->key, &family, &name))
        return false;
    if (!records_fetch(&a->source, family, name, &before, &why)) {
        a->why = why;
        return false;
    }
    n->before_type = record_write_say(&before, &n->before);
    n->after_type = record_write_say(e->value, &n->after);
    if (strcmp(n->before_type, n->after_type) == 0 &&
        str_equals(text_of(&n->before), text_of(&n->after)))
        return false;
    add_stream(a, family, name, &n->stream);
    buf_add_str(&n->mark, prefix);
    buf_add_text(&n->mark, "recorded:");
    buf_add(&n->mark, e->key.ptr + prefix.len, e->key.len - prefix.len);
    return true;
}

/* Records it as an edge would, which then does not. */
static void queue_entry(struct attempt *a, const struct entry *n)
{
    redis_client_queue(a->write->client, 13,
                       (struct str[]){ STR("EVAL"), str_from(history_script()), STR("2"),
                                       text_of(&n->stream), text_of(&n->mark), STR("large:"),
                                       STR("0"), n->key, str_from(n->before_type),
                                       text_of(&n->before), str_from(n->after_type),
                                       text_of(&n->after), str_from(a->write->by) });
}

/* --- writing --- */

static bool queue_command(void *owner, unsigned count, const struct str *words)
{
    struct record_write *w = owner;

    redis_client_queue(w->client, count, words);
    return true;
}

/* Queues MULTI, the commands, what the history gets, EXEC; returns how many answers will come. */
static unsigned queue_all(struct attempt *a)
{
    struct record_write *w = a->write;
    struct keyspace_entry e;
    unsigned count = w->count + 2;

    redis_client_queue(w->client, 1, (struct str[]){ STR("MULTI") });
    each_command(w, queue_command, w);
    for (size_t at = 0; keyspace_next(a->after, &at, &e);) {
        struct entry *n = &a->entries[at - 1];

        if (!n->changes)
            continue;
        queue_entry(a, n);
        count++;
    }
    redis_client_queue(w->client, 1, (struct str[]){ STR("EXEC") });
    return count;
}

enum outcome { WRITTEN, REFUSED, AGAIN };

/* EXEC's own answer is the last: nil when a watched key has changed. */
static enum outcome take_answers(struct attempt *a, unsigned count)
{
    enum outcome outcome = WRITTEN;

    for (unsigned i = 0; i < count; i++) {
        redisReply *r = redis_client_next(a->write->client);

        if (r == NULL) {
            say_redis(a->write);
            return REFUSED;
        }
        if (r->type == REDIS_REPLY_ERROR) {
            if (outcome == WRITTEN)
                fprintf(stderr, "usher: Redis: %s\n", r->str);
            outcome = REFUSED;
        } else if (i + 1 == count && r->type == REDIS_REPLY_NIL) {
            outcome = AGAIN;
        }
        freeReplyObject(r);
    }
    return outcome;
}

static bool make_entries(struct attempt *a)
{
    struct keyspace_entry e;
    size_t at = 0;

    while (keyspace_next(a->after, &at, &e) && a->why == NULL) {
        CHECK(at <= RECORD_WRITE_MOST);
        a->entries[at - 1].changes = make_entry(a, &e, &a->entries[at - 1]);
    }
    if (a->why != NULL)
        fprintf(stderr, "usher: Redis: %s\n", a->why);
    return a->why == NULL;
}

static enum outcome attempt(struct record_write *w)
{
    struct attempt *a = check_alloc(sizeof(*a));
    enum outcome outcome = REFUSED;

    a->write = w;
    redis_records_init(&a->records, w->client, str_from(w->settings->prefix));
    a->source = redis_records_source(&a->records);
    a->after = keyspace_new(str_from(w->settings->prefix), &a->source);
    if (each_command(w, watch_key, w) && each_command(w, apply, a) && (w->unjudged || judge(a)) &&
        make_entries(a))
        outcome = w->dry ? WRITTEN : take_answers(a, queue_all(a));
    for (unsigned i = 0; i < RECORD_WRITE_MOST; i++)
        free_entry(&a->entries[i]);
    keyspace_free(a->after);
    redis_records_free(&a->records);
    free(a);
    return outcome;
}

int record_write_send(struct record_write *w)
{
    enum outcome outcome = AGAIN;

    for (unsigned i = 0; i < (w->once ? 1 : ATTEMPTS) && outcome == AGAIN; i++)
        outcome = attempt(w);
    if (outcome == AGAIN)
        fprintf(stderr,
                "usher: somebody else wrote the same record just now: nothing was written\n");
    if (outcome != WRITTEN)
        return CLI_EXIT_FAILED;
    printf("%s\n", w->dry ? "would be written:" : "written:");
    if (w->count > 1)
        printf("  MULTI\n");
    for (unsigned i = 0; i < w->count; i++)
        printf("  %s\n", w->commands[i].ptr);
    if (w->count > 1)
        printf("  EXEC\n");
    return 0;
}
