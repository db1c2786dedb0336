/* cors.c -- says to browsers which pages of other origins may read what is served (the Fetch standard, 3.2).
 *
 *     redis-cli HSET usher:tenant:acme modules 'cors(origins=https://app.example,http://localhost:3000 credentials)'
 *
 * Preflights are answered here; what the endpoint says of this itself does not reach the client.
 */
#include "usher_module.h"

#include <stdio.h>
#include <string.h>

enum { ORIGINS, METHODS, HEADERS, EXPOSE, CREDENTIALS, MAX_AGE, ROWS };
enum { PREFLIGHTS, REFUSED, METRICS };

static const struct usher_setting settings[ROWS] = {
    [ORIGINS] = { .name = "origins",
                  .type = USHER_TYPE_TEXT,
                  .flags = USHER_REQUIRED | USHER_MANY,
                  .meaning = "whose pages may read: https://app.example, "
                             "https://*.app.example for all below it, * for all; commas between" },
    [METHODS] = { .name = "methods",
                  .type = USHER_TYPE_TEXT,
                  .flags = USHER_MANY,
                  .standard = "GET,HEAD,POST",
                  .meaning = "the methods that they may use, commas between; * for all" },
    [HEADERS] = { .name = "headers",
                  .type = USHER_TYPE_TEXT,
                  .flags = USHER_MANY,
                  .meaning = "the headers that they may send, commas between; * for all but "
                             "Authorization" },
    [EXPOSE] = { .name = "expose",
                 .type = USHER_TYPE_TEXT,
                 .flags = USHER_MANY,
                 .meaning = "the headers that they may read, commas between; * for all" },
    [CREDENTIALS] = { .name = "credentials",
                      .type = USHER_TYPE_SWITCH,
                      .standard = "off",
                      .meaning = "they may send cookies, and read the answers to that" },
    [MAX_AGE] = { .name = "max_age",
                  .type = USHER_TYPE_TIME,
                  .standard = "10m",
                  .least = 0,
                  .most = 86400000,
                  .meaning = "how long a browser may remember the answer to a preflight" },
};

static const struct usher_metric metrics[METRICS] = {
    [PREFLIGHTS] = { "preflights_total", USHER_COUNTER, "Preflights answered." },
    [REFUSED] = { "refused_total", USHER_COUNTER,
                  "Preflights and requests of origins that are not allowed." },
};

/* `start` is all of it; of a wild one, `start` is the scheme with its slashes, and `end` what stands behind the star. */
struct origin {
    struct usher_text start, end;
    bool wild;
};

struct cors {
    bool all; /* origins=* */
    bool credentials;
    const struct origin *origins;
    uint32_t count;
    struct usher_text methods, headers, expose, max_age; /* as they are sent; len 0: not */
};

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

static bool is_star(struct usher_text item)
{
    return item.len == 1 && item.ptr[0] == '*';
}

static bool is_host_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

static bool ends_with(struct usher_text text, const char *end)
{
    size_t len = strlen(end);

    return text.len >= len && memcmp(text.ptr + text.len - len, end, len) == 0;
}

/* The port that a scheme has anyway is not sent by browsers. */
static void drop_usual_port(struct usher_text *origin)
{
    if (memcmp(origin->ptr, "http:", 5) == 0 && ends_with(*origin, ":80"))
        origin->len -= 3;
    else if (origin->len > 6 && memcmp(origin->ptr, "https:", 6) == 0 && ends_with(*origin, ":443"))
        origin->len -= 4;
}

/* What stands behind the scheme, and its "*." if it has one: a host, and perhaps a port. */
static bool is_authority(const char *at, const char *end)
{
    const char *host = at;

    if (at < end && *at == '[') {
        while (at < end && *at != ']')
            at++;
        at += at < end;
        if (at - host < 4)
            return false;
    } else {
        while (at < end && is_host_letter(*at))
            at++;
    }
    if (at == host)
        return false;
    if (at == end)
        return true;
    if (*at++ != ':' || at == end)
        return false;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at == end;
}

