/* cgi.c -- parameters of a request, the head of a response.
 *
 * Owns:    nothing; writes where it is told.
 * Thread:  any.
 * Used by: proxy/upstream_fastcgi.c, control/explain_sent.c.
 * Not here: records (fastcgi.c); reading the head that a response becomes (parser.c). */
#include "http/cgi.h"

#include <stdio.h>

#include "http/field_names.h"

#define SUFFIX ".php"

/* --- scripts --- */

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = str_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One octet at *at, decoded once; -1: half an escape. */
static int octet_at(struct str path, size_t *at)
{
    int high, low;

    if (path.ptr[*at] != '%')
        return (unsigned char)path.ptr[(*at)++];
    if (path.len - *at < 3)
        return -1;
    high = hex_of(path.ptr[*at + 1]);
    low = hex_of(path.ptr[*at + 2]);
    *at += 3;
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool cgi_climbs(struct str path)
{
    size_t at = 0, dots = 0, others = 0, escapes = 0;

    while (at <= path.len) {
        bool ends = at == path.len || path.ptr[at] == '/';
        bool escaped = !ends && path.ptr[at] == '%';
        int c;

        if (ends && dots == 2 && others == 0 && escapes > 0)
            return true;
        if (ends) {
            dots = others = escapes = 0;
            at++;
            continue;
        }
        c = octet_at(path, &at);
        if (c < 0)
            return false;
        dots += c == '.';
        others += c != '.';
        escapes += escaped;
    }
    return false;
}

/* Decoded once, "//" as "/". Returns the length; 0: refused. */
static size_t decode(struct str path, char *to)
{
    size_t len = 0, at = 0;

    while (at < path.len) {
        bool escaped = path.ptr[at] == '%';
        int c = octet_at(path, &at);

        if (c < 0x20 || c == 0x7f || c == '\\' || (c == '/' && escaped))
            return 0;
        if (c != '/' || len == 0 || to[len - 1] != '/')
            to[len++] = (char)c;
    }
    return len;
}

static bool has_dot_segments(struct str path)
{
    struct str segment;

    while (str_split(&path, '/', &segment))
        if (str_equals(segment, STR(".")) || str_equals(segment, STR("..")))
            return true;
    return false;
}

static bool ends_in_suffix(struct str path)
{
    return path.len > sizeof(SUFFIX) &&
           memcmp(path.ptr + path.len - (sizeof(SUFFIX) - 1), SUFFIX, sizeof(SUFFIX) - 1) == 0;
}

bool cgi_script_of(struct str path, const struct cgi_scripts *scripts, char *scratch,
                   struct cgi_script *script)
{
    struct str whole = str_slice(scratch, decode(path, scratch));
    const char *cut = NULL;

    *script = (struct cgi_script){ .name = whole, .path_info = str_slice(scratch, 0) };
    if (whole.len == 0 || whole.ptr[0] != '/' || has_dot_segments(whole))
        return false;
    if (scripts->path_info)
        cut = memmem(whole.ptr, whole.len, SUFFIX "/", sizeof(SUFFIX));
    if (cut != NULL) {
        script->name.len = (size_t)(cut - whole.ptr) + sizeof(SUFFIX) - 1;
        script->path_info = str_slice(whole.ptr + script->name.len, whole.len - script->name.len);
    } else if (!ends_in_suffix(whole)) {
        scratch[0] = '/';
        memcpy(scratch + 1, scripts->index.ptr, scripts->index.len);
        script->name = str_slice(scratch, scripts->index.len + 1);
    }
    return true;
}

/* --- parameters --- */

static void put_address(struct fastcgi_writer *w, struct str ip_name, struct str port_name,
                        const struct address *a)
{
    char text[ADDRESS_TEXT_SIZE];

    fastcgi_param(w, ip_name, str_from(address_ip_text(a, text)));
    snprintf(text, sizeof(text), "%u", address_port(a));
    fastcgi_param(w, port_name, str_from(text));
}

static void put_two(struct fastcgi_writer *w, struct str name, struct str one, const char *between,
                    struct str two)
{
    struct str middle = str_from(between);

    fastcgi_param_open(w, name.len, one.len + middle.len + two.len);
    fastcgi_put(w, name);
    fastcgi_put(w, one);
    fastcgi_put(w, middle);
    fastcgi_put(w, two);
}

static void put_script(struct fastcgi_writer *w, const struct cgi_request *r)
{
    struct str root = r->scripts->root;

    put_two(w, STR("SCRIPT_FILENAME"), root, "", r->script.name);
    fastcgi_param(w, STR("SCRIPT_NAME"), r->script.name);
    put_two(w, STR("DOCUMENT_URI"), r->script.name, "", r->script.path_info);
    fastcgi_param(w, STR("DOCUMENT_ROOT"), root.len > 0 ? root : STR("/"));
    if (r->script.path_info.len == 0)
        return;
    fastcgi_param(w, STR("PATH_INFO"), r->script.path_info);
    put_two(w, STR("PATH_TRANSLATED"), root, "", r->script.path_info);
}

static void put_connection(struct fastcgi_writer *w, const struct cgi_request *r)
{
    fastcgi_param(w, STR("SERVER_NAME"), r->server_name);
    if (r->server != NULL)
        put_address(w, STR("SERVER_ADDR"), STR("SERVER_PORT"), r->server);
    else
        fastcgi_param(w, STR("SERVER_PORT"), r->https ? STR("443") : STR("80"));
    if (r->client != NULL)
        put_address(w, STR("REMOTE_ADDR"), STR("REMOTE_PORT"), r->client);
    else
        fastcgi_param(w, STR("REMOTE_ADDR"), r->client_ip);
}

/* --- fields --- */

/* The next field line of a head that serializer.c wrote. */
static bool next_field(struct str *rest, struct str *name, struct str *value)
{
    struct str line;

    if (!str_split(rest, '\n', &line) || line.len < 2)
        return false;
    line.len--; /* its CR */
    str_split(&line, ':', name);
    *value = str_trim(line);
    return true;
}

static bool is_parameter(struct str name)
{
    switch (field_id_of(name)) {
    case FIELD_CONNECTION:
    case FIELD_CONTENT_LENGTH: /* said otherwise */
    case FIELD_EXPECT:
    case FIELD_TE:
    case FIELD_TRAILER:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
        return false;
    default:
        /* HTTP_PROXY is a setting to many programs, and not a client's to make. */
        return !str_equals_nocase(name, STR("proxy")) && memchr(name.ptr, '_', name.len) == NULL;
    }
}

static bool stands_before(struct str all, struct str until, struct str name)
{
    struct str rest = str_slice(all.ptr, (size_t)(until.ptr - all.ptr)), other, value;

    while (next_field(&rest, &other, &value))
        if (str_equals_nocase(other, name))
            return true;
    return false;
}

static void put_field_name(struct fastcgi_writer *w, struct str name)
{
    char upper[256];

    for (size_t at = 0; at < name.len;) {
        size_t n = 0;

        for (; n < sizeof(upper) && at < name.len; n++, at++)
            upper[n] = name.ptr[at] == '-' ? '_'
                       : name.ptr[at] >= 'a' && name.ptr[at] <= 'z'
                           ? (char)(name.ptr[at] - ('a' - 'A'))
                           : name.ptr[at];
        fastcgi_put(w, str_slice(upper, n));
    }
}

/* All lines of one field as one value (RFC 9110 5.3, 6265 5.4), for a parameter has but one. */
static void put_field(struct fastcgi_writer *w, struct str name, struct str value, struct str rest)
{
    bool is_type = str_equals_nocase(name, STR("content-type"));
    struct str between = str_equals_nocase(name, STR("cookie")) ? STR("; ") : STR(", ");
    struct str more = rest, other, next;
    size_t bytes = value.len;

    while (!is_type && next_field(&more, &other, &next))
        if (str_equals_nocase(other, name))
            bytes += between.len + next.len;
    fastcgi_param_open(w, name.len + (is_type ? 0 : 5), bytes);
    if (!is_type)
        fastcgi_put(w, STR("HTTP_"));
    put_field_name(w, name);
    fastcgi_put(w, value);
    while (!is_type && next_field(&rest, &other, &next))
        if (str_equals_nocase(other, name)) {
            fastcgi_put(w, between);
            fastcgi_put(w, next);
        }
}

static void put_fields(struct fastcgi_writer *w, struct str head)
{
    struct str rest = head, line, name, value;

    str_split(&rest, '\n', &line);
    head = rest;
    for (;;) {
        struct str here = rest;

        if (!next_field(&rest, &name, &value))
            return;
        if (is_parameter(name) && !stands_before(head, here, name))
            put_field(w, name, value, rest);
    }
}

void cgi_params(struct fastcgi_writer *w, const struct cgi_request *r)
{
    bool has_query = r->query.ptr != NULL;

    fastcgi_param(w, STR("GATEWAY_INTERFACE"), STR("CGI/1.1"));
    fastcgi_param(w, STR("SERVER_SOFTWARE"), STR("usher"));
    fastcgi_param(w, STR("SERVER_PROTOCOL"), r->minor == 0 ? STR("HTTP/1.0") : STR("HTTP/1.1"));
    fastcgi_param(w, STR("REQUEST_SCHEME"), r->https ? STR("https") : STR("http"));
    if (r->https)
        fastcgi_param(w, STR("HTTPS"), STR("on"));
    fastcgi_param(w, STR("REDIRECT_STATUS"), STR("200")); /* without it some PHP refuses to run */
    fastcgi_param(w, STR("REQUEST_METHOD"), r->method);
    put_two(w, STR("REQUEST_URI"), r->path, has_query ? "?" : "", has_query ? r->query : STR(""));
    fastcgi_param(w, STR("QUERY_STRING"), has_query ? r->query : STR(""));
    put_script(w, r);
    put_connection(w, r);
    put_fields(w, r->head);
}

void cgi_param_length(struct fastcgi_writer *w, uint64_t bytes)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)bytes);
    fastcgi_param(w, STR("CONTENT_LENGTH"), str_from(digits));
}

