/* exchange.c -- the conductor: a request as a table of named steps.
 *
 * Owns:    each exchange from exchange_new to the reaping after its end.
 * Thread:  its worker.
 * Used by: session.c and upstream.c, which report what happens.
 * Not here: which endpoint (choose.c), and how it went there (attempt.c); bodies (exchange_relay.c); HTTP/1 on either side (session.c,
 *           upstream.c); tables (sites.c); what a site says (match.c); faults' text. */
#include "proxy/exchange.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/path.h"
#include "http/parser.h"
#include "proxy/access_line.h"
#include "proxy/attempt.h"
#include "proxy/choose.h"
#include "proxy/client_address.h"
#include "proxy/exchange_steps.h"
#include "proxy/hedge.h"
#include "proxy/limits.h"
#include "proxy/match.h"
#include "proxy/module_run.h"
#include "proxy/pace.h"
#include "proxy/locate.h"
#include "proxy/queue.h"
#include "proxy/reply.h"
#include "proxy/retry.h"
#include "proxy/upstream.h"
#include "proxy/worker_state.h"

#define SPARE_MOST 256
#define ASK_AGAIN_MOST 3
#define PATH_ESCAPED 3 /* an octet that a path may not hold becomes three */

/* What a step says: MORE: x->step is the next one, now. WAIT: somebody will call. ENDED: it is. */
enum verdict { MORE, WAIT, ENDED };

static void on_answer(struct sites_waiter *waiter, enum sites_result result, struct slot_ref site,
                      enum fault fault);

struct exchange *exchange_new(struct worker *w, const struct client_side *client, void *session)
{
    struct list *node = list_take_first(&w->spare);
    struct exchange *x;

    if (node != NULL) {
        x = LIST_ITEM(node, struct exchange, node);
        w->spare_count--;
    } else {
        x = check_alloc(sizeof(*x));
        head_init(&x->request);
        head_init(&x->response);
    }
    x->w = w;
    x->client = client;
    x->session = session;
    x->step = STEP_READ;
    x->fault = FAULT_NONE;
    list_init(&x->waiter.node);
    x->waiter.on_answer = on_answer;
    x->begun_ns = clock_now_ns();
    list_append(&w->running, &x->node);
    counter_add(&w->counters->exchanges_open, 1);
    return x;
}

static void unpin(struct exchange *x)
{
    struct sites *s = &x->w->sites;

    if (x->service != NULL)
        sites_unpin(s, x->service->object.ref.slot, &x->service->object);
    if (x->routes != NULL)
        sites_unpin(s, x->routes->object.ref.slot, &x->routes->object);
    if (x->tenant != NULL)
        sites_unpin(s, x->tenant->object.ref.slot, &x->tenant->object);
    if (x->defaults != NULL)
        sites_unpin(s, x->defaults->object.ref.slot, &x->defaults->object);
    if (x->site != NULL)
        sites_unpin(s, x->site_slot, &x->site->object);
}

/* Everything ends here. The session has let go, or lets go when told (finish, abort). */
void exchange_end(struct exchange *x)
{
    struct worker *w = x->w;

    CHECK(x->step != STEP_ENDED);
    if (attempt_is_on(x))
        attempt_over(x, x->fault);
    else if (x->trial)
        attempt_drop_trial(x);
    if (x->upstream != NULL)
        upstream_end(x->upstream);
    x->upstream = NULL;
    list_remove(&x->waiter.node);
    if (x->modules != NULL)
        modules_done(x);
    if (x->limited != NULL)
        limits_over(x);
    if (!x->client->own) {
        counter_add(&w->counters->requests[x->status / 100], 1);
        counters_latency(w->counters, clock_now_ns() - x->begun_ns);
        access_line_write(x);
    }
    unpin(x);
    x->step = STEP_ENDED;
    x->session = NULL;
    counter_sub(&w->counters->exchanges_open, 1);
    list_remove(&x->node);
    list_append(&w->ended, &x->node);
    loop_at_turn_end(&w->loop, &w->reap);
}

