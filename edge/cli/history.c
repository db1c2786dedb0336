/* history.c -- `usher history [TENANT]`: the last changes of records, and who made them.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: undoing one (rollback.c).  */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/command_file.h"
#include "cli/history_read.h"
#include "cli/verb_flags.h"
#include "cli/verb_redis.h"

#define STREAMS_MOST 1000

struct history_verb {
    struct settings settings;
    struct redis_client *client;
    uint64_t count;
    bool json;
    redisReply *streams[STREAMS_MOST];
    unsigned stream_count;
    struct history_entry *entries;
    size_t entry_count, entry_room;
};

/* --- reading --- */

static bool read_stream(struct history_verb *v, struct str tenant)
{
    redisReply *r;

    if (v->stream_count == STREAMS_MOST)
        return true;
    r = history_fetch(v->client, &v->settings, tenant, STR("+"), v->count);
    if (r == NULL)
        return false;
    v->streams[v->stream_count++] = r;
    for (size_t i = 0; i < r->elements; i++) {
        if (v->entry_count == v->entry_room) {
            v->entry_room = v->entry_room ? v->entry_room * 2 : 64;
            v->entries = check_realloc(v->entries, v->entry_room * sizeof(*v->entries));
        }
        v->entry_count += history_take(r, i, &v->entries[v->entry_count]);
    }
    return true;
}

/* Every stream there is, found by SCAN. */
static bool read_streams(struct history_verb *v)
{
    struct buf pattern = { 0 };
    size_t front = strlen(v->settings.prefix) + strlen("history:");
    char cursor[32] = "0";
    bool good = true;

    buf_printf(&pattern, "%shistory:*", v->settings.prefix);
    do {
        redisReply *r = verb_redis_do(v->client, 6,
                                      (struct str[]){ STR("SCAN"), str_from(cursor), STR("MATCH"),
                                                      str_slice(pattern.ptr, pattern.len),
                                                      STR("COUNT"), STR("1000") });
        const redisReply *keys;

        good = r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 2;
        if (good) {
            snprintf(cursor, sizeof(cursor), "%s", r->element[0]->str);
            keys = r->element[1];
            for (size_t i = 0; i < keys->elements && good; i++)
                if (keys->element[i]->len > front)
                    good = read_stream(
                        v, str_slice(keys->element[i]->str + front, keys->element[i]->len - front));
        }
        freeReplyObject(r);
    } while (good && strcmp(cursor, "0") != 0);
    buf_free(&pattern);
    return good;
}

static int by_time(const void *a, const void *b)
{
    const struct history_entry *x = a, *y = b;

    if (x->wall_ms != y->wall_ms)
        return x->wall_ms > y->wall_ms ? -1 : 1;
    return 0;
}

/* --- writing --- */

/* Words of a hash as pairs; the value of `name`, or ptr NULL. */
static struct str find_pair(const struct command_file *f, struct str name)
{
    for (unsigned i = 0; i + 1 < f->count; i += 2)
        if (str_equals(f->words[i], name))
            return f->words[i + 1];
    return (struct str){ NULL, 0 };
}

static void add_shown(struct buf *to, struct str text)
{
    command_quote(to, text.len > 100 ? str_slice(text.ptr, 100) : text);
    if (text.len > 100)
        buf_add_text(to, "...");
}

/* One line for each field that differs. */
static void write_fields(const struct history_entry *e)
{
    struct command_file before, after;
    struct buf line = { 0 };

    command_file_open(&before, e->before);
    command_file_open(&after, e->after);
    (void)command_file_next(&before);
    (void)command_file_next(&after);
    for (unsigned i = 0; i + 1 < before.count; i += 2) {
        struct str now = find_pair(&after, before.words[i]);

        if (now.ptr != NULL && str_equals(now, before.words[i + 1]))
            continue;
        buf_printf(&line, "    %c " STR_FMT " ", now.ptr != NULL ? '~' : '-',
                   STR_ARG(before.words[i]));
        add_shown(&line, before.words[i + 1]);
        if (now.ptr != NULL) {
            buf_add_text(&line, " -> ");
            add_shown(&line, now);
        }
        buf_add_text(&line, "\n");
    }
    for (unsigned i = 0; i + 1 < after.count; i += 2)
        if (find_pair(&before, after.words[i]).ptr == NULL) {
            buf_printf(&line, "    + " STR_FMT " ", STR_ARG(after.words[i]));
            add_shown(&line, after.words[i + 1]);
            buf_add_text(&line, "\n");
        }
    if (line.len > 0)
        fwrite(line.ptr, 1, line.len, stdout);
    buf_free(&line);
    command_file_free(&before);
    command_file_free(&after);
}

