/* parser.c -- llhttp, and what it leaves to us: limits, offsets, faults.
 *
 * Owns:    the parser's state, the trailers' text.
 * Thread:  any (a parser belongs to one).
 * Used by: proxy/session.c (requests), proxy/upstream.c (responses), control/admin_http.c.
 * Not here: what the fields say about the message (framing.c). */
#include "http/parser.h"

#include "base/check.h"

static struct parser *parser_of(llhttp_t *http)
{
    return http->data;
}

static int refuse(struct parser *p, enum fault fault)
{
    p->fault = fault;
    return HPE_USER;
}

static int on_target(llhttp_t *http, const char *at, size_t len)
{
    struct parser *p = parser_of(http);

    if (p->head->target_len == 0)
        p->head->target_at = (uint32_t)(at - p->base);
    p->head->target_len += (uint32_t)len;
    return p->head->target_len > p->limits->url_bytes ? refuse(p, FAULT_uri_too_long) : 0;
}

static int on_reason(llhttp_t *http, const char *at, size_t len)
{
    struct parser *p = parser_of(http);

    if (p->head->target_len == 0)
        p->head->target_at = (uint32_t)(at - p->base);
    p->head->target_len += (uint32_t)len;
    return 0;
}

static int trailer_bytes(struct parser *p, const char *at, size_t len)
{
    if (p->trailers.len + len > p->limits->head_bytes)
        return refuse(p, FAULT_head_too_large);
    buf_add(&p->trailers, at, len);
    return 0;
}

static int on_name(llhttp_t *http, const char *at, size_t len)
{
    struct parser *p = parser_of(http);

    if (p->in_trailers)
        return trailer_bytes(p, at, len);
    if (!p->in_name) {
        p->field = head_add(p->head, p->limits->header_count);
        if (p->field == NULL)
            return refuse(p, FAULT_head_too_large);
        *p->field = (struct field){ .name_at = (uint32_t)(at - p->base) };
        p->in_name = true;
    }
    if (p->field->name_len + len > UINT16_MAX)
        return refuse(p, FAULT_head_too_large);
    p->field->name_len = (uint16_t)(p->field->name_len + len);
    return 0;
}

static int on_value(llhttp_t *http, const char *at, size_t len)
{
    struct parser *p = parser_of(http);

    if (p->in_trailers)
        return trailer_bytes(p, at, len);
    p->in_name = false;
    if (p->field->value_len == 0)
        p->field->value_at = (uint32_t)(at - p->base);
    p->field->value_len += (uint32_t)len;
    return 0;
}

static int on_name_complete(llhttp_t *http)
{
    struct parser *p = parser_of(http);

    return p->in_trailers ? trailer_bytes(p, ": ", 2) : 0;
}

/* Fields that a trailer may not carry (RFC 9110 6.5.1), and those that are ours to set. */
static bool trailer_is_allowed(struct str name)
{
    enum field_id id = field_id_of(name);

    return id == FIELD_OTHER && !str_equals_nocase(name, STR("authorization")) &&
           !str_equals_nocase(name, STR("content-encoding")) &&
           !str_equals_nocase(name, STR("content-type")) &&
           !str_equals_nocase(name, STR("content-range")) &&
           !str_equals_nocase(name, STR("set-cookie")) && !str_equals_nocase(name, STR("cookie"));
}

static int on_trailer_complete(struct parser *p)
{
    size_t line = p->trailers.len;
    const char *colon;

    while (line > 0 && p->trailers.ptr[line - 1] != '\n')
        line--;
    colon = memchr(p->trailers.ptr + line, ':', p->trailers.len - line);
    CHECK(colon != NULL);
    if (!trailer_is_allowed(
            str_slice(p->trailers.ptr + line, (size_t)(colon - p->trailers.ptr) - line)))
        p->trailers.len = line;
    else
        buf_add(&p->trailers, "\r\n", 2);
    return 0;
}

