/* health_check.c -- a connection, a request, the head of the answer, perhaps some of its body.
 *
 * Owns:    checks under way, until their connections have closed.
 * Thread:  control
 * Used by: health.c.
 * Not here: when to check, and what it comes to (health.c, health_verdict.c). */
#include "control/health_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "http/framing.h"
#include "http/parser.h"

#define READ_SIZE (16 * 1024)
#define HEAD_MOST (32 * 1024)
#define BODY_MOST (64 * 1024)
#define HOST_SIZE 320

static const struct parser_limits limits = { .head_bytes = HEAD_MOST,
                                             .header_count = 100,
                                             .url_bytes = 8 * 1024 };

struct health_check {
    struct health_checks *checks;
    const struct health_policy *policy; /* while fn is not NULL */
    struct address at;
    char unix_path[UNIX_PATH_SIZE]; /* "": the address says where */
    bool connects_only;
    char host[HOST_SIZE];
    enum proxy_version send_proxy;
    health_checked_fn fn; /* NULL: told, or not wanted any more */
    void *owner;
    struct conn conn;
    struct timer limit;
    bool connected, in_body;
    struct parser parser;
    struct head head;
    struct buf in; /* the head; then what of the body is looked through */
    struct turn_end later;
    int error; /* of connecting, told at the turn's end */
};

static void finish(struct health_check *k, bool good, const char *reason)
{
    health_checked_fn fn = k->fn;

    k->fn = NULL;
    timer_stop(&k->limit);
    conn_close(&k->conn);
    if (fn != NULL)
        fn(k->owner, good, reason);
}

