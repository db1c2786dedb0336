/* health_share.c -- who checks a service, and what they tell the others: by Redis.
 *
 * A checker keeps its place by a word from time to time, and sends its votes when they change; those
 * who wait come when a place may have become free. One call for each service at a time, and not many in all.
 *
 * Owns:    the calls under way.
 * Thread:  control
 * Used by: health.c.
 * Not here: what happens inside Redis (health_script.c); what votes come to (health_verdict.c). */
#include <stdlib.h>

#include "base/log.h"
#include "control/health_parts.h"
#include "control/health_script.h"

#define CALLS_MOST 64
#define VOTES_MOST 128  /* in one call: Redis does nothing else meanwhile */
#define READS_MS 100    /* between two readings of a service */
#define ALONE_MS 3000   /* Redis is away: it is asked again */
#define WATCH_MS 500    /* the link is looked at */
#define GATHER_MS 100   /* for votes that are in no hurry */
#define SPREAD_MS 1000u /* of what all services would say at once */

static void pump(struct health *h);

static void want_in(struct health_service *sv, uint64_t ms)
{
    timer_set(sv->health->loop, &sv->place, ms);
}

static void want_soon(struct health_service *sv)
{
    want_in(sv, 1 + random_below(&sv->health->random, SPREAD_MS));
}

/* --- the words --- */

static void add_vote(struct health_target *t, struct buf *to)
{
    bool down = t->own.word == HEALTH_DOWN;
    uint64_t now = loop_now_ms(t->service->health->loop);
    uint64_t since = down ? t->own.failing_ms : t->own.since_ms;

    buf_printf(to, "%s\t%s\t%llu\t%s\n", t->name, down ? "down" : "up",
               (unsigned long long)(now > since ? now - since : 0), down ? t->reason : "");
    t->sending = t->own.word;
}

/* Those that Redis does not know; from time to time all, for they run out there. */
static void add_votes(struct health_service *sv, struct buf *to)
{
    uint64_t now = loop_now_ms(sv->health->loop);
    bool all = now - sv->all_ms > health_keep_ms(health_policy_of(sv)) / 2;
    unsigned count = 0;

    if (all)
        sv->all_ms = now;
    sv->sweeps |= all;
    sv->more = false;
    for (uint32_t i = 0; i < sv->count; i++) {
        struct health_target *t = sv->targets[i];
        bool due;

        if (all)
            t->sent = HEALTH_UNKNOWN;
        due = sv->role == HEALTH_CHECKS && t->own.checked && t->own.word != t->sent;
        t->sending = HEALTH_UNKNOWN;
        if (due && count++ < VOTES_MOST)
            add_vote(t, to);
    }
    sv->more = count > VOTES_MOST;
}

struct keys {
    struct buf lease, health;
};

static void name_keys(const struct health_service *sv, struct keys *k)
{
    struct str prefix = store_prefix(sv->health->store);

    buf_printf(&k->lease, STR_FMT "lease:health:%s", STR_ARG(prefix), sv->name);
    buf_printf(&k->health, STR_FMT "health:%s", STR_ARG(prefix), sv->name);
}

static void free_keys(struct keys *k)
{
    buf_free(&k->lease);
    buf_free(&k->health);
}

static struct store_call *call(struct health_service *sv, unsigned argc, const struct str *args,
                               call_fn fn)
{
    struct keys keys = { 0 };
    struct str words[16] = { STR("EVAL"), str_from(health_script()), STR("2") };
    struct store_call *made;

    name_keys(sv, &keys);
    words[3] = str_slice(keys.lease.ptr, keys.lease.len);
    words[4] = str_slice(keys.health.ptr, keys.health.len);
    for (unsigned i = 0; i < argc; i++)
        words[5 + i] = args[i];
    sv->health->shared_calls++;
    made = store_call(sv->health->store, 5 + argc, words, fn, sv);
    free_keys(&keys);
    return made;
}

static struct store_call *call_take(struct health_service *sv, call_fn fn)
{
    const struct health_policy *p = health_policy_of(sv);
    struct buf votes = { 0 }, lease = { 0 }, keep = { 0 };
    struct store_call *made;

