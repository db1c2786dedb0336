/* scan.c -- SCAN by SCAN over all keys; the set of names; rows of the copy that nothing stands for.
 *
 * Owns:    the set of names' truth, the pace.
 * Thread:  control
 * Used by: verify.c (begins, decides), sync.c (rounds), judge.c (each record), store.c (the copy).
 * Not here: whether too much is missing (verify.c). */
#include "store/scan.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "store/keys.h"
#include "store/reading.h"
#include "store/state.h"

#define STEP_KEYS 512
#define STEP_KEYS_TEXT "512"
#define QUEUED_MOST 1024 /* keys that wait to be read */
#define TICK_MS 20
#define SAY_MS 3000

enum walk_for { WALK_NOTHING, WALK_EXPIRED, WALK_GONE };

static void step(struct store *s);
static void on_tick(struct timer *t);

void scan_init(struct store *s)
{
    timer_init(&s->scan.tick, on_tick);
    names_init(&s->names);
}

void scan_free(struct store *s)
{
    timer_stop(&s->scan.tick);
    buf_free(&s->scan.cursor);
    names_free(&s->names);
}

static void tell_status(struct store *s)
{
    const struct scan *c = &s->scan;

    s->status.syncing = c->state != SCAN_OVER && c->state != SCAN_REFUSED && c->state != SCAN_IDLE;
    s->status.sync_keys = c->keys;
    s->status.sync_of = c->of;
    s->status.names = s->names.count;
    s->status.hosts = s->names.hosts;
    s->status.complete = c->complete;
}

/* --- beginning --- */

static void on_size(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;
    const redisReply *r = reply;

    if (r == NULL || redis->data == NULL || r->type != REDIS_REPLY_INTEGER)
        return;
    s->scan.of = (uint64_t)r->integer;
    tell_status(s);
}

static void set_cursor(struct scan *c, struct str cursor)
{
    buf_clear(&c->cursor);
    buf_add_str(&c->cursor, cursor);
}

void scan_begin(struct store *s)
{
    struct scan *c = &s->scan;

    c->complete = false;
    c->keys = c->of = 0;
    c->expired_looked_for = false;
    c->known_hosts = s->names.hosts;
    names_begin(&s->names);
    if (!copy_is_settled(s->copy)) {
        c->state = SCAN_WAITING;
        tell_status(s);
        return;
    }
    c->state = SCAN_RUNNING;
    c->again = c->in_flight; /* the step under way belongs to the scan before */
    c->began_ms = c->said_ms = c->paced_ms = loop_now_ms(s->loop);
    c->room = 1;
    set_cursor(c, STR("0"));
    redis_link_send(s->reader, on_size, 1, (struct str[]){ STR("DBSIZE") });
    timer_set(s->loop, &c->tick, TICK_MS);
    tell_status(s);
    step(s);
}

void scan_stop(struct store *s)
{
    struct scan *c = &s->scan;

    timer_stop(&c->tick);
    c->state = SCAN_IDLE;
    c->complete = c->in_flight = c->again = false;
    tell_status(s);
}

/* --- steps --- */

/* A key of ours. With a copy it is read in a later round; else that it is there is all we need. */
static void take_key(struct store *s, struct str key)
{
    enum family family;
    struct str name;

    if (!keys_split(s->prefix, key, &family, &name))
        return;
    if (copy_is_ready(s->copy)) {
        struct record *r = mirror_get(&s->mirror, family, name);

        r->to_copy = true; /* it may wait as something else, and longer than the walk lasts */
        sync_want(s, r, QUEUE_SCAN);
    } else
        names_add(&s->names, family, name, true);
}

static bool is_refusal(const redisReply *r)
{
    struct str text = str_slice(r->str, r->len);

    return str_starts_with(text, STR("NOPERM")) ||
           str_starts_with(text, STR("ERR unknown command"));
}

static void refuse(struct store *s, const redisReply *r)
{
    char text[200];

    log_line(LOG_WARN, "sync_refused", "reason=%s",
             log_quote(str_slice(r->str, r->len), text, sizeof(text)));
    s->scan.state = SCAN_REFUSED;
    timer_stop(&s->scan.tick);
    tell_status(s);
    verify_after_round(s);
}

static void say_progress(struct store *s)
{
    struct scan *c = &s->scan;
    uint64_t now = loop_now_ms(s->loop);

    if (now - c->said_ms < SAY_MS)
        return;
    c->said_ms = now;
    log_line(LOG_INFO, "sync_progress", "keys=%llu of=%llu", (unsigned long long)c->keys,
             (unsigned long long)c->of);
}

static void take_step(struct store *s, const redisReply *r)
{
    struct scan *c = &s->scan;
    const redisReply *keys = r->element[1];

    for (size_t i = 0; i < keys->elements; i++)
        if (keys->element[i]->type == REDIS_REPLY_STRING)
            take_key(s, str_slice(keys->element[i]->str, keys->element[i]->len));
    c->keys += keys->elements;
    /* Keys of others are passed by, too: Redis looks at so many at least. */
    c->room -= (double)(keys->elements > STEP_KEYS ? keys->elements : STEP_KEYS);
    set_cursor(c, str_slice(r->element[0]->str, r->element[0]->len));
    if (str_equals(str_slice(c->cursor.ptr, c->cursor.len), STR("0")))
        c->state = SCAN_SETTLING;
    say_progress(s);
    tell_status(s);
}

