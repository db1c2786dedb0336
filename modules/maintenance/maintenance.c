/* maintenance.c -- 503 with a page for all but those who work on it: by their address, a cookie, or for some paths.
 *
 *     redis-cli HSET usher:tenant:acme modules 'maintenance(allow=10.0.0.0/8 cookie=door=s3cret open=/health)'
 */
#include "usher_module.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { ALLOW, COOKIE, OPEN, RETRY_AFTER, PAGE, ROWS };
enum { ANSWERED, PASSED, METRICS };

static const struct usher_setting settings[ROWS] = {
    [ALLOW] = { .name = "allow",
                .type = USHER_TYPE_TEXT,
                .flags = USHER_MANY,
                .meaning = "addresses and ranges that are served all the same, commas between: "
                           "10.0.0.0/8,2001:db8::5" },
    [COOKIE] = { .name = "cookie",
                 .type = USHER_TYPE_PAIR,
                 .flags = USHER_MANY,
                 .meaning = "a cookie whose bearer is served all the same" },
    [OPEN] = { .name = "open",
               .type = USHER_TYPE_TEXT,
               .flags = USHER_MANY,
               .meaning = "paths that are served to all, commas between: /health, or /public/* "
                          "with all below it" },
    [RETRY_AFTER] = { .name = "retry_after",
                      .type = USHER_TYPE_TIME,
                      .standard = "30s",
                      .least = 1000,
                      .most = 86400000,
                      .meaning = "when to come back" },
    [PAGE] = { .name = "page",
               .type = USHER_TYPE_TEXT,
               .least = 1,
               .most = 8192,
               .meaning = "HTML that the others get, in place of a plain text" },
};

static const struct usher_metric metrics[METRICS] = {
    [ANSWERED] = { "answered_total", USHER_COUNTER, "Requests answered with 503." },
    [PASSED] = { "passed_total", USHER_COUNTER, "Requests served all the same." },
};

#define COOKIE_LEAST 8 /* bytes of a value that is not soon guessed */

/* IPv4 as IPv6 maps it, so that there is one kind. */
struct address {
    unsigned char bytes[16];
};

struct range {
    struct address from;
    unsigned bits;
};

struct path {
    struct usher_text text; /* without the star */
    bool below;
};

struct maintenance {
    const struct range *ranges;
    const struct usher_value *cookies;
    const struct path *paths;
    uint32_t range_count, cookie_count, path_count;
    struct usher_text retry_after, page;
};

/* --- addresses --- */

static bool read_address(struct usher_text text, struct address *a, bool *is_v4)
{
    static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
    char copy[INET6_ADDRSTRLEN + 1];

    if (text.len == 0 || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (strlen(copy) != text.len)
        return false;
    *is_v4 = inet_pton(AF_INET, copy, a->bytes + 12) == 1;
    if (!*is_v4)
        return inet_pton(AF_INET6, copy, a->bytes) == 1;
    memcpy(a->bytes, mapped, sizeof(mapped));
    return true;
}

/* Are the bits behind the range's all zero? A typing error, else. */
static bool begins_a_range(const struct range *r)
{
    for (unsigned bit = r->bits; bit < 128; bit++)
        if ((r->from.bytes[bit / 8] >> (7 - bit % 8) & 1) != 0)
            return false;
    return true;
}

static bool read_range(struct usher_text item, struct range *r)
{
    const char *slash = item.len > 0 ? memchr(item.ptr, '/', item.len) : NULL;
    struct usher_text address = { item.ptr, slash ? (size_t)(slash - item.ptr) : item.len };
    unsigned bits = 0, most;
    bool is_v4;

    if (!read_address(address, &r->from, &is_v4))
        return false;
    most = is_v4 ? 32 : 128;
    r->bits = 128;
    if (slash == NULL)
        return true;
    if (address.len + 1 == item.len || item.len - address.len > 4)
        return false;
    for (const char *at = slash + 1; at < item.ptr + item.len; at++) {
        if (*at < '0' || *at > '9')
            return false;
        bits = bits * 10 + (unsigned)(*at - '0');
    }
    r->bits = 128 - most + bits;
    return bits <= most && begins_a_range(r);
}

static bool holds(const struct range *r, const struct address *a)
{
    unsigned whole = r->bits / 8, rest = r->bits % 8;

    return memcmp(r->from.bytes, a->bytes, whole) == 0 &&
           (rest == 0 || (r->from.bytes[whole] ^ a->bytes[whole]) >> (8 - rest) == 0);
}

/* --- compile --- */

/* The next of a list with commas between, without the spaces around it. False: no more. */
static bool next_item(struct usher_text *rest, struct usher_text *item)
{
    const char *comma;

    if (rest->ptr == NULL)
        return false;
    comma = rest->len > 0 ? memchr(rest->ptr, ',', rest->len) : NULL;
    *item = (struct usher_text){ rest->ptr, comma ? (size_t)(comma - rest->ptr) : rest->len };
    *rest = comma ? (struct usher_text){ comma + 1, rest->len - item->len - 1 }
                  : (struct usher_text){ NULL, 0 };
    while (item->len > 0 && item->ptr[0] == ' ')
        *item = (struct usher_text){ item->ptr + 1, item->len - 1 };
    while (item->len > 0 && item->ptr[item->len - 1] == ' ')
        item->len--;
    return true;
}

static uint32_t items_of(const struct usher_given *given)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < given->count; i++) {
        struct usher_text rest = given->values[i].text, item;

        while (next_item(&rest, &item))
            count++;
    }
    return count;
}

