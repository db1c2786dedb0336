/* queue.c -- requests that wait for a place, and get one in turn, on whichever worker they are.
 *
 * A place is never free while somebody waits: who gives it back hands it to the one whose turn it is,
 * and with it the connection, if that can serve on; to another worker by its socket. Newcomers go
 * behind those who wait.
 *
 * Owns:    each wait, until its exchange goes on or ends.
 * Thread:  its worker; the queue itself is any worker's, under its lock.
 * Used by: exchange.c, places.c, worker.c.
 * Not here: whose turn it is (base/wait_queue.c); counting places (places.c). */
#include "proxy/queue.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "proxy/attempt.h"
#include "proxy/choose.h"
#include "proxy/exchange_steps.h"
#include "proxy/match.h"
#include "proxy/locate.h"
#include "proxy/places.h"
#include "proxy/retry.h"
#include "proxy/upstream.h"
#include "proxy/worker_state.h"

#define TRIES 3
#define SHARE_STANDARD 100

struct queue_wait {
    struct waiter waiter; /* in the queue; then in the lane of its worker, then in w->served */
    struct list node;     /* of w->queued, from first to last */
    struct exchange *x;
    unsigned worker;
    const struct service *service; /* read by all, with the lock held */
    struct places *place;          /* it has got one; NULL: it waits */
    bool here;                     /* with a place, and in w->served */
    struct upstream *upstream;     /* idle, on its own worker; NULL */
    int fd;                        /* of an idle one of another worker; -1 */
    struct timer limit;
    uint64_t since_ns;
};

static struct queue_wait *wait_of(struct list *node)
{
    return LIST_ITEM(node, struct queue_wait, waiter.node);
}

static struct wait_queue *lock(const struct service_state *service)
{
    pthread_mutex_lock(&service->queue->lock);
    return service->queue;
}

static void unlock(struct wait_queue *q)
{
    pthread_mutex_unlock(&q->lock);
}

/* --- handing places to those who wait; with the lock held --- */

/* Word to a worker: it has been given places, or has idle upstreams that others wait for. */
static void tell(struct worker *w, struct service_state *service, unsigned worker)
{
    struct wait_lane *lane = &service->queue->lanes[worker];
    struct queue_mail *mail;

    if (lane->told)
        return;
    lane->told = true;
    mail = check_alloc(sizeof(*mail));
    mail->mail.kind = WORKER_QUEUE;
    mail->service = service;
    state_hold(&service->state);
    worker_post(w->shared->workers[worker], &mail->mail);
}

/* Whom a waiting request may go to. */
struct choice {
    const struct service *service;
    enum choose_among among;
    uint64_t now_ms;
};

/* The places of its endpoint number `i`, if it may go there; NULL. */
static struct places *places_at(const struct choice *c, uint32_t i)
{
    const struct endpoint *e = &c->service->endpoints[i];

    return choose_may(c->service, e, c->among, c->now_ms) ? e->state->places : NULL;
}

/* Takes a place of the endpoint with the most room for its size; NULL: all are full. */
static struct places *take_of(const struct choice *c)
{
    for (unsigned i = 0; i < TRIES; i++) {
        struct places *best = NULL, *p;
        double least = 1;

        for (uint32_t j = 0; j < c->service->endpoint_count; j++) {
            if ((p = places_at(c, j)) == NULL ||
                (double)places_open(p) >= least * (double)places_limit(p))
                continue;
            least = (double)places_open(p) / (double)places_limit(p);
            best = p;
        }
        if (best == NULL)
            return NULL;
        if (places_take(best))
            return best;
    }
    return NULL;
}

static struct upstream *idle_of(struct worker *w, const struct choice *c)
{
    struct upstream *u = NULL;
    struct places *p;

    for (uint32_t i = 0; i < c->service->endpoint_count && u == NULL; i++)
        if ((p = places_at(c, i)) != NULL)
            u = places_take_idle(w, p);
    return u;
}

/* A worker other than this that has idle upstreams of the service; as many as there are: none has. */
static unsigned who_has_idle(const struct worker *w, const struct choice *c)
{
    unsigned lanes = c->service->state->queue->lane_count;
    const struct places *p;

    for (uint32_t i = 0; i < c->service->endpoint_count; i++) {
        if ((p = places_at(c, i)) == NULL)
            continue;
        for (unsigned j = 0; j < lanes; j++)
            if (j != w->index && places_idle(p, j) > 0)
                return j;
    }
    return lanes;
}

