/* route_text.c -- rules and their refusals in words.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: control/explain.c, cli/route_list.c.
 * Not here: reading such text (rule.c). */
#include <stdio.h>

#include "base/log.h"
#include "routing/endpoint.h"
#include "routing/match.h"

/* --- a rule, as it could have been written --- */

static bool needs_quotes(struct str word)
{
    for (size_t i = 0; i < word.len; i++)
        if ((unsigned char)word.ptr[i] <= ' ' || word.ptr[i] == 0x7f || word.ptr[i] == '"')
            return true;
    return word.len == 0;
}

static void add_quoted(struct buf *to, struct str word)
{
    buf_add_text(to, "\"");
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];

        if (c == '"' || c == '\\')
            buf_printf(to, "\\%c", c);
        else if (c == '\n' || c == '\t')
            buf_add_text(to, c == '\n' ? "\\n" : "\\t");
        else
            buf_add(to, &c, 1);
    }
    buf_add_text(to, "\"");
}

static void add_word(struct buf *to, struct str word)
{
    if (to->len > 0)
        buf_add_text(to, " ");
    if (needs_quotes(word))
        add_quoted(to, word);
    else
        buf_add_str(to, word);
}

static void add_pair(struct buf *to, const char *word, struct str text)
{
    add_word(to, str_from(word));
    add_word(to, text);
}

static void add_path(struct buf *to, const struct route *route)
{
    struct buf path = { 0 };

    if (route->path_kind == ROUTE_ANY_PATH)
        return;
    if (route->path_kind == ROUTE_REGEX_PATH)
        buf_add_text(&path, "~");
    buf_add_str(&path, route->path);
    if (route->path_kind == ROUTE_PREFIX_PATH)
        buf_add_text(&path, "/*");
    add_pair(to, "path", str_slice(path.ptr, path.len));
    buf_free(&path);
}

static const char *condition_word(enum condition_kind kind)
{
    static const char *const words[] = {
        [CONDITION_METHOD] = "method", [CONDITION_HEADER] = "header",
        [CONDITION_QUERY] = "query",   [CONDITION_COOKIE] = "cookie",
        [CONDITION_FROM] = "from",     [CONDITION_WEBSOCKET] = "websocket",
    };

    return words[kind];
}

static void add_named(struct buf *to, const char *word, struct str name, const char *between,
                      struct str value)
{
    struct buf text = { 0 };

    buf_add_str(&text, name);
    buf_add_text(&text, between);
    buf_add_str(&text, value);
    add_pair(to, word, str_slice(text.ptr, text.len));
    buf_free(&text);
}

static void add_condition(struct buf *to, const struct condition *c)
{
    static const char *const between[] = { "", "=", "~" };

    if (c->kind == CONDITION_WEBSOCKET)
        add_word(to, STR("websocket"));
    else if (c->kind == CONDITION_METHOD || c->kind == CONDITION_FROM)
        add_pair(to, condition_word(c->kind), c->value);
    else
        add_named(to, condition_word(c->kind), c->name, between[c->test], c->value);
}

static void add_number(struct buf *to, const char *word, long number, const char *unit)
{
    char text[32];

    snprintf(text, sizeof(text), "%ld%s", number, unit);
    add_pair(to, word, str_from(text));
}

static void add_split(struct buf *to, const struct action *a)
{
    add_word(to, STR("split"));
    for (uint32_t i = 0; i < a->part_count; i++)
        buf_printf(to, " service:" STR_FMT "=%u", STR_ARG(a->parts[i].service), a->parts[i].weight);
}

static void add_endpoints(struct buf *to, const struct service *own)
{
    add_word(to, STR("to"));
    for (uint32_t i = 0; i < own->endpoint_count; i++) {
        buf_add_text(to, " ");
        endpoint_say(&own->endpoints[i], to);
    }
}

static void add_action(struct buf *to, const struct action *a)
{
    switch (a->kind) {
    case ACTION_UNSET:
        break;
    case ACTION_SERVICE:
        add_word(to, STR("to"));
        buf_printf(to, " service:" STR_FMT, STR_ARG(a->service));
        break;
    case ACTION_ENDPOINTS:
        add_endpoints(to, a->own);
        break;
    case ACTION_SPLIT:
        add_split(to, a);
        break;
    case ACTION_REDIRECT:
        add_number(to, "redirect", a->code, "");
        add_word(to, a->text);
        break;
    case ACTION_RESPOND:
        add_number(to, "respond", a->code, "");
        if (a->text.len > 0) {
            buf_add_text(to, " ");
            add_quoted(to, a->text);
        }
        break;
    case ACTION_DENY:
        add_word(to, STR("deny"));
        break;
    }
}

