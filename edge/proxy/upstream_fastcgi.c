/* upstream_fastcgi.c -- FastCGI to an endpoint: parameters in place of a head, records in place of
 * chunks; the responder's head becomes one of HTTP/1.1 and is read as strictly as any.
 *
 * A body of unknown length is held until it is known, up to HELD_MOST: CONTENT_LENGTH stands
 * before it.
 *
 * Owns:    struct upstream_fastcgi, behind its upstream.
 * Thread:  its worker.
 * Used by: upstream.c, as a protocol.
 * Not here: records (http/fastcgi.c); parameters and heads (http/cgi.c). */
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "http/cgi.h"
#include "http/framing.h"
#include "http/serializer.h"
#include "proxy/upstream_protocol.h"
#include "proxy/worker_state.h"
#include "routing/endpoint.h"

#define HELD_MOST (1024u * 1024)
#define ERROR_LINE_MOST 512
#define ERROR_LINES_PER_SECOND 20
#define PIECES 48
#define HEADERS (PIECES / 2)

struct upstream_fastcgi {
    struct fastcgi_reader reader;
    struct buf head;  /* as it came, with what body came with its end */
    struct buf http;  /* what became of it */
    struct buf error; /* a line of STDERR, under way */
    struct buf held;  /* a body whose length is not known yet */
    bool holding, keep;
};

/* --- writing --- */

/* One writev's worth of records. */
struct batch {
    struct upstream *u;
    struct iovec pieces[PIECES];
    char headers[HEADERS][FASTCGI_HEADER_BYTES];
    unsigned count, header_count;
    bool sent;
};

static void batch_send(struct batch *b)
{
    if (b->count > 0 && b->sent)
        b->sent = conn_write(&b->u->conn, b->pieces, b->count);
    b->count = b->header_count = 0;
}

static void batch_add(struct batch *b, const char *bytes, size_t len)
{
    if (len > 0)
        b->pieces[b->count++] = (struct iovec){ (char *)bytes, len };
}

/* len 0: the record that ends the body. */
static void batch_record(struct batch *b, const char *bytes, size_t len)
{
    char *header;

    if (b->header_count == HEADERS || b->count + 2 > PIECES)
        batch_send(b);
    header = b->headers[b->header_count++];
    fastcgi_stdin(header, len);
    batch_add(b, header, FASTCGI_HEADER_BYTES);
    batch_add(b, bytes, len);
}

static void batch_body(struct batch *b, const char *bytes, size_t len)
{
    while (len > 0) {
        size_t n = len < FASTCGI_CONTENT_MOST ? len : FASTCGI_CONTENT_MOST;

        batch_record(b, bytes, n);
        bytes += n;
        len -= n;
    }
}

static bool hold(struct upstream *u)
{
    struct gather *g = &u->w->to_upstream;
    struct buf *held = &u->fastcgi->held;

    if (held->len + g->body_bytes > HELD_MOST) {
        u->refused = FAULT_content_too_large;
        buf_free(held);
        return false;
    }
    for (unsigned i = 0; i < g->count; i++)
        buf_add(held, g->body[i].iov_base, g->body[i].iov_len);
    g->count = 0;
    g->body_bytes = 0;
    return true;
}

/* The length is known now: the last of the parameters, behind what the gather has of them. */
static void say_length(struct upstream *u)
{
    struct gather *g = &u->w->to_upstream;
    struct fastcgi_writer w = { .at = g->text + g->text_len, .end = g->text + g->text_room };

    cgi_param_length(&w, u->fastcgi->held.len);
    fastcgi_params_end(&w);
    if (w.full)
        u->refused = FAULT_head_too_large;
    g->text_len = (size_t)(w.at - g->text);
}

static bool flush(struct upstream *u, bool last, struct str trailers)
{
    struct gather *g = &u->w->to_upstream;
    struct upstream_fastcgi *f = u->fastcgi;
    struct batch b = { .u = u, .sent = true };

    (void)trailers; /* CGI has none */
    if (f->holding && hold(u) && last)
        say_length(u);
    if (u->refused != FAULT_NONE) {
        gather_drop(g);
        return false;
    }
    batch_add(&b, g->text, g->text_len);
    if (f->holding && last)
        batch_body(&b, f->held.ptr, f->held.len);
    for (unsigned i = 0; i < g->count; i++)
        batch_body(&b, g->body[i].iov_base, g->body[i].iov_len);
    if (last)
        batch_record(&b, NULL, 0);
    batch_send(&b);
    if (last)
        buf_free(&f->held);
    gather_drop(g);
    return b.sent;
}

/* --- parameters --- */

/* The responder says nothing before it has the body, so the edge tells the client to send it. */
static void say_continue(struct exchange *x)
{
    struct head head;

    head_init(&head);
    head.minor = 1;
    head.status = 100;
    x->client->send_head(x->session, &head, true);
    x->client->flush(x->session);
}

