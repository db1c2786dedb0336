/* table.c -- keys and what they have left, for all workers of an edge: exact, of bounded size.
 *
 * A key has one set of eight places, a set one lock of a few. Where all eight are taken, the one whose burst is nearest to
 * being whole makes room: an idle one, as a rule, of which nothing is lost.
 */
#include "limit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#define WAYS 8
#define LOCKS 64
#define REQUESTS_A_SHARE 64 /* that a share is to last for, at least */
#define SHARES_LEFT 16      /* of what a window has left, one is taken */
#define FREE_PART                                                                                  \
    128 /* of a quota, this part needs no asking: a key that is hardly used costs Redis nothing */
#define NS_A_MS 1000000u
#define WINDOW_LEAST_NS (100ull * NS_A_MS)
#define LONGEST_NS (7ull * 86400 * 1000 * NS_A_MS)

struct place {
    uint64_t hash; /* 0: free */
    uint64_t full_at_ns;

    /* of the window at hand */
    uint64_t window;
    uint64_t total;             /* of all edges, as it was heard last */
    uint64_t asked_ms;          /* since when an answer is awaited; 0: none is */
    uint32_t credit;            /* of shares, not spent yet */
    uint32_t unsaid;            /* spent without a share, not in the counter yet */
    uint32_t seen, seen_before; /* requests, in this window and the last */
};

struct table {
    struct limit limit;
    uint64_t sets;
    struct place *places;
    pthread_mutex_t locks[LOCKS];
    unsigned char secret[XXH3_SECRET_SIZE_MIN];
};

/* --- what is said --- */

