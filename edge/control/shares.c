/* shares.c -- asks for shares while there are services that divide them, and gives back what others need.
 *
 * What this edge has lowered it tells Redis only when no more are open, so that the sum over all edges is
 * never more than there may be. When Redis cannot be asked, a share is kept for half its lease; then it
 * comes down to its floor, an equal part for each edge, which Redis keeps for it for long; and then to
 * nothing. Each is given up well before Redis counts it as another's.
 *
 * Owns:    calls under way.
 * Thread:  control
 * Used by: control.c.
 * Not here: the division (shares_script.c); counting (proxy/places.c); the queue (proxy/queue.c). */
#include "control/shares.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "control/shares_script.h"

#define LEASE_MS 6000
#define LONG_MS (10 * 60 * 1000)
#define LOOK_MS 100 /* while one is short of something, or is giving back */
#define REST_MS 500
#define ENDPOINTS_MOST 12 /* in one call: of 64 words */

struct asked {
    struct shares *shares;
    struct service_state *service;
    uint64_t sent_ms;
    unsigned count;
    struct places *places[ENDPOINTS_MOST];
};

static struct service_state *service_of(struct list *node)
{
    return LIST_ITEM(node, struct service_state, limited_node);
}

/* Word to the workers: who waits may be served, or what is idle is to be closed. */
static void tell(struct shares *s, struct service_state *service)
{
    for (unsigned i = 0; i < s->worker_count; i++) {
        struct queue_mail *mail = check_alloc(sizeof(*mail));

        mail->mail.kind = WORKER_QUEUE;
        mail->service = service;
        state_hold(&service->state);
        worker_post(s->workers->workers[i], &mail->mail);
    }
}

/* true: it has changed. */
static bool set_limit(struct places *p, unsigned limit)
{
    if (limit > p->max)
        limit = p->max;
    if (limit == places_limit(p))
        return false;
    atomic_store(&p->limit, limit);
    return true;
}

/* What this edge cannot do without for now. Behind the limit: who takes a place looks at that again. */
static unsigned held(const struct places *p)
{
    unsigned limit = places_limit(p), open = atomic_load(&((struct places *)p)->open);

    return open > limit ? open : limit;
}

/* Falls slowly, so that a share is not given away between two requests. */
static unsigned wanted(struct places *p, unsigned waiting)
{
    unsigned idle = atomic_load_explicit(&p->idle, memory_order_relaxed), open = places_open(p);
    unsigned want = (open > idle ? open - idle : 0) + waiting;

    p->share.want -= (p->share.want + 7) / 8;
    if (want > p->share.want)
        p->share.want = want;
    return p->share.want < p->max ? p->share.want : p->max;
}

/* --- without Redis --- */

static void lapse(struct shares *s, struct service_state *service)
{
    uint64_t now = loop_now_ms(s->loop);
    bool changed = false;

    LIST_EACH (node, after, &service->places) {
        struct places *p = LIST_ITEM(node, struct places, node);
        unsigned limit = places_limit(p);

        if (!p->shared || limit == 0)
            continue;
        if (now >= p->share.told_ms + LONG_MS)
            changed = set_limit(p, 0) || changed;
        else if (now >= p->share.told_ms + LEASE_MS / 2 && limit > p->share.floor)
            changed = set_limit(p, p->share.floor) || changed;
    }
    if (!changed)
        return;
    log_line(LOG_WARN, "share_lapsed", "service=" STR_FMT " reason=\"Redis is away\"",
             STR_ARG(str_slice(service->state.key, service->state.key_len)));
    tell(s, service);
}

/* --- asking --- */

static void take(struct asked *a, const struct call_value *values)
{
    bool changed = false, settled = true;

    for (unsigned i = 0; i < a->count; i++) {
        struct places *p = a->places[i];
        unsigned share = (unsigned)values[3 * i].number,
                 target = (unsigned)values[3 * i + 1].number;
        unsigned limit = target < share ? target : share;

        p->share.told_ms = a->sent_ms;
        p->share.floor = (unsigned)values[3 * i + 2].number;
        if (!p->shared)
            continue;
        changed = set_limit(p, limit) || changed;
        settled = settled && held(p) == limit && share >= target;
    }
    if (changed)
        tell(a->shares, a->service);
    if (!settled || changed || atomic_load(&a->service->queue->waiting) > 0)
        a->service->shares_due_ms = loop_now_ms(a->shares->loop) + LOOK_MS;
}

static void on_answer(void *owner, const struct call_answer *answer)
{
    struct asked *a = owner;
    bool right = !answer->away && answer->error == NULL && answer->count == 3 * (size_t)a->count;

    for (size_t i = 0; right && i < answer->count; i++)
        right = answer->values[i].kind == CALL_NUMBER && answer->values[i].number >= 0;
    if (answer->error != NULL && a->shares->errors++ == 0)
        log_line(LOG_WARN, "share_refused", "reason=\"%s\"", answer->error);
    if (right && !a->shares->closed)
        take(a, answer->values);
    if (right)
        a->shares->errors = 0;
    a->service->shares_asked--;
    for (unsigned i = 0; i < a->count; i++)
        state_let_go(a->places[i]->state);
    state_let_go(&a->service->state);
    free(a);
}

