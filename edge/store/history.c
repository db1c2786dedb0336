/* history.c -- changes of records, written to streams for people to look at and to undo.
 *
 * Every edge sees every change; a small script decides in Redis that one of them records it: a key
 * of its own, for a minute, holds what the record became last. What is found changed after a lost
 * link may have been recorded long ago: then the stream itself is looked at.
 *
 * Owns:    changes that wait for the writing link.
 * Thread:  control
 * Used by: judge.c (tells), store.c (the link).
 * Not here: reading and undoing (cli/). */
#include "store/history.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/checksum.h"
#include "routing/value.h"
#include "store/history_script.h"
#include "store/keys.h"
#include "store/reading.h"
#include "store/state.h"

#define VALUE_MOST (64u * 1024)
#define RATE 100 /* a second, for long */
#define BURST 1000
#define WAITING_MOST 1000
#define NO_TENANT "-" /* no tenant can have this id */

struct change {
    struct list node;
    struct buf stream, mark, key;
    struct buf before, after; /* as redis-cli would take them */
    const char *before_type, *after_type;
    char state[40];
    bool look;
};

void history_init(struct store *s)
{
    list_init(&s->history.waiting);
    s->history.tokens = BURST;
    s->history.filled_ms = loop_now_ms(s->loop);
}

static void free_change(struct change *c)
{
    buf_free(&c->stream);
    buf_free(&c->mark);
    buf_free(&c->key);
    buf_free(&c->before);
    buf_free(&c->after);
    free(c);
}

void history_free(struct store *s)
{
    struct list *node;

    while ((node = list_take_first(&s->history.waiting)) != NULL)
        free_change(LIST_ITEM(node, struct change, node));
}

/* --- sending --- */

static struct str text_of(const struct buf *b)
{
    return b->len > 0 ? str_slice(b->ptr, b->len) : STR("");
}

static void on_recorded(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;
    const redisReply *r = reply;
    char text[200];

    if (r == NULL || redis->data == NULL)
        return;
    if (r->type == REDIS_REPLY_INTEGER)
        s->status.history_recorded += (uint64_t)r->integer;
    if (r->type != REDIS_REPLY_ERROR || s->history.refusal_logged)
        return;
    s->history.refusal_logged = true;
    log_line(LOG_WARN, "history_not_written", "reason=%s",
             log_quote(str_slice(r->str, r->len), text, sizeof(text)));
}

static void send_change(struct store *s, struct change *c)
{
    redis_link_send(
        s->writer, on_recorded, 13,
        (struct str[]){ STR("EVAL"), str_from(history_script()), STR("2"), text_of(&c->stream),
                        text_of(&c->mark), str_from(c->state), c->look ? STR("1") : STR("0"),
                        text_of(&c->key), str_from(c->before_type), text_of(&c->before),
                        str_from(c->after_type), text_of(&c->after), str_from(s->settings->name) });
    free_change(c);
}

void history_writer_up(struct store *s)
{
    struct list *node;

    s->history.refusal_logged = false;
    s->history.waiting_count = 0;
    while ((node = list_take_first(&s->history.waiting)) != NULL)
        send_change(s, LIST_ITEM(node, struct change, node));
}

static void skip(struct store *s, const char *why)
{
    s->status.history_skipped++;
    if (!s->history.skip_logged)
        log_line(LOG_WARN, "history_skipped", "reason=\"%s\"", why);
    s->history.skip_logged = true;
}

static bool take_token(struct store *s)
{
    struct history *h = &s->history;
    uint64_t now = loop_now_ms(s->loop);

    h->tokens += (double)(now - h->filled_ms) * RATE / 1000;
    if (h->tokens >= BURST) {
        h->tokens = BURST;
        h->skip_logged = false; /* quiet again: the next time is told of */
    }
    h->filled_ms = now;
    if (h->tokens < 1)
        return false;
    h->tokens -= 1;
    return true;
}

/* --- what changed --- */

static const char *say_value(struct str raw, struct buf *to)
{
    struct value v;
    const char *type = "large";

    if (raw.len <= VALUE_MOST && value_decode(raw, &v)) {
        type = v.kind == VALUE_HASH ? "hash" : "string";
        value_say(&v, to);
        value_free(&v);
    }
    return type;
}

/* What the record said, as value_encode writes it; `len` 0: it did not exist. False: that is not
 * known here. */