static bool is_hash_or_none(struct str type)
{
    return str_equals(type, STR("hash")) || str_equals(type, STR("none"));
}

static const char *what_happened(const struct history_entry *e)
{
    if (str_equals(e->after_type, STR("bad")))
        return "refused (what was before serves on)";
    if (str_equals(e->after_type, STR("none")))
        return "deleted";
    return str_equals(e->before_type, STR("none")) ? "made" : "changed";
}

static void write_text(const struct history_entry *e)
{
    char time[CLOCK_TEXT_SIZE];

    printf("%s  " STR_FMT "  " STR_FMT " %s, by " STR_FMT "\n", clock_wall_text(e->wall_ms, time),
           STR_ARG(e->id), STR_ARG(e->key), what_happened(e), STR_ARG(e->edge));
    if (str_equals(e->after_type, STR("bad")))
        return;
    if (is_hash_or_none(e->before_type) && is_hash_or_none(e->after_type)) {
        write_fields(e);
        return;
    }
    if (!str_equals(e->before_type, STR("none")))
        printf("    - " STR_FMT "\n", STR_ARG(e->before.len ? e->before : e->before_type));
    if (!str_equals(e->after_type, STR("none")))
        printf("    + " STR_FMT "\n", STR_ARG(e->after.len ? e->after : e->after_type));
}

static void add_member(struct buf *to, const char *name, struct str value)
{
    buf_printf(to, "%s\"%s\":", to->ptr[to->len - 1] == '{' ? "" : ",", name);
    buf_add_json(to, value);
}

static void write_json(const struct history_verb *v, size_t count)
{
    struct buf json = { 0 };

    buf_add_text(&json, "[");
    for (size_t i = 0; i < count; i++) {
        const struct history_entry *e = &v->entries[i];
        char time[CLOCK_TEXT_SIZE];

        buf_printf(&json, "%s\n  {", i > 0 ? "," : "");
        add_member(&json, "id", e->id);
        add_member(&json, "time", str_from(clock_wall_text(e->wall_ms, time)));
        add_member(&json, "key", e->key);
        add_member(&json, "before_type", e->before_type);
        add_member(&json, "before", e->before);
        add_member(&json, "after_type", e->after_type);
        add_member(&json, "after", e->after);
        add_member(&json, "by", e->edge);
        buf_add_text(&json, "}");
    }
    buf_printf(&json, "%s]\n", count > 0 ? "\n" : "");
    fwrite(json.ptr, 1, json.len, stdout);
    buf_free(&json);
}

static void write_all(struct history_verb *v)
{
    size_t count = v->entry_count < v->count ? v->entry_count : (size_t)v->count;

    qsort(v->entries, v->entry_count, sizeof(*v->entries), by_time);
    if (v->json) {
        write_json(v, count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        write_text(&v->entries[i]);
    if (count == 0)
        printf("no changes are recorded\n");
}

static int run(struct history_verb *v, const struct verb_words *words)
{
    bool good;

    v->client = verb_redis_open(&v->settings);
    if (v->client == NULL)
        return CLI_EXIT_FAILED;
    good = words->count > 0 ? read_stream(v, str_from(words->words[0])) : read_streams(v);
    if (good)
        write_all(v);
    for (unsigned i = 0; i < v->stream_count; i++)
        freeReplyObject(v->streams[i]);
    free(v->entries);
    redis_client_close(v->client);
    return good ? 0 : CLI_EXIT_FAILED;
}

int history_verb(int argc, char **argv)
{
    struct history_verb *v = check_alloc(sizeof(*v));
    struct verb_words words;
    int code;
    const struct verb_flag flags[] = {
        { "count", 'n', "N", VERB_FLAG_COUNT, &v->count, "so many changes, the newest first; 20" },
        { "json", 0, NULL, VERB_FLAG_SWITCH, &v->json, "as a JSON array" },
        { NULL, 0, NULL, VERB_FLAG_SWITCH, NULL, NULL },
    };
    const struct verb_usage usage = {
        .line = "history [FLAGS] [TENANT]",
        .says =
            "The last changes of records: of one tenant (its own fields and rules, its hosts, its "
            "services), of\nthose that are no tenant's (-), or of all. `usher rollback` undoes one.\n",
        .flags = flags,
        .words_most = 1,
    };

    v->count = 20;
    if (verb_flags_read(&usage, argc, argv, &v->settings, &words, &code))
        code = run(v, &words);
    free(v);
    return code;
}