struct words {
    struct str items[4 + 3 + 4 * ENDPOINTS_MOST];
    unsigned count;
    char text[ENDPOINTS_MOST * 3 + 4][24];
    unsigned texts;
};

static void add_number(struct words *w, unsigned long number)
{
    char *text = w->text[w->texts++];

    snprintf(text, sizeof(w->text[0]), "%lu", number);
    w->items[w->count++] = str_from(text);
}

/* "service address": an endpoint's name is what stands behind its service's. */
static struct str name_of(const struct places *p)
{
    size_t service = p->service->state.key_len + 1;

    return str_slice(p->state->key + service, p->state->key_len - service);
}

/* `wants` NULL: it leaves. */
static void send_call(struct shares *s, struct asked *a, const unsigned *wants)
{
    struct words w = { 0 };
    struct buf key = { 0 };

    buf_add_str(&key, store_prefix(s->store));
    buf_printf(&key, "lease:conns:" STR_FMT,
               STR_ARG(str_slice(a->service->state.key, a->service->state.key_len)));
    w.items[0] = STR("EVAL");
    w.items[1] = str_from(shares_script());
    w.items[2] = STR("1");
    w.items[3] = str_slice(key.ptr, key.len);
    w.items[4] = s->edge;
    w.count = 5;
    add_number(&w, wants != NULL ? LEASE_MS : 0);
    add_number(&w, LONG_MS);
    for (unsigned i = 0; i < a->count; i++) {
        w.items[w.count++] = name_of(a->places[i]);
        add_number(&w, a->places[i]->max);
        add_number(&w, wants != NULL ? held(a->places[i]) : 0);
        add_number(&w, wants != NULL ? wants[i] : 0);
    }
    if (store_call(s->store, w.count, w.items, on_answer, a) == NULL) {
        free(a);
    } else {
        a->service->shares_asked++;
        state_hold(&a->service->state);
        for (unsigned i = 0; i < a->count; i++)
            state_hold(a->places[i]->state);
    }
    buf_free(&key);
}

static void ask(struct shares *s, struct service_state *service, bool leaves)
{
    unsigned waiting = atomic_load(&service->queue->waiting), shared = 0;
    unsigned wants[ENDPOINTS_MOST];
    struct asked *a = NULL;

    LIST_EACH (node, after, &service->places)
        shared += LIST_ITEM(node, struct places, node)->shared;
    LIST_EACH (node, after, &service->places) {
        struct places *p = LIST_ITEM(node, struct places, node);

        if (!p->shared)
            continue;
        if (a == NULL) {
            a = check_alloc(sizeof(*a));
            *a = (struct asked){ .shares = s, .service = service, .sent_ms = loop_now_ms(s->loop) };
        }
        wants[a->count] = wanted(p, (waiting + shared - 1) / shared);
        a->places[a->count++] = p;
        if (a->count < ENDPOINTS_MOST)
            continue;
        send_call(s, a, leaves ? NULL : wants);
        a = NULL;
    }
    if (a != NULL)
        send_call(s, a, leaves ? NULL : wants);
}

static bool has_shared(const struct service_state *service)
{
    LIST_EACH (node, after, &service->places)
        if (LIST_ITEM(node, struct places, node)->shared)
            return true;
    return false;
}

/* Does somebody wait that a larger share would help? */
static bool is_short(const struct service_state *service)
{
    if (atomic_load(&service->queue->waiting) == 0)
        return false;
    LIST_EACH (node, after, &service->places) {
        const struct places *p = LIST_ITEM(node, struct places, node);

        if (p->shared && places_limit(p) < p->max)
            return true;
    }
    return false;
}

/* true: there is something to look at again. */
static bool look(struct shares *s)
{
    uint64_t now = loop_now_ms(s->loop);
    bool any = false;

    LIST_EACH (node, after, &store_states(s->store)->limited) {
        struct service_state *service = service_of(node);

        if (!has_shared(service))
            continue;
        any = true;
        lapse(s, service);
        if (service->shares_asked > 0)
            continue;
        if (now < service->shares_due_ms && !is_short(service))
            continue;
        service->shares_due_ms = now + REST_MS;
        ask(s, service, false);
    }
    return any;
}

static void on_timer(struct timer *t)
{
    struct shares *s = LIST_ITEM(t, struct shares, timer);

    if (look(s))
        timer_set(s->loop, &s->timer, LOOK_MS);
}

void shares_changed(struct shares *s)
{
    if (!s->closed && !timer_is_set(&s->timer) && !list_is_empty(&store_states(s->store)->limited))
        timer_set(s->loop, &s->timer, 1);
}

void shares_open(struct shares *s, struct loop *l, struct store *store,
                 const struct worker_shared *workers, unsigned worker_count, struct str edge)
{
    *s = (struct shares){
        .loop = l, .store = store, .workers = workers, .worker_count = worker_count, .edge = edge
    };
    timer_init(&s->timer, on_timer);
}

void shares_leave(struct shares *s)
{
    shares_close(s);
    LIST_EACH (node, after, &store_states(s->store)->limited)
        if (has_shared(service_of(node)))
            ask(s, service_of(node), true);
}

void shares_close(struct shares *s)
{
    s->closed = true;
    timer_stop(&s->timer);
}
