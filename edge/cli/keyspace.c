/* keyspace.c -- commands applied to copies of values.
 *
 * Owns:    a copy of each value that a command has touched.
 * Thread:  control (pure: any would do)
 * Used by: check.c.
 * Not here: reading the commands (command_file.c); judging the values (lint.c). */
#include "cli/keyspace.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/map.h"
#include "cli/near_miss.h"
#include "store/keys.h"

struct entry {
    struct buf key;
    struct value value; /* its pieces are owned */
    struct value_field *fields;
    size_t field_room;
    unsigned line;
    bool loaded; /* what stands under the commands has been looked at, or does not matter */
};

struct keyspace {
    struct str prefix;
    const struct records *under;
    struct map by_key;
    struct entry **entries;
    size_t count, room;
    bool flushed;
};

static bool entry_is(const void *value, struct str key)
{
    const struct entry *e = value;

    return str_equals(str_slice(e->key.ptr, e->key.len), key);
}

struct keyspace *keyspace_new(struct str prefix, const struct records *under)
{
    struct keyspace *k = check_alloc(sizeof(*k));

    k->prefix = prefix;
    k->under = under;
    map_init(&k->by_key, entry_is);
    return k;
}

static struct str copied(struct str s)
{
    char *copy = check_alloc(s.len + 1);

    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    return str_slice(copy, s.len);
}

static void drop(struct str s)
{
    free((void *)(uintptr_t)s.ptr);
}

static void clear(struct entry *e)
{
    drop(e->value.string);
    for (size_t i = 0; i < e->value.count; i++) {
        drop(e->fields[i].name);
        drop(e->fields[i].value);
    }
    e->value = (struct value){ .kind = VALUE_ABSENT, .fields = e->fields };
    e->loaded = true;
}

void keyspace_free(struct keyspace *k)
{
    for (size_t i = 0; i < k->count; i++) {
        clear(k->entries[i]);
        free(k->entries[i]->fields);
        buf_free(&k->entries[i]->key);
        free(k->entries[i]);
    }
    free(k->entries);
    map_free(&k->by_key);
    free(k);
}

/* --- values --- */

static struct value_field *field_of(struct entry *e, struct str name)
{
    for (size_t i = 0; i < e->value.count; i++)
        if (str_equals(e->fields[i].name, name))
            return &e->fields[i];
    return NULL;
}

static void add_field(struct entry *e, struct str name, struct str value)
{
    if (e->value.count == e->field_room) {
        e->field_room = e->field_room ? e->field_room * 2 : 8;
        e->fields = check_realloc(e->fields, e->field_room * sizeof(*e->fields));
    }
    e->fields[e->value.count++] = (struct value_field){ copied(name), copied(value) };
    e->value.fields = e->fields;
}

static void set_field(struct entry *e, struct str name, struct str value)
{
    struct value_field *f = field_of(e, name);

    e->value.kind = VALUE_HASH;
    if (f == NULL) {
        add_field(e, name, value);
        return;
    }
    drop(f->value);
    f->value = copied(value);
}

static void remove_field(struct entry *e, struct str name)
{
    struct value_field *f = field_of(e, name);

    if (f == NULL)
        return;
    drop(f->name);
    drop(f->value);
    *f = e->fields[--e->value.count];
    if (e->value.count == 0)
        clear(e);
}

static void set_string(struct entry *e, struct str text)
{
    struct str copy = copied(text); /* it may be a piece of the old value */

    clear(e);
    e->value.kind = VALUE_STRING;
    e->value.string = copy;
}

static void copy_value(struct entry *e, const struct value *from)
{
    clear(e);
    for (size_t i = 0; i < from->count; i++)
        add_field(e, from->fields[i].name, from->fields[i].value);
    e->value.kind = from->kind;
    memcpy(e->value.type, from->type, sizeof(e->value.type));
    if (from->kind == VALUE_STRING)
        e->value.string = copied(from->string);
}

/* --- keys --- */

