/* sync.c -- the round engine.
 *
 * What makes a round one moment of Redis: pushes leave Redis once per turn of its loop, behind the
 * replies of that turn. So a push that arrives before a reply tells of a write that this reply has
 * seen; one of the same turn comes right behind; and the reply to a PING that is sent after a read
 * was answered comes behind all pushes for what was written before that read (the fence). Keys that
 * were pushed meanwhile are read too. When writers are so busy that no fence comes in clean, the
 * whole round is read again in one EXEC, and closes when nothing came right behind it.
 *
 * Owns:    the queues, the round's array.
 * Thread:  control
 * Used by: store.c, lookups.c, verify.c, errors.c, deadlines.c.
 * Not here: what a reading means (reading.c, judge.c). */
#include "store/sync.h"

#include <stdlib.h>

#include "base/check.h"
#include "store/judge.h"
#include "store/keys.h"
#include "store/naming.h"
#include "store/reading.h"
#include "store/state.h"

#define ROUND_KEYS 512 /* taken at its start */
#define ROUND_WANTED_LEAST                                                                         \
    128 /* of them at least for lookups, so that no flood of writes stops them, */
#define ROUND_VERIFY_LEAST 64 /* and for verification, so that it ends, */
#define ROUND_SCAN_LEAST 32   /* and for the scan */
#define ROUND_KEYS_MOST 1024  /* with all that joined it: more would keep lookups waiting */
#define PUSHED_MOST 200000    /* waiting; what nobody here knows is then not queued any more */
#define FENCES_MOST 4
#define UNFENCED_MOST 12

static void on_turn_end(struct turn_end *end);
static void ask(struct store *s);
static void free_singles(struct sync *y);

void sync_init(struct store *s)
{
    for (unsigned q = 0; q < QUEUES; q++)
        list_init(&s->sync.queues[q]);
    turn_end_init(&s->sync.end, on_turn_end);
}

void sync_free(struct store *s)
{
    turn_end_cancel(&s->sync.end);
    free(s->sync.records);
    free(s->sync.sent);
    free_singles(&s->sync);
    free(s->sync.singles);
}

/* --- queues --- */

static void unqueue(struct sync *y, struct record *r)
{
    if (r->queue == QUEUE_NONE)
        return;
    list_remove(&r->queue_node);
    y->queued[r->queue]--;
    r->queue = QUEUE_NONE;
}

void sync_want(struct store *s, struct record *r, enum queue queue)
{
    struct sync *y = &s->sync;

    if (r->queue <= queue || (!redis_link_is_up(s->reader) && !recall_can_load(s, r, queue)))
        return;
    unqueue(y, r);
    r->queue = (uint8_t)queue;
    list_append(&y->queues[queue], &r->queue_node);
    y->queued[queue]++;
    if (y->step == ROUND_NONE)
        loop_at_turn_end(s->loop, &y->end);
}

static void push_key(struct store *s, struct str key)
{
    enum family family;
    struct str name;
    struct record *r;

    if (!keys_split(s->prefix, key, &family, &name)) {
        if (barrier_is_key(s, key))
            barrier_pushed(s);
        else
            calls_pushed(s, key);
        return;
    }
    s->status.pushes++;
    r = mirror_find(&s->mirror, family, name);
    if (r == NULL && s->sync.queued[QUEUE_PUSHED] >= PUSHED_MOST) {
        s->sync.overflowed = true;
        s->scan.complete = false;
        return;
    }
    if (r == NULL)
        r = mirror_get(&s->mirror, family, name);
    r->pushed = true;
    r->flushed = s->sync.flushes > 0;
    barrier_owe(s, r);
    if (!r->in_flight) /* else the reply under way comes behind this push, so has seen the write */
        sync_want(s, r, QUEUE_PUSHED);
}

static void on_flush_over(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;

    if (reply != NULL && redis->data != NULL && s->sync.flushes > 0)
        s->sync.flushes--;
}

/* All was deleted at once. Of what was pushed before, and of what is pushed for the same turn of
 * Redis (which comes behind this, but before the answer to a PING), an absence says no more than
 * that: perhaps it was written, and then flushed. */
static void take_flush(struct store *s)
{
    struct sync *y = &s->sync;

    for (size_t i = 0; i < y->count; i++)
        y->records[i]->flushed = true;
    LIST_EACH (node, after, &y->queues[QUEUE_PUSHED])
        LIST_ITEM(node, struct record, queue_node)->flushed = true;
    y->flushes++;
    redis_link_send(s->reader, on_flush_over, 1, (struct str[]){ STR("PING") });
    verify_begin(s);
    barrier_look_again(s);
    presence_announce(s); /* that too is gone */
    calls_all_changed(s);
}