/* --- responses --- */

size_t cgi_head_end(struct str bytes, size_t from)
{
    const char *end = bytes.ptr + bytes.len, *at = bytes.ptr + (from > 2 ? from - 2 : 0);

    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        at++;
        if (at < end && *at == '\n')
            return (size_t)(at + 1 - bytes.ptr);
        if (end - at >= 2 && at[0] == '\r' && at[1] == '\n')
            return (size_t)(at + 2 - bytes.ptr);
    }
    return 0;
}

static bool next_line(struct str *rest, struct str *line)
{
    if (!str_split(rest, '\n', line))
        return false;
    if (line->len > 0 && line->ptr[line->len - 1] == '\r')
        line->len--;
    return line->len > 0;
}

static bool is_named(struct str line, struct str name, struct str *value)
{
    struct str rest = line, first;

    if (!str_split(&rest, ':', &first) || rest.ptr == NULL || first.len == line.len ||
        !str_equals_nocase(first, name))
        return false;
    *value = str_trim(rest);
    return true;
}

/* "404", or "404 Not Found". */
static bool is_status(struct str s)
{
    uint64_t code;

    return s.len >= 3 && (s.len == 3 || s.ptr[3] == ' ') &&
           str_to_u64(str_slice(s.ptr, 3), 599, &code) && code >= 200;
}