static void load(struct keyspace *k, struct entry *e)
{
    struct value value;
    enum family family;
    struct str name;
    const char *why;

    if (e->loaded)
        return;
    e->loaded = true;
    if (k->under == NULL || k->flushed ||
        !keys_split(k->prefix, str_slice(e->key.ptr, e->key.len), &family, &name) ||
        !records_fetch(k->under, family, name, &value, &why))
        return;
    copy_value(e, &value);
}

/* As the commands have left it so far; to be overwritten whole. */
static struct entry *overwritten(struct keyspace *k, struct str key, unsigned line)
{
    uint64_t hash = map_hash(key);
    struct entry *e = map_find(&k->by_key, hash, key);

    if (e == NULL) {
        e = check_alloc(sizeof(*e));
        buf_add_str(&e->key, key);
        buf_add_text(&e->key, "");
        map_add(&k->by_key, hash, e);
        if (k->count == k->room) {
            k->room = k->room ? k->room * 2 : 64;
            k->entries = check_realloc(k->entries, k->room * sizeof(*k->entries));
        }
        k->entries[k->count++] = e;
    }
    e->line = line;
    return e;
}

static struct entry *entry_of(struct keyspace *k, struct str key, unsigned line)
{
    struct entry *e = overwritten(k, key, line);

    load(k, e);
    return e;
}

/* --- commands --- */

struct command {
    struct keyspace *k;
    unsigned line, count;
    const struct str *words;
    struct keyspace_complaint *complaint;
};

static bool complain(struct command *c, struct str key, struct str value, const char *expected)
{
    *c->complaint = (struct keyspace_complaint){ .key = key, .value = value };
    snprintf(c->complaint->expected, sizeof(c->complaint->expected), "%s", expected);
    return false;
}

static const char *type_word(const struct value *v)
{
    return v->kind == VALUE_STRING ? "a string"
           : v->kind == VALUE_HASH ? "a hash"
                                   : "of another type";
}

/* A hash, or nothing yet. */
static bool may_be_hash(struct command *c, const struct entry *e)
{
    char expected[160];

    if (e->value.kind == VALUE_HASH || e->value.kind == VALUE_ABSENT ||
        e->value.kind == VALUE_TOO_LARGE)
        return true;
    snprintf(expected, sizeof(expected),
             "a hash: the key is %s, so Redis answers WRONGTYPE (DEL it first)",
             type_word(&e->value));
    return complain(c, c->words[1], c->words[0], expected);
}

static bool has_option(const struct command *c, unsigned from, const char *option)
{
    for (unsigned i = from; i < c->count; i++)
        if (str_equals_nocase(c->words[i], str_from(option)))
            return true;
    return false;
}

static bool run_set(struct command *c)
{
    bool only_new = has_option(c, 3, "nx"), only_old = has_option(c, 3, "xx");
    struct entry *e = only_new || only_old ? entry_of(c->k, c->words[1], c->line)
                                           : overwritten(c->k, c->words[1], c->line);

    if ((only_new && e->value.kind != VALUE_ABSENT) || (only_old && e->value.kind == VALUE_ABSENT))
        return true;
    set_string(e, c->words[2]);
    return true;
}

static bool run_setnx(struct command *c)
{
    struct entry *e = entry_of(c->k, c->words[1], c->line);

    if (e->value.kind == VALUE_ABSENT)
        set_string(e, c->words[2]);
    return true;
}

static bool run_setex(struct command *c)
{
    set_string(overwritten(c->k, c->words[1], c->line), c->words[3]);
    return true;
}

static bool run_mset(struct command *c)
{
    for (unsigned i = 1; i + 1 < c->count; i += 2)
        set_string(overwritten(c->k, c->words[i], c->line), c->words[i + 1]);
    return true;
}

static bool run_hset(struct command *c)
{
    struct entry *e = entry_of(c->k, c->words[1], c->line);

    if (!may_be_hash(c, e))
        return false;
    for (unsigned i = 2; i + 1 < c->count; i += 2)
        set_field(e, c->words[i], c->words[i + 1]);
    return true;
}

