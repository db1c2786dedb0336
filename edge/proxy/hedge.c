/* hedge.c -- the race of two attempts of one request.
 *
 * The second attempt is an exchange of its own, the rival, whose client is the first one's exchange: so
 * it has a connection, a response head and a parser of its own. When a head comes to it first, its
 * connection and that head become the exchange's, as if they had always been, and the rival ends.
 *
 * Owns:    each struct hedge, from hedge_begin to hedge_over; its rival.
 * Thread:  its worker.
 * Used by: attempt.c, retry.c, exchange.c, exchange_relay.c.
 * Not here: which endpoint (choose.c); whether there is the right to (retry.c). */
#include "proxy/hedge.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/check.h"
#include "http/parser.h"
#include "net/timer.h"
#include "proxy/attempt.h"
#include "proxy/exchange_steps.h"
#include "proxy/queue.h"
#include "proxy/retry.h"
#include "proxy/upstream.h"
#include "proxy/worker_state.h"

struct hedge {
    struct exchange *x;
    struct exchange *rival; /* NULL: not yet, or it has ended */
    struct timer timer;     /* until it begins */
    bool alone;             /* the first attempt is over: all depends on the rival */
    enum fault fault;       /* what the first one came to */
};

/* As it is, and its memory with it; `from` is as when it was new. */
static void move_head(struct head *to, struct head *from)
{
    struct field *fields = from->fields;
    uint16_t room = from->room;

    if (fields == from->local) {
        fields = to->fields;
        room = to->room;
        memcpy(fields, from->local, from->count * sizeof(*fields));
    } else {
        head_free(to);
    }
    memcpy(to, from, offsetof(struct head, local));
    to->fields = fields;
    to->room = room;
    head_init(from);
}

static bool copy_head(struct head *to, const struct head *from)
{
    struct field *fields = to->fields;
    uint16_t room = to->room;

    memcpy(to, from, offsetof(struct head, local));
    to->fields = fields;
    to->room = room;
    to->count = 0;
    for (unsigned i = 0; i < from->count; i++) {
        struct field *f = head_add(to, UINT16_MAX);

        if (f == NULL)
            return false;
        *f = from->fields[i];
    }
    return true;
}

/* Ends it without a word. */
static void cut(struct exchange *rival)
{
    if (attempt_is_on(rival))
        attempt_over(rival, FAULT_client_closed); /* given up */
    if (rival->upstream != NULL)
        upstream_close(rival->upstream);
    rival->upstream = NULL;
    exchange_end(rival);
}

void hedge_over(struct exchange *x)
{
    struct hedge *h = x->hedge;

    x->hedge = NULL;
    timer_stop(&h->timer);
    if (h->rival != NULL)
        cut(h->rival);
    free(h);
}

bool hedge_goes_on(struct exchange *x, enum fault fault)
{
    struct hedge *h = x->hedge;

    if (h->rival == NULL)
        return false;
    if (x->upstream != NULL)
        upstream_close(x->upstream);
    x->upstream = NULL;
    x->attempt.excused = true;
    attempt_over(x, fault);
    x->step = STEP_RELAY; /* where it waits for a response */
    h->alone = true;
    h->fault = fault;
    return true;
}

/* --- the rival's client --- */

/* It has failed. Its own exchange ends when this returns. */
static void lose(struct hedge *h)
{
    enum fault fault = h->fault != FAULT_NONE ? h->fault : h->rival->fault;

    h->rival = NULL;
    if (h->alone)
        exchange_fault(h->x, fault); /* which frees `h` */
}

static void win(struct hedge *h)
{
    struct exchange *x = h->x, *rival = h->rival;

    if (attempt_is_on(x))
        attempt_over(x, FAULT_client_closed); /* given up, which says nothing of its endpoint */
    else if (x->trial)
        attempt_drop_trial(x);
    queue_leave(x);
    list_remove(&x->waiter.node);
    if (x->upstream != NULL)
        upstream_close(x->upstream);
    move_head(&x->response, &rival->response);
    x->endpoint = rival->endpoint;
    x->attempt = rival->attempt;
    x->sets_cookie = rival->sets_cookie;
    x->upstream = rival->upstream;
    x->stream_timeout_ms = 0;
    x->step = STEP_RELAY;
    rival->attempt = (struct attempt){ .on = false };
    rival->upstream = NULL;
    upstream_move(x->upstream, x);
    counter_add(&x->w->counters->hedges_won, 1);
    hedge_over(x); /* and the rival with it */
    exchange_on_response_head(x);
}