/* An idle upstream goes along: to another worker as its socket, if there is a descriptor for that. */
static void pass(struct queue_wait *to, struct upstream *u)
{
    struct places *place = u->place;

    if (to->worker == u->w->index) {
        to->place = place;
        conn_read(&u->conn, false); /* should it end now, it is found out when it is used */
        timer_stop(&u->timer);
        to->upstream = u;
        return;
    }
    to->fd = upstream_let_go(u);
    if (to->fd >= 0)
        to->place = place;
    else
        places_keep(u); /* no descriptor to be had: for whoever is served next */
}

static void hand(struct worker *w, struct service_state *service, struct queue_wait *to)
{
    struct wait_queue *q = service->queue;

    wait_queue_take(q, &to->waiter);
    if (to->worker != w->index) {
        list_append(&q->lanes[to->worker].taken, &to->waiter.node);
        tell(w, service, to->worker);
        return;
    }
    to->here = true;
    list_append(&w->served, &to->waiter.node);
    loop_at_turn_end(&w->loop, &w->serve);
}

static void serve_locked(struct worker *w, struct service_state *service)
{
    struct wait_queue *q = service->queue;
    struct waiter *next;

    while ((next = wait_queue_next(q)) != NULL) {
        struct queue_wait *to = LIST_ITEM(next, struct queue_wait, waiter);
        struct choice c = { .service = to->service, .now_ms = loop_now_ms(&w->loop) };
        struct upstream *u;
        unsigned other;

        c.among = choose_among(c.service, c.now_ms);
        if ((u = idle_of(w, &c)) != NULL)
            pass(to, u);
        if (to->place == NULL)
            to->place = take_of(&c);
        if (to->place == NULL) {
            other = who_has_idle(w, &c);
            if (other < q->lane_count)
                tell(w, service, other);
            return;
        }
        hand(w, service, to);
    }
}

void queue_serve(struct worker *w, struct service_state *service)
{
    struct wait_queue *q = lock(service);

    serve_locked(w, service);
    unlock(q);
}

/* --- with a place --- */

static const struct endpoint *endpoint_of(const struct service *service, const struct places *p)
{
    for (uint32_t i = 0; i < service->endpoint_count; i++)
        if (service->endpoints[i].state->places == p)
            return &service->endpoints[i];
    return NULL;
}

/* An idle one that was about to be used. */
static void put_back(struct upstream *u)
{
    conn_read(&u->conn, true);
    upstream_rest(u);
    places_put(u);
}

static void begin(struct exchange *x, const struct endpoint *e, struct upstream *ready)
{
    attempt_begin(x, e);
    x->attempt.place = e->state->places;
    x->attempt.ready = ready;
}

void queue_drop(struct exchange *x)
{
    struct places *place = x->attempt.place;
    struct upstream *u = x->attempt.ready;

    x->attempt.place = NULL;
    x->attempt.ready = NULL;
    if (u != NULL)
        put_back(u);
    else
        places_give(x->w, place);
}

struct upstream *queue_connect(struct exchange *x, struct pool_bucket *bucket, enum fault *fault)
{
    struct places *place = x->attempt.place;
    struct upstream *u = x->attempt.ready;

    x->attempt.place = NULL;
    x->attempt.ready = NULL;
    if (u != NULL && x->balanced->policy.send_proxy == SEND_PROXY_OFF) {
        conn_read(&u->conn, true);
        return u;
    }
    if (u != NULL) /* it has begun without the header that its service asks for since */
        upstream_cut(upstream_leave_place(u));
    u = upstream_open(x->w, bucket, fault);
    if (u != NULL)
        upstream_take_place(u, place);
    else
        places_give(x->w, place);
    return u;
}

static struct upstream *adopt(struct worker *w, const struct endpoint *e, struct places *place,
                              int fd)
{
    struct pool_bucket *bucket = locate_adopted(w, e);
    struct upstream *u = upstream_adopt(w, bucket, fd);

    upstream_pool_release(&w->pool, bucket);
    if (u != NULL)
        upstream_take_place(u, place);
    return u;
}

