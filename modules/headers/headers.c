/* headers.c -- sets, adds and removes headers, of the request and of the response.
 *
 *     redis-cli HSET usher:tenant:acme modules 'headers(set X-Client=$client_ip response_remove Server)'
 *
 * Values are cut into pieces when the settings are compiled; one without variables is handed on as it stands.
 */
#include "usher_module.h"

#include <stdio.h>
#include <string.h>

enum { REMOVE, SET, ADD, RESPONSE_REMOVE, RESPONSE_SET, RESPONSE_ADD, ROWS };

#define VALUE_MOST 4096 /* bytes of a value as written */
#define INLINE_MOST 512 /* bytes of a value with variables that needs no memory of the exchange */

static const struct usher_setting settings[ROWS] = {
    [REMOVE] = { .name = "remove",
                 .type = USHER_TYPE_TEXT,
                 .flags = USHER_MANY,
                 .least = 1,
                 .most = 128,
                 .meaning = "a header that the endpoint does not get" },
    [SET] = { .name = "set",
              .type = USHER_TYPE_PAIR,
              .flags = USHER_MANY,
              .meaning = "a header that the endpoint gets, in place of the client's of that name" },
    [ADD] = { .name = "add",
              .type = USHER_TYPE_PAIR,
              .flags = USHER_MANY,
              .meaning = "a header that the endpoint gets beside the client's of that name" },
    [RESPONSE_REMOVE] = { .name = "response_remove",
                          .type = USHER_TYPE_TEXT,
                          .flags = USHER_MANY,
                          .least = 1,
                          .most = 128,
                          .meaning = "a header that the client does not get" },
    [RESPONSE_SET] = { .name = "response_set",
                       .type = USHER_TYPE_PAIR,
                       .flags = USHER_MANY,
                       .meaning = "a header that the client gets, in place of the endpoint's" },
    [RESPONSE_ADD] = { .name = "response_add",
                       .type = USHER_TYPE_PAIR,
                       .flags = USHER_MANY,
                       .meaning = "a header that the client gets beside the endpoint's" },
};

/* --- variables --- */

struct variable {
    const char *name;
    struct usher_text (*value)(struct usher_exchange *x); /* NULL: the status */
};

static const struct variable variables[] = {
    { "client_ip", usher_client_ip },
    { "host", usher_host_name },
    { "tenant", usher_tenant },
    { "request_id", usher_request_id },
    { "route", usher_route },
    { "method", usher_method },
    { "path", usher_path },
    { "query", usher_query },
    { "scheme", usher_scheme },
    { "service", usher_service },
    { "status", NULL },
};
#define VARIABLES (sizeof(variables) / sizeof(variables[0]))
#define VARIABLE_NAMES                                                                             \
    "$client_ip $host $tenant $request_id $route $method $path $query $scheme $service $status"

/* --- what is compiled --- */

struct piece {
    const struct variable *variable; /* NULL: the text */
    struct usher_text text;
};

enum act { ACT_REMOVE, ACT_SET, ACT_ADD };

struct edit {
    enum act act;
    struct usher_text name;
    const struct piece *pieces;
    uint32_t count;
};

