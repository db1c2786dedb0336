/* lookups.c -- host to site: from the mirror at once where it knows, else one wait for Redis, shared
 * by all who ask.
 *
 * Owns:    who waits; the rate bound.
 * Thread:  control
 * Used by: store.c, judge.c, sync.c.
 * Not here: reading (sync.c); what workers remember (proxy/host_cache.c). */
#include "store/lookups.h"

#include <stdlib.h>

#include "base/check.h"
#include "store/keys.h"
#include "store/state.h"

#define WAITING_MOST 10000
/* Beyond its rate a lookup waits for its turn, but no longer than this: a flood of random names
 * must not hold those who ask for a real one. */
#define DELAY_MOST_MS 500
#define LOADS_MOST 3 /* looks at the disk copy for one host, with Redis away */

struct lookup {
    struct list node; /* in record->lookups, or in lookups->delayed */
    bool delayed;
    uint8_t loads; /* how often the disk copy was looked at for it */
    struct timer timer;
    struct store *store;
    uint64_t hash;
    unsigned *workers;
    unsigned worker_count;
    uint8_t host_len;
    char host[];
};

static struct str host_of(const struct lookup *k)
{
    return str_slice(k->host, k->host_len);
}

static bool has_host(const void *value, struct str host)
{
    return str_equals(host_of(value), host);
}

static void on_delay(struct timer *t);

void lookups_init(struct store *s)
{
    list_init(&s->lookups.delayed);
    timer_init(&s->lookups.delay, on_delay);
    map_init(&s->lookups.waiting, has_host);
    s->lookups.tokens = s->settings->lookup_rate;
    s->lookups.filled_ms = loop_now_ms(s->loop);
}

static void free_lookup(struct store *s, struct lookup *k)
{
    s->lookups.delayed_count -= k->delayed;
    map_remove(&s->lookups.waiting, k->hash, k);
    list_remove(&k->node);
    timer_stop(&k->timer);
    free(k->workers);
    free(k);
}

void lookups_free(struct store *s)
{
    struct lookup *k;

    timer_stop(&s->lookups.delay);
    for (size_t at = 0; (k = map_next(&s->lookups.waiting, &at)) != NULL;) {
        list_remove(&k->node);
        timer_stop(&k->timer);
        free(k->workers);
        free(k);
    }
    map_free(&s->lookups.waiting);
}

/* --- deciding --- */

enum key_is { KEY_UNKNOWN, KEY_PRESENT, KEY_ABSENT, KEY_WAS_ABSENT };

/* Not held: does the set of names say that it does not exist, or did not when Redis was there? */
static enum key_is look_at_names(const struct store *s, struct str name)
{
    bool up = redis_link_is_up(s->reader);

    if (up ? !s->scan.complete : !s->scan.was_complete)
        return KEY_UNKNOWN;
    if (names_has(&s->names, FAMILY_host, name))
        return KEY_UNKNOWN;
    return up ? KEY_ABSENT : KEY_WAS_ABSENT;
}

/* Is it known whether this key exists? With Redis away, what was known last has to do. */
static enum key_is look(const struct store *s, const struct record *r, struct str name)
{
    if (r != NULL && r->known) {
        if (r->present)
            return KEY_PRESENT;
        if (record_is_fresh(&s->mirror, r) || !redis_link_is_up(s->reader))
            return KEY_ABSENT;
    }
    if (r != NULL && (r->queue != QUEUE_NONE || r->in_round))
        return KEY_UNKNOWN; /* it is about to be read: perhaps it came into being */
    return look_at_names(s, name);
}

struct decision {
    bool decided;
    struct record *site; /* NULL: no key answers */
    bool exact;
    bool guessed; /* by what was so when Redis was there */
};

static struct decision decide(struct store *s, struct str host)
{
    char text[HOST_MAX_BYTES + 1];
    struct str name;
    bool exact = true, guessed = false;