bool rate_limit_read(struct usher_text text, uint64_t *count, uint64_t *period_ns)
{
    static const struct {
        const char *name;
        uint64_t seconds;
    } units[] = { { "/s", 1 }, { "/m", 60 }, { "/h", 3600 }, { "/d", 86400 } };
    size_t digits = 0;

    *count = 0;
    for (; digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9'; digits++)
        if ((*count = *count * 10 + (uint64_t)(text.ptr[digits] - '0')) > 1000000000000)
            return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (text.len == digits + 2 && memcmp(text.ptr + digits, units[i].name, 2) == 0) {
            *period_ns = units[i].seconds * 1000 * NS_A_MS;
            return *count > 0 && *period_ns / *count >= 1000;
        }
    return false;
}

bool rate_limit_set(struct limit *limit, uint64_t count, uint64_t period_ns, uint64_t burst)
{
    uint64_t times, back_ns;

    limit->interval_ns = period_ns / count;
    if (burst > LONGEST_NS / limit->interval_ns)
        return false;
    limit->burst = (uint32_t)burst;
    back_ns = burst * limit->interval_ns;
    times = back_ns >= WINDOW_LEAST_NS ? 1 : (WINDOW_LEAST_NS + back_ns - 1) / back_ns;
    limit->window_ms = (uint32_t)((times * back_ns + NS_A_MS - 1) / NS_A_MS);
    limit->quota = times * burst;
    return true;
}

/* --- memory --- */

struct table *rate_limit_table_new(const struct limit *limit, uint64_t keys)
{
    struct table *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    t->limit = *limit;
    t->sets = 1;
    while (t->sets * WAYS < keys)
        t->sets *= 2;
    /* Not touched before it is used: a table for many keys costs what its few use. */
    t->places = calloc(t->sets * WAYS, sizeof(*t->places));
    if (t->places == NULL ||
        getrandom(t->secret, sizeof(t->secret), 0) != (ssize_t)sizeof(t->secret)) {
        free(t->places);
        free(t);
        return NULL;
    }
    for (int i = 0; i < LOCKS; i++)
        pthread_mutex_init(&t->locks[i], NULL);
    return t;
}

void rate_limit_table_free(struct table *t)
{
    for (int i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&t->locks[i]);
    free(t->places);
    free(t);
}

uint64_t rate_limit_hash(const struct table *t, struct usher_text key)
{
    uint64_t hash = XXH3_64bits_withSecret(key.ptr, key.len, t->secret, sizeof(t->secret));

    return hash != 0 ? hash : 1;
}

/* --- places --- */

static struct place *set_of(struct table *t, uint64_t hash)
{
    return &t->places[(hash & (t->sets - 1)) * WAYS];
}

static pthread_mutex_t *lock_of(struct table *t, uint64_t hash)
{
    return &t->locks[hash & (t->sets - 1) & (LOCKS - 1)];
}

static struct place *find(struct table *t, uint64_t hash)
{
    struct place *set = set_of(t, hash);

    for (int i = 0; i < WAYS; i++)
        if (set[i].hash == hash)
            return &set[i];
    return NULL;
}

static struct place *find_or_make(struct table *t, uint64_t hash, uint64_t now_ns, bool *evicted)
{
    struct place *p = find(t, hash), *set = set_of(t, hash);

    *evicted = false;
    if (p != NULL)
        return p;
    p = set;
    for (int i = 0; i < WAYS && p->hash != 0; i++)
        if (set[i].hash == 0 || set[i].full_at_ns < p->full_at_ns)
            p = &set[i];
    *evicted = p->hash != 0 && p->full_at_ns > now_ns;
    *p = (struct place){ .hash = hash };
    return p;
}

/* --- this edge's own limit --- */

static uint64_t span_ns(const struct limit *l)
{
    return l->burst * l->interval_ns;
}

/* May it pass? *after: what full_at_ns is then. */
static bool has_room(const struct limit *l, const struct place *p, uint64_t now_ns, uint64_t *after)
{
    *after = (p->full_at_ns > now_ns ? p->full_at_ns : now_ns) + l->interval_ns;
    return *after - now_ns <= span_ns(l);
}

static void tell(const struct limit *l, const struct place *p, uint64_t now_ns, struct ruling *r)
{
    uint64_t used = p->full_at_ns > now_ns ? p->full_at_ns - now_ns : 0;

    r->remaining = used < span_ns(l) ? (span_ns(l) - used) / l->interval_ns : 0;
    r->full_in_ms = (used + NS_A_MS - 1) / NS_A_MS;
}

static void pass(const struct limit *l, struct place *p, uint64_t now_ns, struct ruling *r)
{
    has_room(l, p, now_ns, &p->full_at_ns);
    tell(l, p, now_ns, r);
    r->verdict = LIMIT_PASS;
}

static void refuse(const struct limit *l, const struct place *p, uint64_t now_ns,
                   uint64_t retry_in_ms, struct ruling *r)
{
    tell(l, p, now_ns, r);
    r->remaining = 0;
    r->retry_in_ms = retry_in_ms > 0 ? retry_in_ms : 1;
    if (r->full_in_ms < r->retry_in_ms)
        r->full_in_ms = r->retry_in_ms;
    r->verdict = LIMIT_REFUSE;
}

/* --- the cluster's --- */

/* Clocks of workers differ by little, so a number that is one less is no other window. */
static void turn_window(const struct limit *l, struct place *p, uint64_t clock_ms)
{
    uint64_t window = clock_ms / l->window_ms;

    if (window == p->window || window + 1 == p->window)
        return;
    p->seen_before = window == p->window + 1 ? p->seen : 0;
    p->window = window;
    p->total = p->asked_ms = 0;
    p->credit = p->unsaid = p->seen = 0;
}

/* What to raise the counter by: a share of what is left, not so small that asking goes on and on. A key that is asked for
 * far more often than its quota allows needs small shares only, for most of its requests are refused without any. */
static uint32_t share(const struct limit *l, const struct place *p)
{
    uint64_t seen = p->seen > p->seen_before ? p->seen : p->seen_before;
    uint64_t left = l->quota > p->total ? l->quota - p->total : 1;
    uint64_t least =
        seen > l->quota ? (REQUESTS_A_SHARE * l->quota + seen - 1) / seen : REQUESTS_A_SHARE;
    uint64_t part = left / SHARES_LEFT;

    if (least > l->quota / 4)
        least = l->quota / 4 > 0 ? l->quota / 4 : 1;
    if (part < least)
        part = least < left ? least : left;
    return part < UINT32_MAX / 2 ? (uint32_t)part : UINT32_MAX / 2;
}

static void ask(const struct limit *l, struct place *p, uint64_t clock_ms, bool passed,
                struct ruling *r)
{
    p->asked_ms = clock_ms;
    r->amount = share(l, p) + p->unsaid;
    r->window = p->window;
    r->passed = passed;
    r->verdict = LIMIT_ASK;
}

static void rule_shared(const struct limit *l, struct place *p, uint64_t now_ns, uint64_t clock_ms,
                        struct ruling *r)
{
    bool asked = p->asked_ms != 0 && clock_ms - p->asked_ms < l->stale_ms;

    if (p->credit > 0) {
        p->credit--;
        pass(l, p, now_ns, r);
        /* Half a share is left: the next one is on its way before it is needed. */
        if (p->credit < share(l, p) / 2 && !asked && p->total < l->quota)
            ask(l, p, clock_ms, true, r);
    } else if (p->total >= l->quota) {
        refuse(l, p, now_ns, (p->window + 1) * l->window_ms - clock_ms, r);
    } else if (p->total == 0 && p->unsaid < l->quota / FREE_PART) {
        p->unsaid++;
        pass(l, p, now_ns, r);
    } else if (asked) {
        r->verdict = LIMIT_LOOK;
    } else {
        ask(l, p, clock_ms, false, r);
    }
}

static void rule(const struct limit *l, struct place *p, uint64_t now_ms, uint64_t clock_ms,
                 struct ruling *r)
{
    uint64_t now_ns = now_ms * NS_A_MS, after;

    if (!has_room(l, p, now_ns, &after)) {
        refuse(l, p, now_ns, (after - now_ns - span_ns(l) + NS_A_MS - 1) / NS_A_MS, r);
        return;
    }
    if (clock_ms == 0) {
        pass(l, p, now_ns, r);
        return;
    }
    rule_shared(l, p, now_ns, clock_ms, r);
    if (r->verdict == LIMIT_PASS && p->total > 0) {
        uint64_t left = l->quota > p->total ? l->quota - p->total : 0;

        if (r->remaining > left + p->credit)
            r->remaining = left + p->credit;
    }
}

void rate_limit_take(struct table *t, uint64_t hash, uint64_t now_ms, uint64_t clock_ms, bool again,
                     struct ruling *r)
{
    pthread_mutex_t *lock = lock_of(t, hash);
    struct place *p;

    *r = (struct ruling){ 0 };
    pthread_mutex_lock(lock);
    p = find_or_make(t, hash, now_ms * NS_A_MS, &r->evicted);
    if (clock_ms != 0) {
        turn_window(&t->limit, p, clock_ms);
        p->seen += !again;
    }
    rule(&t->limit, p, now_ms, clock_ms, r);
    pthread_mutex_unlock(lock);
}

/* What was raised while the counter was below the quota may be spent. */
static void grant(const struct limit *l, struct place *p, uint32_t amount, uint64_t total)
{
    uint64_t before = total > amount ? total - amount : 0;
    uint64_t left = before < l->quota ? l->quota - before : 0;
    uint64_t granted = left < amount ? left : amount;

    p->credit += granted > p->unsaid ? (uint32_t)(granted - p->unsaid) : 0;
    p->unsaid = 0;
    p->total = total > p->total ? total : p->total;
    p->asked_ms = 0;
}

void rate_limit_answered(struct table *t, uint64_t hash, uint64_t now_ms, uint64_t clock_ms,
                         uint64_t total, struct ruling *r)
{
    pthread_mutex_t *lock = lock_of(t, hash);
    struct ruling asked = *r;
    struct place *p;

    pthread_mutex_lock(lock);
    p = find_or_make(t, hash, now_ms * NS_A_MS, &r->evicted);
    turn_window(&t->limit, p, clock_ms);
    if (p->window == asked.window)
        grant(&t->limit, p, asked.amount, total);
    if (asked.passed) {
        r->verdict = LIMIT_PASS;
    } else {
        *r = (struct ruling){ .evicted = r->evicted };
        rule(&t->limit, p, now_ms, clock_ms, r);
    }
    pthread_mutex_unlock(lock);
}

void rate_limit_failed(struct table *t, uint64_t hash)
{
    pthread_mutex_t *lock = lock_of(t, hash);
    struct place *p;

    pthread_mutex_lock(lock);
    p = find(t, hash);
    if (p != NULL)
        p->asked_ms = 0;
    pthread_mutex_unlock(lock);
}