/* In small letters, as browsers send it (RFC 6454 6.2). */
static bool read_origin(struct usher_compile *c, struct usher_text item, struct origin *origin)
{
    char *copy = usher_keep(c, item.len + 1);
    struct usher_text text = { copy, item.len };
    const char *host;

    for (size_t i = 0; i < item.len; i++)
        copy[i] =
            item.ptr[i] >= 'A' && item.ptr[i] <= 'Z' ? (char)(item.ptr[i] | 0x20) : item.ptr[i];
    host = strstr(copy, "://");
    if (host == NULL || host == copy)
        return false;
    host += 3;
    for (const char *at = copy; at < host - 3; at++)
        if (!(*at >= 'a' && *at <= 'z') && !(at > copy && *at >= '0' && *at <= '9') &&
            (at == copy || strchr("+-.", *at) == NULL))
            return false;
    origin->wild = host[0] == '*' && host[1] == '.';
    if (!is_authority(host + 2 * origin->wild, copy + item.len))
        return false;
    drop_usual_port(&text);
    origin->start = text;
    if (origin->wild) {
        origin->start.len = (size_t)(host - copy);
        origin->end = (struct usher_text){ host + 1, text.len - origin->start.len - 1 };
    }
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

static bool read_origins(struct usher_compile *c, const struct usher_given *given, struct cors *r)
{
    struct origin *origins = usher_keep(c, items_of(given) * sizeof(*origins) + 1);

    r->origins = origins;
    for (uint32_t i = 0; i < given->count; i++) {
        struct usher_text rest = given->values[i].text, item;

        while (next_item(&rest, &item)) {
            if (is_star(item) && items_of(given) == 1)
                r->all = true;
            else if (is_star(item))
                return usher_refuse(c, ORIGINS, i, "* alone: all others are among them");
            else if (!read_origin(c, item, &origins[r->count++]))
                return usher_refuse(c, ORIGINS, i,
                                    "origins such as https://app.example or https://*.app.example, "
                                    "without a path and with commas between, or *");
        }
    }
    return true;
}

static bool is_token(struct usher_text text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!good && (c == '\0' || strchr(others, c) == NULL))
            return false;
    }
    return text.len > 0;
}

static void add_item(char *to, struct usher_text *list, struct usher_text item)
{
    if (list->len > 0) {
        memcpy(to + list->len, ", ", 2);
        list->len += 2;
    }
    memcpy(to + list->len, item.ptr, item.len);
    list->len += item.len;
}

/* As it is sent: "GET, PUT". */
static bool read_list(struct usher_compile *c, const struct usher_given *given, uint32_t row,
                      bool credentials, struct usher_text *list)
{
    size_t bytes = 1;
    char *to;

    for (uint32_t i = 0; i < given[row].count; i++)
        bytes += 2 * given[row].values[i].text.len + 3;
    to = usher_keep(c, bytes);
    list->ptr = to;
    for (uint32_t i = 0; i < given[row].count; i++) {
        struct usher_text rest = given[row].values[i].text, item;

        while (next_item(&rest, &item)) {
            if (!is_token(item))
                return usher_refuse(c, row, i,
                                    row == METHODS ? "methods such as GET,PUT, or *"
                                                   : "headers such as X-One,X-Two, or *");
            if (is_star(item) && credentials)
                return usher_refuse(c, row, i,
                                    "each by its name: with credentials * is for "
                                    "browsers a name like any other");
            add_item(to, list, item);
        }
    }
    return true;
}

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct cors *r = usher_keep(c, sizeof(*r));
    char *max_age = usher_keep(c, 24);

    *compiled = r;
    r->credentials = given[CREDENTIALS].values[0].number;
    if (!read_origins(c, given, r))
        return false;
    if (r->all && r->credentials)
        return usher_refuse(c, CREDENTIALS, 0,
                            "off, or origins by their names: with * every page there is could "
                            "read what is the user's");
    snprintf(max_age, 24, "%lld", (long long)(given[MAX_AGE].values[0].number / 1000));
    r->max_age = usher_text(max_age);
    return read_list(c, given, METHODS, r->credentials, &r->methods) &&
           read_list(c, given, HEADERS, r->credentials, &r->headers) &&
           read_list(c, given, EXPOSE, r->credentials, &r->expose);
}

/* --- hooks --- */

