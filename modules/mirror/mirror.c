/* mirror.c -- copies a share of requests to another service, whose answers nobody looks at.
 *
 *     redis-cli HSET usher:tenant:acme modules 'mirror(service=next percent=10)'
 */
#include <string.h>

#include "usher_module.h"

enum { SERVICE, PERCENT, MOST, MARK, TIMEOUT, ROWS };
enum { SENT, TOO_LARGE, LEFT_OUT, METRICS };

#define BODY_FIRST 4096

static const struct usher_setting settings[ROWS] = {
    [SERVICE] = { .name = "service",
                  .type = USHER_TYPE_SERVICE,
                  .flags = USHER_REQUIRED,
                  .meaning = "the service that gets the copies" },
    [PERCENT] = { .name = "percent",
                  .type = USHER_TYPE_NUMBER,
                  .standard = "100",
                  .least = 0,
                  .most = 100,
                  .meaning = "how many of a hundred requests are copied" },
    [MOST] = { .name = "most",
               .type = USHER_TYPE_SIZE,
               .standard = "64k",
               .least = 0,
               .most = 256 << 10,
               .meaning = "requests with a larger body are not copied" },
    [MARK] = { .name = "mark",
               .type = USHER_TYPE_PAIR,
               .standard = "X-Mirrored=1",
               .meaning = "a header that copies have, and no other request" },
    [TIMEOUT] = { .name = "timeout",
                  .type = USHER_TYPE_TIME,
                  .standard = "5s",
                  .least = 10,
                  .most = 60000,
                  .meaning = "how long a copy may take" },
};

static const struct usher_metric metrics[METRICS] = {
    [SENT] = { "sent_total", USHER_COUNTER, "Requests that were copied." },
    [TOO_LARGE] = { "too_large_total", USHER_COUNTER, "Not copied: the body was too large." },
    [LEFT_OUT] = { "left_out_total", USHER_COUNTER, "Not copied: too many were under way." },
};

struct mirror {
    uint64_t service;
    uint32_t percent, timeout_ms;
    size_t most;
    struct usher_pair mark;
};

/* Of one exchange that is to be copied. */
struct copy {
    char *body;
    size_t len, room;
    bool takes_body, done;
};

/* --- names of headers --- */

static char folded(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c == '_' ? '-' : c;
}

/* In any case, and with `_` for `-`. */
static bool same_name(struct usher_text a, struct usher_text b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (folded(a.ptr[i]) != folded(b.ptr[i]))
            return false;
    return true;
}

/* What frames a message, belongs to one connection, or is the edge's to say to an endpoint. */
static bool is_edges(struct usher_text name)
{
    static const char *const names[] = {
        "Connection", "Content-Length",  "Transfer-Encoding", "TE",   "Trailer",
        "Upgrade",    "Keep-Alive",      "Proxy-Connection",  "Host", "Expect",
        "Forwarded",  "X-Forwarded-For", "X-Forwarded-Proto", "Via",  "X-Forwarded-Host",
        "CDN-Loop",   "HTTP2-Settings",
    };

    if (name.len > 6 && same_name((struct usher_text){ name.ptr, 6 }, usher_text("Usher-")))
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (same_name(name, usher_text(names[i])))
            return true;
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == ',';
}

/* Is `name` one of a list's, as Connection has them? */
static bool lists(struct usher_text list, struct usher_text name)
{
    size_t at = 0;

    while (at < list.len) {
        struct usher_text item = { list.ptr + at, 0 };

        while (at < list.len && !is_blank(list.ptr[at]))
            at++, item.len++;
        if (item.len > 0 && same_name(item, name))
            return true;
        at += at < list.len;
    }
    return false;
}

/* Does it end at this hop? */
static bool is_connections(struct usher_exchange *x, struct usher_text name)
{
    static const struct usher_text connection = { "Connection", 10 };
    struct usher_text list;

    for (uint32_t i = 0; (list = usher_header(x, USHER_REQUEST, connection, i)).ptr != NULL; i++)
        if (lists(list, name))
            return true;
    return false;
}

/* --- settings --- */

static bool is_token(struct usher_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c <= ' ' || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c) != NULL)
            return false;
    }
    return text.len > 0;
}

static bool is_printable(struct usher_text text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return false;
    return text.len == 0 || (text.ptr[0] != ' ' && text.ptr[text.len - 1] != ' ');
}

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct mirror *m = usher_keep(c, sizeof(*m));

    m->service = (uint64_t)given[SERVICE].values[0].number;
    m->percent = (uint32_t)given[PERCENT].values[0].number;
    m->most = (size_t)given[MOST].values[0].number;
    m->timeout_ms = (uint32_t)given[TIMEOUT].values[0].number;
    m->mark = (struct usher_pair){ given[MARK].values[0].name, given[MARK].values[0].text };
    *compiled = m;
    return (is_token(m->mark.name) && !is_edges(m->mark.name) && is_printable(m->mark.value)) ||
           usher_refuse(c, MARK, 0, "a header and its value, such as X-Mirrored=1");
}

/* --- copying --- */

