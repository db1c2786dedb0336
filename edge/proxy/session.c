/* session.c -- a client connection: HTTP/1 in, HTTP/1 out, one exchange at a time.
 *
 * Owns:    the connection, the parser, bytes that came too early.
 * Thread:  its worker.
 * Used by: worker.c (opens), exchange.c through struct client_side (session_side.c).
 * Not here: writing responses (session_side.c); what is served (exchange.c); tunnels (tunnel.c). */
#include "proxy/session.h"

#include <stdlib.h>

#include "base/check.h"
#include "http/framing.h"
#include "proxy/session_proxy.h"
#include "proxy/session_side.h"
#include "proxy/tunnel.h"
#include "proxy/worker_state.h"

#define WATCH_LATE_MS 250

static struct session *session_of(struct conn *c)
{
    return LIST_ITEM(c, struct session, conn);
}

static void begin_request(struct session *s)
{
    s->exchange = exchange_new(s->w, &session_side, s);
    s->exchange->was_counted = s->hold.state != NULL;
    if (s->believed != 0) { /* the request before this one may have been another client's */
        s->exchange->believed = s->believed;
        session_set_client(s, &s->connected);
    }
    parser_start(&s->parser, &s->exchange->request);
    s->phase = SESSION_HEAD;
}

static void refuse(struct session *s, enum fault fault)
{
    s->exchange->request.keep_alive = false;
    exchange_fault(s->exchange, fault);
}

static void take_head(struct session *s)
{
    struct exchange *x = s->exchange;
    enum fault fault = framing_request(&x->request);

    s->served++;
    s->http10 = x->request.minor == 0;
    s->paused = true; /* until there is an upstream to give the body to */
    if (fault != FAULT_NONE) {
        refuse(s, fault);
        return;
    }
    s->phase = x->request.body == BODY_NONE ? SESSION_WAIT : SESSION_BODY;
    if (s->phase == SESSION_BODY) {
        s->parser.body_left = x->request.body_bytes;
        s->window_bytes = 0;
        timer_set(&s->w->loop, &s->timer, session_rate_window_ms(s));
    }
    exchange_start(x);
}

/* The head that begins at bytes[0]; `parsed` of it were looked at before. Returns what it took; 0:
 * it is not whole yet. */
static size_t feed_head(struct session *s, const char *bytes, size_t parsed, size_t len)
{
    struct exchange *x = s->exchange;

    switch (parser_head(&s->parser, bytes, parsed, len)) {
    case PARSE_MORE:
        /* From its first byte on, however it drips. A head that comes whole costs no timer. */
        if (parsed == 0)
            timer_set(&s->w->loop, &s->timer, s->w->settings->header_timeout_ms);
        return 0;
    case PARSE_BAD:
        s->http10 = false;
        refuse(s, s->parser.fault);
        return len;
    case PARSE_DONE:
        break;
    }
    len = x->request.bytes;
    take_head(s);
    return len;
}

static size_t feed_body(struct session *s, const char *bytes, size_t len)
{
    size_t taken = 0;

    switch (parser_body(&s->parser, bytes, len, &taken)) {
    case PARSE_MORE:
        break;
    case PARSE_DONE:
        s->phase = SESSION_WAIT;
        exchange_on_request_end(s->exchange,
                                str_slice(s->parser.trailers.ptr, s->parser.trailers.len));
        break;
    case PARSE_BAD:
        refuse(s, s->parser.fault);
    }
    return taken;
}

static size_t skip_body(struct session *s, size_t len)
{
    size_t taken = len < s->skip_left ? len : (size_t)s->skip_left;

    s->skip_left -= taken;
    if (s->skip_left == 0) {
        s->phase = SESSION_IDLE;
        session_rest(s);
    }
    return taken;
}

