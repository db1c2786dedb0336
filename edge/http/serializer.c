/* serializer.c -- writes heads.
 *
 * Owns:    nothing; writes where it is told.
 * Thread:  any.
 * Used by: proxy/upstream_http1.c, upstream_fastcgi.c (requests), session_side.c (responses), reply.c
 *          (phrases); control/explain_sent.c, admin_http.c.
 * Not here: chunks and bodies (proxy/gather.c). */
#include "http/serializer.h"

struct out {
    char *at;
    char *end;
};

static void put(struct out *o, struct str s)
{
    if (s.len > (size_t)(o->end - o->at)) {
        o->end = o->at; /* full: nothing more fits, and the caller sees at == end */
        return;
    }
    memcpy(o->at, s.ptr, s.len);
    o->at += s.len;
}

static void put_field(struct out *o, struct str name, struct str value)
{
    put(o, name);
    put(o, value);
    put(o, STR("\r\n"));
}

/* Fields that end at this hop, whoever sent them. */
static bool is_hop_by_hop(unsigned id)
{
    return id == FIELD_CONNECTION || id == FIELD_TRANSFER_ENCODING || id == FIELD_TE ||
           id == FIELD_UPGRADE || id == FIELD_KEEP_ALIVE || id == FIELD_PROXY_CONNECTION ||
           id == FIELD_PROXY_AUTHENTICATE || id == FIELD_PROXY_AUTHORIZATION ||
           id == FIELD_HTTP2_SETTINGS || id == FIELD_TRAILER;
}

/* What a client may not tell an endpoint: it is ours to say. */
static bool request_drops(const struct head *h, unsigned id)
{
    return id == FIELD_HOST || id == FIELD_CONTENT_LENGTH || id == FIELD_FORWARDED ||
           id == FIELD_X_FORWARDED_FOR || id == FIELD_X_FORWARDED_PROTO ||
           id == FIELD_X_FORWARDED_HOST || (id == FIELD_EXPECT && !h->expect_continue) ||
           (is_hop_by_hop(id) && (id != FIELD_TRAILER || h->body != BODY_CHUNKED));
}

static bool response_drops(const struct head *h, unsigned id)
{
    return id == FIELD_USHER ||
           (id == FIELD_CONTENT_LENGTH && (h->status == 204 || h->status < 200)) ||
           (is_hop_by_hop(id) && id != FIELD_PROXY_AUTHENTICATE &&
            (id != FIELD_TRAILER || h->body != BODY_CHUNKED));
}

/* Is the field, as it stands in the bytes that were read, just what we would write? */
static bool is_verbatim(const struct head *h, const struct field *f)
{
    return f->value_at == f->name_at + f->name_len + 2u && h->base[f->value_at - 1] == ' ' &&
           h->base[f->value_at + f->value_len] == '\r';
}

/* Is a field of this name taken away or replaced, by the edits from `from` on? */
static bool is_edited(const struct request_out *r, uint32_t from, struct str name)
{
    for (uint32_t i = from; i < r->edit_count; i++)
        if (str_equals_nocase(r->edits[i].name, name))
            return true;
    return false;
}

static void put_edits(struct out *o, const struct request_out *r)
{
    for (uint32_t i = 0; i < r->edit_count; i++) {
        if (r->edits[i].value.ptr == NULL || is_edited(r, i + 1, r->edits[i].name))
            continue;
        put(o, r->edits[i].name);
        put_field(o, STR(": "), r->edits[i].value);
    }
}

/* Writes the fields that `drops` and the edits of `r` (NULL: none) leave. Neighbours that stand in the bytes as we would write them
 * are copied together: that is most of most heads. */
static void put_fields(struct out *o, const struct head *h,
                       bool (*drops)(const struct head *h, unsigned id),
                       const struct request_out *r)
{
    const char *run = NULL, *run_end = NULL;

    for (unsigned i = 0; i < h->count; i++) {
        const struct field *f = &h->fields[i];
        const char *start = h->base + f->name_at;

        if ((f->id != FIELD_OTHER && drops(h, f->id)) ||
            (h->connection_names_fields && head_lists(h, FIELD_CONNECTION, head_name(h, f))) ||
            (r != NULL && r->edit_count > 0 && is_edited(r, 0, head_name(h, f))))
            continue;
        if (run != NULL && run_end == start && is_verbatim(h, f)) {
            run_end = h->base + f->value_at + f->value_len + 2;
            continue;
        }
        if (run != NULL)
            put(o, str_slice(run, (size_t)(run_end - run)));
        run = NULL;
        if (is_verbatim(h, f)) {
            run = start;
            run_end = h->base + f->value_at + f->value_len + 2;
        } else {
            put(o, head_name(h, f));
            put_field(o, STR(": "), head_value(h, f));
        }
    }
    if (run != NULL)
        put(o, str_slice(run, (size_t)(run_end - run)));
}

static void put_number(struct out *o, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    put(o, str_slice(digits + at, sizeof(digits) - at));
}

static bool is_v6(struct str ip)
{
    return memchr(ip.ptr, ':', ip.len) != NULL;
}