    for (size_t at = 0; (name = keys_candidate(host, &at, text)).len > 0; exact = false) {
        struct record *r = mirror_find(&s->mirror, FAMILY_host, name);
        enum key_is is = look(s, r, name);

        if (is == KEY_UNKNOWN)
            return (struct decision){ .decided = false };
        if (is == KEY_PRESENT && r->object != NULL)
            return (struct decision){ .decided = true, .site = r, .exact = exact };
        guessed = guessed || is == KEY_WAS_ABSENT;
        if (r != NULL)
            mirror_touch(&s->mirror, r);
    }
    return (struct decision){ .decided = true, .guessed = guessed };
}

static void answer_fault(struct store *s, unsigned worker, struct str host, enum fault fault)
{
    struct answer *a = changes_answer(store_changes(s), worker, host);

    a->kind = ANSWER_FAULT;
    a->fault = fault;
}

static bool was_deleted(const struct store *s, struct str host)
{
    const struct record *r = mirror_find(&s->mirror, FAMILY_host, host);

    return r != NULL && r->known && r->deleted;
}

static void answer(struct store *s, unsigned worker, struct str host, const struct decision *d)
{
    struct answer *a;

    if (d->site == NULL && (d->guessed || (s->status.regressed && !was_deleted(s, host)))) {
        /* Redis is away, or has lost records: that there is none for this host proves nothing. */
        answer_fault(s, worker, host, FAULT_store_unavailable);
        return;
    }
    a = changes_answer(store_changes(s), worker, host);
    a->kind = ANSWER_UNKNOWN;
    if (d->site == NULL)
        return;
    a->kind = ANSWER_SITE;
    a->site = mirror_site_ref(d->site);
    a->used = mirror_tick(&s->mirror, d->site);
    a->exact = d->exact;
}

/* --- waiting --- */

static void on_timeout(struct timer *t)
{
    struct lookup *k = LIST_ITEM(t, struct lookup, timer);

    for (unsigned i = 0; i < k->worker_count; i++)
        answer_fault(k->store, k->workers[i], host_of(k), FAULT_store_timeout);
    free_lookup(k->store, k);
}

static void add_worker(struct lookup *k, unsigned worker)
{
    for (unsigned i = 0; i < k->worker_count; i++)
        if (k->workers[i] == worker)
            return;
    k->workers = check_realloc(k->workers, (k->worker_count + 1) * sizeof(*k->workers));
    k->workers[k->worker_count++] = worker;
}

/* Has everything read that is not known of the host's keys, and hangs on the first of them. */
static void wait_for_keys(struct store *s, struct lookup *k)
{
    char text[HOST_MAX_BYTES + 1];
    struct str name;
    bool hangs = false;

    for (size_t at = 0; (name = keys_candidate(host_of(k), &at, text)).len > 0;) {
        struct record *r = mirror_find(&s->mirror, FAMILY_host, name);

        enum key_is is = look(s, r, name);

        if (is == KEY_PRESENT && r->object != NULL)
            break; /* whatever is behind it will not be asked */
        if (is != KEY_UNKNOWN)
            continue;
        r = mirror_get(&s->mirror, FAMILY_host, name);
        r->wanted = true;
        if (!hangs)
            list_append(&r->lookups, &k->node);
        hangs = true;
        if (!r->in_round || s->sync.step == ROUND_CLOSING)
            sync_want(s, r, QUEUE_WANTED);
    }
    CHECK(hangs);
}

/* A token for each lookup that goes to Redis. */
static bool take_token(struct store *s)
{
    struct lookups *u = &s->lookups;
    uint64_t now = loop_now_ms(s->loop);
    double most = s->settings->lookup_rate;

    u->tokens += (double)(now - u->filled_ms) * most / 1000;
    if (u->tokens > most)
        u->tokens = most;
    u->filled_ms = now;
    if (u->tokens < 1)
        return false;
    u->tokens -= 1;
    return true;
}

/* May one more wait at all? */
static bool may_wait(const struct store *s)
{
    const struct lookups *u = &s->lookups;

    return u->waiting.count < WAITING_MOST &&
           u->delayed_count <= (uint64_t)s->settings->lookup_rate * DELAY_MOST_MS / 1000;
}

/* With Redis away: is there a disk copy to look at? */
static bool can_load(const struct store *s)
{
    return !s->closing && copy_is_ready(s->copy);
}

