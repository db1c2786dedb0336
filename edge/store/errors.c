/* errors.c -- writing usher:errors, and taking away what no longer holds.
 *
 * Owns:    an entry for each key with an error in Redis that this edge knows of.
 * Thread:  control
 * Used by: judge.c (reports, clears), store.c (links).
 * Not here: what is wrong (routing/record.c, judge.c). */
#include "store/errors.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "store/keys.h"
#include "store/state.h"

#define WRITTEN_MOST 1000
#define FOREIGN_MOST 10000
#define MORE_FIELD "(more)"
#define AGAIN_MS 3000 /* after Redis has refused to write */

enum entry_kind {
    ENTRY_WRITTEN,
    ENTRY_UNWRITTEN,
    ENTRY_FOREIGN, /* found there; not (yet) our own opinion */
};

struct error_entry {
    struct list node; /* in errors.unwritten */
    uint64_t hash;
    enum entry_kind kind;
    char *sentence; /* NULL: foreign */
    uint16_t key_len;
    char key[];
};

static struct str key_of(const struct error_entry *e)
{
    return str_slice(e->key, e->key_len);
}

static bool has_key(const void *value, struct str key)
{
    return str_equals(key_of(value), key);
}

static void on_again(struct timer *t);

void errors_init(struct store *s)
{
    timer_init(&s->errors.again, on_again);
    map_init(&s->errors.entries, has_key);
    list_init(&s->errors.unwritten);
}

void errors_free(struct store *s)
{
    struct error_entry *e;

    timer_stop(&s->errors.again);
    for (size_t at = 0; (e = map_next(&s->errors.entries, &at)) != NULL;) {
        free(e->sentence);
        free(e);
    }
    map_free(&s->errors.entries);
}

/* --- commands --- */

/* It takes no writes for now (too few replicas, no memory, ...): all is said again later. An edge
 * that may only read does not go on trying. */
static void on_refused(struct store *s, const redisReply *r)
{
    char text[200];

    if (!str_starts_with(str_slice(r->str, r->len), STR("NOPERM")) &&
        !timer_is_set(&s->errors.again))
        timer_set(s->loop, &s->errors.again, AGAIN_MS);
    if (s->errors.refusal_logged)
        return;
    s->errors.refusal_logged = true;
    log_line(LOG_WARN, "errors_not_written", "reason=%s",
             log_quote(str_slice(r->str, r->len), text, sizeof(text)));
}

static void on_deleted(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;
    const redisReply *r = reply;

    if (r != NULL && redis->data != NULL && r->type == REDIS_REPLY_ERROR &&
        !redis_link_refused(s->writer, r) && !s->closing)
        on_refused(s, r);
}

static void on_written(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;
    const redisReply *r = reply;

    if (r != NULL && r->type != REDIS_REPLY_ERROR)
        s->errors.refusal_logged = false; /* the next refusal is another one */
    on_deleted(redis, reply, owner);
}

static void with_hash(struct store *s, struct str command, struct str field, struct str value)
{
    bool deletes = str_equals(command, STR("HDEL"));
    struct buf key = { 0 };

    buf_add_str(&key, s->prefix);
    buf_add_text(&key, "errors");
    redis_link_send(s->writer, deletes ? on_deleted : on_written, deletes ? 3 : 4,
                    (struct str[]){ command, str_slice(key.ptr, key.len), field, value });
    buf_free(&key);
}

static void write_entry(struct store *s, const struct error_entry *e)
{
    with_hash(s, STR("HSET"), key_of(e), str_from(e->sentence));
}

static void unwrite(struct store *s, struct str field)
{
    with_hash(s, STR("HDEL"), field, STR(""));
}

void errors_flush(struct store *s)
{
    struct errors *x = &s->errors;
    char count[32];

    if (!x->more_changed || !redis_link_is_up(s->writer))
        return;
    x->more_changed = false;
    if (x->unwritten_count > 0) {
        snprintf(count, sizeof(count), "%zu", x->unwritten_count);
        with_hash(s, STR("HSET"), STR(MORE_FIELD), str_from(count));
    } else {
        unwrite(s, STR(MORE_FIELD));
    }
}

/* --- entries --- */

static void count(struct errors *x, struct error_entry *e, int by)
{
    size_t *counter = e->kind == ENTRY_WRITTEN     ? &x->written_count
                      : e->kind == ENTRY_UNWRITTEN ? &x->unwritten_count
                                                   : &x->foreign_count;

    *counter += (size_t)by;
    if (e->kind == ENTRY_UNWRITTEN) {
        x->more_changed = true;
        if (by > 0)
            list_append(&x->unwritten, &e->node);
        else
            list_remove(&e->node);
    }
}

static struct error_entry *add(struct errors *x, struct str key, enum entry_kind kind)
{
    struct error_entry *e = check_alloc(sizeof(*e) + key.len + 1);

    e->hash = map_hash(key);
    e->kind = kind;
    e->key_len = (uint16_t)key.len;
    memcpy(e->key, key.ptr, key.len);
    list_init(&e->node);
    map_add(&x->entries, e->hash, e);
    count(x, e, 1);
    return e;
}

static void become(struct errors *x, struct error_entry *e, enum entry_kind kind)
{
    count(x, e, -1);
    e->kind = kind;
    count(x, e, 1);
}

static void take_key(const struct store *s, const struct record *r, struct buf *key)
{
    keys_add(key, s->prefix, (enum family)r->family, record_name(r));
}