static bool send_copy(struct usher_exchange *x, const struct mirror *m, const struct copy *copy)
{
    struct usher_request q = { .service = m->service,
                               .method = usher_method(x),
                               .body = { copy->body, copy->len },
                               .timeout_ms = m->timeout_ms,
                               .forget = true };
    struct usher_pair *pairs, field;
    uint32_t count = 0;

    while (usher_header_at(x, USHER_REQUEST, count, &field))
        count++;
    pairs = usher_alloc(x, (count + 1) * sizeof(*pairs));
    if (pairs == NULL)
        return false;
    pairs[q.header_count++] = m->mark;
    for (uint32_t i = 0; i < count && usher_header_at(x, USHER_REQUEST, i, &field); i++)
        if (!is_connections(x, field.name) && !same_name(field.name, m->mark.name))
            pairs[q.header_count++] = field;
    q.headers = pairs;
    return usher_subrequest(x, &q, NULL, NULL, NULL);
}

static void fire(struct usher_exchange *x, const struct mirror *m, struct copy *copy)
{
    if (copy->done)
        return;
    copy->done = true;
    usher_count(x, send_copy(x, m, copy) ? SENT : LEFT_OUT, 1);
}

static void leave_out(struct usher_exchange *x, struct copy *copy)
{
    if (!copy->done)
        usher_count(x, TOO_LARGE, 1);
    copy->done = true;
}

/* --- hooks --- */

/* A mark of the client's is none. */
static bool drop_marks(struct usher_exchange *x, const struct mirror *m)
{
    struct usher_pair field;
    uint32_t i = 0;

    while (usher_header_at(x, USHER_REQUEST, i, &field)) {
        if (!same_name(field.name, m->mark.name))
            i++;
        else if (!usher_header_remove(x, USHER_REQUEST, field.name))
            return false;
    }
    return true;
}

static struct usher_text named(struct usher_exchange *x, const char *name)
{
    return usher_header(x, USHER_REQUEST, usher_text(name), 0);
}

/* What the client says of its body's length; false: that is too large. */
static bool length_fits(struct usher_text said, size_t most, bool *none)
{
    size_t length = 0;

    for (size_t i = 0; i < said.len; i++) {
        length = length * 10 + (size_t)(said.ptr[i] - '0');
        if (length > most)
            return false;
    }
    *none = length == 0;
    return true;
}

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    const struct mirror *m = compiled;
    struct copy *copy;
    bool none = true;

    if (!drop_marks(x, m))
        return USHER_FAULT;
    if (usher_random(x) % 100 >= m->percent || named(x, "Upgrade").ptr != NULL)
        return USHER_GO_ON;
    copy = usher_alloc(x, sizeof(*copy));
    if (copy == NULL)
        return USHER_GO_ON;
    *usher_state(x) = copy;
    if (!length_fits(named(x, "Content-Length"), m->most, &none)) {
        leave_out(x, copy);
        return USHER_GO_ON;
    }
    if (!none || named(x, "Transfer-Encoding").ptr != NULL)
        copy->takes_body = usher_take_body(x, USHER_REQUEST);
    return USHER_GO_ON;
}

/* Here it is sure that the request goes to an endpoint at all. */
static enum usher_result on_upstream(struct usher_exchange *x, const void *compiled)
{
    struct copy *copy = *usher_state(x);

    if (copy != NULL && !copy->takes_body)
        fire(x, compiled, copy);
    return USHER_GO_ON;
}

static bool keep(struct usher_exchange *x, const struct mirror *m, struct copy *copy,
                 const char *bytes, size_t len)
{
    if (len > m->most - copy->len)
        return false;
    if (copy->len + len > copy->room) {
        size_t room = copy->room * 2 > copy->len + len ? copy->room * 2 : copy->len + len;
        char *bigger;

        if (room < BODY_FIRST)
            room = BODY_FIRST;
        bigger = usher_alloc(x, room);
        if (bigger == NULL)
            return false;
        if (copy->len > 0)
            memcpy(bigger, copy->body, copy->len);
        copy->body = bigger;
        copy->room = room;
    }
    if (len > 0)
        memcpy(copy->body + copy->len, bytes, len);
    copy->len += len;
    return true;
}

static enum usher_result on_body(struct usher_exchange *x, const void *compiled,
                                 enum usher_side side, const char *bytes, size_t len, bool last)
{
    struct copy *copy = *usher_state(x);

    (void)side;
    if (!usher_send(x, bytes, len))
        return USHER_FAULT;
    if (!copy->done && !keep(x, compiled, copy, bytes, len))
        leave_out(x, copy);
    if (last)
        fire(x, compiled, copy);
    return USHER_GO_ON;
}

USHER_MODULE(mirror) = {
    USHER_MODULE_ABI,
    .name = "mirror",
    .version = "1.0",
    .summary = "copies a share of requests to another service, whose answers nobody looks at",
    USHER_SETTINGS(settings),
    USHER_METRICS(metrics),
    .compile = compile,
    .on_request = on_request,
    .on_upstream = on_upstream,
    .on_body = on_body,
};