static void go(struct store *s, struct lookup *k)
{
    struct decision d = decide(s, host_of(k)); /* it may have become known meanwhile */
    bool up = redis_link_is_up(s->reader);

    if (!d.decided && (up || (can_load(s) && k->loads < LOADS_MOST))) {
        k->loads += !up;
        wait_for_keys(s, k);
        return;
    }
    for (unsigned i = 0; i < k->worker_count; i++) {
        if (d.decided)
            answer(s, k->workers[i], host_of(k), &d);
        else
            answer_fault(s, k->workers[i], host_of(k), FAULT_store_unavailable);
    }
    free_lookup(s, k);
}

/* Tokens have come: the next of those who wait for one may go. */
static void on_delay(struct timer *t)
{
    struct store *s = LIST_ITEM(t, struct store, lookups.delay);
    struct lookups *u = &s->lookups;

    if (s->starting)
        return;
    while (!list_is_empty(&u->delayed) && take_token(s)) {
        struct lookup *k = LIST_ITEM(list_take_first(&u->delayed), struct lookup, node);

        k->delayed = false;
        u->delayed_count--;
        go(s, k);
    }
    if (!list_is_empty(&u->delayed))
        timer_set(s->loop, &u->delay, 1);
}

static void delay(struct store *s, struct lookup *k)
{
    struct lookups *u = &s->lookups;

    k->delayed = true;
    list_append(&u->delayed, &k->node);
    u->delayed_count++;
    if (!timer_is_set(&u->delay))
        timer_set(s->loop, &u->delay, 1);
}

void lookups_ask(struct store *s, unsigned worker, struct str host)
{
    uint64_t hash = map_hash(host);
    struct lookup *k = map_find(&s->lookups.waiting, hash, host);
    struct decision d;

    s->status.lookups++;
    if (k != NULL) {
        add_worker(k, worker);
        return;
    }
    d = decide(s, host);
    if (d.decided) {
        answer(s, worker, host, &d);
        return;
    }
    if (!redis_link_is_up(s->reader) && !s->starting && !can_load(s)) {
        answer_fault(s, worker, host, FAULT_store_unavailable);
        return;
    }
    if (!may_wait(s)) {
        s->status.lookups_refused++;
        answer_fault(s, worker, host, FAULT_store_busy);
        return;
    }
    k = check_alloc(sizeof(*k) + host.len + 1);
    k->store = s;
    k->hash = hash;
    k->host_len = (uint8_t)host.len;
    memcpy(k->host, host.ptr, host.len);
    list_init(&k->node);
    timer_init(&k->timer, on_timeout);
    timer_set(s->loop, &k->timer, s->settings->lookup_timeout_ms);
    add_worker(k, worker);
    map_add(&s->lookups.waiting, hash, k);
    if (!s->starting && list_is_empty(&s->lookups.delayed) && take_token(s))
        go(s, k);
    else
        delay(s, k);
}

void lookups_go_on(struct store *s, struct record *r)
{
    struct list asked;
    struct list *node;

    list_init(&asked);
    list_move_all(&asked, &r->lookups);
    while ((node = list_take_first(&asked)) != NULL)
        go(s, LIST_ITEM(node, struct lookup, node));
}

void lookups_detach_all(struct store *s)
{
    struct lookup *k;

    for (size_t at = 0; (k = map_next(&s->lookups.waiting, &at)) != NULL;)
        if (!k->delayed)
            list_remove(&k->node);
}

void lookups_fail_all(struct store *s)
{
    struct map *waiting = &s->lookups.waiting;
    size_t count = 0;
    struct lookup **all, *k;

    if (waiting->count == 0)
        return;
    all = check_alloc(waiting->count * sizeof(*all)); /* each is removed below */
    for (size_t at = 0; (k = map_next(waiting, &at)) != NULL;)
        all[count++] = k;
    for (size_t n = 0; n < count; n++)
        if (!all[n]->delayed || !can_load(s)) /* else its turn comes */
            go(s, all[n]);
    free(all);
}

void lookups_start(struct store *s)
{
    if (!s->starting)
        return;
    s->starting = false;
    if (redis_link_is_up(s->reader) || can_load(s))
        on_delay(&s->lookups.delay);
    else
        lookups_fail_all(s);
}