/* A place that came too late, and the connection with it: for the next. */
static void give_on(struct queue_wait *wait)
{
    struct worker *w = wait->x->w;
    const struct endpoint *e = endpoint_of(wait->service, wait->place);
    struct upstream *u = wait->upstream;

    if (wait->fd >= 0 && e != NULL)
        u = adopt(w, e, wait->place, wait->fd);
    else if (wait->fd >= 0)
        close(wait->fd);
    if (u == NULL) {
        places_give(w, wait->place);
        return;
    }
    put_back(u);
}

/* --- waiting --- */

static void free_wait(struct queue_wait *wait)
{
    struct worker *w = wait->x->w;

    wait->x->wait = NULL;
    timer_stop(&wait->limit);
    list_remove(&wait->node);
    counter_sub(&w->counters->queue_waiting, 1);
    free(wait);
}

void queue_leave(struct exchange *x)
{
    struct queue_wait *wait = x->wait;
    struct service_state *service;
    struct wait_queue *q;

    if (wait == NULL)
        return;
    service = wait->service->state;
    q = lock(service);
    if (wait->place == NULL)
        wait_queue_remove(q, &wait->waiter);
    else
        list_remove(&wait->waiter.node); /* of the lane, or of w->served */
    unlock(q);
    if (wait->place != NULL)
        give_on(wait);
    free_wait(wait);
}

static void on_limit(struct timer *t)
{
    struct queue_wait *wait = LIST_ITEM(t, struct queue_wait, limit);
    struct exchange *x = wait->x;
    struct wait_queue *q = lock(wait->service->state);
    bool waits = wait->place == NULL;

    if (waits)
        atomic_fetch_add(&q->timed_out, 1);
    unlock(q);
    if (!waits) /* just in time */
        return;
    queue_leave(x);
    exchange_fault(x, FAULT_queue_timeout);
}

static unsigned idle_on_all(const struct service *service)
{
    unsigned idle = 0;

    for (uint32_t i = 0; i < service->endpoint_count; i++)
        for (unsigned j = 0; j < service->state->queue->lane_count; j++)
            idle += places_idle(service->endpoints[i].state->places, j);
    return idle;
}

/* Behind the others of its tenant. Whoever only waits for an idle connection of another worker to be passed
 * on does not count as waiting. */
static bool join(struct queue_wait *wait)
{
    struct exchange *x = wait->x;
    struct wait_queue *q = lock(wait->service->state);
    struct str tenant = x->tenant != NULL ? str_from(x->tenant->id) : STR("");
    uint32_t share = match_share(x), most = service_queue(wait->service);
    unsigned waiting = atomic_load(&q->waiting);
    bool again = retry_attempts(x) > 1; /* it has been here before */

    if (!again && waiting >= most && waiting >= most + idle_on_all(wait->service)) {
        atomic_fetch_add(&q->full, 1);
        unlock(q);
        return false;
    }
    if (share == 0)
        share = SHARE_STANDARD;
    if (again)
        wait_queue_add_first(q, &wait->waiter, tenant, share);
    else
        wait_queue_add(q, &wait->waiter, tenant, share);
    serve_locked(x->w, wait->service->state);
    unlock(q);
    return true;
}

static enum fault wait_for_place(struct exchange *x)
{
    struct queue_wait *wait = malloc(sizeof(*wait));
    struct worker *w = x->w;

    if (wait == NULL)
        return FAULT_out_of_memory;
    *wait = (struct queue_wait){
        .x = x, .worker = w->index, .service = x->balanced, .fd = -1, .since_ns = clock_now_ns()
    };
    list_init(&wait->waiter.node);
    timer_init(&wait->limit, on_limit);
    if (!join(wait)) {
        free(wait);
        return FAULT_queue_full;
    }
    list_append(&w->queued, &wait->node);
    counter_add(&w->counters->queue_waiting, 1);
    timer_set(&w->loop, &wait->limit, service_queue_ms(x->balanced));
    x->wait = wait;
    x->step = STEP_QUEUE;
    return FAULT_NONE;
}

static bool can_take_any(const struct service *service)
{
    for (uint32_t i = 0; i < service->endpoint_count; i++)
        if (endpoint_weight(&service->endpoints[i]) > 0)
            return true;
    return false;
}

