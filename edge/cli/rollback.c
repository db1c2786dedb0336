/* rollback.c -- `usher rollback TENANT [ENTRY]`: a change of the history, undone. That is a change too,
 * and can be undone.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: reading entries (history_read.c); writing (record_write.c).  */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/history_read.h"
#include "cli/record_write.h"
#include "cli/verb_flags.h"
#include "cli/verb_modules.h"
#include "cli/verb_redis.h"
#include "routing/value.h"
#include "store/keys.h"

struct rollback {
    struct settings settings;
    struct redis_client *client;
    struct verb_modules modules;
    const char *tenant, *id; /* id NULL: the last change */
    bool dry, force;
    struct history_entry entry;
};

static int complain(const char *what, struct str about)
{
    fprintf(stderr, "usher rollback: " STR_FMT " %s\n", STR_ARG(about), what);
    return CLI_EXIT_FAILED;
}

/* What the key holds now, as a history says it. */
static bool say_current(struct rollback *r, enum family family, struct str name, const char **type,
                        struct buf *text)
{
    struct redis_records records;
    struct records source;
    struct value v;
    const char *why;
    bool good;

    redis_records_init(&records, r->client, str_from(r->settings.prefix));
    source = redis_records_source(&records);
    good = records_fetch(&source, family, name, &v, &why);
    if (good)
        *type = record_write_say(&v, text);
    else
        fprintf(stderr, "usher: Redis: %s\n", why);
    redis_records_free(&records);
    return good;
}

static bool is_now(const char *type, const struct buf *text, struct str wanted_type,
                   struct str wanted)
{
    return str_equals(str_from(type), wanted_type) &&
           str_equals(str_slice(text->ptr, text->len), wanted);
}

/* Is it still as that change left it? Of a value that was refused only that it was is recorded. */
static int judge_current(struct rollback *r)
{
    const struct history_entry *e = &r->entry;
    struct buf text = { 0 };
    enum family family;
    struct str name;
    const char *type = "";
    int code = 0;

    if (!keys_split(str_from(r->settings.prefix), e->key, &family, &name))
        return complain("is no record under this prefix", e->key);
    buf_add_text(&text, "");
    if (!say_current(r, family, name, &type, &text))
        code = CLI_EXIT_FAILED;
    else if (is_now(type, &text, e->before_type, e->before))
        code = complain("holds already what it did before that change", e->key);
    else if (!r->force && !str_equals(e->after_type, STR("bad")) &&
             !is_now(type, &text, e->after_type, e->after))
        code = complain("has changed since: look at it (usher history), or say --force", e->key);
    buf_free(&text);
    return code;
}

static void add_line(void *owner, struct str line)
{
    record_write_add_line(owner, line);
}

static int undo(struct rollback *r)
{
    const struct history_entry *e = &r->entry;
    struct record_write w;
    redisReply *watched;
    int code;

    watched = verb_redis_do(r->client, 2, (struct str[]){ STR("WATCH"), e->key });
    if (watched == NULL)
        return CLI_EXIT_FAILED;
    freeReplyObject(watched);
    code = judge_current(r);
    if (code != 0)
        return code;
    record_write_open(&w, &r->settings, r->client, "usher rollback");
    w.modules = &r->modules.host;
    w.dry = r->dry;
    w.unjudged = r->force;
    w.once = true;
    if (history_commands(e->key, e->before_type, e->before, add_line, &w))
        code = record_write_send(&w);
    else
        code = complain("was too large to be kept: there is nothing to go back to", e->key);
    record_write_free(&w);
    return code;
}

static int run(struct rollback *r)
{
    struct str id = r->id != NULL ? str_from(r->id) : STR("+");
    redisReply *entries;
    int code = CLI_EXIT_FAILED;

    r->client = verb_redis_open(&r->settings);
    if (r->client == NULL)
        return CLI_EXIT_FAILED;
    entries = history_fetch(r->client, &r->settings, str_from(r->tenant), id, 1);
    if (entries != NULL &&
        (!history_take(entries, 0, &r->entry) || (r->id != NULL && !str_equals(r->entry.id, id))))
        complain(r->id != NULL ? "is no entry of this history" : "has no history",
                 str_from(r->id != NULL ? r->id : r->tenant));
    else if (entries != NULL)
        code = undo(r);
    freeReplyObject(entries);
    redis_client_close(r->client);
    return code;
}

int rollback_verb(int argc, char **argv)
{
    struct rollback r = { .client = NULL };
    struct verb_words words;
    int code;
    const struct verb_flag flags[] = {
        { "dry-run", 0, NULL, VERB_FLAG_SWITCH, &r.dry,
          "say what would be written, and write nothing" },
        { "force", 0, NULL, VERB_FLAG_SWITCH, &r.force,
          "also when the record has changed since, or edges would refuse what was before" },
        { NULL, 0, NULL, VERB_FLAG_SWITCH, NULL, NULL },
    };
    const struct verb_usage usage = {
        .line = "rollback [FLAGS] TENANT [ENTRY]",
        .says =
            "Undoes a change: the record holds again what it did before. Without ENTRY (an id, as "
            "`usher\nhistory` shows it) the last change of the tenant; - for records that are no "
            "tenant's. The undoing is\nrecorded like any other change. A time to live does not "
            "come back.\n",
        .flags = flags,
        .settings = "allow-endpoints unix-endpoints module module-dir module-option",
        .words_least = 1,
        .words_most = 2,
    };

    if (!verb_flags_read(&usage, argc, argv, &r.settings, &words, &code))
        return code;
    r.tenant = words.words[0];
    r.id = words.count > 1 ? words.words[1] : NULL;
    code = verb_modules_open(&r.modules, &r.settings);
    if (code == 0)
        code = run(&r);
    verb_modules_close(&r.modules);
    return code;
}
