/* recall.c -- asking the disk copy, and taking its answer, or going on without.
 *
 * Owns:    the question under way.
 * Thread:  control
 * Used by: sync.c (rounds), store.c (answers).
 * Not here: the copy (copy.c); what becomes of the values (judge.c). */
#include "store/recall.h"

#include <stdlib.h>

#include "base/clock.h"
#include "store/reading.h"
#include "store/state.h"

#include "base/check.h"

#define LIMIT_MS 1000 /* a disk that takes longer is gone without */

static void on_limit(struct timer *t);

void recall_init(struct store *s)
{
    timer_init(&s->recall.limit, on_limit);
}

void recall_free(struct store *s)
{
    free(s->recall.records);
}

bool recall_can_load(const struct store *s, const struct record *r, enum queue queue)
{
    return queue == QUEUE_WANTED && !r->known && !s->closing && copy_is_ready(s->copy);
}

static void ask(struct store *s)
{
    struct recall *c = &s->recall;
    struct copy_request *q = copy_request_new(c->count);

    q->token = ++c->token;
    for (size_t i = 0; i < c->count; i++) {
        q->items[i].family = (enum family)c->records[i]->family;
        buf_add_str(&q->items[i].name, record_name(c->records[i]));
    }
    c->asked = true;
    timer_set(s->loop, &c->limit, LIMIT_MS);
    copy_ask(s->copy, q);
}

static void take_list(struct recall *c, size_t room)
{
    c->records = check_realloc(c->records, (room + 1) * sizeof(struct record *));
    c->count = 0;
}

void recall_load(struct store *s, struct record **records, size_t count)
{
    take_list(&s->recall, count);
    memcpy(s->recall.records, records, count * sizeof(struct record *));
    s->recall.count = count;
    s->recall.loading = true;
    ask(s);
}

static bool is_withheld(const struct store *s, const struct record *r)
{
    return r->reading->absent && verify_doubts(s, r);
}

static bool needs_stand_in(const struct store *s, const struct record *r)
{
    const struct reading *d = r->reading;

    if (d == NULL || d->recalled)
        return false;
    return d->absent ? is_withheld(s, r) : !d->good && !r->has_good;
}

bool recall_stand_ins(struct store *s)
{
    struct recall *c = &s->recall;

    if (copy_is_settled(s->copy) && !copy_is_ready(s->copy))
        return false;
    take_list(c, s->sync.count);
    for (size_t i = 0; i < s->sync.count; i++)
        if (needs_stand_in(s, s->sync.records[i]))
            c->records[c->count++] = s->sync.records[i];
    c->loading = false;
    if (c->count == 0)
        return false;
    if (copy_is_ready(s->copy)) {
        ask(s);
    } else { /* at a start, Redis may answer before the file has been looked through */
        c->waiting = true;
        timer_set(s->loop, &c->limit, LIMIT_MS);
    }
    return true;
}

/* --- the answer --- */

static int64_t ttl_of(uint64_t deadline_ms)
{
    uint64_t now = clock_wall_ms();

    if (deadline_ms == 0)
        return -1;
    return deadline_ms > now ? (int64_t)(deadline_ms - now) : 0;
}

static struct str bytes_of(const struct buf *b)
{
    return str_slice(b->ptr ? b->ptr : "", b->len);
}

/* Does it say something that the copy has no row? Not of a key that is known to exist: its row is
 * damaged, or out of sight, or was not to be had in time; to do without it could be to do what nobody
 * wrote, as a tenant does without its rules. For what a route hangs on, only when the copy once held
 * all there were, and it was not among them. */
static bool is_absent(const struct store *s, const struct record *r)
{
    if (names_has(&s->names, (enum family)r->family, record_name(r)))
        return false;
    return r->family == FAMILY_defaults || s->scan.was_complete;
}

static void load(struct store *s, struct record *r, const struct copy_wanted *w)
{
    struct reading *d = check_alloc(sizeof(*d));

    *d = (struct reading){ .absent = true, .from_copy = true, .recalled = true, .ttl_ms = -1 };
    if (w != NULL && w->found &&
        reading_recall(s->modules, bytes_of(&w->value), (enum family)r->family, record_name(r),
                       d)) {
        d->ttl_ms = ttl_of(w->deadline_ms);
        s->status.recalled++;
    } else if (!is_absent(s, r)) {
        reading_free(d);
        return;
    }
    reading_free(r->reading);
    r->reading = d;
    sync_add_named(s, r);
}

/* One that has expired meanwhile is gone. */
static bool is_over(const struct reading *d, const struct copy_wanted *w)
{
    return d->absent && w->deadline_ms != 0 && w->deadline_ms <= clock_wall_ms();
}

static void stand_in(struct store *s, struct record *r, const struct copy_wanted *w)
{
    struct reading *d = r->reading;
    bool absent = d->absent;

    d->recalled = true;
    if (w == NULL || !w->found || is_over(d, w) ||
        !reading_recall(s->modules, bytes_of(&w->value), (enum family)r->family, record_name(r), d))
        return;
    s->status.recalled++;
    if (absent) {
        d->withheld = true;
        d->epoch = 0;
        d->ttl_ms = ttl_of(w->deadline_ms);
    }
    sync_add_named(s, r);
}

/* q NULL: nothing was found out. */
static void take(struct store *s, const struct copy_request *q)
{
    struct recall *c = &s->recall;

    timer_stop(&c->limit);
    c->asked = c->waiting = false;
    for (size_t i = 0; i < c->count; i++) {
        const struct copy_wanted *w = q != NULL ? &q->items[i] : NULL;

        if (c->loading)
            load(s, c->records[i], w);
        else
            stand_in(s, c->records[i], w);
    }
    sync_recalled(s);
}

void recall_copy_settled(struct store *s)
{
    if (!s->recall.waiting)
        return;
    s->recall.waiting = false;
    if (copy_is_ready(s->copy))
        ask(s);
    else
        take(s, NULL);
}

void recall_answered(struct store *s, struct copy_request *q)
{
    if (s->recall.asked && q->token == s->recall.token)
        take(s, q);
    copy_request_free(q);
}

static void on_limit(struct timer *t)
{
    take(LIST_ITEM(t, struct store, recall.limit), NULL);
}

void recall_cancel(struct store *s)
{
    s->recall.asked = s->recall.waiting = false;
    timer_stop(&s->recall.limit);
}