static void add_timeout(struct buf *to, uint32_t ms)
{
    if (ms % 1000 != 0)
        add_number(to, "timeout", ms, "ms");
    else
        add_number(to, "timeout", ms / 1000, "s");
}

void route_text(const struct routes *r, const struct route *route, struct buf *to)
{
    struct buf text = { 0 };

    (void)r;
    add_path(&text, route);
    for (uint32_t i = 0; i < route->condition_count; i++)
        add_condition(&text, &route->conditions[i]);
    add_action(&text, &route->action);
    if (route->strip.len > 0)
        add_pair(&text, "strip", route->strip);
    if (route->prepend.len > 0)
        add_pair(&text, "prepend", route->prepend);
    if (route->host.len > 0)
        add_pair(&text, "host", route->host);
    for (uint32_t i = 0; i < route->edit_count; i++) {
        const struct header_edit *e = &route->edits[i];

        if (e->value.ptr == NULL)
            add_pair(&text, "unset", e->name);
        else
            add_named(&text, "set", e->name, "=", e->value);
    }
    if (route->timeout_ms > 0)
        add_timeout(&text, route->timeout_ms);
    if (route->priority != 0)
        add_number(&text, "priority", route->priority, "");
    if (route->modules != NULL)
        buf_printf(&text, " modules " STR_FMT, STR_ARG(route->modules->text));
    buf_add(to, text.ptr, text.len);
    buf_free(&text);
}

/* --- why a rule does not hold --- */

static void say_path(const struct route *route, struct str path, struct buf *why)
{
    static const char *const relations[] = {
        [ROUTE_ANY_PATH] = "is",
        [ROUTE_EXACT_PATH] = "is not",
        [ROUTE_PREFIX_PATH] = "is not below",
        [ROUTE_REGEX_PATH] = "does not hold",
    };
    char shown[128];

    buf_printf(why, "path: %s %s ", str_printable(path, shown, sizeof(shown)),
               relations[route->path_kind]);
    buf_add_text(why, str_printable(route->path, shown, sizeof(shown)));
}

/* The values that the request has in place of the one that is asked for. */
static void say_header(const struct condition *c, const struct route_request *q, struct buf *why)
{
    struct str value = q->header(q->owner, c->name, 0);
    char name[64], shown[128];

    buf_printf(why, "header: ");
    if (value.ptr == NULL) {
        buf_printf(why, "there is no %s", str_printable(c->name, name, sizeof(name)));
        return;
    }
    buf_printf(why, "%s is %s, ", str_printable(c->name, name, sizeof(name)),
               log_quote(value, shown, sizeof(shown)));
    buf_printf(why, c->test == TEST_EQUALS ? "not %s" : "which does not hold %s",
               log_quote(c->value, shown, sizeof(shown)));
}

static void say_named(const struct condition *c, struct buf *why)
{
    char name[64], shown[128];

    buf_printf(why, "%s: there is no %s", condition_word(c->kind),
               str_printable(c->name, name, sizeof(name)));
    if (c->test == TEST_EQUALS)
        buf_printf(why, " that is %s", log_quote(c->value, shown, sizeof(shown)));
}

static void say_condition(const struct condition *c, const struct route_request *q, struct buf *why)
{
    char has[ADDRESS_TEXT_SIZE], shown[128];

    switch (c->kind) {
    case CONDITION_METHOD:
        buf_printf(why, "method: %s is not ", str_printable(q->method, has, sizeof(has)));
        buf_add_text(why, str_printable(c->value, shown, sizeof(shown)));
        break;
    case CONDITION_HEADER:
        say_header(c, q, why);
        break;
    case CONDITION_QUERY:
    case CONDITION_COOKIE:
        say_named(c, why);
        break;
    case CONDITION_FROM:
        buf_printf(why, "from: %s is not in ",
                   q->client ? address_ip_text(q->client, has) : "the client");
        buf_add_text(why, str_printable(c->value, shown, sizeof(shown)));
        break;
    case CONDITION_WEBSOCKET:
        buf_printf(why, "websocket: none is asked for");
        break;
    }
}

static void say_given_up(const struct route_scratch *scratch, struct buf *why)
{
    if (regex_gave_up(scratch))
        buf_add_text(why, " (given up: to find out would take too long)");
}

bool route_refuses(const struct routes *r, const struct route *route, const struct route_request *q,
                   struct route_scratch *scratch, struct buf *why)
{
    (void)r;
    regex_begin_request(scratch);
    if (!match_path(route, q->path, scratch)) {
        say_path(route, q->path, why);
        say_given_up(scratch, why);
        return true;
    }
    for (uint32_t i = 0; i < route->condition_count; i++)
        if (!match_condition(&route->conditions[i], q, scratch,
                             route->action.kind == ACTION_DENY)) {
            say_condition(&route->conditions[i], q, why);
            say_given_up(scratch, why);
            return true;
        }
    return false;
}