static bool find_before(struct store *s, const struct record *r, struct buf *was)
{
    if (r->was_known) {
        buf_add_str(was, mirror_raw(r));
        return !r->was_present || was->len > 0;
    }
    if (s->scan.complete && !names_has(&s->names, (enum family)r->family, record_name(r)))
        return true;
    return copy_fetch(s->copy, (enum family)r->family, record_name(r), was);
}

static void say_before(const struct buf *was, struct change *c)
{
    c->before_type = "none";
    if (was->len > 0)
        c->before_type = say_value(str_slice(was->ptr, was->len), &c->before);
}

/* False: nothing that whoever reads it could tell apart. */
static bool say_after(const struct record *r, const struct buf *before, struct change *c)
{
    const struct reading *d = r->reading;
    struct str raw = str_slice(d->raw.ptr, d->raw.len);
    struct str was = str_slice(before->ptr, before->len);

    c->after_type = d->absent ? "none" : "bad";
    if (!d->absent && d->good) {
        if (was.len > 0 && str_equals(was, raw))
            return false; /* what was in force is written again */
        c->after_type = say_value(raw, &c->after);
    }
    snprintf(c->state, sizeof(c->state), "%s:%016llx", c->after_type,
             (unsigned long long)(d->good ? checksum(raw) : 0));
    return true;
}

/* Of a host its tenant, of a service its owner; "" when it has none, or is not to be read. */
static void take_tenant(const struct record *r, struct str raw, struct buf *to)
{
    struct record_fields f;
    struct record_error error;
    struct value v;

    if (raw.ptr != NULL && value_decode(raw, &v)) {
        if (record_decode(NULL, (enum family)r->family, record_name(r), &v, &f, &error))
            buf_add_str(to, r->family != FAMILY_host ? str_from(f.policy.owner)
                            : f.has_tenant           ? f.names.items[f.tenant].name
                                                     : STR(""));
        record_fields_free(&f);
        value_free(&v);
    }
}

static void take_stream(struct store *s, const struct record *r, struct buf *to)
{
    const struct record *owner = r->family == FAMILY_endpoints ? r->pair : r;
    size_t before;

    buf_add_str(to, s->prefix);
    buf_add_text(to, "history:");
    before = to->len;
    if (r->family == FAMILY_tenant || r->family == FAMILY_routes) {
        buf_add_str(to, record_name(r));
    } else if (r->family != FAMILY_defaults) {
        if (owner->reading != NULL && owner->reading->good)
            take_tenant(owner, str_slice(owner->reading->raw.ptr, owner->reading->raw.len), to);
        if (to->len == before)
            take_tenant(owner, mirror_raw(owner), to);
    }
    if (to->len == before)
        buf_add_text(to, NO_TENANT);
}

static void take_keys(struct store *s, const struct record *r, struct change *c)
{
    take_stream(s, r, &c->stream);
    keys_add(&c->key, s->prefix, (enum family)r->family, record_name(r));
    buf_add_str(&c->mark, s->prefix);
    buf_add_text(&c->mark, "recorded:");
    buf_add(&c->mark, c->key.ptr + s->prefix.len, c->key.len - s->prefix.len);
}

/* Of what is not held, only what Redis told of: the rest is read for other reasons. */
static bool is_change(const struct record *r)
{
    if (!r->is_new || r->reading->from_copy || (!r->was_known && !r->pushed))
        return false;
    return r->verdict == VERDICT_GOOD || r->verdict == VERDICT_BAD ||
           (r->verdict == VERDICT_GONE && (r->was_present || !r->was_known));
}

void history_note(struct store *s, const struct record *r)
{
    struct history *h = &s->history;
    struct buf was = { 0 };
    struct change *c;

    if (!is_change(r))
        return;
    if (!take_token(s)) {
        skip(s, "too many changes");
        return;
    }
    c = check_alloc(sizeof(*c));
    list_init(&c->node);
    if (!find_before(s, r, &was) || (was.len == 0 && r->verdict == VERDICT_GONE) ||
        !say_after(r, &was, c)) {
        buf_free(&was);
        free_change(c);
        return;
    }
    say_before(&was, c);
    buf_free(&was);
    take_keys(s, r, c);
    c->look = !r->pushed || r->found;
    if (redis_link_is_up(s->writer)) {
        send_change(s, c);
    } else if (h->waiting_count < WAITING_MOST) {
        list_append(&h->waiting, &c->node);
        h->waiting_count++;
    } else {
        free_change(c);
        skip(s, "the link that writes is down");
    }
}