struct headers {
    const struct edit *edits[2]; /* by enum usher_side */
    uint32_t counts[2];
};

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

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_name(struct usher_text a, struct usher_text b)
{
    for (size_t i = 0; a.len == b.len && i < a.len; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return a.len == b.len;
}

static bool is_among(struct usher_text name, const char *const *names)
{
    for (; *names != NULL; names++)
        if (same_name(name, usher_text(*names)))
            return true;
    return false;
}

/* Those that the edge says itself, or that belong to one connection: usher_header_set would refuse them. */
static bool is_edges_own(struct usher_text name, enum usher_side side)
{
    static const char *const both[] = { "Connection", "Content-Length",   "Transfer-Encoding",
                                        "TE",         "Trailer",          "Upgrade",
                                        "Keep-Alive", "Proxy-Connection", "HTTP2-Settings",
                                        "Via",        "CDN-Loop",         NULL };
    static const char *const request[] = {
        "Host", "Expect", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host",
        NULL
    };
    struct usher_text start = { name.ptr, 6 };

    return is_among(name, both) || (side == USHER_REQUEST && is_among(name, request)) ||
           (name.len >= 6 && same_name(start, usher_text("Usher-")));
}

/* --- compile --- */

struct place {
    struct usher_compile *c;
    uint32_t row, value; /* of the setting being compiled */
    enum usher_side side;
};

static bool refuse(const struct place *p, const char *expected)
{
    return usher_refuse(p->c, p->row, p->value, expected);
}

static bool refuse_name(const struct place *p, struct usher_text name)
{
    char sentence[200];

    if (!is_token(name))
        return refuse(p, "the name of a header, such as X-Edge");
    snprintf(sentence, sizeof(sentence),
             "a header that is not the edge's own to say, or the connection's, as %.*s is",
             (int)(name.len < 64 ? name.len : 64), name.ptr);
    return refuse(p, sentence);
}

static bool refuse_variable(const struct place *p, struct usher_text name)
{
    char sentence[200];

    if (name.len == 0)
        return refuse(p, "a variable's name behind $, or $$ for a dollar");
    snprintf(sentence, sizeof(sentence), "not $%.*s but one of " VARIABLE_NAMES,
             (int)(name.len < 40 ? name.len : 40), name.ptr);
    return refuse(p, sentence);
}

static const struct variable *find_variable(struct usher_text name)
{
    for (size_t i = 0; i < VARIABLES; i++)
        if (strlen(variables[i].name) == name.len &&
            memcmp(variables[i].name, name.ptr, name.len) == 0)
            return &variables[i];
    return NULL;
}

static bool is_name_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* What stands behind a dollar at *at: $, NAME or {NAME}. */
static bool read_variable(const struct place *p, struct usher_text value, size_t *at,
                          struct piece *piece)
{
    size_t first = *at;
    bool braces = first < value.len && value.ptr[first] == '{';
    struct usher_text name;

    if (first < value.len && value.ptr[first] == '$') {
        *piece = (struct piece){ .text = { value.ptr + first, 1 } };
        *at = first + 1;
        return true;
    }
    first += braces;
    name = (struct usher_text){ value.ptr + first, 0 };
    while (first + name.len < value.len && is_name_letter(name.ptr[name.len]))
        name.len++;
    *at = first + name.len + braces;
    if (braces && (*at > value.len || value.ptr[*at - 1] != '}'))
        return refuse(p, "a } behind the name of the variable");
    piece->variable = find_variable(name);
    if (piece->variable == NULL)
        return refuse_variable(p, name);
    if (piece->variable->value == NULL && p->side == USHER_REQUEST)
        return refuse(p, "no $status here: a request has none yet");
    return true;
}

static bool is_well_formed(struct usher_text value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return value.len > 0 && value.len <= VALUE_MOST;
}

static bool compile_value(const struct place *p, struct usher_text value, struct edit *edit)
{
    struct piece *pieces;
    size_t dollars = 0, at = 0;

    for (size_t i = 0; i < value.len; i++)
        dollars += value.ptr[i] == '$';
    edit->pieces = pieces = usher_keep(p->c, (2 * dollars + 1) * sizeof(*pieces));
    while (at < value.len) {
        struct piece *piece = &pieces[edit->count++];

        if (value.ptr[at] == '$') {
            at++;
            if (!read_variable(p, value, &at, piece))
                return false;
            continue;
        }
        piece->text.ptr = value.ptr + at;
        while (at < value.len && value.ptr[at] != '$') {
            piece->text.len++;
            at++;
        }
    }
    return true;
}

static struct usher_text trimmed(struct usher_text t)
{
    while (t.len > 0 && (t.ptr[0] == ' ' || t.ptr[0] == '\t'))
        t = (struct usher_text){ t.ptr + 1, t.len - 1 };
    while (t.len > 0 && (t.ptr[t.len - 1] == ' ' || t.ptr[t.len - 1] == '\t'))
        t.len--;
    return t;
}

static bool compile_edit(const struct place *p, const struct usher_value *said, enum act act,
                         struct edit *edit)
{
    struct usher_text value = trimmed(said->text);

    edit->act = act;
    edit->name = act == ACT_REMOVE ? said->text : said->name;
    if (!is_token(edit->name) || is_edges_own(edit->name, p->side))
        return refuse_name(p, edit->name);
    if (act == ACT_REMOVE)
        return true;
    if (!is_well_formed(value))
        return refuse(p, value.len == 0 ? "a value behind =; to take a header away, remove it"
                                        : "a value without control octets, of at most 4096 bytes");
    return compile_value(p, value, edit);
}

static bool is_set_twice(const struct edit *edits, uint32_t count)
{
    for (uint32_t i = 0; i + 1 < count; i++)
        if (edits[i].act == ACT_SET && edits[count - 1].act == ACT_SET &&
            same_name(edits[i].name, edits[count - 1].name))
            return true;
    return false;
}

/* First what is removed, then what is set, then what is added. */
static bool compile_side(struct usher_compile *c, const struct usher_given *given,
                         enum usher_side side, struct headers *h)
{
    uint32_t first = side == USHER_REQUEST ? REMOVE : RESPONSE_REMOVE;
    uint32_t most = given[first].count + given[first + 1].count + given[first + 2].count;
    struct edit *edits = usher_keep(c, (most + 1) * sizeof(*edits));
    struct place p = { .c = c, .side = side };

    h->edits[side] = edits;
    for (uint32_t act = ACT_REMOVE; act <= ACT_ADD; act++) {
        p.row = first + act;
        for (p.value = 0; p.value < given[p.row].count; p.value++) {
            if (!compile_edit(&p, &given[p.row].values[p.value], (enum act)act,
                              &edits[h->counts[side]]))
                return false;
            if (is_set_twice(edits, ++h->counts[side]))
                return refuse(&p, "each header once; add says it a second time");
        }
    }
    return true;
}

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct headers *h = usher_keep(c, sizeof(*h));

    *compiled = h;
    return compile_side(c, given, USHER_REQUEST, h) && compile_side(c, given, USHER_RESPONSE, h);
}