static int on_value_complete(llhttp_t *http)
{
    struct parser *p = parser_of(http);
    struct field *f = p->field;
    struct head *h = p->head;
    struct str name;

    if (p->in_trailers)
        return on_trailer_complete(p);
    p->in_name = false;
    /* llhttp leaves blanks at a value's end. */
    while (f->value_len > 0 && (p->base[f->value_at + f->value_len - 1] == ' ' ||
                                p->base[f->value_at + f->value_len - 1] == '\t'))
        f->value_len--;
    name = str_slice(p->base + f->name_at, f->name_len);
    f->id = (uint16_t)field_id_of(name);
    if (f->id != FIELD_OTHER)
        h->known[f->id] = h->count;
    if (f->id == FIELD_HOST)
        h->host_count++;
    else if (f->id == FIELD_CONTENT_LENGTH)
        h->length_count++;
    else if (f->id == FIELD_TRANSFER_ENCODING)
        h->coding_count++;
    return 0;
}

/* llhttp takes several blanks where RFC 9112 3 allows one. */
static bool request_line_is_strict(const struct parser *p)
{
    const char *target = p->base + p->head->target_at;
    const char *end = target + p->head->target_len;

    return p->head->target_at >= 2 && target[-1] == ' ' && target[-2] != ' ' && end[0] == ' ' &&
           end[1] == 'H';
}

static int on_head_complete(llhttp_t *http)
{
    struct parser *p = parser_of(http);
    struct head *h = p->head;

    h->minor = http->http_minor;
    h->method = http->method;
    h->status = http->status_code;
    h->body_bytes = http->content_length;
    if (http->http_major != 1 || http->http_minor > 1)
        return refuse(p, FAULT_version_unsupported);
    if (http->type == HTTP_REQUEST && !request_line_is_strict(p))
        return refuse(p, FAULT_bad_request);
    return HPE_PAUSED;
}

static int on_body(llhttp_t *http, const char *at, size_t len)
{
    struct parser *p = parser_of(http);

    p->framing_bytes = 0;
    p->on_body(p, at, len);
    return 0;
}

static int on_message_complete(llhttp_t *http)
{
    (void)http;
    return HPE_PAUSED;
}