/* Gives bytes to the parser, as far as they can be taken now. Returns how many were. */
static size_t feed(struct session *s, const char *bytes, size_t parsed, size_t len)
{
    size_t at = 0, taken;

    s->feeding = true;
    while (at < len) {
        if (s->phase == SESSION_IDLE) {
            if (conn_is_blocked(&s->conn)) /* it does not read what it has asked for already */
                break;
            begin_request(s);
            parsed = 0;
        }
        if (s->phase == SESSION_HEAD) {
            taken = feed_head(s, bytes + at, parsed, len - at);
            if (taken == 0)
                break;
            at += taken;
        } else if (s->phase == SESSION_BODY && !s->paused) {
            at += feed_body(s, bytes + at, len - at);
        } else if (s->phase == SESSION_SKIP) {
            at += skip_body(s, len - at);
        } else if (s->phase == SESSION_LINGER || s->phase == SESSION_CLOSED) {
            at = len;
        } else {
            break;
        }
    }
    s->feeding = false;
    if (s->flush_owed && s->exchange != NULL && !s->exchange->request_whole)
        exchange_flush_request(s->exchange);
    s->flush_owed = false;
    return at;
}

/* Keeps what could not be taken. A head in pieces gets room for the largest one, in one place. */
static bool keep(struct session *s, const char *bytes, size_t len)
{
    size_t room = s->phase == SESSION_HEAD ? s->w->limits.head_bytes + 1 : len;

    if (s->kept != NULL && bytes >= s->kept && bytes < s->kept + s->kept_room &&
        (s->phase != SESSION_HEAD || s->kept_room >= room)) {
        s->kept_from = (size_t)(bytes - s->kept);
        if (s->phase == SESSION_HEAD && s->kept_from > 0) {
            memmove(s->kept, bytes, len);
            s->kept_from = 0;
        }
    } else {
        char *old = s->kept;

        if (room < len)
            room = len;
        s->kept = malloc(room);
        if (s->kept != NULL)
            memcpy(s->kept, bytes, len);
        free(old);
        s->kept_from = 0;
        s->kept_room = room;
    }
    s->kept_len = s->kept != NULL ? len : 0;
    return s->kept != NULL;
}

void session_drop_kept(struct session *s)
{
    free(s->kept);
    s->kept = NULL;
    s->kept_from = s->kept_len = s->kept_room = 0;
}

/* Without a whole request there is nobody to answer. */
static void lose_client(struct session *s, enum fault fault)
{
    struct exchange *x = s->exchange;

    s->exchange = NULL;
    if (x != NULL)
        exchange_on_client_gone(x, fault);
    session_close(s);
}

/* bytes[0..len) are all there is; `parsed` of a head's were looked at before. */
static void take(struct session *s, const char *bytes, size_t parsed, size_t len)
{
    size_t taken = feed(s, bytes, parsed, len);

    if (taken == len || s->phase == SESSION_CLOSED || s->phase == SESSION_LINGER) {
        session_drop_kept(s);
        return;
    }
    if (s->phase == SESSION_TUNNEL) {
        tunnel_from_client(s, bytes + taken, len - taken);
        session_drop_kept(s);
        return;
    }
    if (!keep(s, bytes + taken, len - taken)) {
        lose_client(s, FAULT_out_of_memory);
        return;
    }
    if (s->phase != SESSION_HEAD) /* nothing more is taken until this is */
        conn_read(&s->conn, false);
}

/* Can more be taken: all that came has been, or is a head in pieces, and it reads its responses? */
static bool may_read(const struct session *s)
{
    return (s->kept_len == 0 || s->phase == SESSION_HEAD || s->phase == SESSION_PROXY) &&
           (s->phase != SESSION_IDLE || !conn_is_blocked(&s->conn));
}

static void on_again(struct turn_end *end)
{
    struct session *s = LIST_ITEM(end, struct session, again);

    if (s->phase == SESSION_IDLE && conn_is_blocked(&s->conn))
        return; /* on_drained goes on */
    if (s->phase != SESSION_CLOSED && s->kept_len > 0)
        take(s, s->kept + s->kept_from, 0, s->kept_len);
    if (s->client_ended &&
        (s->phase == SESSION_HEAD || (s->phase == SESSION_IDLE && !conn_is_blocked(&s->conn))))
        lose_client(s, FAULT_client_closed);
    else
        conn_read(&s->conn, may_read(s));
}