static void recycle(struct exchange *x)
{
    if (x->head_copy != x->head_inline)
        free(x->head_copy);
    free(x->path_copy);
    free(x->path_made);
    if (x->modules != NULL)
        modules_recycle(x);
    if (x->limited != NULL)
        limits_recycle(x);
    x->head_copy = x->path_copy = x->path_made = NULL;
    if (x->w->spare_count >= SPARE_MOST) {
        head_free(&x->request);
        head_free(&x->response);
        free(x);
        return;
    }
    head_clear(&x->request);
    head_clear(&x->response);
    x->target.host_len = 0;
    x->path = x->host_sent = x->forwarded_host = (struct str){ NULL, 0 };
    x->believed = 0;
    x->https = false;
    x->site = NULL;
    x->tenant = NULL;
    x->routes = NULL;
    x->defaults = NULL;
    x->service = NULL;
    x->route = NULL;
    x->action = NULL;
    x->balanced = NULL;
    x->endpoint = NULL;
    x->sets_cookie = false;
    x->upstream = NULL;
    x->unrouted = x->request_whole = x->response_begun = x->logged_later = false;
    x->stream_timeout_ms = 0;
    x->retries.tried_count = x->retries.stale_count = 0;
    x->retries.sent = x->retries.hedged = false;
    x->retries.fault = FAULT_NONE;
    x->client_paused = x->upstream_paused = false;
    x->request_framing = x->response_framing = FRAMED_AS_READ;
    x->status = 0;
    x->asked_again = x->interim_heads = 0;
    x->request_body_bytes = x->response_body_bytes = 0;
    list_prepend(&x->w->spare, &x->node); /* the warmest first */
    x->w->spare_count++;
}

void exchange_reap(struct worker *w)
{
    struct list *node;

    while ((node = list_take_first(&w->ended)) != NULL)
        recycle(LIST_ITEM(node, struct exchange, node));
}

/* Counts and logs the fault; the upstream, in the middle of something, is of no more use. */
static void take_fault(struct exchange *x, enum fault fault)
{
    x->fault = fault;
    x->sets_cookie = false;
    if (!x->client->own)
        counter_add(&x->w->counters->faults[fault], 1);
    access_line_fault(x);
    queue_leave(x);
    if (x->hedge != NULL)
        hedge_over(x);
    if (attempt_is_on(x))
        attempt_over(x, fault);
    if (x->upstream == NULL)
        return;
    gather_drop(&x->w->to_upstream); /* what this turn had gathered for it */
    upstream_close(x->upstream);
    x->upstream = NULL;
}

/* Its modules see the answer before it is sent, and may make it wait: no more is read meanwhile. */
static void answer_later(struct exchange *x)
{
    if (!x->request_whole)
        x->client->pause(x->session);
    x->step = STEP_ANSWER;
    exchange_run(x);
}

void exchange_fault(struct exchange *x, enum fault fault)
{
    take_fault(x, fault);
    if (x->response_begun && x->client->recall(x->session)) {
        x->response_begun = false; /* its head was still here: the client gets a clear answer */
        x->status = 0;
    }
    x->response_framing = FRAMED_AS_READ;
    if (x->response_begun || fault_row(fault)->status == 0) {
        x->client->abort(x->session);
    } else if (x->modules != NULL && modules_take_fault(x)) {
        reply_fault(x);
        answer_later(x);
        return;
    } else {
        reply_fault(x);
    }
    exchange_end(x);
}

static enum verdict fail(struct exchange *x, enum fault fault)
{
    exchange_fault(x, fault);
    return ENDED;
}

void exchange_on_client_gone(struct exchange *x, enum fault fault)
{
    take_fault(x, fault);
    exchange_end(x);
}

/* Has the request been through this edge? (RFC 8586) */
static bool loops(const struct exchange *x)
{
    const struct head *h = &x->request;
    struct str own = str_from(x->w->settings->cdn_id);

    if (h->known[FIELD_CDN_LOOP] == 0)
        return false;
    for (unsigned i = 0; i < h->count; i++) {
        struct str rest, part;

        if (h->fields[i].id != FIELD_CDN_LOOP)
            continue;
        rest = head_value(h, &h->fields[i]);
        while (str_split(&rest, ',', &part)) {
            struct str id = part;

            str_split(&part, ';', &id);
            if (str_equals_nocase(str_trim(id), own))
                return true;
        }
    }
    return false;
}

static enum verdict resolve(struct exchange *x)
{
    struct sites *s = &x->w->sites;
    struct str host = str_slice(x->target.host, x->target.host_len);
    struct slot_ref ref = { 0 };

    if (loops(x))
        return fail(x, FAULT_loop_detected);
    switch (sites_find(s, host, x->host_print, &ref, &x->waiter)) {
    case SITES_FOUND:
        x->site = (struct site *)sites_pin(s, OBJECT_SITE, ref.slot);
        x->site_slot = ref.slot;
        CHECK(x->site != NULL);
        x->step = STEP_MATCH;
        return MORE;
    case SITES_UNKNOWN:
        return fail(x, FAULT_unknown_host);
    case SITES_WAIT:
        return WAIT;
    case SITES_BUSY:
        break;
    }
    return fail(x, FAULT_store_busy);
}

/* To an endpoint, or the rule's own answer. */
static enum verdict go(struct exchange *x)
{
    enum fault fault;

    x->step = STEP_CHOOSE;
    if (x->balanced != NULL)
        return MORE;
    fault = x->unrouted ? FAULT_no_route : reply_action(x);
    if (fault != FAULT_NONE)
        return fail(x, fault);
    x->step = STEP_ANSWER;
    if (x->modules != NULL)
        return MORE;
    exchange_end(x);
    return ENDED;
}