    buf_printf(&lease, "%u", health_lease_ms(p));
    buf_printf(&keep, "%u", health_keep_ms(p));
    buf_add_text(&votes, "");
    add_votes(sv, &votes);
    made = call(sv, 7,
                (struct str[]){ STR("take"), str_from(sv->health->settings->name),
                                str_slice(lease.ptr, lease.len), str_slice(keep.ptr, keep.len),
                                str_slice(votes.ptr, votes.len),
                                sv->sweeps && !sv->more ? STR("sweep") : STR(""),
                                sv->role == HEALTH_CHECKS ? STR("") : STR("tell") },
                fn);
    buf_free(&votes);
    buf_free(&lease);
    buf_free(&keep);
    return made;
}

/* --- what comes back --- */

/* Of one that is not mentioned nothing is known. */
static void take_shared(struct health_service *sv, const struct call_answer *a, size_t from)
{
    sv->read_ms = loop_now_ms(sv->health->loop);
    for (uint32_t i = 0; i < sv->count; i++)
        sv->targets[i]->shared.count = 0;
    for (; from + 1 < a->count; from += 2) {
        struct health_target *t = health_target_of(sv, a->values[from].text);

        if (t != NULL)
            health_shared_read(a->values[from + 1].text, &t->shared);
    }
}

static void take_place(struct health_service *sv)
{
    for (uint32_t i = 0; i < sv->count; i++)
        sv->targets[i]->sent = HEALTH_UNKNOWN;
    sv->taken = true;
    sv->all_ms = loop_now_ms(sv->health->loop);
    health_take_role(sv, HEALTH_CHECKS);
}

static void keep_place(struct health_service *sv)
{
    for (uint32_t i = 0; i < sv->count; i++)
        if (sv->targets[i]->sending != HEALTH_UNKNOWN)
            sv->targets[i]->sent = sv->targets[i]->sending;
    sv->sweeps &= sv->more;
    if (sv->more)
        sv->wants |= SHARE_PLACE;
}

static void placed(struct health_service *sv, const struct call_answer *a)
{
    struct health *h = sv->health;
    uint32_t lease = health_lease_ms(health_policy_of(sv));
    long long place = a->values[1].number, wait = a->values[2].number;

    if (place == 0) {
        /* Whoever keeps its place keeps it for longer than now: so this is about when one is lost. */
        sv->taken = false;
        want_in(sv, (uint64_t)(wait < 1 ? 1 : wait) + 10 + random_below(&h->random, lease / 4 + 1));
        take_shared(sv, a, 3);
        health_take_role(sv, HEALTH_WAITS);
        return;
    }
    want_in(sv, health_about(h, lease / 3));
    if (place == 2 || sv->role != HEALTH_CHECKS) {
        take_shared(sv, a, 3);
        take_place(sv);
    } else {
        keep_place(sv);
    }
}

/* What this edge says of itself may be a while off the truth in Redis; what it needs, it has. */
static void away(struct health_service *sv, const char *error)
{
    struct health *h = sv->health;
    char text[200];

    h->shared_away++;
    if (error != NULL && !h->refused)
        log_line(LOG_WARN, "health_unshared", "reason=%s",
                 log_quote(str_from(error), text, sizeof(text)));
    h->refused |= error != NULL;
    want_in(sv, health_about(h, ALONE_MS));
    health_take_role(sv, HEALTH_ALONE);
}

static bool is_right(const struct health_service *sv, const struct call_answer *a)
{
    if (a->count < 1 || a->values[0].kind != CALL_NUMBER)
        return false;
    return !(sv->asked & SHARE_PLACE) ||
           (a->count >= 3 && a->values[1].kind == CALL_NUMBER && a->values[2].kind == CALL_NUMBER);
}

static void on_answer(void *owner, const struct call_answer *a)
{
    struct health_service *sv = owner;
    struct health *h = sv->health;

    sv->call = NULL;
    h->calls--;
    if (a->away || a->error != NULL || !is_right(sv, a)) {
        away(sv, a->error);
    } else {
        h->refused = false;
        h->ahead_ms = a->values[0].number - (long long)loop_now_ms(h->loop);
        if (sv->asked & SHARE_PLACE)
            placed(sv, a);
        else
            take_shared(sv, a, 1);
        health_look_at(sv);
    }
    if (sv->wants != 0)
        health_share_want(sv, sv->wants);
    pump(h);
}