void sync_push(struct store *s, const redisReply *push)
{
    const redisReply *keys;

    if (push->elements < 2 || push->element[0]->type != REDIS_REPLY_STRING ||
        strcmp(push->element[0]->str, "invalidate") != 0)
        return;
    keys = push->element[1];
    if (keys->type == REDIS_REPLY_NIL) {
        take_flush(s);
        return;
    }
    if (keys->type != REDIS_REPLY_ARRAY)
        return;
    for (size_t i = 0; i < keys->elements; i++)
        if (keys->element[i]->type == REDIS_REPLY_STRING)
            push_key(s, str_slice(keys->element[i]->str, keys->element[i]->len));
}

/* --- one round --- */

static void add_to_round(struct store *s, struct record *r)
{
    struct sync *y = &s->sync;

    unqueue(y, r);
    r->to_read = true;
    if (!r->in_round || y->unfenced == 0)
        r->is_hash = false; /* its size is looked at anew */
    if (r->in_round)
        return;
    r->in_round = true;
    r->verdict = VERDICT_NONE;
    if (y->count == y->room) {
        y->room = y->room ? y->room * 2 : 64;
        y->records = check_realloc(y->records, y->room * sizeof(struct record *));
    }
    y->records[y->count++] = r;
    if (r->pair != NULL && !r->pair->in_round && !record_is_fresh(&s->mirror, r->pair))
        add_to_round(s, r->pair);
}

static void take_queue(struct store *s, enum queue queue, size_t most)
{
    struct list *l = &s->sync.queues[queue];

    while (most > 0 && !list_is_empty(l)) {
        add_to_round(s, LIST_ITEM(l->next, struct record, queue_node));
        most--;
    }
}

static bool has_work(const struct sync *y)
{
    for (unsigned q = 0; q < QUEUES; q++)
        if (y->queued[q] > 0)
            return true;
    return false;
}

static size_t at_most(size_t n, size_t most)
{
    return n < most ? n : most;
}

static size_t at_least(size_t n, size_t least)
{
    return n > least ? n : least;
}

static size_t room_left(const struct sync *y, size_t kept_back)
{
    return ROUND_KEYS > y->count + kept_back ? ROUND_KEYS - y->count - kept_back : 0;
}

static void start(struct store *s)
{
    struct sync *y = &s->sync;
    size_t verified = at_most(y->queued[QUEUE_VERIFY], ROUND_VERIFY_LEAST);
    size_t wanted = at_most(y->queued[QUEUE_WANTED], ROUND_WANTED_LEAST);
    size_t scanned = at_most(y->queued[QUEUE_SCAN], ROUND_SCAN_LEAST);

    y->fences = y->unfenced = 0;
    y->one_by_one = false;
    y->loading = !redis_link_is_up(s->reader);
    take_queue(s, QUEUE_PUSHED, ROUND_KEYS - wanted - verified - scanned);
    take_queue(s, QUEUE_WANTED, at_least(room_left(y, verified + scanned), wanted));
    take_queue(s, QUEUE_VERIFY, at_least(room_left(y, scanned), verified));
    take_queue(s, QUEUE_SCAN, at_least(room_left(y, 0), scanned));
    s->status.rounds++;
    ask(s);
}

static void close_soon(struct store *s, enum round_step step)
{
    s->sync.step = step;
    loop_at_turn_end(s->loop, &s->sync.end);
}

/* Too much was written at once to look at each key: what workers remember without a key of its own
 * is asked anew, as after a lost link. */
static void make_up_for_overflow(struct store *s)
{
    if (!s->sync.overflowed || s->sync.queued[QUEUE_PUSHED] > 0)
        return;
    s->sync.overflowed = false;
    log_line(LOG_WARN, "pushes_skipped", "most=%u", PUSHED_MOST);
    verify_begin(s);
}

static void close_round(struct store *s)
{
    struct sync *y = &s->sync;
    bool loaded = y->loading;

    y->step = ROUND_CLOSING;
    store_flush(s); /* answers given before this round must not follow what it changes */
    judge_round(s, y->records, y->count);
    y->count = 0;
    if (!loaded) {
        make_up_for_overflow(s);
        scan_after_round(s);
        verify_after_round(s);
    }
    s->mirror.copied = s->scan.complete && copy_has_all(s->copy);
    mirror_evict(&s->mirror, s->settings->cache_bytes, store_changes(s));
    y->step = ROUND_NONE;
    if (!loaded)
        store_has_read(s);
    store_flush(s);
    barrier_advance(s);
    presence_after_round(s);
    if (has_work(y))
        start(s);
}

/* Pushed keys join the round; false when there are none, or too many. */
static bool take_pushed(struct store *s)
{
    struct sync *y = &s->sync;

    if (y->queued[QUEUE_PUSHED] == 0 || y->count >= ROUND_KEYS_MOST)
        return false;
    take_queue(s, QUEUE_PUSHED, ROUND_KEYS_MOST - y->count);
    return true;
}