static void on_scanned(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;
    struct scan *c = &s->scan;
    const redisReply *r = reply;

    if (r == NULL || redis->data == NULL || c->state != SCAN_RUNNING)
        return;
    c->in_flight = false;
    if (c->again) {
        c->again = false;
        step(s);
        return;
    }
    if (r->type == REDIS_REPLY_ERROR && is_refusal(r)) {
        refuse(s, r);
        return;
    }
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
        r->element[0]->type != REDIS_REPLY_STRING || r->element[1]->type != REDIS_REPLY_ARRAY) {
        redis_link_fail(s->reader, r->type == REDIS_REPLY_ERROR
                                       ? r->str
                                       : "SCAN was answered with something else");
        return;
    }
    take_step(s, r);
    if (c->state == SCAN_SETTLING)
        scan_after_round(s); /* perhaps nothing is to be read */
    else
        step(s);
}

static bool is_glob_char(char c)
{
    return c == '*' || c == '?' || c == '[' || c == ']' || c == '\\' || c == '^';
}

static void add_pattern(struct buf *to, struct str prefix)
{
    for (size_t i = 0; i < prefix.len; i++) {
        if (is_glob_char(prefix.ptr[i]))
            buf_add_text(to, "\\");
        buf_add(to, &prefix.ptr[i], 1);
    }
    buf_add_text(to, "*");
}

/* The next one, when what came before is read, written, and it is time. */
static void step(struct store *s)
{
    struct scan *c = &s->scan;
    struct buf pattern = { 0 };
    char cursor[32];

    if (c->state != SCAN_RUNNING || c->in_flight || c->room <= 0 ||
        s->sync.queued[QUEUE_SCAN] >= QUEUED_MOST || !copy_has_room(s->copy))
        return;
    c->in_flight = true;
    add_pattern(&pattern, s->prefix);
    snprintf(cursor, sizeof(cursor), "%s", c->cursor.ptr);
    redis_link_send(s->reader, on_scanned, 6,
                    (struct str[]){ STR("SCAN"), str_from(cursor), STR("MATCH"),
                                    str_slice(pattern.ptr, pattern.len), STR("COUNT"),
                                    STR(STEP_KEYS_TEXT) });
    buf_free(&pattern);
}

static void on_tick(struct timer *t)
{
    struct store *s = LIST_ITEM(t, struct store, scan.tick);
    struct scan *c = &s->scan;
    uint64_t now = loop_now_ms(s->loop);
    double most = (double)s->settings->sync_rate / 10;

    if (c->state != SCAN_RUNNING && c->state != SCAN_SETTLING)
        return;
    c->room += (double)(now - c->paced_ms) * s->settings->sync_rate / 1000;
    if (c->room > most)
        c->room = most > 1 ? most : 1;
    c->paced_ms = now;
    timer_set(s->loop, &c->tick, TICK_MS);
    step(s);
}

bool scan_is_over(const struct store *s)
{
    const struct sync *y = &s->sync;

    if (s->scan.state == SCAN_SETTLING)
        return y->queued[QUEUE_SCAN] + y->count == 0;
    return s->scan.state == SCAN_OVER || s->scan.state == SCAN_REFUSED;
}

bool scan_counts(const struct store *s)
{
    return s->scan.state == SCAN_SETTLING || s->scan.state == SCAN_OVER;
}

void scan_after_round(struct store *s)
{
    if (s->scan.state == SCAN_RUNNING)
        step(s);
    else if (s->scan.state == SCAN_SETTLING && s->sync.count == 0)
        verify_after_round(s);
}

/* --- what rounds say --- */

/* Nobody told of its going, it is not held, and the scan has yet to say whether much is missing. */
static bool is_doubtful(const struct store *s, const struct record *r)
{
    return !r->was_known && verify_doubts(s, r);
}

static bool has_new_deadline(const struct store *s, const struct record *r)
{
    int64_t ttl = r->reading->ttl_ms;
    uint64_t now = loop_now_ms(s->loop), due = ttl < 0 ? 0 : now + (uint64_t)ttl + 1;

    if ((due == 0) != (r->expires_ms == 0))
        return true;
    return (due > r->expires_ms ? due - r->expires_ms : r->expires_ms - due) > 2000;
}

static void put(struct store *s, const struct record *r, struct str value)
{
    const struct reading *d = r->reading;
    struct disk_row row = { .family = (enum family)r->family,
                            .name = record_name(r),
                            .value = str_slice(value.ptr ? value.ptr : "", value.len) };

    if (d->ttl_ms >= 0)
        row.deadline_ms = clock_wall_ms() + (uint64_t)d->ttl_ms + 1;
    copy_put(s->copy, &row);
}

