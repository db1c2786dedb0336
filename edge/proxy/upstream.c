/* upstream.c -- one connection to an endpoint, from connecting to its last callback.
 *
 * Owns:    the connection, its timer, a response head that came in pieces.
 * Thread:  its worker.
 * Used by: exchange.c, upstream_pool.c, tunnel.c.
 * Not here: which endpoint (exchange.c); what goes over it (upstream_http1.c, upstream_fastcgi.c); what a
 *           response means for the client (exchange.c). */
#include "proxy/upstream.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "http/serializer.h"
#include "net/guard.h"
#include "net/proxy_header.h"
#include "proxy/match.h"
#include "proxy/module_run.h"
#include "proxy/places.h"
#include "proxy/retry.h"
#include "proxy/tunnel.h"
#include "proxy/pace.h"
#include "proxy/upstream_protocol.h"
#include "proxy/worker_state.h"

#define LINGER_MS 1000 /* for an endpoint to end a connection, once it has begun to answer */

static struct upstream *upstream_of(struct conn *c)
{
    return LIST_ITEM(c, struct upstream, conn);
}

static void set_timer(struct upstream *u, uint64_t ms)
{
    timer_set(&u->w->loop, &u->timer, ms);
}

/* For the next byte of the response. */
static void await_more(struct upstream *u)
{
    struct exchange *x = u->exchange;

    if (u->state == UPSTREAM_BODY && x->stream_timeout_ms == 0)
        x->stream_timeout_ms = match_stream_timeout(x);
    set_timer(u, u->state == UPSTREAM_BODY    ? x->stream_timeout_ms
                 : x->retries.tried_count > 0 ? retry_time_left(x)
                                              : x->timeout_ms);
}

void upstream_lose(struct upstream *u, enum fault fault)
{
    struct exchange *x = u->exchange;
    bool stale = u->reused && !u->answered;

    if (u->state == UPSTREAM_CONNECTING)
        upstream_cut(u);
    else
        upstream_close(u);
    if (x != NULL)
        exchange_on_upstream_lost(x, fault, stale);
}

/* No more is sent, and what still comes is thrown away. */
static void await_end(struct upstream *u, uint64_t ms)
{
    conn_shutdown(&u->conn);
    conn_read(&u->conn, true);
    set_timer(u, ms);
}

static void on_connected(struct conn *c, int error)
{
    struct upstream *u = upstream_of(c);

    if (u->state == UPSTREAM_LINGER) { /* given up meanwhile, but the endpoint may have it by now */
        if (error != 0)
            upstream_cut(u);
        else
            await_end(u, LINGER_MS);
        return;
    }
    if (error != 0) {
        upstream_lose(u, error == -ETIMEDOUT ? FAULT_connect_timeout : FAULT_connect_failed);
        return;
    }
    u->state = UPSTREAM_HEAD;
    conn_read(c, true);
    exchange_on_upstream_ready(u->exchange);
}

static void on_read(struct conn *c, const char *bytes, size_t len)
{
    struct upstream *u = upstream_of(c);
    enum upstream_state state = u->state;

    u->answered = true;
    switch (u->state) {
    case UPSTREAM_HEAD:
    case UPSTREAM_BODY:
        await_more(u);
        u->protocol->read(u, bytes, len);
        if (state == UPSTREAM_HEAD && u->state == UPSTREAM_BODY) /* it was not whole at once */
            await_more(u);
        break;
    case UPSTREAM_TUNNEL:
        tunnel_from_upstream(u, bytes, len);
        break;
    case UPSTREAM_LINGER: /* it has begun to answer: what it does is soon done */
        if (!u->lingers_long)
            break;
        u->lingers_long = false;
        set_timer(u, LINGER_MS);
        break;
    default: /* idle, and speaking unasked: not to be trusted with the next request */
        upstream_close(u);
    }
}

static void on_ended(struct conn *c, int error)
{
    struct upstream *u = upstream_of(c);

    switch (u->state) {
    case UPSTREAM_HEAD:
    case UPSTREAM_BODY:
        u->protocol->ended(u, error);
        break;
    case UPSTREAM_TUNNEL:
        tunnel_upstream_ended(u, error);
        break;
    default:
        upstream_cut(u);
    }
}