static bool run_hsetnx(struct command *c)
{
    struct entry *e = entry_of(c->k, c->words[1], c->line);

    if (!may_be_hash(c, e))
        return false;
    if (field_of(e, c->words[2]) == NULL)
        set_field(e, c->words[2], c->words[3]);
    return true;
}

static bool run_hdel(struct command *c)
{
    struct entry *e = entry_of(c->k, c->words[1], c->line);

    if (!may_be_hash(c, e))
        return false;
    for (unsigned i = 2; i < c->count; i++)
        remove_field(e, c->words[i]);
    return true;
}

static bool run_del(struct command *c)
{
    for (unsigned i = 1; i < c->count; i++)
        clear(overwritten(c->k, c->words[i], c->line));
    return true;
}

static bool run_expire(struct command *c)
{
    struct entry *e = entry_of(c->k, c->words[1], c->line);
    uint64_t time;

    if (e->value.kind == VALUE_ABSENT) {
        complain(c, c->words[1], c->words[0], "a key that exists: nothing will expire");
        c->complaint->warning = true;
        return false;
    }
    if (str_starts_with(c->words[2], STR("-")))
        clear(e); /* in the past */
    else if (!str_to_u64(c->words[2], UINT64_MAX, &time))
        return complain(c, c->words[1], c->words[2], "a whole number");
    else if (time == 0)
        clear(e);
    return true;
}

static bool run_rename(struct command *c)
{
    struct entry *from = entry_of(c->k, c->words[1], c->line);
    struct entry *to = entry_of(c->k, c->words[2], c->line);

    if (from->value.kind == VALUE_ABSENT)
        return complain(c, c->words[1], c->words[0], "a key that exists");
    if (from != to) {
        copy_value(to, &from->value);
        clear(from);
    }
    return true;
}

static bool run_other_type(struct command *c)
{
    struct entry *e = overwritten(c->k, c->words[1], c->line);
    char letter = str_lower(c->words[0].ptr[0]);

    clear(e);
    e->value.kind = VALUE_OTHER;
    snprintf(e->value.type, sizeof(e->value.type), "%s",
             letter == 's'   ? "set"
             : letter == 'z' ? "zset"
             : letter == 'x' ? "stream"
                             : "list");
    return true;
}

static bool run_flush(struct command *c)
{
    for (size_t i = 0; i < c->k->count; i++) {
        clear(c->k->entries[i]);
        c->k->entries[i]->line = c->line;
    }
    c->k->flushed = true;
    return true;
}

static bool run_nothing(struct command *c)
{
    (void)c;
    return true;
}

static bool run_unfollowed(struct command *c)
{
    complain(c, STR(""), c->words[0], "a command that can be followed without running it");
    c->complaint->warning = true;
    return false;
}

