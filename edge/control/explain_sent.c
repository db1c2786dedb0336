/* explain_sent.c -- builds the head that a client would send, reads it as a session would, and writes
 * the one that an endpoint would get.
 *
 * Owns:    both heads.
 * Thread:  control
 * Used by: explain.c.
 * Not here: where it goes (explain.c).  */
#include "control/explain_sent.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/path.h"
#include "control/explain_records.h"
#include "http/forwarded.h"
#include "http/framing.h"
#include "http/cgi.h"
#include "http/serializer.h"
#include "routing/rewrite.h"

#define PATH_ESCAPED 3 /* an octet that a path may not hold becomes three */

/* --- as it comes --- */

static void split_url(struct explanation *e, struct str url, struct str *authority,
                      struct str *target)
{
    const char *scheme = url.len ? memmem(url.ptr, url.len, "://", 3) : NULL, *mark;
    size_t n = 0;

    e->scheme = STR("http");
    if (scheme != NULL) {
        e->scheme = arena_copy(&e->arena, str_slice(url.ptr, (size_t)(scheme - url.ptr)));
        url = str_slice(scheme + 3, url.len - e->scheme.len - 3);
    }
    mark = url.len ? memchr(url.ptr, '#', url.len) : NULL; /* stays with the client */
    if (mark != NULL)
        url.len = (size_t)(mark - url.ptr);
    while (n < url.len && url.ptr[n] != '/' && url.ptr[n] != '?')
        n++;
    *authority = str_slice(url.ptr, n);
    *target = str_slice(url.ptr + n, url.len - n);
}

static bool has_host(const struct explain_request *request)
{
    for (unsigned i = 0; i < request->header_count; i++)
        if (request->headers[i].len >= 5 &&
            str_equals_nocase(str_slice(request->headers[i].ptr, 5), STR("host:")))
            return true;
    return false;
}

static void build(struct explain_message *m, struct explanation *e,
                  const struct explain_request *request)
{
    struct str authority, target;

    split_url(e, request->url, &authority, &target);
    buf_add_str(&m->bytes, request->method);
    buf_add_text(&m->bytes, target.len == 0 || target.ptr[0] == '?' ? " /" : " ");
    buf_add_str(&m->bytes, target);
    buf_add_text(&m->bytes, " HTTP/1.1\r\n");
    if (!has_host(request)) {
        buf_add_text(&m->bytes, "Host: ");
        buf_add_str(&m->bytes, authority);
        buf_add_text(&m->bytes, "\r\n");
    }
    for (unsigned i = 0; i < request->header_count; i++) {
        buf_add_str(&m->bytes, request->headers[i]);
        buf_add_text(&m->bytes, "\r\n");
    }
    buf_add_text(&m->bytes, "\r\n");
}

static enum fault read_head(struct explain_message *m)
{
    enum fault fault;

    switch (parser_head(&m->parser, m->bytes.ptr, 0, m->bytes.len)) {
    case PARSE_MORE:
        return FAULT_bad_request;
    case PARSE_BAD:
        return m->parser.fault;
    case PARSE_DONE:
        break;
    }
    fault = framing_request(&m->head);
    return fault != FAULT_NONE ? fault : target_read(&m->head, &m->target);
}

/* The path in its normal form, and in the form that rules are matched on. */
static enum fault read_path(struct explain_message *m, struct explanation *e)
{
    struct str path = m->target.path;
    bool same;

    m->normal = check_alloc(path.len * PATH_ESCAPED + 1);
    m->matched = check_alloc(path.len * PATH_ESCAPED + 1);
    m->normal_len = path_normal(path, m->normal, &same);
    if (m->normal_len == 0)
        return FAULT_bad_request;
    memcpy(m->matched, m->normal, m->normal_len);
    m->matched_len = route_path_form(m->matched, m->normal_len);
    e->normal_path = arena_copy(&e->arena, str_slice(m->normal, m->normal_len));
    e->matched_path = arena_copy(&e->arena, str_slice(m->matched, m->matched_len));
    return FAULT_NONE;
}

