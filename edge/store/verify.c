/* verify.c -- suspect records, and Redis come back with too much missing.
 *
 * Owns:    the list of records that are gone from Redis and still served.
 * Thread:  control
 * Used by: store.c, sync.c (begins, after rounds), judge.c (asks).
 * Not here: reading (sync.c). */
#include "store/verify.h"

#include "store/reading.h"
#include "store/state.h"

#define LEAST_LOSS 10 /* hosts; fewer may go missing however few are known */
#define AGAIN_MS 2000
#define SAMPLE 512   /* of the missing ones, each time, while Redis stays empty */
#define ALL_AGAIN 15 /* and everything, each so many times */

static void on_again(struct timer *t);

void verify_init(struct store *s)
{
    list_init(&s->verify.missing);
    timer_init(&s->verify.again, on_again);
    s->verify.store = s;
}

void verify_free(struct store *s)
{
    timer_stop(&s->verify.again);
}

static void forget_missing(struct verify *v, struct record *r)
{
    if (!r->missing)
        return;
    r->missing = false;
    list_remove(&r->missing_node);
    if (r->family == FAMILY_host)
        v->missing_hosts--;
}

void verify_suspect_all(struct store *s)
{
    s->mirror.epoch++;
    s->status.suspect = true;
    s->verify.running = false;
    scan_stop(s);
}

/* Used in the last minute or so? Those are verified first. */
static bool is_hot(const struct store *s, const struct record *r)
{
    unsigned now = object_tick(loop_now_ms(s->loop));

    return r->object != NULL &&
           now - atomic_load_explicit(mirror_tick(&s->mirror, r), memory_order_relaxed) < 4;
}

static void queue_all(struct store *s, bool hot)
{
    struct record *r;

    for (unsigned f = FAMILIES; f-- > 0;)
        for (size_t at = 0; (r = map_next(&s->mirror.maps[f], &at)) != NULL;) {
            if (!r->known || is_hot(s, r) != hot)
                continue;
            if (r->present || r->reference_count > 0 || !list_is_empty(&r->waiters) ||
                (r->pair != NULL && r->pair->present))
                sync_want(s, r, QUEUE_VERIFY);
        }
}

static void count_known(struct store *s)
{
    struct record *r;

    s->verify.known_hosts = 0;
    for (size_t at = 0; (r = map_next(&s->mirror.maps[FAMILY_host], &at)) != NULL;)
        if (r->known && r->present)
            s->verify.known_hosts++;
}

void verify_begin(struct store *s)
{
    struct verify *v = &s->verify;
    struct changes *c;
    struct list *node;

    store_flush(s); /* a worker forgets before it takes the answers of the same changes */
    c = store_changes(s);
    s->mirror.epoch++;
    s->status.suspect = true;
    v->accepted = false;
    while ((node = v->missing.next) != &v->missing)
        forget_missing(v, LIST_ITEM(node, struct record, missing_node));
    count_known(s);
    queue_all(s, true);
    queue_all(s, false);
    v->running = true;
    scan_begin(s);
    /* What no key or a wildcard answered so far may have a key of its own by now. */
    c->forget_unknown = true;
    changes_forget(c, STR("*"));
    verify_after_round(s); /* perhaps nothing is held */
}

void verify_misses(struct store *s, struct record *r)
{
    struct verify *v = &s->verify;

    if (r->missing)
        return;
    r->missing = true;
    list_append(&v->missing, &r->missing_node);
    if (r->family == FAMILY_host)
        v->missing_hosts++;
}

/* Was it said that this very key has gone? */
static bool is_told_of(const struct record *r)
{
    return r->pushed && !r->flushed;
}

bool verify_withholds(struct store *s, struct record *r)
{
    uint64_t now = loop_now_ms(s->loop);

    if (!r->known || !r->present || is_told_of(r) || r->epoch == r->reading->epoch ||
        s->settings->max_loss_percent >= 100 || (r->expires_ms != 0 && r->expires_ms <= now))
        return false;
    verify_misses(s, r);
    return true;
}

bool verify_doubts(const struct store *s, const struct record *r)
{
    return !r->known && !is_told_of(r) && !s->scan.complete &&
           s->settings->max_loss_percent < 100 &&
           names_has(&s->names, (enum family)r->family, record_name(r)) &&
           !names_is_seen(&s->names, (enum family)r->family, record_name(r));
}