/* What the first line will say; ptr NULL: Status stands there twice, or is none. */
static struct str status_of(struct str head)
{
    struct str line, value, status = STR("200 OK");
    bool said = false, moved = false;

    while (next_line(&head, &line)) {
        if (is_named(line, STR("status"), &value)) {
            if (said || !is_status(value))
                return str_slice(NULL, 0);
            said = true;
            status = value;
        } else if (is_named(line, STR("location"), &value)) {
            moved = true;
        }
    }
    return moved && !said ? STR("302 Found") : status;
}

/* Fields that speak of a connection, of which a script has none. */
static bool is_left_out(struct str line)
{
    struct str value;

    return is_named(line, STR("status"), &value) ||
           is_named(line, STR("transfer-encoding"), &value) ||
           is_named(line, STR("connection"), &value);
}

static char *append(char *to, struct str s)
{
    memcpy(to, s.ptr, s.len);
    return to + s.len;
}

size_t cgi_to_http(struct str head, char *to)
{
    struct str status = status_of(head), line;
    char *at = to;
    bool any = false;

    if (status.ptr == NULL)
        return 0;
    at = append(append(append(at, STR("HTTP/1.1 ")), status), STR("\r\n"));
    while (next_line(&head, &line)) {
        any = true;
        if (!is_left_out(line))
            at = append(append(at, line), STR("\r\n"));
    }
    at = append(at, STR("\r\n"));
    return any ? (size_t)(at - to) : 0;
}