static enum verdict matched(struct exchange *x)
{
    if (x->modules == NULL || !match_is_sites(x))
        return go(x);
    x->step = STEP_MODULES;
    return MORE;
}

/* It has waited for its turn. */
static void go_on(struct exchange *x)
{
    if (matched(x) == MORE)
        exchange_run(x);
}

static enum verdict match(struct exchange *x)
{
    enum fault fault = match_request(x);
    bool refused = fault != FAULT_NONE && limits_is_refusal(fault);
    bool has_modules = !refused && modules_attach(x);

    x->unrouted = fault == FAULT_no_route && has_modules; /* its modules may have the answer */
    if (fault != FAULT_NONE && !x->unrouted)
        return fail(x, fault);
    if (x->pace != NULL && pace_holds(x, go_on)) {
        x->step = STEP_PACE;
        return WAIT;
    }
    return matched(x);
}

static enum verdict ask_modules(struct exchange *x)
{
    switch (modules_on_request(x)) {
    case MODULES_GO_ON:
        return go(x);
    case MODULES_ANSWERED:
        x->step = STEP_ANSWER;
        return MORE;
    case MODULES_WAIT:
        return WAIT;
    case MODULES_FAULT:
        break;
    }
    return fail(x, x->modules->fault);
}

static enum verdict answer(struct exchange *x)
{
    enum modules_say say = MODULES_GO_ON;

    if (!modules_is_sending(x))
        say = modules_on_response(x);
    if (say == MODULES_GO_ON)
        say = modules_send_reply(x);
    if (say == MODULES_WAIT)
        return WAIT;
    if (say == MODULES_FAULT)
        return fail(x, x->modules->fault);
    exchange_end(x);
    return ENDED;
}

static enum verdict choose(struct exchange *x)
{
    enum fault fault;

    if (x->service != NULL && x->service->policy.breaker.percent > 0 && !attempt_ask_circuit(x))
        fault = FAULT_circuit_open;
    else if (!x->balanced->limited)
        fault = choose_endpoint(x);
    else if (!queue_enter(x, &fault) && fault == FAULT_NONE)
        return WAIT;
    if (fault != FAULT_NONE)
        return fail(x, x->retries.fault != FAULT_NONE ? x->retries.fault : fault);
    x->step = STEP_CONNECT;
    return MORE;
}

static enum verdict connect_upstream(struct exchange *x)
{
    struct upstream_pool *pool = &x->w->pool;
    enum fault fault = FAULT_NONE;
    struct pool_bucket *bucket;
    struct upstream *u = NULL;

    if (x->endpoint->options == NULL)
        bucket = upstream_pool_hold(pool, &x->endpoint->address, NULL);
    else
        bucket = locate_bucket(x, &fault);
    if (bucket == NULL)
        return fault == FAULT_NONE ? WAIT : retry(x, fault, false) ? MORE : fail(x, fault);
    if (x->attempt.place != NULL)
        u = queue_connect(x, bucket, &fault);
    /* After a stale one, another pooled one may be stale as well. */
    else if (!x->attempt.replaced && x->balanced->policy.send_proxy == SEND_PROXY_OFF)
        u = upstream_pool_take(pool, bucket);
    if (u == NULL && fault == FAULT_NONE)
        u = upstream_open(x->w, bucket, &fault);
    upstream_pool_release(pool, bucket);
    if (u == NULL)
        return retry(x, fault, false) ? MORE : fail(x, fault);
    x->upstream = u;
    u->send_proxy = (uint8_t)x->balanced->policy.send_proxy;
    upstream_begin(u, x);
    if (!upstream_is_connected(u))
        return WAIT;
    x->step = STEP_FORWARD;
    return MORE;
}

/* on_upstream; and, of a body that modules take, how it will be framed. */
static enum fault prepare_request(struct exchange *x)
{
    struct module_run *run = x->modules;

    if (modules_on_upstream(x) != MODULES_GO_ON)
        return run->fault;
    if (!run->takes[USHER_REQUEST])
        return FAULT_NONE;
    x->request_framing = FRAMED_CHUNKED;
    if (!x->request_whole)
        return FAULT_NONE;
    modules_request_end(x); /* there is none, but modules may make one */
    if (run->to_upstream.len > 0 || x->request.length_count > 0)
        x->request_framing = FRAMED_LENGTH;
    else
        x->request_framing = FRAMED_AS_READ;
    x->request_sent_bytes = run->to_upstream.len;
    return run->deferred;
}

static enum verdict forward(struct exchange *x)
{
    enum fault fault = x->modules != NULL ? prepare_request(x) : FAULT_NONE;