static void on_drained(struct conn *c)
{
    struct upstream *u = upstream_of(c);

    if (u->state == UPSTREAM_TUNNEL)
        tunnel_upstream_drained(u);
    else if (u->exchange != NULL)
        exchange_on_upstream_drained(u->exchange);
}

static void on_closed(struct conn *c)
{
    struct upstream *u = upstream_of(c);

    upstream_pool_release(&u->w->pool, u->bucket);
    if (u->protocol->closed != NULL)
        u->protocol->closed(u);
    parser_free(&u->parser);
    free(u->kept);
    free(u);
}

static bool place(struct conn *c, char **ptr, size_t *len)
{
    struct upstream *u = upstream_of(c);

    if (u->kept_len == 0 && u->piece > 0) {
        *ptr = u->w->read_buffer.ptr;
        *len = u->piece;
        return true;
    }
    if (u->kept_len == 0)
        return false;
    *ptr = u->kept + u->kept_len;
    *len = u->kept_room - u->kept_len;
    return true;
}

static const struct conn_events events = {
    .connected = on_connected,
    .read = on_read,
    .ended = on_ended,
    .drained = on_drained,
    .closed = on_closed,
    .place = place,
};

static void on_timer(struct timer *t)
{
    struct upstream *u = LIST_ITEM(t, struct upstream, timer);

    switch (u->state) {
    case UPSTREAM_CONNECTING:
        upstream_lose(u, FAULT_connect_timeout);
        break;
    case UPSTREAM_HEAD:
        if (!u->request_sent && !conn_is_blocked(&u->conn)) /* the client is still sending */
            set_timer(u, u->exchange->timeout_ms);
        else
            upstream_lose(u, FAULT_response_timeout);
        break;
    case UPSTREAM_BODY:
        if (u->exchange->upstream_paused)
            await_more(u);
        else
            upstream_lose(u, FAULT_response_timeout);
        break;
    case UPSTREAM_IDLE:
        upstream_close(u);
        break;
    case UPSTREAM_LINGER:
        upstream_cut(u);
        break;
    case UPSTREAM_TUNNEL:
        tunnel_on_timer(u);
        break;
    default:
        break;
    }
}

static bool connect_to(struct upstream *u, int *error)
{
    struct worker *w = u->w;
    const struct pool_bucket *b = u->bucket;

    if (b->unix_path == NULL)
        return conn_connect(&u->conn, &w->loop, &b->address, &events, &w->read_buffer, error);
    if (!conn_connect_unix(&u->conn, &w->loop, b->unix_path, &events, &w->read_buffer, error))
        return false;
    u->state = UPSTREAM_HEAD;
    conn_read(&u->conn, true);
    return true;
}

/* Out of descriptors: an idle upstream gives its own up, for the next attempt. */
static bool try_connect(struct upstream *u, enum fault *fault)
{
    int error = 0;

    if (connect_to(u, &error))
        return true;
    if (error == -EMFILE || error == -ENFILE) {
        struct upstream *oldest = upstream_pool_oldest(&u->w->pool);

        if (oldest != NULL)
            upstream_close(oldest);
        *fault = FAULT_overloaded;
    } else {
        *fault = error == -EAGAIN ? FAULT_endpoint_busy : FAULT_connect_failed;
    }
    return false;
}

static struct upstream *new_upstream(struct worker *w, struct pool_bucket *bucket)
{
    struct upstream *u = calloc(1, sizeof(*u));

    if (u == NULL)
        return NULL;
    u->w = w;
    u->bucket = bucket;
    u->protocol = bucket->protocol;
    bucket->upstreams++;
    list_init(&u->node);
    list_init(&u->place_node);
    timer_init(&u->timer, on_timer);
    parser_init(&u->parser, false, &w->limits);
    return u;
}

static bool is_allowed(const struct guard *guard, const struct pool_bucket *b)
{
    return (b->unix_path != NULL ? guard_judge_unix(guard, str_from(b->unix_path))
                                 : guard_judge(guard, &b->address)) == GUARD_ALLOWED;
}