static bool compile_ranges(struct usher_compile *c, const struct usher_given *given,
                           struct maintenance *m)
{
    struct range *ranges = usher_keep(c, items_of(given) * sizeof(*ranges) + 1);

    m->ranges = ranges;
    for (uint32_t i = 0; i < given->count; i++) {
        struct usher_text rest = given->values[i].text, item;

        while (next_item(&rest, &item))
            if (!read_range(item, &ranges[m->range_count++]))
                return usher_refuse(c, ALLOW, i,
                                    "addresses and ranges such as 10.0.0.0/8,2001:db8::5, with "
                                    "nothing set behind a range's bits");
    }
    return true;
}

static bool is_cookie(struct usher_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c <= ' ' || c >= 0x7f || strchr("\",;\\", c) != NULL)
            return false;
    }
    return true;
}

static bool compile_cookies(struct usher_compile *c, const struct usher_given *given,
                            struct maintenance *m)
{
    m->cookies = given->values;
    m->cookie_count = given->count;
    for (uint32_t i = 0; i < given->count; i++) {
        const struct usher_value *v = &given->values[i];

        if (!is_cookie(v->name) || !is_cookie(v->text))
            return usher_refuse(c, COOKIE, i,
                                "NAME=VALUE of a cookie, without spaces, commas, "
                                "semicolons, quotes and backslashes");
        if (v->text.len < COOKIE_LEAST)
            return usher_refuse(c, COOKIE, i, "a value of at least 8 bytes, which nobody guesses");
    }
    return true;
}

static bool read_path(struct usher_text item, struct path *path)
{
    path->text = item;
    path->below = item.len >= 2 && memcmp(item.ptr + item.len - 2, "/*", 2) == 0;
    path->text.len -= path->below;
    return item.len > 0 && item.ptr[0] == '/' &&
           memchr(path->text.ptr, '*', path->text.len) == NULL;
}

static bool compile_paths(struct usher_compile *c, const struct usher_given *given,
                          struct maintenance *m)
{
    struct path *paths = usher_keep(c, items_of(given) * sizeof(*paths) + 1);

    m->paths = paths;
    for (uint32_t i = 0; i < given->count; i++) {
        struct usher_text rest = given->values[i].text, item;

        while (next_item(&rest, &item))
            if (!read_path(item, &paths[m->path_count++]))
                return usher_refuse(c, OPEN, i,
                                    "paths such as /health, or /public/* with all below it");
    }
    return true;
}

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct maintenance *m = usher_keep(c, sizeof(*m));
    char *retry_after = usher_keep(c, 24);

    *compiled = m;
    snprintf(retry_after, 24, "%lld", (long long)(given[RETRY_AFTER].values[0].number / 1000));
    m->retry_after = usher_text(retry_after);
    if (given[PAGE].count > 0)
        m->page = given[PAGE].values[0].text;
    return compile_ranges(c, &given[ALLOW], m) && compile_cookies(c, &given[COOKIE], m) &&
           compile_paths(c, &given[OPEN], m);
}

/* --- hooks --- */

/* `/public/` and a star is for /public, too. */
static bool is_open(const struct maintenance *m, struct usher_text path)
{
    for (uint32_t i = 0; i < m->path_count; i++) {
        const struct path *p = &m->paths[i];
        size_t len = p->text.len;

        if (path.len == len - p->below && memcmp(path.ptr, p->text.ptr, path.len) == 0)
            return true;
        if (p->below && path.len >= len && memcmp(path.ptr, p->text.ptr, len) == 0)
            return true;
    }
    return false;
}

static bool is_from_within(const struct maintenance *m, struct usher_text client_ip)
{
    struct address a;
    bool is_v4;

    if (m->range_count == 0 || !read_address(client_ip, &a, &is_v4))
        return false;
    for (uint32_t i = 0; i < m->range_count; i++)
        if (holds(&m->ranges[i], &a))
            return true;
    return false;
}

static bool has_cookie(struct usher_exchange *x, const struct maintenance *m)
{
    for (uint32_t i = 0; i < m->cookie_count; i++) {
        struct usher_text value = usher_cookie(x, m->cookies[i].name);

        if (value.ptr != NULL && usher_equal(x->host, value, m->cookies[i].text))
            return true;
    }
    return false;
}

static enum usher_result answer(struct usher_exchange *x, const struct maintenance *m)
{
    struct usher_text type = usher_text("text/html; charset=utf-8"), body = m->page;

    usher_count(x, ANSWERED, 1);
    if (body.ptr == NULL) {
        type = usher_text("text/plain; charset=utf-8");
        body = usher_text("This service is being worked on. Please come back soon.\n");
    }
    if (usher_reply(x, 503, type, body) != USHER_ANSWERED ||
        !usher_header_set(x, USHER_RESPONSE, usher_text("Retry-After"), m->retry_after) ||
        !usher_header_set(x, USHER_RESPONSE, usher_text("Cache-Control"), usher_text("no-store")))
        return USHER_FAULT;
    return USHER_ANSWERED;
}

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    const struct maintenance *m = compiled;

    if (!is_open(m, usher_path(x)) && !is_from_within(m, usher_client_ip(x)) && !has_cookie(x, m))
        return answer(x, m);
    usher_count(x, PASSED, 1);
    return USHER_GO_ON;
}

USHER_MODULE(maintenance) = {
    USHER_MODULE_ABI,         .name = "maintenance",
    .version = "1.0",         .summary = "503 with a page for all but those who work on it",
    USHER_SETTINGS(settings), USHER_METRICS(metrics),
    .compile = compile,       .on_request = on_request,
};
