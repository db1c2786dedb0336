/* upstream_http1.c -- HTTP/1.1 to an endpoint: heads parsed where they were read, bodies passed on.
 *
 * Owns:    nothing beside its upstream.
 * Thread:  its worker.
 * Used by: upstream.c, as a protocol.
 * Not here: the connection (upstream.c); what a response means for the client (exchange_relay.c). */
#include <stdlib.h>

#include "http/framing.h"
#include "http/serializer.h"
#include "proxy/tunnel.h"
#include "proxy/upstream_protocol.h"
#include "proxy/worker_state.h"

#define INTERIM_MOST 32

static void on_body(struct parser *p, const char *bytes, size_t len)
{
    struct upstream *u = LIST_ITEM(p, struct upstream, parser);

    exchange_on_response_body(u->exchange, bytes, len);
}

static void begin(struct upstream *u, struct exchange *x)
{
    u->parser.on_body = on_body;
    parser_start(&u->parser, &x->response);
}

static enum fault send_head(struct upstream *u, struct exchange *x)
{
    struct gather *g = &u->w->to_upstream;
    struct request_out out;
    size_t len;

    upstream_shape_request(x, &out);
    len = serializer_request(g->text + g->text_len, g->text_room - g->text_len, &x->request, &out);
    g->text_len += len;
    return len > 0 ? FAULT_NONE : FAULT_head_too_large;
}

static bool flush(struct upstream *u, bool last, struct str trailers)
{
    return gather_flush(&u->w->to_upstream, &u->conn, exchange_sends_chunks(u->exchange), last,
                        trailers);
}

/* Keeps a head that is not whole yet; false: too large, or no memory. */
static bool keep(struct upstream *u, const char *bytes, size_t len)
{
    if (u->kept == NULL) {
        u->kept_room = u->w->limits.head_bytes + 1;
        u->kept = malloc(u->kept_room);
        if (u->kept == NULL || len >= u->kept_room)
            return false;
        memcpy(u->kept, bytes, len);
    }
    u->kept_len = len;
    return u->kept_len < u->kept_room;
}

/* One whole response head. false: nothing more is to be read here. */
static bool take_head(struct upstream *u, const char *bytes, size_t len, size_t *taken)
{
    struct exchange *x = u->exchange;
    struct head *h = &x->response;
    bool to_head = x->request.method == HTTP_HEAD;

    *taken = h->bytes;
    if (framing_response(h, to_head, x->request.upgrade) != FAULT_NONE) {
        upstream_lose(u, FAULT_bad_response);
        return false;
    }
    if (h->status == 101) {
        tunnel_begin(u, bytes + h->bytes, len - h->bytes);
        return false;
    }
    if (h->status < 200) {
        if (x->interim_heads++ == INTERIM_MOST) { /* nobody holds these back: no end of them */
            upstream_lose(u, FAULT_bad_response);
            return false;
        }
        exchange_on_interim_head(x);
        head_clear(h);
        parser_start(&u->parser, h);
        return true;
    }
    u->state = UPSTREAM_BODY;
    u->parser.body_left = h->body_bytes;
    return exchange_on_response_head(x);
}

/* The response is whole: whatever follows it does not belong to any request. */
static void end_response(struct upstream *u, size_t left)
{
    struct exchange *x = u->exchange;

    if (left > 0)
        x->response.keep_alive = false;
    exchange_on_response_end(x, str_slice(u->parser.trailers.ptr, u->parser.trailers.len));
}

/* bytes[0..len), of which `from` have been parsed before (a head in pieces). */
static void feed(struct upstream *u, const char *bytes, size_t from, size_t len)
{
    enum parse_result r;
    size_t taken;

    while (u->state == UPSTREAM_HEAD) {
        r = parser_head(&u->parser, bytes, from, len);
        if (r == PARSE_BAD || (r == PARSE_MORE && !keep(u, bytes, len))) {
            upstream_lose(u, FAULT_bad_response);
            return;
        }
        if (r == PARSE_MORE)
            return;
        u->kept_len = 0;
        if (!take_head(u, bytes, len, &taken))
            return;
        bytes += taken;
        len -= taken;
        from = 0;
        if (len == 0 && u->state == UPSTREAM_HEAD)
            return;
    }
    r = parser_body(&u->parser, bytes, len, &taken);
    if (r == PARSE_DONE) {
        end_response(u, len - taken);
        return;
    }
    if (r == PARSE_BAD) {
        upstream_lose(u, FAULT_bad_response);
        return;
    }
    exchange_flush_response(u->exchange); /* not before: it may have become another */
}

/* Behind what was kept of a head, see place() of upstream.c. */
static void read_bytes(struct upstream *u, const char *bytes, size_t len)
{
    size_t from = u->kept_len;

    if (from > 0) {
        bytes = u->kept;
        len += from;
    }
    feed(u, bytes, from, len);
    if (u->kept != NULL && u->kept_len == 0) {
        free(u->kept);
        u->kept = NULL;
    }
}

static void ended(struct upstream *u, int error)
{
    if (u->state == UPSTREAM_HEAD)
        upstream_lose(u, FAULT_response_closed);
    else if (u->exchange->response.body == BODY_UNTIL_CLOSE && error == 0)
        end_response(u, 0);
    else
        upstream_lose(u, FAULT_body_truncated);
}

const struct upstream_protocol upstream_http1 = {
    .name = "http",
    .begin = begin,
    .send_head = send_head,
    .flush = flush,
    .read = read_bytes,
    .ended = ended,
};