/* --- what is said when --- */

static void say(struct health_service *sv)
{
    struct health *h = sv->health;
    bool place = (sv->wants & SHARE_PLACE) != 0;

    sv->asked = place ? SHARE_PLACE : SHARE_READ;
    sv->wants &= ~sv->asked;
    if (place)
        sv->call = call_take(sv, on_answer);
    else
        sv->call = call(sv, 1, (struct str[]){ STR("read") }, on_answer);
    if (sv->call != NULL)
        h->calls++;
    else
        away(sv, NULL);
}

static void pump(struct health *h)
{
    struct list *node;

    while (h->calls < CALLS_MOST && (node = list_take_first(&h->asking)) != NULL)
        say(LIST_ITEM(node, struct health_service, asking));
}

void health_share_want(struct health_service *sv, unsigned wants)
{
    struct health *h = sv->health;

    sv->wants |= wants;
    if (sv->call != NULL || !list_is_empty(&sv->asking))
        return;
    list_append(&h->asking, &sv->asking);
    pump(h);
}

static void on_place(struct timer *t)
{
    struct health_service *sv = LIST_ITEM(t, struct health_service, place);

    timer_stop(&sv->votes);
    health_share_want(sv, SHARE_PLACE);
}

static void on_votes(struct timer *t)
{
    health_share_want(LIST_ITEM(t, struct health_service, votes), SHARE_PLACE);
}

static void on_reads(struct timer *t)
{
    health_share_want(LIST_ITEM(t, struct health_service, reads), SHARE_READ);
}

void health_share_pushed(struct health_service *sv)
{
    uint64_t now = loop_now_ms(sv->health->loop);

    if (timer_is_set(&sv->reads))
        return;
    if (now - sv->read_ms >= READS_MS)
        health_share_want(sv, SHARE_READ);
    else
        timer_set(sv->health->loop, &sv->reads, READS_MS);
}

void health_share_vote(struct health_service *sv, bool at_once)
{
    if (sv->role != HEALTH_CHECKS)
        return;
    if (at_once)
        health_share_want(sv, SHARE_PLACE);
    else if (!timer_is_set(&sv->votes))
        timer_set(sv->health->loop, &sv->votes, GATHER_MS);
}

void health_share_open(struct health_service *sv)
{
    list_init(&sv->asking);
    timer_init(&sv->place, on_place);
    timer_init(&sv->votes, on_votes);
    timer_init(&sv->reads, on_reads);
    health_share_want(sv, SHARE_PLACE);
}

void health_share_close(struct health_service *sv, enum health_leaving how)
{
    struct health *h = sv->health;

    timer_stop(&sv->place);
    timer_stop(&sv->votes);
    timer_stop(&sv->reads);
    list_remove(&sv->asking);
    if (sv->call != NULL) {
        store_call_cancel(sv->call);
        h->calls--;
    }
    if (how != LEAVING_TO_SELF && (sv->taken || sv->call != NULL))
        call(sv, 3,
             (struct str[]){ STR("leave"), str_from(h->settings->name),
                             how == LEAVING_FOR_GOOD ? STR("drop") : STR("keep") },
             NULL);
    sv->call = NULL;
    sv->taken = false;
}

/* --- the link --- */

static void on_watch(struct timer *t)
{
    struct health *h = LIST_ITEM(t, struct health, watch);
    bool up = store_status(h->store)->up;
    struct health_service *sv;

    timer_set(h->loop, &h->watch, WATCH_MS);
    if (up == h->up)
        return;
    h->up = up;
    for (size_t at = 0; (sv = map_next(&h->services, &at)) != NULL;)
        want_soon(sv);
}

/* Long before the services' own times have come. */
void health_share_watch(struct health *h)
{
    timer_init(&h->watch, on_watch);
    timer_set(h->loop, &h->watch, WATCH_MS);
}