/* As client_believe (proxy/client_address.c). */
static void believe(struct explain_message *m, const struct settings_ranges *forwarders)
{
    struct forwarded f = { .client = m->client };
    struct cidr_set *trusted = cidr_set_new(forwarders->at, forwarders->count);

    if (cidr_set_holds(trusted, &m->client)) {
        forwarded_read(&m->head, trusted, &f);
        m->client = f.client;
        m->https = f.https;
        m->forwarded_host = f.host;
    }
    cidr_set_free(trusted);
}

enum fault explain_message_read(struct explain_message *m, struct explanation *e,
                                const struct settings *settings,
                                const struct explain_request *request)
{
    char ip[ADDRESS_TEXT_SIZE];
    enum fault fault;

    *m = (struct explain_message){ .begun = true, .client = request->client };
    m->limits = (struct parser_limits){ .head_bytes = settings->max_head_bytes,
                                        .header_count = settings->max_header_count,
                                        .url_bytes = settings->max_url_bytes };
    head_init(&m->head);
    parser_init(&m->parser, true, &m->limits);
    parser_start(&m->parser, &m->head);
    e->method = arena_copy(&e->arena, request->method);
    build(m, e, request);
    fault = read_head(m);
    if (m->parser.fault == FAULT_NONE)
        believe(m, &settings->trusted_forwarders);
    e->client = arena_copy(&e->arena, str_from(address_ip_text(&m->client, ip)));
    e->authority = m->target.authority.ptr ? arena_copy(&e->arena, m->target.authority) : STR("");
    e->host = arena_copy(&e->arena, str_slice(m->target.host, m->target.host_len));
    e->path = m->target.path.ptr ? arena_copy(&e->arena, m->target.path) : STR("");
    e->query = m->target.query.ptr ? arena_copy(&e->arena, m->target.query) : STR("");
    return fault != FAULT_NONE ? fault : read_path(m, e);
}

void explain_message_free(struct explain_message *m)
{
    if (!m->begun)
        return;
    parser_free(&m->parser);
    head_free(&m->head);
    buf_free(&m->bytes);
    free(m->normal);
    free(m->matched);
}

/* --- as rules see it --- */

static struct str nth_header(void *owner, struct str name, unsigned n)
{
    const struct head *h = owner;

    for (unsigned i = 0; i < h->count; i++)
        if (str_equals_nocase(head_name(h, &h->fields[i]), name) && n-- == 0)
            return head_value(h, &h->fields[i]);
    return (struct str){ NULL, 0 };
}

struct route_request explain_message_route_request(struct explain_message *m)
{
    return (struct route_request){ .owner = &m->head,
                                   .header = nth_header,
                                   .method = parser_method_name(m->head.method),
                                   .path = str_slice(m->matched, m->matched_len),
                                   .query = m->target.query,
                                   .client = &m->client,
                                   .websocket = m->head.upgrade };
}

/* --- as it is sent back, or on --- */

struct str explain_message_own_path(const struct explain_message *m, bool raw)
{
    struct str path = raw ? m->target.path : str_slice(m->normal, m->normal_len);

    return path.ptr[0] == '/' ? path : STR("/");
}

struct str explain_message_location(struct explain_message *m, struct explanation *e,
                                    struct str url, bool raw)
{
    struct rewrite_request q = { .host = str_slice(m->target.host, m->target.host_len),
                                 .path = explain_message_own_path(m, raw),
                                 .query = m->target.query };
    size_t len = rewrite_url(url, &q, NULL);
    char *to = arena_alloc(&e->arena, len + 1);

    rewrite_url(url, &q, to);
    return str_slice(to, len);
}

/* As proxy/match.c: what a rule strips may stand in the raw path in another form. */
static struct str path_to_rewrite(const struct explain_message *m, const struct route *route,
                                  bool raw)
{
    struct str normal = str_slice(m->normal, m->normal_len);
    size_t len;

    if (!raw)
        return normal;
    if (route != NULL && route->strip.len > 0 &&
        !rewrite_strips(route->strip, m->target.path, &len) &&
        rewrite_strips(route->strip, normal, &len))
        return normal;
    return m->target.path;
}