static void put_forwarded(struct out *o, const struct request_out *r)
{
    put(o, STR("Forwarded: for="));
    put(o, is_v6(r->client_ip) ? STR("\"[") : STR(""));
    put(o, r->client_ip);
    put(o, is_v6(r->client_ip) ? STR("]\"") : STR(""));
    put(o, STR(";host=\""));
    put(o, r->authority);
    put_field(o, STR("\";proto="), r->scheme);
}

static void put_request_framing(struct out *o, const struct head *h, const struct request_out *r)
{
    enum body_kind body = r->reframed ? r->body : h->body;

    if (body == BODY_CHUNKED) {
        put(o, STR("Transfer-Encoding: chunked\r\n"));
    } else if (body == BODY_LENGTH || h->length_count > 0) {
        put(o, STR("Content-Length: "));
        put_number(o, body != BODY_LENGTH ? 0 : r->reframed ? r->body_bytes : h->body_bytes);
        put(o, STR("\r\n"));
    }
    if (h->upgrade)
        put(o, STR("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    else if (h->te_trailers)
        put(o, STR("Connection: TE\r\nTE: trailers\r\n"));
}

size_t serializer_request(char *to, size_t room, const struct head *h, const struct request_out *r)
{
    struct out o = { to, to + room };

    put(&o, r->method);
    put(&o, STR(" "));
    put(&o, r->path);
    if (r->query.ptr != NULL) {
        put(&o, STR("?"));
        put(&o, r->query);
    }
    put(&o, STR(" HTTP/1.1\r\n"));
    put_field(&o, STR("Host: "), r->host);
    put_fields(&o, h, request_drops, r);
    put_edits(&o, r);
    put_request_framing(&o, h, r);
    put_field(&o, STR("X-Forwarded-For: "), r->client_ip);
    put_field(&o, STR("X-Forwarded-Proto: "), r->scheme);
    put_field(&o, STR("X-Forwarded-Host: "), r->authority);
    if (r->forwarded)
        put_forwarded(&o, r);
    put(&o, h->minor == 0 ? STR("Via: 1.0 ") : STR("Via: 1.1 "));
    put(&o, r->id);
    put_field(&o, STR("\r\nCDN-Loop: "), r->id);
    put(&o, STR("\r\n"));
    return o.at < o.end ? (size_t)(o.at - to) : 0;
}

/* Reason phrases may hold what fields may; anything else is left out (RFC 9112 4). */
static struct str clean_reason(const struct head *h)
{
    struct str reason = head_target(h);

    for (size_t i = 0; i < reason.len; i++) {
        unsigned char c = (unsigned char)reason.ptr[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return serializer_reason(h->status);
    }
    return reason.len > 0 ? reason : serializer_reason(h->status);
}

/* For the whole host, and not for scripts or other sites (RFC 6265). */
static void put_cookie(struct out *o, const struct response_out *r)
{
    put(o, STR("Set-Cookie: "));
    put(o, r->cookie);
    put(o, STR("="));
    put(o, r->cookie_value);
    put(o, STR("; Path=/; HttpOnly; SameSite=Lax\r\n"));
}

size_t serializer_response(char *to, size_t room, const struct head *h,
                           const struct response_out *r)
{
    struct out o = { to, to + room };

    put(&o, STR("HTTP/1.1 "));
    put_number(&o, r->status);
    put(&o, STR(" "));
    put_field(&o, clean_reason(h), STR(""));
    put_fields(&o, h, response_drops, NULL);
    if (h->status == 101)
        put(&o, STR("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    else if (r->close)
        put(&o, STR("Connection: close\r\n"));
    else if (r->keep_alive)
        put(&o, STR("Connection: keep-alive\r\n"));
    if (r->chunked)
        put(&o, STR("Transfer-Encoding: chunked\r\n"));
    if (h->known[FIELD_DATE] == 0 && h->status >= 200)
        put_field(&o, STR("Date: "), r->date);
    if (r->cookie.len > 0)
        put_cookie(&o, r);
    put(&o, h->minor == 0 ? STR("Via: 1.0 ") : STR("Via: 1.1 "));
    put_field(&o, r->id, STR("\r\n"));
    return o.at < o.end ? (size_t)(o.at - to) : 0;
}

struct str serializer_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } rows[] = {
        { 100, "Continue" },
        { 101, "Switching Protocols" },
        { 103, "Early Hints" },
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 203, "Non-Authoritative Information" },
        { 204, "No Content" },
        { 205, "Reset Content" },
        { 206, "Partial Content" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 307, "Temporary Redirect" },
        { 308, "Permanent Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 407, "Proxy Authentication Required" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 416, "Range Not Satisfiable" },
        { 417, "Expectation Failed" },
        { 421, "Misdirected Request" },
        { 422, "Unprocessable Content" },
        { 425, "Too Early" },
        { 426, "Upgrade Required" },
        { 428, "Precondition Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 451, "Unavailable For Legal Reasons" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
        { 508, "Loop Detected" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].status == status)
            return str_from(rows[i].phrase);
    return STR("");
}