static void on_turn_end(struct turn_end *end)
{
    struct store *s = LIST_ITEM(end, struct store, sync.end);
    struct sync *y = &s->sync;

    if (!redis_link_is_up(s->reader) && y->step != ROUND_NONE)
        return;
    if (y->step == ROUND_CLOSING) {
        close_round(s);
    } else if (y->step == ROUND_NONE && has_work(y)) {
        start(s);
    } else if (y->step == ROUND_SETTLING && !redis_link_has_unread(s->reader)) {
        if (y->unfenced < UNFENCED_MOST && take_pushed(s))
            ask(s);
        else
            close_round(s);
    }
}

void sync_was_read(struct store *s)
{
    if (s->sync.step == ROUND_SETTLING)
        loop_at_turn_end(s->loop, &s->sync.end);
}

/* --- the fence --- */

static void on_fence(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;

    if (reply == NULL || redis->data == NULL || s->sync.step != ROUND_FENCING)
        return;
    s->sync.fences++;
    if (take_pushed(s))
        ask(s);
    else
        close_soon(s, ROUND_CLOSING);
}

static void fence(struct store *s)
{
    if (s->sync.fences >= FENCES_MOST) {
        close_soon(s, ROUND_SETTLING);
        return;
    }
    s->sync.step = ROUND_FENCING;
    redis_link_send(s->reader, on_fence, 1, (struct str[]){ STR("PING") });
}

/* --- reading --- */

/* Is the named record not known, or pushed (perhaps by the very write that names it)? */
static bool is_to_join(const struct store *s, const struct record *r)
{
    if (r->in_round)
        return false;
    return r->queue == QUEUE_PUSHED || (!record_is_fresh(&s->mirror, r) && !record_exists(r));
}

/* What a good new value names must be known when it is judged. When that is more than a round holds,
 * the next round goes on with it (judge.c). */
void sync_add_named(struct store *s, struct record *r)
{
    const struct reading *d = r->reading;

    naming_resolve(&s->mirror, r);
    for (uint32_t i = 0; i < d->named_count && s->sync.count < ROUND_KEYS_MOST; i++) {
        struct record *named = d->named[i];

        if (is_to_join(s, named))
            add_to_round(s, named);
        if (named->pair != NULL && is_to_join(s, named->pair))
            add_to_round(s, named->pair);
    }
}

/* False: the link has failed. */
static bool take_reply(struct store *s, struct record *r, redisReply *const *replies)
{
    struct reading *reading = check_alloc(sizeof(*reading));
    const char *reason;
    enum reading_result result = reading_take(s->modules, replies, (enum family)r->family,
                                              record_name(r), r->is_hash, reading, &reason);

    s->status.reads++;
    if (result == READING_DONE) {
        reading->epoch = s->mirror.epoch;
        reading_free(r->reading);
        r->reading = reading;
        sync_add_named(s, r);
        return true;
    }
    reading_free(reading);
    if (result == READING_HASH) {
        r->is_hash = r->to_read = true;
        return true;
    }
    redis_link_fail(s->reader, reason);
    return false;
}

static bool is_asked_for(const struct sync *y, bool *all)
{
    for (size_t i = 0; i < y->count; i++)
        if (y->records[i]->to_read) {
            *all = y->unfenced > 0 || y->fences >= FENCES_MOST;
            return true;
        }
    return false;
}

static size_t commands_of(const struct record *r)
{
    return r->is_hash ? READING_HASH_COMMANDS : READING_COMMANDS;
}

/* All that was asked for has been answered. */
static void take_replies(struct store *s, redisReply *const *replies, size_t count)
{
    struct sync *y = &s->sync;
    size_t at = 0;

    for (size_t i = 0; i < y->sent_count; i++)
        y->sent[i]->in_flight = false;
    for (size_t i = 0; i < y->sent_count; i++) {
        size_t own = commands_of(y->sent[i]);

        if (at + own > count) {
            redis_link_fail(s->reader, "EXEC was answered in part");
            return;
        }
        if (!take_reply(s, y->sent[i], replies + at))
            return;
        at += own;
    }
    ask(s);
}

static void free_singles(struct sync *y)
{
    while (y->single_count > 0)
        freeReplyObject(y->singles[--y->single_count]);
}

/* One reply of a record that is read without MULTI. What is pushed between two of them may have been
 * written between two of them, so from the first one on the record is no longer under way. */