struct upstream *upstream_open(struct worker *w, struct pool_bucket *bucket, enum fault *fault)
{
    struct upstream *u;

    if (!is_allowed(w->shared->guard, bucket)) {
        *fault = FAULT_endpoint_forbidden;
        return NULL;
    }
    u = new_upstream(w, bucket);
    if (u == NULL) {
        *fault = FAULT_out_of_memory;
        return NULL;
    }
    u->state = UPSTREAM_CONNECTING;
    if (!try_connect(u, fault)) {
        /* The uv handle was initialised: it is closed like any other. */
        u->state = UPSTREAM_CLOSED;
        conn_close(&u->conn);
        return NULL;
    }
    counter_add(&w->counters->upstream_connects, 1);
    counter_add(&w->counters->upstreams_busy, 1);
    set_timer(u, w->settings->connect_timeout_ms);
    return u;
}

struct upstream *upstream_adopt(struct worker *w, struct pool_bucket *bucket, int fd)
{
    struct upstream *u = new_upstream(w, bucket);

    if (u == NULL) {
        close(fd);
        return NULL;
    }
    u->reused = true;
    if (!conn_accept(&u->conn, &w->loop, fd, &events, &w->read_buffer)) {
        u->state = UPSTREAM_CLOSED;
        conn_close(&u->conn);
        return NULL;
    }
    u->state = UPSTREAM_IDLE;
    counter_add(&w->counters->upstreams_idle, 1);
    conn_read(&u->conn, true);
    return u;
}

struct upstream *upstream_leave_place(struct upstream *u)
{
    u->place = NULL;
    list_remove(&u->place_node);
    return u;
}

int upstream_let_go(struct upstream *u)
{
    int fd = conn_take_socket(&u->conn);

    if (fd < 0)
        return -1;
    upstream_cut(upstream_leave_place(u));
    return fd;
}

void upstream_take_place(struct upstream *u, struct places *place)
{
    u->place = place;
    list_append(&u->w->placed, &u->place_node);
}

void upstream_begin(struct upstream *u, struct exchange *x)
{
    if (u->state == UPSTREAM_IDLE) {
        u->state = UPSTREAM_HEAD;
        u->reused = true;
        counter_sub(&u->w->counters->upstreams_idle, 1);
        counter_add(&u->w->counters->upstreams_busy, 1);
        counter_add(&u->w->counters->upstream_reuses, 1);
    }
    u->exchange = x;
    u->piece = x->pace != NULL ? pace_piece(x) : 0;
    if (x->retries.tried_count > 0 && u->state == UPSTREAM_CONNECTING &&
        retry_time_left(x) < u->w->settings->connect_timeout_ms)
        set_timer(u, retry_time_left(x));
    u->answered = u->request_sent = false;
    u->refused = FAULT_NONE;
    head_clear(&x->response);
    u->protocol->begin(u, x);
}

void upstream_move(struct upstream *u, struct exchange *x)
{
    u->exchange = x;
    u->parser.head = &x->response;
    u->piece = x->pace != NULL ? pace_piece(x) : 0;
}

bool upstream_is_connected(const struct upstream *u)
{
    return u->state == UPSTREAM_HEAD;
}

_Static_assert((int)SEND_PROXY_V1 == (int)PROXY_V1 && (int)SEND_PROXY_V2 == (int)PROXY_V2,
               "schema's words are the protocol's versions");

/* In front of the request; what the edge asks by itself is of no client. */
static size_t write_proxy_header(const struct upstream *u, const struct exchange *x, char *to)
{
    const struct client_side *client = x->client;
    struct address reached;

    if (client->reached == NULL)
        return proxy_header_write_local(u->send_proxy, to);
    reached = client->reached(x->session);
    return proxy_header_write(u->send_proxy, client->client_address(x->session), &reached, to);
}

enum fault upstream_send_head(struct upstream *u, struct exchange *x)
{
    if (u->send_proxy != PROXY_NONE)
        u->w->to_upstream.text_len = write_proxy_header(u, x, u->w->to_upstream.text);
    return u->protocol->send_head(u, x);
}