    if (fault != FAULT_NONE)
        return fail(x, fault);
    fault = upstream_send_head(x->upstream, x);
    if (fault != FAULT_NONE)
        return fail(x, fault);
    x->step = STEP_RELAY;
    if (x->modules != NULL)
        modules_give_request(x);
    if (x->request_whole)
        upstream_flush(x->upstream, true, STR(""));
    else if (!x->client->resume(x->session))
        upstream_flush(x->upstream, false, STR(""));
    return WAIT;
}

static enum verdict wait(struct exchange *x)
{
    (void)x;
    return WAIT;
}

static const struct {
    const char *name;
    enum verdict (*run)(struct exchange *x);
} steps[STEP_COUNT] = {
    [STEP_READ] = { "read", wait },
    [STEP_RESOLVE] = { "resolve", resolve },
    [STEP_MATCH] = { "match", match },
    [STEP_PACE] = { "pace", wait },
    [STEP_MODULES] = { "modules", ask_modules },
    [STEP_CHOOSE] = { "choose", choose },
    [STEP_QUEUE] = { "queue", wait },
    [STEP_CONNECT] = { "connect", connect_upstream },
    [STEP_FORWARD] = { "forward", forward },
    [STEP_RELAY] = { "relay", wait },
    [STEP_ANSWER] = { "answer", answer },
    [STEP_ENDED] = { "ended", wait },
};

void exchange_run(struct exchange *x)
{
    while (steps[x->step].run(x) == MORE)
        continue;
}

const char *exchange_step_name(enum step step)
{
    return steps[step].name;
}

static void on_answer(struct sites_waiter *waiter, enum sites_result result, struct slot_ref site,
                      enum fault fault)
{
    struct exchange *x = LIST_ITEM(waiter, struct exchange, waiter);

    switch (result) {
    case SITES_FOUND:
        x->site = (struct site *)sites_pin(&x->w->sites, OBJECT_SITE, site.slot);
        x->site_slot = site.slot;
        if (x->site != NULL)
            x->step = STEP_MATCH;
        else if (++x->asked_again > ASK_AGAIN_MOST) /* evicted in the same breath, each time */
            x->fault = FAULT_store_busy;
        if (x->fault != FAULT_NONE)
            exchange_fault(x, x->fault);
        else
            exchange_run(x);
        break;
    case SITES_UNKNOWN:
        exchange_fault(x, FAULT_unknown_host);
        break;
    default:
        exchange_fault(x, fault != FAULT_NONE ? fault : FAULT_store_busy);
    }
}

/* The head's bytes, and the path in normal form, for as long as the exchange lives. */
static enum fault keep_head(struct exchange *x)
{
    struct head *h = &x->request;
    char small[512], *normal = small;
    enum fault fault;
    bool same;
    size_t len;

    x->head_copy = h->bytes <= EXCHANGE_HEAD_INLINE ? x->head_inline : malloc(h->bytes);
    if (x->head_copy == NULL)
        return FAULT_out_of_memory;
    memcpy(x->head_copy, h->base, h->bytes);
    h->base = x->head_copy;
    fault = target_read(h, &x->target);
    if (fault != FAULT_NONE)
        return fault;
    x->host_print = map_print_of(str_slice(x->target.host, x->target.host_len));
    sites_fetch_line(&x->w->sites, x->host_print);
    x->path = x->target.path;
    if (x->path.len * PATH_ESCAPED >= sizeof(small))
        normal = malloc(x->path.len * PATH_ESCAPED + 1);
    if (normal == NULL)
        return FAULT_out_of_memory;
    len = path_normal(x->path, normal, &same);
    if (len > 0 && !same) {
        x->path_copy = malloc(len);
        if (x->path_copy != NULL)
            memcpy(x->path_copy, normal, len);
        x->path = str_slice(x->path_copy, len);
    }
    if (normal != small)
        free(normal);
    if (len == 0)
        return FAULT_bad_request;
    sites_fetch_slot(&x->w->sites, x->host_print);
    return x->path.ptr != NULL ? FAULT_NONE : FAULT_out_of_memory;
}

void exchange_start(struct exchange *x)
{
    enum fault fault = keep_head(x);
    bool welcome = true;

    if (x->believed != 0 && x->head_copy != NULL)
        welcome = client_believe(x);
    x->request_whole = x->request.body == BODY_NONE;
    x->step = STEP_RESOLVE;
    if (fault != FAULT_NONE) {
        x->request.keep_alive = false; /* who is wrong here may be wrong about framing, too */
        exchange_fault(x, fault);
    } else if (!welcome) { /* other clients' requests come over this connection, too: it stays */
        exchange_fault(x, FAULT_banned);
    } else {
        exchange_run(x);
    }
}

void exchange_start_own(struct exchange *x)
{
    x->request_whole = x->request.body == BODY_NONE;
    x->step = STEP_CHOOSE;
    exchange_run(x);
}
