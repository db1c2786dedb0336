/* explain_page.c -- an explanation from the mirror: last good versions, and what is wrong with newer ones.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: admin_pages.c.
 * Not here: finding out (explain.c).  */
#include "control/explain_page.h"

#include <stdio.h>

#include "control/control_state.h"
#include "control/explain.h"
#include "routing/value.h"

/* The last value that was asked for. */
struct mirror_records {
    struct store *store;
    const struct health *health;
    struct buf raw;
    struct value value;
};

static void drop_value(struct mirror_records *m)
{
    value_free(&m->value);
    m->value = (struct value){ .kind = VALUE_ABSENT };
    buf_clear(&m->raw);
}

static bool fetch(void *owner, enum family family, struct str name, struct value *value,
                  const char **why)
{
    struct mirror_records *m = owner;

    *why = "";
    drop_value(m);
    *value = m->value;
    if (!store_fetch(m->store, family, name, &m->raw))
        return true;
    if (!value_decode(str_slice(m->raw.ptr, m->raw.len), &m->value))
        return false;
    *value = m->value;
    return true;
}

static enum explained_state state(void *owner, enum family family, struct str name,
                                  struct buf *says)
{
    struct mirror_records *m = owner;
    struct store_record r;

    if (!store_look(m->store, family, name, &r))
        return EXPLAINED_UNREAD;
    if (!r.present)
        return EXPLAINED_ABSENT;
    if (r.error != NULL) {
        if (r.good)
            buf_add_text(says, "the version before is in force, the value in Redis is refused: ");
        record_error_say(r.error, says);
    }
    return r.good ? EXPLAINED_GOOD : EXPLAINED_BAD;
}

static bool health(void *owner, struct str service, struct str endpoint, struct buf *says)
{
    const struct mirror_records *m = owner;

    return health_say(m->health, service, endpoint, says);
}

/* --- the query --- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = str_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct str decoded(struct arena *arena, struct str text)
{
    char *to = arena_alloc(arena, text.len + 1);
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        int high = text.ptr[i] == '%' && i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.ptr[i + 2]) : -1;

        to[n++] = low >= 0 ? (char)(high * 16 + low) : text.ptr[i];
        i += low >= 0 ? 2 : 0;
    }
    return str_slice(to, n);
}

static bool has_line_end(struct str s)
{
    return memchr(s.ptr, '\r', s.len) != NULL || memchr(s.ptr, '\n', s.len) != NULL;
}

static bool read_client(struct str text, struct address *to)
{
    char whole[ADDRESS_TEXT_SIZE + 8];
    const char *expected;

    if (text.len >= ADDRESS_TEXT_SIZE)
        return false;
    snprintf(whole, sizeof(whole), memchr(text.ptr, ':', text.len) ? "[%.*s]:0" : "%.*s:0",
             STR_ARG(text));
    return address_parse(str_from(whole), 0, to, &expected);
}

/* NULL, or what is wrong with it. */
static const char *read_query(struct arena *arena, struct str query, struct explain_request *r,
                              bool *json)
{
    struct str part, name, client = STR("127.0.0.1");

    r->method = STR("GET");
    r->url = STR("");
    while (str_split(&query, '&', &part)) {
        struct str value = part;

        if (!str_split(&value, '=', &name) || value.ptr == NULL)
            continue;
        value = decoded(arena, value);
        if (has_line_end(value))
            return "no parameter may hold an end of line";
        if (str_equals(name, STR("url")))
            r->url = value;
        else if (str_equals(name, STR("method")))
            r->method = value;
        else if (str_equals(name, STR("from")))
            client = value;
        else if (str_equals(name, STR("as")))
            *json = str_equals(value, STR("json"));
        else if (str_equals(name, STR("header")) && r->header_count < EXPLAIN_HEADERS_MAX)
            r->headers[r->header_count++] = value;
    }
    if (r->url.len == 0)
        return "url= is expected: /explain?url=http://shop.example/cart&method=GET";
    return read_client(client, &r->client) ? NULL : "from= is to be an IP address";
}

unsigned explain_page(struct control *c, struct str query, struct buf *body, bool *json)
{
    struct mirror_records m = { .store = c->store, .health = c->health };
    struct explain_source source = { .records = { &m, fetch },
                                     .in_force = true,
                                     .state = state,
                                     .owner = &m,
                                     .health = health,
                                     .guard = &c->guard,
                                     .modules = &c->modules,
                                     .bans = &c->bans,
                                     .states = store_states(c->store),
                                     .settings = c->settings };
    struct explain_request request = { .header_count = 0 };
    struct arena arena = { 0 };
    struct explanation e;
    struct buf from = { 0 };
    const char *wrong = read_query(&arena, query, &request, json);
    unsigned status = 200;

    if (wrong != NULL) {
        buf_printf(body, "%s\n", wrong);
        arena_free(&arena);
        *json = false;
        return 400;
    }
    buf_printf(&from, "edge %s, by what it holds now", c->settings->name);
    source.from = from.ptr;
    explain(&e, &source, &request);
    if (e.unread && e.host.len > 0) {
        store_lookup(c->store, 0, e.host); /* as for a request; by the next time it is known */
        status = 202;
    }
    if (*json)
        explain_json(&e, body);
    else
        explain_text(&e, body);
    explain_free(&e);
    buf_free(&from);
    drop_value(&m);
    buf_free(&m.raw);
    arena_free(&arena);
    return status;
}