/* An endpoint with room, by the service's balancing. false: *full, or none at all is to be had. */
static bool take_now(struct exchange *x, bool *full)
{
    *full = true;
    for (unsigned i = 0; i < TRIES; i++) {
        const struct endpoint *e = choose_with_room(x, full);
        struct upstream *u;

        if (e == NULL)
            return false;
        *full = true;
        u = places_take_idle(x->w, e->state->places);
        if (u == NULL && !places_take(e->state->places))
            continue; /* another worker was quicker, or has the idle one */
        begin(x, e, u);
        return true;
    }
    return false;
}

bool queue_enter(struct exchange *x, enum fault *fault)
{
    const struct wait_queue *q = x->balanced->state->queue;
    bool full = can_take_any(x->balanced);

    *fault = FAULT_NONE;
    if (atomic_load(&((struct wait_queue *)q)->waiting) == 0 && take_now(x, &full))
        return true;
    *fault = full ? wait_for_place(x) : FAULT_no_endpoint;
    return false;
}

/* --- its turn has come --- */

static void go_on(struct queue_wait *wait)
{
    struct exchange *x = wait->x;
    struct worker *w = x->w;
    struct wait_queue *q = wait->service->state->queue;
    const struct endpoint *e = endpoint_of(wait->service, wait->place);
    struct upstream *u = wait->upstream;
    uint64_t ns = clock_now_ns() - wait->since_ns;

    if (e == NULL) { /* the endpoint was taken away meanwhile */
        give_on(wait);
        free_wait(wait);
        x->step = STEP_CHOOSE;
        exchange_run(x);
        return;
    }
    if (wait->fd >= 0)
        u = adopt(w, e, wait->place, wait->fd);
    atomic_fetch_add(&q->served, 1);
    atomic_fetch_add(&q->waited_us, ns / 1000);
    counters_queue(w->counters, ns);
    free_wait(wait);
    choose_settled(x, e);
    begin(x, e, u);
    x->step = STEP_CONNECT;
    exchange_run(x);
}

static void serve_here(struct worker *w)
{
    struct list *node;

    while ((node = list_take_first(&w->served)) != NULL)
        go_on(wait_of(node));
}

static void on_serve(struct turn_end *end)
{
    serve_here(LIST_ITEM(end, struct worker, serve));
}

void queue_mailed(struct worker *w, struct queue_mail *mail)
{
    struct service_state *service = mail->service;
    struct wait_queue *q = lock(service);
    struct wait_lane *lane = &q->lanes[w->index];

    lane->told = false;
    LIST_EACH (node, after, &lane->taken)
        wait_of(node)->here = true;
    list_move_all(&w->served, &lane->taken);
    serve_locked(w, service);
    unlock(q);
    places_trim(w, service);
    serve_here(w);
    state_let_go(&service->state);
    free(mail);
}

/* The service as it is now takes the place of the one it waits by. true: it has changed, and it waits on. */
static bool renew(struct queue_wait *wait)
{
    struct exchange *x = wait->x;
    struct service *was = x->service;
    struct wait_queue *q = lock(was->state);
    enum fault fault = match_choose(x, was->object.ref.slot);

    wait->service = x->service;
    unlock(q);
    if (fault == FAULT_NONE && x->service->limited && can_take_any(x->service))
        return x->service != was;
    queue_leave(x);
    if (fault != FAULT_NONE || x->service->limited) {
        exchange_fault(x, fault != FAULT_NONE ? fault : FAULT_no_endpoint);
    } else {
        x->step = STEP_CHOOSE;
        exchange_run(x);
    }
    return false;
}

void queue_services_changed(struct worker *w)
{
    struct service_state *changed = NULL;

    LIST_EACH (node, after, &w->queued) {
        struct queue_wait *wait = LIST_ITEM(node, struct queue_wait, node);

        if (!renew(wait) || wait->service->state == changed)
            continue;
        changed = wait->service->state;
        queue_serve(w, changed);
    }
    places_trim(w, NULL);
}

void queue_init(struct worker *w)
{
    list_init(&w->queued);
    list_init(&w->served);
    list_init(&w->placed);
    turn_end_init(&w->serve, on_serve);
}