static void write_params(struct fastcgi_writer *w, struct exchange *x, struct cgi_request *r,
                         const struct request_out *out)
{
    enum body_kind body = out->reframed ? out->body : x->request.body;
    uint64_t bytes = out->reframed ? out->body_bytes : x->request.body_bytes;
    struct address server = { 0 };

    if (x->client->reached != NULL)
        server = x->client->reached(x->session);
    if (server.any.sa_family != 0)
        r->server = &server;
    fastcgi_begin(w, x->upstream->fastcgi->keep);
    cgi_params(w, r);
    x->upstream->fastcgi->holding = body == BODY_CHUNKED;
    if (body == BODY_CHUNKED) {
        fastcgi_params_pause(w);
        return;
    }
    if (body == BODY_LENGTH || x->request.length_count > 0)
        cgi_param_length(w, body == BODY_LENGTH ? bytes : 0);
    fastcgi_params_end(w);
}

/* `room` holds the head that an HTTP endpoint would get, and behind it the script's path. */
static enum fault write_head(struct exchange *x, const struct request_out *out,
                             const struct cgi_scripts *scripts, char *room, size_t head_room)
{
    struct gather *g = &x->w->to_upstream;
    struct fastcgi_writer w = { .at = g->text + g->text_len, .end = g->text + g->text_room };
    struct cgi_request r = { .scripts = scripts,
                             .method = out->method,
                             .path = x->target.path,
                             .query = out->query,
                             .minor = x->request.minor,
                             .https = str_equals(out->scheme, STR("https")),
                             .server_name = str_slice(x->target.host, x->target.host_len),
                             .client_ip = out->client_ip,
                             .client = x->client->client_address(x->session) };
    size_t len = serializer_request(room, head_room, &x->request, out);

    if (len == 0)
        return FAULT_head_too_large;
    r.head = str_slice(room, len);
    if (cgi_climbs(r.path) || !cgi_script_of(out->path, scripts, room + head_room, &r.script))
        return FAULT_bad_request;
    write_params(&w, x, &r, out);
    g->text_len = (size_t)(w.at - g->text);
    return w.full ? FAULT_head_too_large : FAULT_NONE;
}

static enum fault send_head(struct upstream *u, struct exchange *x)
{
    const struct endpoint_options *o = x->endpoint->options;
    struct cgi_scripts scripts = { .root = o->root, .index = o->index, .path_info = o->path_info };
    size_t head_room = u->w->to_upstream.text_room;
    struct request_out out;
    enum fault fault;
    char *room;

    if (scripts.root.len == 1) /* "/" */
        scripts.root.len = 0;
    upstream_shape_request(x, &out);
    room = malloc(head_room + out.path.len + scripts.index.len + 2);
    if (room == NULL)
        return FAULT_out_of_memory;
    fault = write_head(x, &out, &scripts, room, head_room);
    free(room);
    if (fault == FAULT_NONE && x->request.expect_continue && !x->request_whole)
        say_continue(x);
    return fault;
}

/* --- reading --- */

static void on_body(struct parser *p, const char *bytes, size_t len)
{
    struct upstream *u = LIST_ITEM(p, struct upstream, parser);

    exchange_on_response_body(u->exchange, bytes, len);
}

static void begin(struct upstream *u, struct exchange *x)
{
    struct upstream_fastcgi *f = u->fastcgi;

    if (f == NULL)
        u->fastcgi = f = check_alloc(sizeof(*f));
    fastcgi_reader_start(&f->reader);
    buf_clear(&f->head);
    buf_clear(&f->http);
    buf_clear(&f->held);
    f->holding = false;
    f->keep = x->endpoint->options->keep;
    u->parser.on_body = on_body;
    parser_start(&u->parser, &x->response);
}

static void closed(struct upstream *u)
{
    struct upstream_fastcgi *f = u->fastcgi;

    if (f == NULL)
        return;
    buf_free(&f->head);
    buf_free(&f->http);
    buf_free(&f->error);
    buf_free(&f->held);
    free(f);
}

/* The line of STDERR that has come together. */
static void log_error(struct upstream *u)
{
    struct exchange *x = u->exchange;
    struct worker *w = u->w;
    struct buf *line = &u->fastcgi->error;
    char host[TARGET_HOST_MAX + 16], says[ERROR_LINE_MOST + 16];
    uint64_t second = loop_now_ms(&w->loop) / 1000;

    if (line->len == 0)
        return;
    if (second != w->endpoint_log_second) {
        w->endpoint_log_second = second;
        w->endpoint_log_lines = 0;
    }
    if (++w->endpoint_log_lines <= ERROR_LINES_PER_SECOND)
        log_line(LOG_WARN, "endpoint_says", "host=%s says=%s",
                 log_quote(str_slice(x->target.host, x->target.host_len), host, sizeof(host)),
                 log_quote(str_slice(line->ptr, line->len), says, sizeof(says)));
    buf_clear(line);
}