static bool same(struct usher_text a, struct usher_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* What stands for the star is one label or more, and nothing else. */
static bool is_below(const struct origin *o, struct usher_text origin)
{
    size_t around = o->start.len + o->end.len;
    const char *label = origin.ptr + o->start.len, *end;

    if (origin.len <= around || memcmp(origin.ptr, o->start.ptr, o->start.len) != 0)
        return false;
    end = origin.ptr + origin.len - o->end.len;
    if (memcmp(end, o->end.ptr, o->end.len) != 0 || *label == '.')
        return false;
    for (; label < end; label++)
        if (!is_host_letter(*label))
            return false;
    return true;
}

static bool is_allowed(const struct cors *r, struct usher_text origin)
{
    if (r->all)
        return true;
    for (uint32_t i = 0; i < r->count; i++)
        if (r->origins[i].wild ? is_below(&r->origins[i], origin)
                               : same(r->origins[i].start, origin))
            return true;
    return false;
}

static bool is_preflight(struct usher_exchange *x)
{
    return same(usher_method(x), usher_text("OPTIONS")) &&
           usher_header(x, USHER_REQUEST, usher_text("Access-Control-Request-Method"), 0).ptr !=
               NULL;
}

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    struct usher_text origin = usher_header(x, USHER_REQUEST, usher_text("Origin"), 0);

    if (origin.ptr == NULL)
        return USHER_GO_ON;
    if (!is_allowed(compiled, origin))
        usher_count(x, REFUSED, 1);
    if (!is_preflight(x))
        return USHER_GO_ON;
    usher_count(x, PREFLIGHTS, 1);
    *usher_state(x) = (void *)(uintptr_t)compiled; /* for on_response: it is our answer */
    return usher_reply(x, 204, usher_text(""), usher_text(""));
}

static bool says_of_cors(struct usher_text name)
{
    static const char start[] = "access-control-";

    for (size_t i = 0; i < sizeof(start) - 1; i++)
        if (i == name.len || (name.ptr[i] | (name.ptr[i] == '-' ? 0 : 0x20)) != start[i])
            return false;
    return true;
}

static bool remove_theirs(struct usher_exchange *x)
{
    struct usher_pair field;

    for (uint32_t i = 0; usher_header_at(x, USHER_RESPONSE, i, &field);) {
        if (!says_of_cors(field.name))
            i++;
        else if (!usher_header_remove(x, USHER_RESPONSE, field.name))
            return false;
    }
    return true;
}

static bool is_word(struct usher_text item, const char *word)
{
    for (size_t i = 0; i < item.len; i++)
        if (word[i] == '\0' || (item.ptr[i] | 0x20) != (word[i] | 0x20))
            return false;
    return word[item.len] == '\0';
}

/* A cache must not give one origin's answer to another. */
static bool say_vary(struct usher_exchange *x)
{
    struct usher_text vary, item;

    for (uint32_t i = 0;
         (vary = usher_header(x, USHER_RESPONSE, usher_text("Vary"), i)).ptr != NULL; i++)
        while (next_item(&vary, &item))
            if (is_star(item) || is_word(item, "origin"))
                return true;
    return usher_header_add(x, USHER_RESPONSE, usher_text("Vary"), usher_text("Origin"));
}

static bool say(struct usher_exchange *x, const char *name, struct usher_text value)
{
    return value.len == 0 || usher_header_add(x, USHER_RESPONSE, usher_text(name), value);
}

static bool say_allowed(struct usher_exchange *x, const struct cors *r, struct usher_text origin)
{
    return say(x, "Access-Control-Allow-Origin", r->all ? usher_text("*") : origin) &&
           (!r->credentials || say(x, "Access-Control-Allow-Credentials", usher_text("true")));
}

static enum usher_result on_response(struct usher_exchange *x, const void *compiled)
{
    const struct cors *r = compiled;
    struct usher_text origin = usher_header(x, USHER_REQUEST, usher_text("Origin"), 0);
    bool good = remove_theirs(x) && (r->all || say_vary(x));

    if (!good)
        return USHER_FAULT;
    if (origin.ptr == NULL || !is_allowed(r, origin))
        return USHER_GO_ON;
    good = say_allowed(x, r, origin);
    if (good && *usher_state(x) != NULL)
        good = say(x, "Access-Control-Allow-Methods", r->methods) &&
               say(x, "Access-Control-Allow-Headers", r->headers) &&
               say(x, "Access-Control-Max-Age", r->max_age);
    else if (good)
        good = say(x, "Access-Control-Expose-Headers", r->expose);
    return good ? USHER_GO_ON : USHER_FAULT;
}

USHER_MODULE(cors) = {
    USHER_MODULE_ABI,
    .name = "cors",
    .version = "1.0",
    .summary = "says to browsers which pages of other origins may read what is served",
    USHER_SETTINGS(settings),
    USHER_METRICS(metrics),
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
};