static void on_read(struct conn *c, const char *bytes, size_t len)
{
    struct session *s = session_of(c);

    switch (s->phase) {
    case SESSION_TUNNEL:
        tunnel_from_client(s, bytes, len);
        break;
    case SESSION_PROXY:
        if (session_proxy_read(s, &bytes, &len) && len > 0)
            take(s, bytes, 0, len);
        break;
    case SESSION_LINGER:
    case SESSION_CLOSED:
        break;
    default:
        if (s->kept_len > 0) { /* it was read behind what was kept, see place() */
            size_t parsed = s->kept_len;

            CHECK(bytes == s->kept + s->kept_from + s->kept_len);
            s->kept_len += len;
            take(s, s->kept + s->kept_from, parsed, s->kept_len);
        } else {
            take(s, bytes, 0, len);
        }
    }
}

static bool place(struct conn *c, char **ptr, size_t *len)
{
    struct session *s = session_of(c);

    if (s->kept_len == 0 || s->phase != SESSION_HEAD)
        return false;
    *ptr = s->kept + s->kept_from + s->kept_len;
    *len = s->kept_room - s->kept_from - s->kept_len;
    return true;
}

/* Its side is shut: it may well wait for its response so; or it is gone, which only shows when something is
 * sent. So a response that does not come on is not waited for much longer. */
static void watch_shut(struct session *s)
{
    s->window_bytes = s->exchange->response_body_bytes;
    s->gone_ms = loop_now_ms(&s->w->loop) + s->w->settings->header_timeout_ms;
    timer_set(&s->w->loop, &s->timer, s->w->settings->header_timeout_ms);
}

static void look_at_shut(struct session *s)
{
    uint64_t now_ms = loop_now_ms(&s->w->loop);

    if (s->exchange->response_body_bytes != s->window_bytes)
        watch_shut(s);
    else if (now_ms < s->gone_ms)
        timer_set(&s->w->loop, &s->timer, s->gone_ms - now_ms);
    else
        lose_client(s, FAULT_client_closed);
}

static void on_ended(struct conn *c, int error)
{
    struct session *s = session_of(c);

    s->client_ended = true;
    switch (s->phase) {
    case SESSION_TUNNEL:
        tunnel_client_ended(s, error);
        break;
    case SESSION_PROXY:
        session_proxy_ended(s);
        break;
    case SESSION_WAIT:
        /* A place in a queue is not kept for it. */
        if (error == 0 && s->exchange->step != STEP_QUEUE)
            watch_shut(s);
        else
            lose_client(s, FAULT_client_closed);
        break;
    default:
        lose_client(s, FAULT_client_closed);
    }
}

static void on_drained(struct conn *c)
{
    struct session *s = session_of(c);

    if (s->phase == SESSION_TUNNEL) {
        tunnel_client_drained(s);
    } else if (s->phase == SESSION_LINGER && s->conn.write_failed) {
        session_close(s);
    } else if (s->exchange != NULL) {
        exchange_on_client_drained(s->exchange);
    } else if (s->phase != SESSION_CLOSED) {
        session_rest(s);
        session_read_on(s);
    }
}

static void on_closed(struct conn *c)
{
    struct session *s = session_of(c);
    struct worker *w = s->w;

    turn_end_cancel(&s->again);
    parser_free(&s->parser);
    session_drop_kept(s);
    list_remove(&s->node);
    free(s);
    worker_session_gone(w);
}

static const struct conn_events events = {
    .read = on_read,
    .ended = on_ended,
    .drained = on_drained,
    .closed = on_closed,
    .place = place,
};

/* A blocked client must take at least --min-rate. */
static void check_reader(struct session *s)
{
    uint64_t window = session_rate_window_ms(s);
    size_t now = conn_blocked_bytes(&s->conn);

    if (s->blocked_before - now < s->w->settings->min_rate * window / 1000 && now > 0) {
        lose_client(s, FAULT_client_too_slow);
        return;
    }
    s->blocked_before = now;
    timer_set(&s->w->loop, &s->timer, window);
}