static void take_error(struct upstream *u, struct str piece)
{
    struct buf *line = &u->fastcgi->error;

    for (size_t i = 0; i < piece.len; i++) {
        if (piece.ptr[i] == '\n')
            log_error(u);
        else if (piece.ptr[i] != '\r' && line->len < ERROR_LINE_MOST) /* the rest is left out */
            buf_add(line, piece.ptr + i, 1);
    }
}

/* The head is whole; what stands behind it is body. False: it is none, and the state is still HEAD; or
 * the exchange wants no more of this upstream. */
static bool take_head(struct upstream *u, size_t end)
{
    struct upstream_fastcgi *f = u->fastcgi;
    struct exchange *x = u->exchange;
    struct head *h = &x->response;

    buf_reserve(&f->http, CGI_HTTP_ROOM(end));
    f->http.len = cgi_to_http(str_slice(f->head.ptr, end), f->http.ptr);
    if (f->http.len == 0 || parser_head(&u->parser, f->http.ptr, 0, f->http.len) != PARSE_DONE ||
        h->bytes != f->http.len ||
        framing_response(h, x->request.method == HTTP_HEAD, false) != FAULT_NONE)
        return false;
    h->keep_alive = f->keep;
    u->state = UPSTREAM_BODY;
    u->parser.body_left = h->body_bytes;
    return exchange_on_response_head(x);
}

/* What comes beyond Content-Length, or where no body may be, goes no further. */
static void take_body(struct upstream *u, const char *bytes, size_t len)
{
    size_t taken;

    if (len > 0 && (u->exchange->response.body != BODY_LENGTH || u->parser.body_left > 0))
        parser_body(&u->parser, bytes, len, &taken);
}

/* false: it is no response, and the upstream is lost. */
static bool take_output(struct upstream *u, struct str piece)
{
    struct upstream_fastcgi *f = u->fastcgi;
    size_t before = f->head.len, end;

    if (u->state == UPSTREAM_BODY) {
        take_body(u, piece.ptr, piece.len);
        return true;
    }
    buf_add(&f->head, piece.ptr, piece.len);
    end = cgi_head_end(str_slice(f->head.ptr, f->head.len), before);
    if (end == 0 && f->head.len < u->w->limits.head_bytes)
        return true;
    if (end == 0 || end > u->w->limits.head_bytes || !take_head(u, end)) {
        if (u->state == UPSTREAM_HEAD)
            upstream_lose(u, FAULT_bad_response);
        return false;
    }
    take_body(u, f->head.ptr + end, f->head.len - end);
    return true;
}

/* END_REQUEST, with `left` bytes behind it that nobody asked for. */
static void end_request(struct upstream *u, size_t left)
{
    struct upstream_fastcgi *f = u->fastcgi;
    struct exchange *x = u->exchange;
    bool refused = f->reader.protocol_status != FASTCGI_REQUEST_COMPLETE;

    log_error(u);
    if (u->state == UPSTREAM_HEAD)
        upstream_lose(u, f->reader.protocol_status == FASTCGI_OVERLOADED ? FAULT_endpoint_busy
                                                                         : FAULT_bad_response);
    else if (refused || (x->response.body == BODY_LENGTH && u->parser.body_left > 0))
        upstream_lose(u, FAULT_body_truncated);
    else {
        if (left > 0)
            x->response.keep_alive = false;
        exchange_on_response_end(x, STR(""));
    }
}

static void read_records(struct upstream *u, const char *bytes, size_t len)
{
    struct str rest = { bytes, len }, piece;

    for (;;) {
        switch (fastcgi_read(&u->fastcgi->reader, &rest, &piece)) {
        case FASTCGI_MORE:
            if (u->state == UPSTREAM_BODY)
                exchange_flush_response(u->exchange);
            return;
        case FASTCGI_STDOUT:
            if (!take_output(u, piece))
                return;
            break;
        case FASTCGI_STDERR:
            take_error(u, piece);
            break;
        case FASTCGI_END:
            end_request(u, rest.len);
            return;
        case FASTCGI_BAD:
            upstream_lose(u, u->state == UPSTREAM_BODY ? FAULT_body_truncated : FAULT_bad_response);
            return;
        }
    }
}

static void ended(struct upstream *u, int error)
{
    (void)error;
    log_error(u);
    upstream_lose(u, u->state == UPSTREAM_HEAD ? FAULT_response_closed : FAULT_body_truncated);
}

const struct upstream_protocol upstream_fastcgi = {
    .name = "fcgi",
    .begin = begin,
    .send_head = send_head,
    .flush = flush,
    .read = read_records,
    .ended = ended,
    .closed = closed,
};