void verify_settled(struct store *s, struct record *r)
{
    if (r->missing && r->present)
        s->verify.some_back = true;
    forget_missing(&s->verify, r);
}

/* --- what to make of what is missing --- */

/* Of all hosts, when the scan could look at all; else of those held. */
static void count_loss(const struct store *s, size_t *gone, size_t *known)
{
    *gone = scan_counts(s) ? s->names.unseen_hosts : s->verify.missing_hosts;
    *known = scan_counts(s) ? s->scan.known_hosts : s->verify.known_hosts;
}

static bool is_too_much(const struct store *s)
{
    size_t gone, known;

    count_loss(s, &gone, &known);
    return gone >= LEAST_LOSS && gone * 100 > (uint64_t)s->settings->max_loss_percent * known;
}

/* Looks again at up to `most` of the missing records, the longest unseen first. */
static void look_again(struct store *s, size_t most)
{
    struct list seen;
    struct list *node;

    list_init(&seen);
    while (most-- > 0 && (node = list_take_first(&s->verify.missing)) != NULL) {
        list_append(&seen, node);
        sync_want(s, LIST_ITEM(node, struct record, missing_node), QUEUE_VERIFY);
    }
    list_move_all(&s->verify.missing, &seen);
    s->verify.running = true;
}

static void obey(struct store *s)
{
    struct verify *v = &s->verify;
    struct list *node;
    size_t gone, known;

    count_loss(s, &gone, &known);
    s->status.suspect = s->status.stale;
    if (s->status.regressed)
        log_line(LOG_INFO, v->accepted ? "store_accepted" : "store_recovered", "gone=%zu known=%zu",
                 gone, known);
    s->status.regressed = v->accepted = false;
    s->status.missing_hosts = 0;
    scan_obey(s);
    timer_stop(&v->again);
    while ((node = v->missing.next) != &v->missing) {
        struct record *r = LIST_ITEM(node, struct record, missing_node);

        forget_missing(v, r);
        r->pushed = r->found = true; /* read once more, and then believed */
        r->flushed = false;
        sync_want(s, r, QUEUE_PUSHED);
        barrier_owe(s, r);
    }
    barrier_wake(s);
}

static void decide(struct store *s)
{
    struct verify *v = &s->verify;
    size_t gone, known;

    if (!v->accepted && is_too_much(s) &&
        (s->sync.queued[QUEUE_PUSHED] > 0 || scan_look_for_expired(s)))
        return; /* and come back: what was pushed, or has expired, is not missing */
    v->running = false;
    if (v->accepted || !is_too_much(s)) {
        obey(s);
        return;
    }
    count_loss(s, &gone, &known);
    s->status.missing_hosts = gone;
    if (!s->status.regressed) {
        log_line(LOG_ERROR, "store_regressed", "gone=%zu known=%zu", gone, known);
        store_flush(s);
        store_changes(s)->forget_unknown = true; /* 404s of the last moments may be wrong */
    }
    s->status.regressed = true;
    if (v->some_back) {
        v->some_back = false;
        look_again(s, SIZE_MAX);
    } else {
        timer_set(s->loop, &v->again, AGAIN_MS);
    }
}

static void on_again(struct timer *t)
{
    struct verify *v = LIST_ITEM(t, struct verify, again);
    struct store *s = v->store;

    if (!s->status.regressed || !redis_link_is_up(s->reader))
        return;
    if (++v->agains % ALL_AGAIN == 0) {
        verify_begin(s);
        return;
    }
    look_again(s, is_too_much(s) ? SAMPLE : SIZE_MAX);
    verify_after_round(s);
}

void verify_after_round(struct store *s)
{
    const struct verify *v = &s->verify;

    if (!v->running || s->sync.queued[QUEUE_VERIFY] + s->sync.count > 0)
        return;
    if (list_is_empty(&v->missing) && !s->status.regressed)
        s->status.suspect = s->status.stale; /* all that is held; the scan may still go on */
    if (scan_is_over(s))
        decide(s);
}

bool verify_accept(struct store *s)
{
    if (!s->status.regressed || !redis_link_is_up(s->reader))
        return false;
    s->verify.accepted = true;
    if (!s->verify.running)
        decide(s);
    return true;
}
