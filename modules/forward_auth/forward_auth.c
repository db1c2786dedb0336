/* forward_auth.c -- a service of the tenant's own decides whether a request goes on.
 *
 *     redis-cli HSET usher:tenant:acme modules 'forward_auth(service=login path=/check copy=X-User)'
 */
#include "usher_module.h"

enum { SERVICE, PATH, SEND, COPY, TO_CLIENT, TIMEOUT, FAIL, ROWS };
enum { ALLOWED, DENIED, FAILED, METRICS };

#define NAMES_MOST 32
#define WAIT_MORE_MS 1000 /* for what the sub-request does not count */
#define SENT_MOST (NAMES_MOST * 8)

static const struct usher_setting settings[ROWS] = {
    [SERVICE] = { .name = "service",
                  .type = USHER_TYPE_SERVICE,
                  .flags = USHER_REQUIRED,
                  .meaning = "the service that decides" },
    [PATH] = { .name = "path",
               .type = USHER_TYPE_TEXT,
               .standard = "/auth",
               .least = 1,
               .most = 1024,
               .meaning = "the path it is asked at" },
    [SEND] = { .name = "send",
               .type = USHER_TYPE_TEXT,
               .flags = USHER_MANY,
               .least = 1,
               .most = 64,
               .meaning =
                   "a header of the request that it gets; none said: Authorization and Cookie" },
    [COPY] = { .name = "copy",
               .type = USHER_TYPE_TEXT,
               .flags = USHER_MANY,
               .least = 1,
               .most = 64,
               .meaning =
                   "a header of its 2xx answer that the endpoint gets, never from the client" },
    [TO_CLIENT] = { .name = "to_client",
                    .type = USHER_TYPE_TEXT,
                    .flags = USHER_MANY,
                    .least = 1,
                    .most = 64,
                    .meaning =
                        "a header of its 2xx answer that the client gets, such as Set-Cookie" },
    [TIMEOUT] = { .name = "timeout",
                  .type = USHER_TYPE_TIME,
                  .standard = "5s",
                  .least = 10,
                  .most = 60000,
                  .meaning = "how long it may take" },
    [FAIL] = { .name = "fail",
               .type = USHER_TYPE_WORD,
               .standard = "closed",
               .words = "closed open",
               .meaning = "whether requests go on when it is away or answers 5xx" },
};

static const struct usher_metric metrics[METRICS] = {
    [ALLOWED] = { "allowed_total", USHER_COUNTER, "Requests that the service let through." },
    [DENIED] = { "denied_total", USHER_COUNTER, "Requests that it answered instead." },
    [FAILED] = { "failed_total", USHER_COUNTER, "Requests for which it gave no decision." },
};

struct names {
    struct usher_text items[NAMES_MOST];
    uint32_t count;
};

struct forward_auth {
    uint64_t service;
    struct usher_text path, query;
    struct names send, copy, to_client;
    uint32_t timeout_ms;
    bool open;
};

/* --- names of headers --- */

static char folded(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c == '_' ? '-' : c;
}

/* In any case, and with `_` for `-`: many an endpoint takes X_User for X-User. */
static bool same_name(struct usher_text a, struct usher_text b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (folded(a.ptr[i]) != folded(b.ptr[i]))
            return false;
    return true;
}

static bool is_name(struct usher_text text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < text.len; i++) {
        char low = text.ptr[i] >= 'A' && text.ptr[i] <= 'Z' ? 'a' : text.ptr[i];
        bool good = (low >= 'a' && low <= 'z') || (low >= '0' && low <= '9');

        for (const char *other = others; *other != '\0' && !good; other++)
            good = low == *other;
        if (!good)
            return false;
    }
    return text.len > 0;
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

/* --- settings --- */

