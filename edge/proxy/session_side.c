/* session_side.c -- writes responses to an HTTP/1 client, and decides what its connection does next.
 *
 * Owns:    nothing beside its session.
 * Thread:  its worker.
 * Used by: exchange.c, through struct client_side.
 * Not here: reading (session.c). */
#include "proxy/session_side.h"

#include "proxy/choose.h"
#include "base/check.h"
#include "http/serializer.h"
#include "proxy/session_proxy.h"
#include "proxy/worker_state.h"

#define LINGER_MS 2000
#define SKIP_MOST_BYTES (64 * 1024)
#define RATE_WINDOW_MAX_MS 10000

uint64_t session_rate_window_ms(const struct session *s)
{
    uint64_t limit = s->w->settings->header_timeout_ms;

    return limit < RATE_WINDOW_MAX_MS ? limit : RATE_WINDOW_MAX_MS;
}

/* The rest of a request's body that nobody will read any more: little enough to be read and thrown
 * away, so that the connection can serve on? */
static bool can_skip_rest(const struct session *s, const struct head *request)
{
    return request->body == BODY_LENGTH && s->parser.body_left <= SKIP_MOST_BYTES &&
           !request->expect_continue;
}

static void send_head(void *session, const struct head *head, bool interim)
{
    struct session *s = session;
    struct gather *g = &s->w->to_client;
    struct response_out out = { .status = head->status,
                                .id = str_from(s->w->settings->cdn_id),
                                .date = worker_date(s->w) };
    enum framing framing = s->exchange ? s->exchange->response_framing : FRAMED_AS_READ;
    bool unframed = framing == FRAMED_AS_READ
                        ? head->body == BODY_CHUNKED || head->body == BODY_UNTIL_CLOSE
                        : framing == FRAMED_CHUNKED;
    char cookie[STICKY_TEXT_SIZE];

    if (interim && s->http10) /* HTTP/1.0 knows no 1xx (RFC 9110 15.2) */
        return;
    if (!interim && head->status != 101) {
        const struct exchange *x = s->exchange;

        s->response_chunked = unframed && !s->http10;
        s->response_until_close = unframed && s->http10;
        s->response_close = !x->request.keep_alive || s->w->draining ||
                            (!x->request_whole && !can_skip_rest(s, &x->request)) ||
                            s->client_ended || s->response_until_close;
        out.chunked = s->response_chunked;
        out.close = s->response_close;
        out.keep_alive = s->http10 && !s->response_close;
        s->head_unsent = true;
    }
    if (!interim && s->exchange != NULL && s->exchange->sets_cookie &&
        s->exchange->step != STEP_ANSWER) {
        out.cookie = s->exchange->balanced->policy.sticky;
        out.cookie_value = choose_cookie(s->exchange, cookie);
    }
    g->text_len +=
        serializer_response(g->text + g->text_len, g->text_room - g->text_len, head, &out);
}

/* A client that just became blocked is watched: it must take at least --min-rate. */
static bool flush_part(struct session *s, bool last, struct str trailers)
{
    bool blocked = conn_is_blocked(&s->conn);
    bool sent = gather_flush(&s->w->to_client, &s->conn, s->response_chunked, last, trailers);

    s->head_unsent = false;
    if (!blocked && conn_is_blocked(&s->conn)) {
        s->blocked_before = conn_blocked_bytes(&s->conn);
        timer_set(&s->w->loop, &s->timer, session_rate_window_ms(s));
    }
    return sent;
}

static bool flush(void *session)
{
    return flush_part(session, false, STR(""));
}

static void send_body(void *session, const char *bytes, size_t len)
{
    struct session *s = session;

    if (gather_is_full(&s->w->to_client))
        flush(s);
    gather_body(&s->w->to_client, bytes, len);
}

static size_t send_file(void *session, int fd, uint64_t at, size_t bytes)
{
    struct session *s = session;

    return s->response_chunked || s->head_unsent ? 0 : conn_send_file(&s->conn, fd, at, bytes);
}

/* While draining, a client that was not told yet may send one more request. */
static uint64_t idle_ms(const struct worker *w)
{
    return w->draining && !w->handed_over ? SESSION_DRAIN_MS : w->settings->idle_timeout_ms;
}

void session_rest(struct session *s)
{
    if (!conn_is_blocked(&s->conn)) /* else the reader's rate is being watched */
        timer_set(&s->w->loop, &s->timer,
                  s->phase == SESSION_IDLE   ? idle_ms(s->w)
                  : s->phase == SESSION_SKIP ? session_rate_window_ms(s)
                                             : LINGER_MS);
}