static char *sentence_of(const struct store *s, const struct record *r)
{
    struct buf b = { 0 };
    char when[CLOCK_TEXT_SIZE], name[64];

    record_error_say(r->error, &b);
    buf_printf(&b, "; since %s, seen by edge %s", clock_wall_text(clock_wall_ms(), when),
               str_printable(str_from(s->settings->name), name, sizeof(name)));
    return b.ptr;
}

void errors_report(struct store *s, const struct record *r)
{
    struct errors *x = &s->errors;
    struct buf key = { 0 };
    struct error_entry *e;
    struct str k;

    take_key(s, r, &key);
    k = str_slice(key.ptr, key.len);
    e = map_find(&x->entries, map_hash(k), k);
    if (e == NULL)
        e = add(x, k, x->written_count < WRITTEN_MOST ? ENTRY_WRITTEN : ENTRY_UNWRITTEN);
    else if (e->kind == ENTRY_FOREIGN)
        become(x, e, ENTRY_WRITTEN); /* it stands there anyway */
    buf_free(&key);
    free(e->sentence);
    e->sentence = sentence_of(s, r);
    if (e->kind == ENTRY_WRITTEN)
        write_entry(s, e);
    loop_at_turn_end(s->loop, &s->flush);
}

/* One that found no room takes the room of one that went. */
static void fill_up(struct store *s)
{
    struct errors *x = &s->errors;

    if (x->written_count < WRITTEN_MOST && !list_is_empty(&x->unwritten)) {
        struct error_entry *e = LIST_ITEM(x->unwritten.next, struct error_entry, node);

        become(x, e, ENTRY_WRITTEN);
        write_entry(s, e);
    }
}

static void take_away(struct store *s, struct error_entry *e)
{
    struct errors *x = &s->errors;

    if (e->kind != ENTRY_UNWRITTEN)
        unwrite(s, key_of(e));
    count(x, e, -1);
    map_remove(&x->entries, e->hash, e);
    free(e->sentence);
    free(e);
    fill_up(s);
    loop_at_turn_end(s->loop, &s->flush);
}

void errors_clear(struct store *s, const struct record *r)
{
    struct buf key = { 0 };
    struct error_entry *e;
    struct str k;

    if (s->errors.entries.count == 0)
        return;
    take_key(s, r, &key);
    k = str_slice(key.ptr, key.len);
    e = map_find(&s->errors.entries, map_hash(k), k);
    if (e != NULL)
        take_away(s, e);
    buf_free(&key);
}

/* --- what others have said --- */

static void look_at(struct store *s, struct str key)
{
    enum family family;
    struct str name;
    struct record *r;

    if (!redis_link_is_up(s->reader) || !keys_split(s->prefix, key, &family, &name))
        return;
    r = mirror_get(&s->mirror, family, name);
    sync_want(s, r, QUEUE_WANTED);
}

void errors_look_again(struct store *s)
{
    const struct error_entry *e;

    for (size_t at = 0; (e = map_next(&s->errors.entries, &at)) != NULL;)
        if (e->kind == ENTRY_FOREIGN)
            look_at(s, key_of(e));
}

static void find_foreign(struct store *s, struct str key)
{
    struct errors *x = &s->errors;
    enum family family;
    struct str name;

    if (str_equals(key, STR(MORE_FIELD))) {
        x->more_changed = true;
        return;
    }
    if (x->foreign_count >= FOREIGN_MOST || !keys_split(s->prefix, key, &family, &name) ||
        map_find(&x->entries, map_hash(key), key) != NULL)
        return;
    add(x, key, ENTRY_FOREIGN);
    look_at(s, key);
}

static void on_scanned(redisAsyncContext *redis, void *reply, void *owner);

static void scan(struct store *s, struct str cursor)
{
    struct buf key = { 0 };

    buf_add_str(&key, s->prefix);
    buf_add_text(&key, "errors");
    redis_link_send(s->writer, on_scanned, 5,
                    (struct str[]){ STR("HSCAN"), str_slice(key.ptr, key.len), cursor, STR("COUNT"),
                                    STR("512") });
    buf_free(&key);
}

static void on_scanned(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;
    const redisReply *r = reply, *fields;
    struct str cursor;

    if (r == NULL || redis->data == NULL || r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
        r->element[0]->type != REDIS_REPLY_STRING || r->element[1]->type != REDIS_REPLY_ARRAY)
        return;
    fields = r->element[1];
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        if (fields->element[i]->type == REDIS_REPLY_STRING)
            find_foreign(s, str_slice(fields->element[i]->str, fields->element[i]->len));
    loop_at_turn_end(s->loop, &s->flush);
    cursor = str_slice(r->element[0]->str, r->element[0]->len);
    if (!str_equals(cursor, STR("0")) && s->errors.foreign_count < FOREIGN_MOST)
        scan(s, cursor);
}

/* What this edge has to say, and a look at what stands there. */
static void say_all(struct store *s)
{
    struct errors *x = &s->errors;
    const struct error_entry *e;

    if (x->unwritten_count > 0)
        x->more_changed = true;
    for (size_t at = 0; (e = map_next(&x->entries, &at)) != NULL;)
        if (e->kind == ENTRY_WRITTEN)
            write_entry(s, e);
    scan(s, STR("0"));
    loop_at_turn_end(s->loop, &s->flush);
}

void errors_link_up(struct store *s)
{
    timer_stop(&s->errors.again);
    s->errors.refusal_logged = false;
    say_all(s);
}

static void on_again(struct timer *t)
{
    struct store *s = LIST_ITEM(t, struct store, errors.again);

    if (redis_link_is_up(s->writer))
        say_all(s);
}
