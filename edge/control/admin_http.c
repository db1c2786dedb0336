/* admin_http.c -- reading one request, writing one response, closing.
 *
 * Owns:    the admin listener and its connections.
 * Thread:  control
 * Used by: control.c; admin_pages.c answers.
 * Not here: what the pages say (admin_pages.c). */
#include "control/admin_http.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "base/log.h"
#include "http/framing.h"
#include "http/parser.h"
#include "http/serializer.h"
#include "net/conn.h"
#include "net/listener.h"
#include "net/loop.h"

#define EXCHANGES_MAX 64
#define READ_SIZE 4096
#define REQUEST_MS 10000 /* for the whole head to come */
#define SEND_MS 30000    /* for the whole response to go */
#define LINGER_MS 1000   /* for the client to close after it */

static const struct parser_limits limits = { .head_bytes = 8192,
                                             .header_count = 64,
                                             .url_bytes = 6144 };

struct admin_http {
    struct loop *loop;
    struct listener listener;
    struct conn_read_buffer read_buffer;
    struct list exchanges;
    unsigned count;
    admin_http_fn fn;
    void *owner;
    char read_bytes[READ_SIZE];
};

struct admin_exchange {
    struct list node;
    struct admin_http *http;
    struct conn conn;
    struct timer limit;
    struct parser parser;
    struct head head;
    struct buf request;
    bool is_head; /* HEAD: no body goes back */
    bool is_post;
    bool asked;    /* the page is at work */
    bool answered; /* the response was given to the connection */
    bool sent;     /* and left it; the client closes now */
    bool closed;   /* the connection is no more */
};

static void free_when_over(struct admin_exchange *x)
{
    struct admin_http *a = x->http;

    if (!x->closed || (x->asked && !x->answered))
        return;
    timer_stop(&x->limit);
    list_remove(&x->node);
    a->count--;
    parser_free(&x->parser);
    head_free(&x->head);
    buf_free(&x->request);
    free(x);
    listener_resume(&a->listener);
}

static void finish_sending(struct admin_exchange *x)
{
    x->sent = true;
    conn_shutdown(&x->conn);
    timer_set(x->http->loop, &x->limit, LINGER_MS);
}

static void answer_text(struct admin_exchange *x, unsigned status, struct str text)
{
    struct buf body = { 0 };

    buf_add_str(&body, text);
    buf_add_text(&body, "\n");
    x->asked = true;
    admin_http_answer(x, status, "text/plain; charset=utf-8", &body);
}

static void take_request(struct admin_exchange *x)
{
    struct str target = head_target(&x->head), path = target, query = { NULL, 0 };
    struct str method = parser_method_name(x->head.method);
    enum fault fault = framing_request(&x->head);
    const char *mark;

    if (fault != FAULT_NONE) {
        answer_text(x, fault_row(fault)->status, str_from(fault_row(fault)->sentence));
        return;
    }
    x->is_head = str_equals(method, STR("HEAD"));
    x->is_post = str_equals(method, STR("POST"));
    if (!x->is_head && !x->is_post && !str_equals(method, STR("GET"))) {
        answer_text(x, 405, STR("only GET, HEAD and POST"));
        return;
    }
    if (target.len == 0 || target.ptr[0] != '/') {
        answer_text(x, 400, STR("the request target must be a path"));
        return;
    }
    mark = memchr(target.ptr, '?', target.len);
    if (mark != NULL) {
        path.len = (size_t)(mark - target.ptr);
        query = str_slice(mark + 1, target.len - path.len - 1);
    }
    x->asked = true;
    timer_stop(&x->limit);
    x->http->fn(x->http->owner, x, path, query);
}

static void on_read(struct conn *c, const char *bytes, size_t len)
{
    struct admin_exchange *x = LIST_ITEM(c, struct admin_exchange, conn);
    size_t before = x->request.len;

    if (x->asked || before > limits.head_bytes)
        return; /* one request a connection; the rest is read and dropped */
    buf_add(&x->request, bytes, len);
    switch (parser_head(&x->parser, x->request.ptr, before, x->request.len)) {
    case PARSE_MORE:
        return;
    case PARSE_DONE:
        take_request(x);
        return;
    case PARSE_BAD:
        answer_text(x, fault_row(x->parser.fault)->status,
                    str_from(fault_row(x->parser.fault)->sentence));
        return;
    }
}