static bool read_names(struct usher_compile *c, const struct usher_given *given, uint32_t row,
                       struct names *names)
{
    if (given[row].count > NAMES_MOST)
        return usher_refuse(c, row, NAMES_MOST, "at most 32 of them");
    for (uint32_t i = 0; i < given[row].count; i++) {
        struct usher_text name = given[row].values[i].text;

        if (!is_name(name))
            return usher_refuse(c, row, i, "a header's name");
        if (is_edges(name))
            return usher_refuse(c, row, i, "a header that is not the edge's own to say");
        names->items[names->count++] = name;
    }
    return true;
}

static bool read_path(struct usher_compile *c, struct usher_text text, struct forward_auth *f)
{
    static const char expected[] = "a path such as /auth";

    if (text.ptr[0] != '/')
        return usher_refuse(c, PATH, 0, expected);
    f->path = text;
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f || text.ptr[i] == '#')
            return usher_refuse(c, PATH, 0, expected);
        if (text.ptr[i] == '?' && f->query.ptr == NULL) {
            f->path.len = i;
            f->query = (struct usher_text){ text.ptr + i + 1, text.len - i - 1 };
        }
    }
    return true;
}

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct forward_auth *f = usher_keep(c, sizeof(*f));

    f->service = (uint64_t)given[SERVICE].values[0].number;
    f->timeout_ms = (uint32_t)given[TIMEOUT].values[0].number;
    f->open = given[FAIL].values[0].number == 1;
    *compiled = f;
    if (!read_path(c, given[PATH].values[0].text, f) || !read_names(c, given, SEND, &f->send) ||
        !read_names(c, given, COPY, &f->copy) || !read_names(c, given, TO_CLIENT, &f->to_client))
        return false;
    if (f->send.count == 0) {
        f->send.items[f->send.count++] = usher_text("Authorization");
        f->send.items[f->send.count++] = usher_text("Cookie");
    }
    return true;
}

/* --- the question --- */

/* What the client says of itself is not to be taken for what the service will say. */
static bool drop_claims(struct usher_exchange *x, const struct names *names)
{
    struct usher_pair field;
    uint32_t i = 0;

    while (usher_header_at(x, USHER_REQUEST, i, &field)) {
        bool claims = false;

        for (uint32_t k = 0; k < names->count && !claims; k++)
            claims = same_name(field.name, names->items[k]);
        if (!claims)
            i++;
        else if (!usher_header_remove(x, USHER_REQUEST, field.name))
            return false;
    }
    return true;
}

static void add_pair(struct usher_request *q, struct usher_pair *pairs, const char *name,
                     struct usher_text value)
{
    pairs[q->header_count++] = (struct usher_pair){ usher_text(name), value };
}

/* The path as rules see it, and the query. */
static struct usher_text uri_of(struct usher_exchange *x)
{
    struct usher_text path = usher_path(x), query = usher_query(x);
    struct usher_text uri = { NULL, path.len + (query.ptr != NULL ? query.len + 1 : 0) };
    char *to = usher_alloc(x, uri.len + 1);

    if (to == NULL)
        return uri;
    uri.ptr = to;
    for (size_t i = 0; i < path.len; i++)
        *to++ = path.ptr[i];
    if (query.ptr != NULL)
        *to++ = '?';
    for (size_t i = 0; i < query.len; i++)
        *to++ = query.ptr[i];
    return uri;
}

static bool write_headers(struct usher_exchange *x, const struct forward_auth *f,
                          struct usher_request *q)
{
    struct usher_pair *pairs = usher_alloc(x, (SENT_MOST + 2) * sizeof(*pairs));
    struct usher_text uri = uri_of(x);
    struct usher_pair field;

    if (pairs == NULL || uri.ptr == NULL)
        return false;
    q->headers = pairs;
    add_pair(q, pairs, "X-Forwarded-Method", usher_method(x));
    add_pair(q, pairs, "X-Forwarded-Uri", uri);
    for (uint32_t i = 0; usher_header_at(x, USHER_REQUEST, i, &field); i++)
        for (uint32_t k = 0; k < f->send.count; k++)
            if (same_name(field.name, f->send.items[k]) && field.name.len > 0 &&
                !same_name(field.name, usher_text("X-Forwarded-Method")) &&
                !same_name(field.name, usher_text("X-Forwarded-Uri"))) {
                if (q->header_count == SENT_MOST + 2)
                    return false;
                pairs[q->header_count++] = field;
                break;
            }
    return true;
}