static void fail(struct health_check *k, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void fail(struct health_check *k, const char *format, ...)
{
    char reason[HEALTH_REASON_SIZE], *bar;
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    str_printable(str_from(reason), reason, sizeof(reason));
    while ((bar = strchr(reason, '|')) != NULL)
        *bar = '/'; /* it parts what is written to Redis */
    finish(k, false, reason);
}

/* --- what comes back --- */

static bool status_is_good(const struct health_policy *p, unsigned status)
{
    for (uint32_t i = 0; i < p->range_count; i++)
        if (status >= p->ranges[i].from && status <= p->ranges[i].to)
            return true;
    return false;
}

static bool body_holds(const struct health_check *k)
{
    struct str wanted = k->policy->body;

    return k->in.len >= wanted.len && memmem(k->in.ptr, k->in.len, wanted.ptr, wanted.len) != NULL;
}

static void lack_body(struct health_check *k)
{
    fail(k, "body without \"" STR_FMT "\"", STR_ARG(k->policy->body));
}

static void on_body(struct parser *p, const char *bytes, size_t len)
{
    struct health_check *k = LIST_ITEM(p, struct health_check, parser);
    size_t room = BODY_MOST - k->in.len;

    buf_add(&k->in, bytes, len < room ? len : room);
}

static void take_body(struct health_check *k, const char *bytes, size_t len)
{
    size_t taken;
    enum parse_result result = parser_body(&k->parser, bytes, len, &taken);

    if (body_holds(k))
        finish(k, true, "");
    else if (result == PARSE_BAD)
        fail(k, "no right HTTP: %s", fault_row(k->parser.fault)->sentence);
    else if (result == PARSE_DONE || k->in.len == BODY_MOST)
        lack_body(k);
}

/* The head is whole; rest[0..len) came behind it. */
static void take_head(struct health_check *k, size_t at)
{
    struct str rest = str_slice(k->in.ptr + at, k->in.len - at);
    bool to_head = str_equals(k->policy->method, STR("HEAD"));
    struct buf whole = k->in;

    if (framing_response(&k->head, to_head, false) != FAULT_NONE) {
        fail(k, "no right HTTP: its framing");
        return;
    }
    if (!status_is_good(k->policy, k->head.status)) {
        fail(k, "status %u, expected " STR_FMT, k->head.status, STR_ARG(k->policy->status));
        return;
    }
    if (k->policy->body.len == 0) {
        finish(k, true, "");
        return;
    }
    if (k->head.body == BODY_NONE) {
        lack_body(k);
        return;
    }
    k->in = (struct buf){ 0 };
    k->in_body = true;
    k->parser.body_left = k->head.body_bytes;
    take_body(k, rest.ptr, rest.len);
    buf_free(&whole);
}

/* Heads of 100 to 199 come before that of the answer. */
static void take_heads(struct health_check *k, size_t from)
{
    for (;;) {
        enum parse_result result = parser_head(&k->parser, k->in.ptr, from, k->in.len);
        size_t at;

        if (result == PARSE_BAD)
            fail(k, "no right HTTP: %s", fault_row(k->parser.fault)->sentence);
        if (result != PARSE_DONE)
            return;
        at = k->head.bytes;
        if (k->head.status >= 200) {
            take_head(k, at);
            return;
        }
        memmove(k->in.ptr, k->in.ptr + at, k->in.len - at);
        k->in.len -= at;
        from = 0;
        head_clear(&k->head);
        parser_start(&k->parser, &k->head);
        if (k->in.len == 0)
            return;
    }
}

static void on_read(struct conn *c, const char *bytes, size_t len)
{
    struct health_check *k = LIST_ITEM(c, struct health_check, conn);
    size_t from = k->in.len;

    if (k->fn == NULL)
        return;
    if (k->in_body) {
        take_body(k, bytes, len);
        return;
    }
    buf_add(&k->in, bytes, len);
    take_heads(k, from);
}

static void on_ended(struct conn *c, int error)
{
    struct health_check *k = LIST_ITEM(c, struct health_check, conn);

    if (k->fn == NULL)
        return;
    if (k->in_body && error == 0 && k->head.body == BODY_UNTIL_CLOSE)
        lack_body(k);
    else
        fail(k, "closed %s",
             k->in_body      ? "within the answer's body"
             : k->in.len > 0 ? "within the answer's head"
                             : "without an answer");
}

/* --- what is sent --- */

static void write_request(const struct health_check *k, struct buf *to)
{
    const struct health_policy *p = k->policy;

    buf_printf(to, STR_FMT " " STR_FMT " HTTP/1.1\r\nHost: %s", STR_ARG(p->method),
               STR_ARG(p->path), k->host);
    buf_printf(to,
               "\r\nUser-Agent: usher-health/%s\r\nUsher-Edge: %s\r\nAccept: */*\r\n"
               "Connection: close\r\n\r\n",
               USHER_VERSION, k->checks->edge);
}

static const char *error_text(int error)
{
    switch (-error) {
    case ECONNREFUSED:
        return "refused";
    case ETIMEDOUT:
        return "timed out";
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "no way there";
    case ECONNRESET:
        return "reset";
    case EMFILE:
    case ENFILE:
        return "no descriptor is left";
    }
    return "failed";
}

static void on_connected(struct conn *c, int error)
{
    struct health_check *k = LIST_ITEM(c, struct health_check, conn);
    bool asks = k->fn != NULL && !k->connects_only && health_kind_of(k->policy) == HEALTH_HTTP;
    char header[PROXY_HEADER_ROOM];
    struct buf out = { 0 };

    if (k->fn == NULL)
        return;
    if (error != 0) {
        fail(k, "connection %s", error_text(error));
        return;
    }
    k->connected = true;
    if (k->send_proxy != PROXY_NONE)
        buf_add(&out, header, proxy_header_write_local(k->send_proxy, header));
    if (asks)
        write_request(k, &out);
    if (out.len > 0 && !conn_write(c, &(struct iovec){ out.ptr, out.len }, 1))
        fail(k, "connection broken");
    else if (!asks)
        finish(k, true, "");
    else
        conn_read(c, true);
    buf_free(&out);
}

/* --- beginning and ending --- */

static void on_drained(struct conn *c)
{
    (void)c;
}

static void on_closed(struct conn *c)
{
    struct health_check *k = LIST_ITEM(c, struct health_check, conn);
    struct health_checks *checks = k->checks;

    turn_end_cancel(&k->later);
    parser_free(&k->parser);
    head_free(&k->head);
    buf_free(&k->in);
    free(k);
    checks->open--;
    checks->on_room(checks->owner);
}

static const struct conn_events conn_events = { .connected = on_connected,
                                                .read = on_read,
                                                .ended = on_ended,
                                                .drained = on_drained,
                                                .closed = on_closed };

static void on_limit(struct timer *t)
{
    struct health_check *k = LIST_ITEM(t, struct health_check, limit);

    fail(k, "%s within %u ms",
         !k->connected ? "no connection"
         : k->in_body  ? "no whole answer"
                       : "no answer",
         k->policy->timeout_ms);
}

/* It could not even be tried, or is there at once; whoever asked is told when it is not in the middle
 * of asking. */
static void on_later(struct turn_end *end)
{
    struct health_check *k = LIST_ITEM(end, struct health_check, later);

    on_connected(&k->conn, k->error);
}

struct health_check *health_check_start(struct health_checks *c, const struct health_policy *p,
                                        const struct health_place *place,
                                        enum proxy_version send_proxy, health_checked_fn fn,
                                        void *owner)
{
    struct health_check *k = check_alloc(sizeof(*k));

    k->checks = c;
    k->policy = p;
    k->at = place->at;
    k->connects_only = place->connects_only;
    snprintf(k->host, sizeof(k->host), STR_FMT, STR_ARG(p->host.len > 0 ? p->host : place->host));
    CHECK(place->unix_path.len < sizeof(k->unix_path));
    if (place->unix_path.len > 0)
        memcpy(k->unix_path, place->unix_path.ptr, place->unix_path.len);
    k->send_proxy = send_proxy;
    k->fn = fn;
    k->owner = owner;
    head_init(&k->head);
    parser_init(&k->parser, false, &limits);
    k->parser.on_body = on_body;
    parser_start(&k->parser, &k->head);
    timer_init(&k->limit, on_limit);
    turn_end_init(&k->later, on_later);
    c->open++;
    timer_set(c->loop, &k->limit, p->timeout_ms);
    if (k->unix_path[0] != '\0') {
        conn_connect_unix(&k->conn, c->loop, k->unix_path, &conn_events, &c->read_buffer,
                          &k->error);
        loop_at_turn_end(c->loop, &k->later);
    } else if (!conn_connect(&k->conn, c->loop, &k->at, &conn_events, &c->read_buffer, &k->error)) {
        loop_at_turn_end(c->loop, &k->later);
    }
    return k;
}

void health_check_cancel(struct health_check *k)
{
    k->fn = NULL;
    finish(k, false, "");
}

void health_checks_open(struct health_checks *c, struct loop *l, const char *edge,
                        void (*on_room)(void *owner), void *owner)
{
    *c = (struct health_checks){ .loop = l, .edge = edge, .on_room = on_room, .owner = owner };
    c->read_bytes = check_alloc(READ_SIZE);
    c->read_buffer = (struct conn_read_buffer){ c->read_bytes, READ_SIZE };
}

void health_checks_free(struct health_checks *c)
{
    CHECK(c->open == 0);
    free(c->read_bytes);
}