static void on_ended(struct conn *c, int error)
{
    struct admin_exchange *x = LIST_ITEM(c, struct admin_exchange, conn);

    /* A client may close its side behind its request, and still read. */
    if (error != 0 || !x->asked || x->sent)
        conn_close(c);
}

static void on_drained(struct conn *c)
{
    struct admin_exchange *x = LIST_ITEM(c, struct admin_exchange, conn);

    if (c->write_failed)
        conn_close(c);
    else if (x->answered && !x->sent)
        finish_sending(x);
}

static void on_closed(struct conn *c)
{
    struct admin_exchange *x = LIST_ITEM(c, struct admin_exchange, conn);

    x->closed = true;
    free_when_over(x);
}

static void on_limit(struct timer *t)
{
    conn_close(&LIST_ITEM(t, struct admin_exchange, limit)->conn);
}

static const struct conn_events conn_events = {
    .read = on_read, .ended = on_ended, .drained = on_drained, .closed = on_closed
};

static bool has_room(void *owner)
{
    struct admin_http *a = owner;

    return a->count < EXCHANGES_MAX;
}

static void on_accepted(void *owner, int fd, const struct address *client)
{
    struct admin_http *a = owner;
    struct admin_exchange *x = check_alloc(sizeof(*x));

    (void)client;
    x->http = a;
    if (!conn_accept(&x->conn, a->loop, fd, &conn_events, &a->read_buffer)) {
        /* The handle is in use all the same: it is freed when it has closed. */
        x->answered = true;
    }
    list_append(&a->exchanges, &x->node);
    a->count++;
    head_init(&x->head);
    parser_init(&x->parser, true, &limits);
    parser_start(&x->parser, &x->head);
    timer_init(&x->limit, on_limit);
    if (x->answered) {
        conn_close(&x->conn);
        return;
    }
    timer_set(a->loop, &x->limit, REQUEST_MS);
    conn_read(&x->conn, true);
}

static void on_paused(void *owner, const char *reason)
{
    (void)owner;
    log_line(LOG_WARN, "admin_paused", "reason=%s", reason);
}

static const struct listener_events listener_events = { .room = has_room,
                                                        .accepted = on_accepted,
                                                        .paused = on_paused };

struct admin_http *admin_http_open(struct loop *l, int fd, admin_http_fn fn, void *owner)
{
    struct admin_http *a = check_alloc(sizeof(*a));

    a->loop = l;
    a->fn = fn;
    a->owner = owner;
    a->read_buffer = (struct conn_read_buffer){ a->read_bytes, sizeof(a->read_bytes) };
    list_init(&a->exchanges);
    listener_open(&a->listener, l, fd, &listener_events, a);
    return a;
}

bool admin_http_is_post(const struct admin_exchange *x)
{
    return x->is_post;
}

/* Of a page that another method was wanted for. */
static const char *allowed(const struct admin_exchange *x)
{
    bool is_get = x->is_head || str_equals(parser_method_name(x->head.method), STR("GET"));

    return is_get ? "Allow: POST\r\n" : "Allow: GET, HEAD\r\n";
}

void admin_http_answer(struct admin_exchange *x, unsigned status, const char *type,
                       struct buf *body)
{
    struct buf head = { 0 };
    struct iovec pieces[2];

    CHECK(x->asked && !x->answered);
    x->answered = true;
    if (x->closed || x->conn.closing) {
        buf_free(body);
        free_when_over(x);
        return;
    }
    buf_printf(&head,
               "HTTP/1.1 %u " STR_FMT "\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
               "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
               status, STR_ARG(serializer_reason(status)), type, body->len,
               status == 405 ? allowed(x) : "");
    pieces[0] = (struct iovec){ head.ptr, head.len };
    pieces[1] = (struct iovec){ body->ptr, body->len };
    timer_set(x->http->loop, &x->limit, SEND_MS);
    if (!conn_write(&x->conn, pieces, x->is_head || body->len == 0 ? 1 : 2))
        conn_close(&x->conn);
    else if (!conn_is_blocked(&x->conn))
        finish_sending(x);
    buf_free(&head);
    buf_free(body);
}

void admin_http_deafen(struct admin_http *a)
{
    listener_close(&a->listener, false);
}

void admin_http_close(struct admin_http *a)
{
    listener_close(&a->listener, false);
    LIST_EACH (node, after, &a->exchanges)
        conn_close(&LIST_ITEM(node, struct admin_exchange, node)->conn);
}

void admin_http_free(struct admin_http *a)
{
    CHECK(list_is_empty(&a->exchanges));
    free(a);
}