/* --- the answer --- */

static bool copy_back(struct usher_exchange *x, enum usher_side side, const struct names *names,
                      const struct usher_response *r)
{
    for (uint32_t i = 0; i < r->header_count; i++)
        for (uint32_t k = 0; k < names->count; k++)
            if (same_name(r->headers[i].name, names->items[k]) &&
                !usher_header_add(x, side, names->items[k], r->headers[i].value))
                return false;
    return true;
}

/* The service's own answer is the client's. */
static enum usher_result pass_on(struct usher_exchange *x, const struct usher_response *r)
{
    static const char *const passed[] = { "WWW-Authenticate", "Location",    "Set-Cookie",
                                          "Cache-Control",    "Retry-After", "Content-Language",
                                          "Content-Encoding", "Vary" };
    struct usher_text type = { NULL, 0 };

    for (uint32_t i = 0; i < r->header_count; i++)
        if (same_name(r->headers[i].name, usher_text("Content-Type")))
            type = r->headers[i].value;
    if (usher_reply(x, r->status, type, r->body) != USHER_ANSWERED)
        return USHER_FAULT;
    for (uint32_t i = 0; i < r->header_count; i++)
        for (size_t k = 0; k < sizeof(passed) / sizeof(passed[0]); k++)
            if (same_name(r->headers[i].name, usher_text(passed[k])) &&
                !usher_header_add(x, USHER_RESPONSE, usher_text(passed[k]), r->headers[i].value))
                return USHER_FAULT;
    usher_count(x, DENIED, 1);
    return USHER_ANSWERED;
}

static bool is_decision(uint32_t status)
{
    return status == 401 || status == 403 || (status >= 300 && status < 400 && status != 304);
}

static enum usher_result give_up(struct usher_exchange *x, const struct forward_auth *f, bool away)
{
    usher_count(x, FAILED, 1);
    if (away && f->open)
        return USHER_GO_ON;
    return usher_fault(x, USHER_BECAUSE_SERVICE);
}

static enum usher_result on_answer(struct usher_exchange *x, const void *compiled, void *arg)
{
    const struct forward_auth *f = compiled;
    const struct usher_response *r = arg;

    if (is_decision(r->status))
        return pass_on(x, r);
    if (r->status < 200 || r->status >= 300)
        return give_up(x, f, r->status == 0 || r->status >= 500);
    if (!copy_back(x, USHER_REQUEST, &f->copy, r))
        return USHER_FAULT;
    *usher_state(x) = arg;
    usher_count(x, ALLOWED, 1);
    return USHER_GO_ON;
}

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    const struct forward_auth *f = compiled;
    struct usher_response *r = usher_alloc(x, sizeof(*r));
    struct usher_request q = { .service = f->service,
                               .method = usher_text("GET"),
                               .path = f->path,
                               .query = f->query,
                               .timeout_ms = f->timeout_ms };

    if (r == NULL || !drop_claims(x, &f->copy) || !write_headers(x, f, &q) ||
        !usher_wait_most(x, f->timeout_ms + WAIT_MORE_MS) ||
        !usher_subrequest(x, &q, r, on_answer, r))
        return USHER_FAULT;
    return USHER_WAIT;
}

static enum usher_result on_response(struct usher_exchange *x, const void *compiled)
{
    const struct forward_auth *f = compiled;
    const struct usher_response *r = *usher_state(x);

    return r == NULL || copy_back(x, USHER_RESPONSE, &f->to_client, r) ? USHER_GO_ON : USHER_FAULT;
}

USHER_MODULE(forward_auth) = {
    USHER_MODULE_ABI,
    .name = "forward_auth",
    .version = "1.0",
    .summary = "a service of the tenant's own decides whether a request goes on",
    USHER_SETTINGS(settings),
    USHER_METRICS(metrics),
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
};