static const llhttp_settings_t callbacks = {
    .on_url = on_target,
    .on_status = on_reason,
    .on_header_field = on_name,
    .on_header_field_complete = on_name_complete,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_head_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void parser_init(struct parser *p, bool request, const struct parser_limits *limits)
{
    memset(p, 0, sizeof(*p));
    llhttp_init(&p->http, request ? HTTP_REQUEST : HTTP_RESPONSE, &callbacks);
    p->http.data = p;
    p->limits = limits;
}

void parser_free(struct parser *p)
{
    buf_free(&p->trailers);
}

void parser_start(struct parser *p, struct head *head)
{
    llhttp_reset(&p->http);
    p->head = head;
    p->field = NULL;
    p->in_name = p->in_trailers = false;
    p->fault = FAULT_NONE;
    p->body_left = p->framing_bytes = 0;
    buf_clear(&p->trailers);
}

static bool is_token(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* A method llhttp does not know is 501 when it could be one at all (RFC 9110 9.1). */
static enum fault method_fault(struct str line)
{
    size_t n = 0;

    while (n < line.len && (line.ptr[n] == '\r' || line.ptr[n] == '\n'))
        n++;
    line = str_slice(line.ptr + n, line.len - n);
    for (n = 0; n < line.len && is_token(line.ptr[n]);)
        n++;
    return n > 0 && n < line.len && line.ptr[n] == ' ' ? FAULT_not_implemented : FAULT_bad_request;
}

/* HTTP/3.7 is 505; HTTX/1.1 is 400. */
static enum fault version_fault(struct str line)
{
    const char *at = memmem(line.ptr, line.len, " HTTP/", 6);
    size_t left = at ? line.len - (size_t)(at - line.ptr) : 0;

    if (left < 9 || at[6] < '0' || at[6] > '9' || at[7] != '.' || at[8] < '0' || at[8] > '9')
        return FAULT_bad_request;
    return at[6] == '1' && at[8] <= '1' ? FAULT_bad_request : FAULT_version_unsupported;
}

static enum fault head_fault(const struct parser *p, llhttp_errno_t error, struct str line)
{
    const char *end = memchr(line.ptr, '\n', line.len);

    if (end != NULL && end - line.ptr > 2)
        line.len = (size_t)(end - line.ptr);
    if (p->http.type == HTTP_RESPONSE)
        return FAULT_bad_response;
    switch (error) {
    case HPE_INVALID_METHOD:
        return method_fault(line);
    case HPE_INVALID_VERSION:
    case HPE_PAUSED_H2_UPGRADE:
        return version_fault(line);
    default:
        return FAULT_bad_request;
    }
}

enum parse_result parser_head(struct parser *p, const char *base, size_t from, size_t len)
{
    size_t most = len < p->limits->head_bytes ? len : p->limits->head_bytes;
    llhttp_errno_t error;

    p->base = p->head->base = base;
    error = llhttp_execute(&p->http, base + from, most - from);
    if (error == HPE_PAUSED) {
        p->head->bytes = (uint32_t)(llhttp_get_error_pos(&p->http) - base);
        return PARSE_DONE;
    }
    if (error == HPE_OK && most == len && len < p->limits->head_bytes)
        return PARSE_MORE;
    if (error == HPE_OK)
        p->fault = FAULT_head_too_large;
    else if (p->fault == FAULT_NONE)
        p->fault = head_fault(p, error, str_slice(base, len));
    if (p->http.type == HTTP_RESPONSE)
        p->fault = FAULT_bad_response;
    return PARSE_BAD;
}

static enum parse_result chunked(struct parser *p, const char *bytes, size_t len, size_t *taken)
{
    llhttp_errno_t error;

    p->in_trailers = true;
    if (llhttp_get_errno(&p->http) == HPE_PAUSED)
        llhttp_resume(&p->http);
    p->framing_bytes += len; /* taken back by on_body */
    error = llhttp_execute(&p->http, bytes, len);
    *taken = len;
    if (error == HPE_OK && p->framing_bytes <= p->limits->head_bytes)
        return PARSE_MORE;
    if (error == HPE_PAUSED || error == HPE_PAUSED_UPGRADE) {
        *taken = (size_t)(llhttp_get_error_pos(&p->http) - bytes);
        return PARSE_DONE;
    }
    if (p->fault == FAULT_NONE || p->http.type == HTTP_RESPONSE)
        p->fault = p->http.type == HTTP_RESPONSE ? FAULT_bad_response : FAULT_bad_request;
    return PARSE_BAD;
}

enum parse_result parser_body(struct parser *p, const char *bytes, size_t len, size_t *taken)
{
    switch (p->head->body) {
    case BODY_CHUNKED:
        return chunked(p, bytes, len, taken);
    case BODY_LENGTH:
        *taken = len < p->body_left ? len : (size_t)p->body_left;
        p->body_left -= *taken;
        if (*taken > 0)
            p->on_body(p, bytes, *taken);
        return p->body_left > 0 ? PARSE_MORE : PARSE_DONE;
    case BODY_UNTIL_CLOSE:
        *taken = len;
        if (len > 0)
            p->on_body(p, bytes, len);
        return PARSE_MORE;
    case BODY_NONE:
        break;
    }
    *taken = 0;
    return PARSE_DONE;
}

struct str parser_method_name(uint8_t method)
{
    return str_from(llhttp_method_name((llhttp_method_t)method));
}

bool parser_method_number(struct str name, uint8_t *method)
{
    static const struct {
        const char *name;
        uint8_t number;
    } rows[] = {
#define ROW(number, name, text) { #text, HTTP_##name },
        HTTP_METHOD_MAP(ROW)
#undef ROW
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        *method = rows[i].number;
        if (str_equals(name, str_from(rows[i].name)))
            return rows[i].number != HTTP_CONNECT;
    }
    return false;
}

bool parser_method_is_idempotent(uint8_t method)
{
    return method == HTTP_GET || method == HTTP_HEAD || method == HTTP_OPTIONS ||
           method == HTTP_TRACE || method == HTTP_PUT || method == HTTP_DELETE;
}

#define TEXT(x) #x
#define VERSION_TEXT(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)

const char *parser_library_version(void)
{
    return VERSION_TEXT(LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH);
}