static void on_single(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;
    struct sync *y = &s->sync;

    if (reply == NULL || redis->data == NULL || y->step != ROUND_READING || !y->one_by_one)
        return;
    if (y->single_count == y->single_room) {
        y->single_room = y->single_room ? y->single_room * 2 : 64;
        y->singles = check_realloc(y->singles, y->single_room * sizeof(redisReply *));
    }
    y->singles[y->single_count++] = redis_reply_copy(reply);
    if (y->single_left == 0)
        y->single_left = commands_of(y->sent[y->single_at]);
    y->sent[y->single_at]->in_flight = false;
    if (--y->single_left > 0 || ++y->single_at < y->sent_count)
        return;
    take_replies(s, y->singles, y->single_count);
    /* Another reading of the same round has set the count to 0, and made no reply yet. */
}

static void send_all(struct store *s);

static void on_exec(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;
    const redisReply *r = reply;

    if (r == NULL || redis->data == NULL || s->sync.step != ROUND_READING)
        return;
    if (r->type == REDIS_REPLY_ERROR && !s->sync.one_by_one &&
        str_starts_with(str_slice(r->str, r->len), STR("EXECABORT"))) {
        s->sync.one_by_one = true;
        send_all(s);
        return;
    }
    if (r->type != REDIS_REPLY_ARRAY) {
        redis_link_fail(s->reader, r->type == REDIS_REPLY_ERROR ? r->str : "EXEC was not obeyed");
        return;
    }
    take_replies(s, r->element, r->elements);
}

static void send_all(struct store *s)
{
    struct sync *y = &s->sync;
    struct buf key = { 0 };

    free_singles(y);
    y->single_at = y->single_left = 0;
    if (!y->one_by_one)
        redis_link_queue(s->reader, 1, (struct str[]){ STR("MULTI") });
    for (size_t i = 0; i < y->sent_count; i++) {
        struct record *r = y->sent[i];

        buf_clear(&key);
        keys_add(&key, s->prefix, (enum family)r->family, record_name(r));
        reading_ask(s->reader, str_slice(key.ptr, key.len), r->is_hash,
                    y->one_by_one ? on_single : NULL);
    }
    if (!y->one_by_one)
        redis_link_send(s->reader, on_exec, 1, (struct str[]){ STR("EXEC") });
    buf_free(&key);
}

/* Reads what is still to be read, or goes on to the fence. */
static void ask(struct store *s)
{
    struct sync *y = &s->sync;
    bool all = false;

    if (!is_asked_for(y, &all)) {
        if (y->loading)
            close_round(s);
        else if (recall_stand_ins(s))
            y->step = ROUND_RECALLING;
        else
            fence(s);
        return;
    }
    if (all) /* no end here: what has just become a hash must be read before the round closes */
        y->unfenced++;
    if (y->sent_room < y->count) {
        y->sent_room = y->room;
        y->sent = check_realloc(y->sent, y->sent_room * sizeof(struct record *));
    }
    y->sent_count = 0;
    for (size_t i = 0; i < y->count; i++) {
        struct record *r = y->records[i];

        if (!all && !r->to_read)
            continue;
        unqueue(y, r);
        r->to_read = false;
        r->in_flight = !y->loading;
        y->sent[y->sent_count++] = r;
    }
    y->step = y->loading ? ROUND_RECALLING : ROUND_READING;
    if (y->loading)
        recall_load(s, y->sent, y->sent_count);
    else
        send_all(s);
}

void sync_recalled(struct store *s)
{
    CHECK(s->sync.step == ROUND_RECALLING);
    ask(s);
}

/* --- the end of the link --- */

void sync_abort(struct store *s)
{
    struct sync *y = &s->sync;
    struct list dropped;
    struct list *node;

    list_init(&dropped);
    for (size_t i = 0; i < y->count; i++) {
        struct record *r = y->records[i];

        unqueue(y, r);
        reading_free(r->reading);
        r->reading = NULL;
        r->in_round = r->in_flight = r->to_read = false;
        r->owed = 0;
        list_append(&dropped, &r->queue_node);
    }
    for (unsigned q = 0; q < QUEUES; q++)
        while ((node = y->queues[q].next) != &y->queues[q]) {
            unqueue(y, LIST_ITEM(node, struct record, queue_node));
            LIST_ITEM(node, struct record, queue_node)->owed = 0;
            list_append(&dropped, node);
        }
    y->count = y->sent_count = 0;
    y->flushes = 0;
    y->step = ROUND_NONE;
    y->overflowed = y->loading = false;
    recall_cancel(s);
    lookups_detach_all(s);
    while ((node = list_take_first(&dropped)) != NULL) {
        struct record *r = LIST_ITEM(node, struct record, queue_node);

        r->pushed = r->flushed = r->found = r->wanted = false;
        /* A pair is dropped with its first record, which may be in the list too: at its last. */
        if (!r->known &&
            (r->pair == NULL || (!r->pair->known && list_is_empty(&r->pair->queue_node))) &&
            record_is_idle(r))
            mirror_drop(&s->mirror, r);
    }
    lookups_fail_all(s);
}