void scan_judged(struct store *s, const struct record *r)
{
    const struct reading *d = r->reading;
    enum family family = (enum family)r->family;
    bool scanning = r->to_copy || s->scan.state == SCAN_RUNNING || s->scan.state == SCAN_SETTLING;

    if (d->from_copy || r->verdict == VERDICT_WITHHELD)
        return;
    if (r->verdict != VERDICT_GONE)
        names_add(&s->names, family, record_name(r), d->epoch == s->mirror.epoch);
    else if (!is_doubtful(s, r))
        names_remove(&s->names, family, record_name(r));
    if (copy_is_ready(s->copy)) {
        if (r->verdict == VERDICT_GONE && !is_doubtful(s, r))
            copy_delete(s->copy, family, record_name(r));
        else if (r->bad && scanning && mirror_raw(r).ptr != NULL)
            put(s, r, mirror_raw(r)); /* it went wrong before the copy had it */
        else if (!r->bad && (r->verdict == VERDICT_GOOD || (r->verdict == VERDICT_SAME && d->good &&
                                                            (scanning || has_new_deadline(s, r)))))
            put(s, r, str_slice(d->raw.ptr, d->raw.len));
    }
    s->status.names = s->names.count;
    s->status.hosts = s->names.hosts;
}

/* --- the end --- */

static void walk(struct store *s, enum walk_for what)
{
    if (!copy_is_ready(s->copy) || s->scan.walking != WALK_NOTHING)
        return;
    s->scan.walking = what;
    copy_walk_on(s->copy, NULL);
}

bool scan_look_for_expired(struct store *s)
{
    if (s->scan.walking == WALK_EXPIRED)
        return true;
    if (s->scan.expired_looked_for || !copy_is_ready(s->copy) || s->names.unseen == 0 ||
        s->scan.walking != WALK_NOTHING)
        return false;
    s->scan.expired_looked_for = true;
    walk(s, WALK_EXPIRED);
    return true;
}

void scan_obey(struct store *s)
{
    struct scan *c = &s->scan;
    bool ended = c->state == SCAN_SETTLING;

    if (!scan_counts(s))
        return;
    c->state = SCAN_OVER;
    timer_stop(&c->tick);
    c->sweep_due = c->sweep_due || s->names.unseen > 0;
    names_drop_unseen(&s->names);
    c->complete = c->was_complete = true;
    if (c->sweep_due)
        walk(s, WALK_GONE);
    copy_set_complete(s->copy, true);
    tell_status(s);
    if (ended)
        log_line(LOG_INFO, "synced", "records=%zu hosts=%zu ms=%llu", s->names.count,
                 s->names.hosts, (unsigned long long)(loop_now_ms(s->loop) - c->began_ms));
}

/* Is this row to go? One whose key is about to be read speaks for itself. */
static bool is_to_go(const struct store *s, const struct copy_walked *row, struct str name)
{
    const struct record *r = mirror_find(&s->mirror, row->family, name);

    if (r != NULL && (r->queue != QUEUE_NONE || r->in_round || (r->known && r->present)))
        return false;
    if (s->scan.walking == WALK_GONE)
        return s->scan.complete && !names_has(&s->names, row->family, name);
    return row->deadline_ms != 0 && row->deadline_ms <= clock_wall_ms() &&
           names_has(&s->names, row->family, name) && !names_is_seen(&s->names, row->family, name);
}

void scan_walked(struct store *s, struct copy_walk *w)
{
    struct scan *c = &s->scan;
    bool expired = c->walking == WALK_EXPIRED;

    for (size_t i = 0; i < w->count && !s->closing; i++) {
        struct str name = str_slice(w->text.ptr + w->rows[i].name_at, w->rows[i].name_len);

        if (!is_to_go(s, &w->rows[i], name))
            continue;
        copy_delete(s->copy, w->rows[i].family, name);
        if (expired)
            names_remove(&s->names, w->rows[i].family, name);
    }
    if (!w->last && !s->closing) {
        copy_walk_on(s->copy, w);
        return;
    }
    copy_walk_free(w);
    c->walking = WALK_NOTHING;
    if (s->closing)
        return;
    if (!expired && c->complete)
        c->sweep_due = false;
    else if (expired && c->complete && c->sweep_due)
        walk(s, WALK_GONE);
    if (expired)
        verify_after_round(s);
}

/* --- the copy --- */

/* Everything is looked at again, so that the copy gets it. */
static void begin_again(struct store *s)
{
    if (s->closing || !redis_link_is_up(s->reader))
        return;
    if (s->scan.state == SCAN_WAITING)
        scan_begin(s);
    else
        verify_begin(s);
}

void scan_copy_opened(struct store *s, struct names *names, const struct disk_facts *facts)
{
    names_merge(&s->names, names);
    if (facts->complete)
        s->scan.was_complete = true;
    tell_status(s);
    begin_again(s);
}

void scan_copy_failed(struct store *s)
{
    if (s->scan.state == SCAN_WAITING)
        begin_again(s);
}

void scan_copy_behind(struct store *s)
{
    s->scan.sweep_due = true; /* deletions were skipped, too */
    begin_again(s);
}