static struct str path_sent(const struct explain_message *m, struct explanation *e,
                            const struct route *route, bool raw)
{
    struct str path = path_to_rewrite(m, route, raw);
    char *made;

    if (route == NULL || route->strip.len + route->prepend.len == 0)
        return path;
    made = arena_alloc(&e->arena, route->prepend.len + path.len + 1);
    return str_slice(made, rewrite_path(route, path, made));
}

/* Takes the next line of a head, without its end; false behind the last field. */
static bool next_line(struct str *rest, struct str *line)
{
    if (!str_split(rest, '\n', line))
        return false;
    if (line->len > 0 && line->ptr[line->len - 1] == '\r')
        line->len--;
    return line->len > 0;
}

static bool has_line(struct str head, struct str wanted)
{
    struct str line;

    while (next_line(&head, &line))
        if (str_equals(line, wanted))
            return true;
    return false;
}

/* The lines of one head that the other does not have; the first line is none of them. */
static void add_difference(struct explanation *e, struct str head, struct str other, bool added)
{
    struct str line;

    for (bool first = true; next_line(&head, &line); first = false)
        if (!first && !has_line(other, line)) {
            struct explained_line l = { added, arena_copy(&e->arena, line) };

            explain_add(e, lines, l);
        }
}

static void end_with(struct explanation *e, enum fault fault)
{
    e->fault = fault;
    e->status = fault_row(fault)->status;
    e->ends = str_from(fault_row(fault)->sentence);
}

void explain_message_sent(struct explain_message *m, struct explanation *e,
                          const struct settings *settings, const struct route *route, bool raw)
{
    struct request_out out = {
        .method = parser_method_name(m->head.method),
        .path = path_sent(m, e, route, raw),
        .query = m->target.query,
        .host = m->target.authority,
        .authority = m->forwarded_host.len > 0 ? m->forwarded_host : m->target.authority,
        .client_ip = e->client,
        .scheme = m->https ? STR("https") : STR("http"),
        .id = str_from(settings->cdn_id),
        .forwarded = settings->forwarded,
    };
    size_t room = m->bytes.len + SERIALIZER_ROOM;
    char *to = check_alloc(room);
    struct str sent, rest;

    if (route != NULL) {
        if (route->host.len > 0)
            out.host = route->host;
        out.edits = route->edits;
        out.edit_count = route->edit_count;
    }
    sent = str_slice(to, serializer_request(to, room, &m->head, &out));
    if (sent.len > 0) {
        struct str first, came = str_slice(m->bytes.ptr, m->bytes.len);

        rest = sent;
        next_line(&rest, &first);
        e->sent_target = arena_copy(&e->arena, first);
        add_difference(e, came, sent, false);
        add_difference(e, sent, came, true);
    } else {
        end_with(e, FAULT_head_too_large);
    }
    free(to);
}

void explain_message_script(struct explain_message *m, struct explanation *e,
                            const struct endpoint *to, const struct route *route, bool raw)
{
    const struct endpoint_options *o = to->options;
    struct cgi_scripts scripts = { .root = o->root, .index = o->index, .path_info = o->path_info };
    struct str path = path_sent(m, e, route, raw);
    char *scratch = arena_alloc(&e->arena, path.len + o->index.len + 2);
    struct cgi_script script;

    if (scripts.root.len == 1) /* "/" */
        scripts.root.len = 0;
    if (cgi_climbs(m->target.path) || !cgi_script_of(path, &scripts, scratch, &script)) {
        e->sent_target = STR("");
        end_with(e, FAULT_bad_request);
        return;
    }
    e->sent_target = explain_print(
        e, "FastCGI %s SCRIPT_FILENAME=" STR_FMT STR_FMT "%s" STR_FMT,
        parser_method_name(m->head.method).ptr, STR_ARG(scripts.root), STR_ARG(script.name),
        script.path_info.len > 0 ? " PATH_INFO=" : "", STR_ARG(script.path_info));
}
