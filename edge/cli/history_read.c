/* history_read.c -- entries taken apart, and turned into commands.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: history.c, rollback.c.
 * Not here: recording (store/history.c, record_write.c).  */
#include "cli/history_read.h"

#include <stdio.h>

#include "cli/command_file.h"
#include "cli/verb_redis.h"

redisReply *history_fetch(struct redis_client *c, const struct settings *s, struct str tenant,
                          struct str id, uint64_t count)
{
    struct buf key = { 0 };
    char most[24];
    redisReply *r;

    snprintf(most, sizeof(most), "%llu", (unsigned long long)count);
    r = verb_redis_do(c, 6,
                      (struct str[]){ STR("XREVRANGE"), verb_redis_key(s, &key, "history:", tenant),
                                      id, STR("-"), STR("COUNT"), str_from(most) });
    buf_free(&key);
    return r;
}

static bool is_text(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS;
}

static void take_member(struct history_entry *e, struct str name, struct str value)
{
    static const char *const names[] = { "key",        "before_type", "before",
                                         "after_type", "after",       "edge" };
    struct str *const members[] = { &e->key,        &e->before_type, &e->before,
                                    &e->after_type, &e->after,       &e->edge };

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_equals(name, str_from(names[i])))
            *members[i] = value;
}

bool history_take(const redisReply *entries, size_t i, struct history_entry *e)
{
    const redisReply *one, *fields;
    struct str id, ms;

    if (entries->type != REDIS_REPLY_ARRAY || i >= entries->elements)
        return false;
    one = entries->element[i];
    if (one->type != REDIS_REPLY_ARRAY || one->elements != 2 || !is_text(one->element[0]) ||
        one->element[1]->type != REDIS_REPLY_ARRAY)
        return false;
    *e = (struct history_entry){ .id = str_slice(one->element[0]->str, one->element[0]->len),
                                 .key = STR(""),
                                 .before_type = STR(""),
                                 .before = STR(""),
                                 .after_type = STR(""),
                                 .after = STR(""),
                                 .edge = STR("") };
    id = e->id;
    if (!str_split(&id, '-', &ms) || !str_to_u64(ms, UINT64_MAX, &e->wall_ms))
        return false;
    fields = one->element[1];
    for (size_t j = 0; j + 1 < fields->elements; j += 2)
        if (is_text(fields->element[j]) && is_text(fields->element[j + 1]))
            take_member(e, str_slice(fields->element[j]->str, fields->element[j]->len),
                        str_slice(fields->element[j + 1]->str, fields->element[j + 1]->len));
    return e->key.len > 0;
}

bool history_commands(struct str key, struct str type, struct str text,
                      void (*add)(void *owner, struct str line), void *owner)
{
    struct buf quoted = { 0 }, line = { 0 };
    bool hash = str_equals(type, STR("hash"));

    command_quote(&quoted, key);
    if (!hash && !str_equals(type, STR("string")) && !str_equals(type, STR("none"))) {
        buf_free(&quoted);
        return false;
    }
    if (!str_equals(type, STR("string"))) { /* fields that are not in `text` go, too */
        buf_printf(&line, "DEL %s", quoted.ptr);
        add(owner, str_slice(line.ptr, line.len));
    }
    if (!str_equals(type, STR("none"))) {
        buf_clear(&line);
        buf_printf(&line, "%s %s " STR_FMT, hash ? "HSET" : "SET", quoted.ptr, STR_ARG(text));
        add(owner, str_slice(line.ptr, line.len));
    }
    buf_free(&quoted);
    buf_free(&line);
    return true;
}