/* A client that does not read its responses is not asked for more requests: on_drained goes on. What
 * was kept is taken first, at the turn's end: not inside somebody's callback. */
void session_read_on(struct session *s)
{
    if (s->phase == SESSION_IDLE && conn_is_blocked(&s->conn))
        conn_read(&s->conn, false);
    else if (s->kept_len > 0 || s->client_ended)
        loop_at_turn_end(&s->w->loop, &s->again);
    else
        conn_read(&s->conn, true);
}

/* Half-closes and throws away what still comes, so that a reset does not overtake the response
 * (RFC 9112 9.6). Where nothing can come any more, it just closes. */
static void linger(struct session *s, bool request_whole)
{
    if (request_whole && s->kept_len == 0 && !conn_is_blocked(&s->conn)) {
        session_close(s);
        return;
    }
    s->phase = SESSION_LINGER;
    s->kept_len = 0;
    conn_shutdown(&s->conn);
    conn_read(&s->conn, true);
    session_rest(s);
}

static void finish(void *session, struct str trailers)
{
    struct session *s = session;
    bool request_whole = s->exchange->request_whole, sent;
    bool skip = !request_whole && can_skip_rest(s, &s->exchange->request);

    if (s->exchange->counted) /* who has its answer may ask again at once */
        limits_leave(s->exchange);
    sent = flush_part(s, true, trailers);
    s->exchange = NULL;
    s->response_chunked = false;
    if (!sent) {
        session_close(s);
    } else if (s->response_close || (!request_whole && !skip)) {
        linger(s, request_whole);
    } else {
        s->phase = skip ? SESSION_SKIP : SESSION_IDLE;
        s->skip_left = s->parser.body_left;
        session_rest(s);
        session_read_on(s);
    }
}

static bool recall(void *session)
{
    struct session *s = session;

    if (!s->head_unsent)
        return false;
    gather_drop(&s->w->to_client);
    s->head_unsent = false;
    return true;
}

static void abort_response(void *session)
{
    struct session *s = session;

    gather_drop(&s->w->to_client);
    if (s->exchange != NULL && s->exchange->counted)
        limits_leave(s->exchange);
    s->exchange = NULL;
    if (s->response_until_close) /* an orderly end would make half a body look whole */
        conn_reset(&s->conn);
    session_close(s);
}

static void pause_request(void *session)
{
    struct session *s = session;

    s->paused = true;
    conn_read(&s->conn, false);
}

static bool resume_request(void *session)
{
    struct session *s = session;

    s->paused = false;
    s->window_bytes = 0;
    if (s->phase == SESSION_BODY)
        timer_set(&s->w->loop, &s->timer, session_rate_window_ms(s));
    if (s->feeding) {
        s->flush_owed = true;
        return true;
    }
    session_read_on(s);
    return false;
}

static void begin_tunnel(void *session, struct tunnel *t)
{
    struct session *s = session;

    s->exchange = NULL;
    s->tunnel = t;
    s->phase = SESSION_TUNNEL;
    s->response_chunked = false;
    timer_stop(&s->timer);
    parser_free(&s->parser);
    flush_part(s, true, STR("")); /* a failure shows when the first byte is passed */
    session_read_on(s);
}

static bool is_blocked(void *session)
{
    const struct session *s = session;

    return conn_is_blocked(&s->conn);
}

static struct str client_ip(void *session)
{
    const struct session *s = session;

    return str_slice(s->client_ip, s->client_ip_len);
}

static const struct address *client_address(void *session)
{
    const struct session *s = session;

    return &s->client;
}

static void set_client(void *session, const struct address *client)
{
    session_set_client(session, client);
}

static struct address reached(void *session)
{
    struct session *s = session;

    return s->reached.any.sa_family != 0 ? s->reached : conn_local_address(&s->conn);
}

static struct limits_hold *hold(void *session)
{
    struct session *s = session;

    return &s->hold;
}

const struct client_side session_side = {
    .send_head = send_head,
    .send_body = send_body,
    .flush = flush,
    .send_file = send_file,
    .finish = finish,
    .recall = recall,
    .abort = abort_response,
    .pause = pause_request,
    .resume = resume_request,
    .tunnel = begin_tunnel,
    .is_blocked = is_blocked,
    .client_ip = client_ip,
    .client_address = client_address,
    .hold = hold,
    .set_client = set_client,
    .reached = reached,
};