static void take_head(void *session, const struct head *head, bool interim)
{
    struct hedge *h = session;

    (void)head;
    if (!interim && h->rival->fault == FAULT_NONE)
        win(h);
}

static void take_body(void *session, const char *bytes, size_t len)
{
    (void)session; /* of the answer to a fault */
    (void)bytes;
    (void)len;
}

static bool flush(void *session)
{
    (void)session;
    return true;
}

static void finish(void *session, struct str trailers)
{
    (void)trailers;
    lose(session);
}

static void abort_response(void *session)
{
    lose(session);
}

static bool recall(void *session)
{
    (void)session;
    return false;
}

static void pause_request(void *session)
{
    (void)session;
}

static bool resume_request(void *session)
{
    (void)session; /* it has no body */
    return false;
}

static void refuse_tunnel(void *session, struct tunnel *t)
{
    (void)session;
    (void)t;
    CHECK(!"never asked for: its head has no Upgrade");
}

static bool is_blocked(void *session)
{
    (void)session;
    return false;
}

static struct str client_ip(void *session)
{
    const struct exchange *x = ((struct hedge *)session)->x;

    return x->client->client_ip(x->session);
}

static const struct address *client_address(void *session)
{
    const struct exchange *x = ((struct hedge *)session)->x;

    return x->client->client_address(x->session);
}

static struct address reached(void *session)
{
    const struct exchange *x = ((struct hedge *)session)->x;

    return x->client->reached != NULL ? x->client->reached(x->session) : (struct address){ 0 };
}

static const struct client_side rival_side = {
    .own = true,
    .send_head = take_head,
    .send_body = take_body,
    .flush = flush,
    .finish = finish,
    .recall = recall,
    .abort = abort_response,
    .pause = pause_request,
    .resume = resume_request,
    .tunnel = refuse_tunnel,
    .is_blocked = is_blocked,
    .client_ip = client_ip,
    .client_address = client_address,
    .reached = reached,
};

bool hedge_is_rival(const struct exchange *x)
{
    return x->client == &rival_side;
}

bool hedge_declines(struct exchange *rival)
{
    struct hedge *h = rival->session;

    if (h->alone) /* better than nothing */
        return false;
    h->rival = NULL;
    attempt_over(rival, FAULT_NONE);
    cut(rival);
    return true;
}

/* --- its beginning --- */

/* What it borrows is the exchange's, which outlives it. */
static bool copy_request(struct exchange *rival, const struct exchange *x)
{
    struct retries *r = &rival->retries;

    rival->target = x->target;
    rival->path = x->path;
    rival->path_sent = x->path_sent;
    rival->timeout_ms = x->timeout_ms;
    rival->route = x->route;
    rival->action = x->action;
    rival->balanced = rival->service = x->service;
    sites_pin_again(&x->w->sites, x->service->object.ref.slot, &x->service->object);
    *r = x->retries;
    while (r->tried_count < RETRY_TRIED_MOST) /* it has no further attempt */
        r->tried[r->tried_count++] = x->endpoint;
    return copy_head(&rival->request, &x->request);
}

static void on_time(struct timer *t)
{
    struct hedge *h = LIST_ITEM(t, struct hedge, timer);
    struct exchange *x = h->x, *rival;

    if ((x->step != STEP_CONNECT && x->step != STEP_RELAY) || x->response_begun ||
        x->interim_heads > 0 || !retry_may_hedge(x))
        return;
    rival = h->rival = exchange_new(x->w, &rival_side, h);
    if (copy_request(rival, x))
        exchange_start_own(rival);
    else
        exchange_fault(rival, FAULT_out_of_memory);
}

/* Done twice it is as if done once; nothing of it is still to come; and no module has a word in it. */
static bool may_have_two(const struct exchange *x)
{
    return x->request.body == BODY_NONE && x->modules == NULL && !x->request.upgrade &&
           !x->client->own && parser_method_is_idempotent(x->request.method);
}

void hedge_begin(struct exchange *x)
{
    struct hedge *h = may_have_two(x) ? calloc(1, sizeof(*h)) : NULL;

    if (h == NULL)
        return;
    h->x = x;
    timer_init(&h->timer, on_time);
    timer_set(&x->w->loop, &h->timer, x->service->policy.hedge_ms);
    x->hedge = h;
}