/* --- hooks --- */

static struct usher_text value_of(struct usher_exchange *x, const struct piece *piece,
                                  char status[16])
{
    if (piece->variable == NULL)
        return piece->text;
    if (piece->variable->value != NULL)
        return piece->variable->value(x);
    snprintf(status, 16, "%u", (unsigned)usher_status(x));
    return usher_text(status);
}

/* The pieces, one behind the other: in `room`, or in the exchange's memory. False: there is none. */
static bool compose(struct usher_exchange *x, const struct edit *edit, char room[INLINE_MOST],
                    struct usher_text *value)
{
    char status[16];
    size_t bytes = 0;
    char *to = room;

    for (uint32_t i = 0; i < edit->count; i++)
        bytes += value_of(x, &edit->pieces[i], status).len;
    if (bytes > INLINE_MOST && (to = usher_alloc(x, bytes)) == NULL)
        return false;
    *value = (struct usher_text){ to, bytes };
    for (uint32_t i = 0; i < edit->count; i++) {
        struct usher_text part = value_of(x, &edit->pieces[i], status);

        if (part.len > 0)
            memcpy(to, part.ptr, part.len);
        to += part.len;
    }
    *value = trimmed(*value);
    return true;
}

static bool apply(struct usher_exchange *x, enum usher_side side, const struct edit *edit)
{
    char room[INLINE_MOST];
    struct usher_text value;

    if (edit->act == ACT_REMOVE)
        return usher_header_remove(x, side, edit->name);
    if (edit->count == 1 && edit->pieces[0].variable == NULL)
        value = edit->pieces[0].text;
    else if (!compose(x, edit, room, &value))
        return false;
    if (value.len ==
        0) /* what it was to say there is not; the client's word does not stand for it */
        return edit->act == ACT_ADD || usher_header_remove(x, side, edit->name);
    return edit->act == ACT_SET ? usher_header_set(x, side, edit->name, value)
                                : usher_header_add(x, side, edit->name, value);
}

static enum usher_result apply_all(struct usher_exchange *x, enum usher_side side,
                                   const struct headers *h)
{
    for (uint32_t i = 0; i < h->counts[side]; i++)
        if (!apply(x, side, &h->edits[side][i]))
            return USHER_FAULT;
    return USHER_GO_ON;
}

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    return apply_all(x, USHER_REQUEST, compiled);
}

static enum usher_result on_response(struct usher_exchange *x, const void *compiled)
{
    return apply_all(x, USHER_RESPONSE, compiled);
}

USHER_MODULE(headers) = {
    USHER_MODULE_ABI,
    .name = "headers",
    .version = "1.0",
    .summary = "sets, adds and removes headers, of the request and of the response",
    USHER_SETTINGS(settings),
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
};