void upstream_send_body(struct upstream *u, const char *bytes, size_t len)
{
    if (gather_is_full(&u->w->to_upstream))
        upstream_flush(u, false, STR(""));
    gather_body(&u->w->to_upstream, bytes, len);
}

bool upstream_flush(struct upstream *u, bool last, struct str trailers)
{
    await_more(u);
    if (last)
        u->request_sent = true;
    return u->protocol->flush(u, last, trailers);
}

void upstream_read_on(struct upstream *u)
{
    conn_read(&u->conn, true);
}

void upstream_pause(struct upstream *u)
{
    conn_read(&u->conn, false);
}

void upstream_resume(struct upstream *u)
{
    await_more(u);
    conn_read(&u->conn, true);
}

static void rest(struct upstream *u)
{
    u->state = UPSTREAM_IDLE;
    counter_sub(&u->w->counters->upstreams_busy, 1);
    counter_add(&u->w->counters->upstreams_idle, 1);
    set_timer(u, u->w->settings->upstream_idle_timeout_ms);
}

void upstream_rest(struct upstream *u)
{
    set_timer(u, u->w->settings->upstream_idle_timeout_ms);
}

void upstream_end(struct upstream *u)
{
    struct exchange *x = u->exchange;
    bool reusable = u->state == UPSTREAM_BODY && u->request_sent && x->response.keep_alive &&
                    !conn_is_blocked(&u->conn) && !u->conn.write_failed && !u->conn.ended &&
                    u->conn.reading && u->send_proxy == PROXY_NONE;

    if (reusable && u->place != NULL) {
        u->exchange = NULL;
        rest(u);
        places_put(u);
        return;
    }
    if (!reusable || !upstream_pool_put(&u->w->pool, u)) {
        upstream_close(u);
        return;
    }
    u->exchange = NULL;
    rest(u);
}

void upstream_cut(struct upstream *u)
{
    struct places *place = u->place;

    if (u->state == UPSTREAM_CLOSED)
        return;
    if (u->state != UPSTREAM_IDLE) {
        counter_sub(&u->w->counters->upstreams_busy, 1);
    } else {
        counter_sub(&u->w->counters->upstreams_idle, 1);
        if (place != NULL)
            places_remove(u);
        else if (!list_is_empty(&u->node))
            upstream_pool_remove(&u->w->pool, u);
    }
    if (u->state == UPSTREAM_LINGER)
        atomic_fetch_sub_explicit(&place->ending, 1, memory_order_relaxed);
    u->state = UPSTREAM_CLOSED;
    u->exchange = NULL;
    u->tunnel = NULL;
    timer_stop(&u->timer);
    conn_close(&u->conn);
    if (place == NULL)
        return;
    u->place = NULL;
    list_remove(&u->place_node);
    places_give(u->w, place);
}

/* The endpoint is told that no more comes, and what it still says is thrown away. While it has not begun
 * to answer it is at work, for all that is known: for as long as an answer may take. */
static void linger(struct upstream *u)
{
    struct exchange *x = u->exchange;
    bool connects = u->state == UPSTREAM_CONNECTING;

    u->lingers_long = u->state == UPSTREAM_HEAD && x != NULL;
    if (u->state == UPSTREAM_IDLE) {
        places_remove(u);
        counter_sub(&u->w->counters->upstreams_idle, 1);
        counter_add(&u->w->counters->upstreams_busy, 1);
    }
    atomic_fetch_add_explicit(&u->place->ending, 1, memory_order_relaxed);
    u->state = UPSTREAM_LINGER;
    u->exchange = NULL;
    u->tunnel = NULL;
    u->kept_len = 0;
    if (!connects) /* else its time limit runs on */
        await_end(u, u->lingers_long && x->timeout_ms > LINGER_MS ? x->timeout_ms : LINGER_MS);
}

void upstream_close(struct upstream *u)
{
    if (u->place == NULL || u->conn.ended || u->conn.write_failed || u->w->pool.closing)
        upstream_cut(u);
    else if (u->state != UPSTREAM_LINGER)
        linger(u);
}

const char *upstream_state_name(enum upstream_state state)
{
    static const char *const names[] = { "connecting", "head",   "body",  "idle",
                                         "tunnel",     "linger", "closed" };

    return names[state];
}