/* `least` and `most` count the name itself, as Redis does; 0: no end. */
static const struct command_row {
    const char *name;
    unsigned least, most;
    bool (*run)(struct command *c);
    bool pairs; /* names and values behind `least` - 2 words */
} commands[] = {
    { "set", 3, 0, run_set, false },           { "getset", 3, 3, run_set, false },
    { "setnx", 3, 3, run_setnx, false },       { "setex", 4, 4, run_setex, false },
    { "psetex", 4, 4, run_setex, false },      { "mset", 3, 0, run_mset, true },
    { "hset", 4, 0, run_hset, true },          { "hmset", 4, 0, run_hset, true },
    { "hsetnx", 4, 4, run_hsetnx, false },     { "hdel", 3, 0, run_hdel, false },
    { "del", 2, 0, run_del, false },           { "unlink", 2, 0, run_del, false },
    { "getdel", 2, 2, run_del, false },        { "expire", 3, 4, run_expire, false },
    { "pexpire", 3, 4, run_expire, false },    { "expireat", 3, 4, run_expire, false },
    { "pexpireat", 3, 4, run_expire, false },  { "persist", 2, 2, run_nothing, false },
    { "rename", 3, 3, run_rename, false },     { "sadd", 3, 0, run_other_type, false },
    { "zadd", 4, 0, run_other_type, false },   { "xadd", 5, 0, run_other_type, false },
    { "lpush", 3, 0, run_other_type, false },  { "rpush", 3, 0, run_other_type, false },
    { "flushdb", 1, 2, run_flush, false },     { "flushall", 1, 2, run_flush, false },
    { "get", 2, 2, run_nothing, false },       { "hget", 3, 3, run_nothing, false },
    { "hgetall", 2, 2, run_nothing, false },   { "exists", 2, 0, run_nothing, false },
    { "type", 2, 2, run_nothing, false },      { "ttl", 2, 2, run_nothing, false },
    { "pttl", 2, 2, run_nothing, false },      { "ping", 1, 2, run_nothing, false },
    { "echo", 2, 2, run_nothing, false },      { "auth", 2, 3, run_nothing, false },
    { "watch", 2, 0, run_nothing, false },     { "unwatch", 1, 1, run_nothing, false },
    { "publish", 3, 3, run_nothing, false },   { "wait", 3, 3, run_nothing, false },
    { "select", 2, 2, run_unfollowed, false }, { "eval", 3, 0, run_unfollowed, false },
    { "fcall", 3, 0, run_unfollowed, false },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static bool refuse_unknown(struct command *c)
{
    const char *names[COMMANDS], *near;
    char expected[160];

    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    near = near_miss(c->words[0], names, COMMANDS);
    if (near == NULL)
        return run_unfollowed(c);
    snprintf(expected, sizeof(expected), "a command of Redis (did you mean %s?)", near);
    return complain(c, STR(""), c->words[0], expected);
}

bool keyspace_apply(struct keyspace *k, unsigned line, unsigned count, const struct str *words,
                    struct keyspace_complaint *complaint)
{
    struct command c = { k, line, count, words, complaint };
    char expected[160];

    CHECK(count > 0);
    for (const struct command_row *row = commands; row < commands + COMMANDS; row++) {
        if (!str_equals_nocase(words[0], str_from(row->name)))
            continue;
        if (count >= row->least && (row->most == 0 || count <= row->most) &&
            (!row->pairs || (count - row->least) % 2 == 0))
            return row->run(&c);
        snprintf(expected, sizeof(expected),
                 row->pairs ? "pairs of names and values behind it"
                            : "another number of words behind it");
        return complain(&c, count > 1 ? words[1] : STR(""), words[0], expected);
    }
    return refuse_unknown(&c);
}

bool keyspace_next(const struct keyspace *k, size_t *at, struct keyspace_entry *entry)
{
    const struct entry *e;

    if (*at == k->count)
        return false;
    e = k->entries[(*at)++];
    *entry = (struct keyspace_entry){ str_slice(e->key.ptr, e->key.len), &e->value, e->line };
    return true;
}

bool keyspace_touches(const struct keyspace *k, struct str key)
{
    return map_find(&k->by_key, map_hash(key), key) != NULL;
}

static bool fetch(void *owner, enum family family, struct str name, struct value *value,
                  const char **why)
{
    struct keyspace *k = owner;
    struct buf key = { 0 };
    const struct entry *e;

    keys_add(&key, k->prefix, family, name);
    e = map_find(&k->by_key, map_hash(str_slice(key.ptr, key.len)), str_slice(key.ptr, key.len));
    buf_free(&key);
    if (e != NULL)
        *value = e->value;
    else if (k->under == NULL || k->flushed)
        *value = (struct value){ .kind = VALUE_ABSENT };
    else
        return records_fetch(k->under, family, name, value, why);
    return true;
}

struct records keyspace_records(struct keyspace *k)
{
    return (struct records){ .owner = k, .fetch = fetch };
}

bool keyspace_is_flushed(const struct keyspace *k)
{
    return k->flushed;
}