static void check_sender(struct session *s)
{
    uint64_t window = session_rate_window_ms(s);

    if (!s->paused && s->window_bytes < s->w->settings->min_rate * window / 1000) {
        refuse(s, FAULT_body_timeout);
        return;
    }
    s->window_bytes = 0;
    timer_set(&s->w->loop, &s->timer, window);
}

static void on_timer(struct timer *t)
{
    struct session *s = LIST_ITEM(t, struct session, timer);

    if (s->phase == SESSION_TUNNEL || s->phase == SESSION_CLOSED)
        return;
    if (conn_is_blocked(&s->conn)) {
        check_reader(s);
        return;
    }
    switch (s->phase) {
    case SESSION_IDLE:
    case SESSION_SKIP:
    case SESSION_LINGER:
        session_close(s);
        break;
    case SESSION_PROXY:
        session_proxy_late(s);
        break;
    case SESSION_HEAD:
        refuse(s, FAULT_header_timeout);
        break;
    case SESSION_BODY:
        check_sender(s);
        break;
    case SESSION_WAIT:
        if (s->client_ended)
            look_at_shut(s);
        else /* the endpoint's own limits hold */
            conn_read(&s->conn, s->kept_len == 0);
        break;
    default:
        conn_read(&s->conn, s->kept_len == 0);
        break;
    }
}

static void on_body(struct parser *p, const char *bytes, size_t len)
{
    struct session *s = LIST_ITEM(p, struct session, parser);

    s->flush_owed = true;
    s->window_bytes += len;
    exchange_on_request_body(s->exchange, bytes, len);
}

/* Is its one request whole, and nothing to come behind it? Then the response may be out before
 * the kernel need be asked to watch the connection at all. */
static bool is_last_request(const struct session *s)
{
    return s->phase == SESSION_WAIT && s->kept_len == 0 && !s->exchange->request.keep_alive &&
           !s->exchange->request.upgrade;
}

void session_open(struct worker *w, int fd, const struct address *client)
{
    struct session *s = check_alloc(sizeof(*s));

    s->w = w;
    s->connected = *client;
    session_set_client(s, client);
    if (w->shared->trust != NULL)
        session_meet(s);
    parser_init(&s->parser, true, &w->limits);
    s->parser.on_body = on_body;
    timer_init(&s->timer, on_timer);
    turn_end_init(&s->again, on_again);
    list_append(&w->sessions, &s->node);
    w->session_count++;
    counter_add(&w->counters->clients_accepted, 1);
    counter_add(&w->counters->clients_open, 1);
    if (!conn_accept(&s->conn, &w->loop, fd, &events, &w->read_buffer)) {
        session_close(s);
        return;
    }
    timer_set(&w->loop, &s->timer, w->draining ? SESSION_DRAIN_MS : w->settings->header_timeout_ms);
    conn_read_early(&s->conn);
    if (is_last_request(
            s)) /* no more is expected: watched only if the response is long in coming */
        timer_set(&w->loop, &s->timer, WATCH_LATE_MS);
    else
        conn_read(&s->conn, may_read(s));
}

void session_close(struct session *s)
{
    CHECK(s->exchange == NULL);
    s->phase = SESSION_CLOSED;
    limits_release(&s->hold);
    timer_stop(&s->timer);
    conn_close(&s->conn);
}

void session_drain(struct session *s)
{
    bool fresh = s->phase == SESSION_PROXY;

    if (!fresh && ((s->phase != SESSION_IDLE && s->phase != SESSION_SKIP) || s->kept_len > 0))
        return;
    if (!s->w->handed_over) /* else it is told with its next response; nothing hurries */
        timer_set(&s->w->loop, &s->timer, SESSION_DRAIN_MS);
}

void session_cut(struct session *s, enum fault fault)
{
    if (s->phase == SESSION_TUNNEL)
        tunnel_cut(s);
    else if (s->phase != SESSION_CLOSED)
        lose_client(s, fault);
}

const char *session_phase_name(enum session_phase phase)
{
    static const char *const names[] = { "idle",   "head",   "body",  "wait",  "skip",
                                         "linger", "tunnel", "proxy", "closed" };

    return names[phase];
}
