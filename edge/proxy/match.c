/* match.c -- what the site, its tenant, the tenant's rules and the defaults say of a request.
 *
 * Each field is taken from the first that says it: the host's own, the tenant's, the defaults.
 * Rules go before every `to`.
 *
 * Owns:    nothing; what it pins, the exchange lets go of.
 * Thread:  its worker.
 * Used by: exchange.c (matches); limits.c, reply.c, retry.c, queue.c, tunnel.c and others (what is said).
 * Not here: which rule holds (routing/); which endpoint (choose.c). */
#include "proxy/match.h"

#include <stdlib.h>

#include "base/check.h"
#include "http/parser.h"
#include "proxy/exchange.h"
#include "proxy/limits.h"
#include "proxy/worker_state.h"
#include "routing/regex.h"
#include "routing/rewrite.h"

#define RETRY_AFTER_S 30
#define HTTPS_URL "https://$host$uri"

/* RFC 9110 15.4.9; the port of https:// is not ours to know, so it is the usual one. */
static const struct action to_https = { .kind = ACTION_REDIRECT,
                                        .code = 308,
                                        .text = { HTTPS_URL, sizeof(HTTPS_URL) - 1 } };

static const struct tenant_fields *layer(const struct exchange *x, unsigned i)
{
    static const struct tenant_fields silent;

    switch (i) {
    case 0:
        return &x->site->fields;
    case 1:
        return x->tenant != NULL ? &x->tenant->fields : &silent;
    default:
        return x->defaults != NULL ? &x->defaults->fields : &silent;
    }
}

/* The first word on `member`; 0 (unset): nobody says it. */
#define SAID(x, member)                                                                            \
    (layer(x, 0)->member   ? layer(x, 0)->member                                                   \
     : layer(x, 1)->member ? layer(x, 1)->member                                                   \
                           : layer(x, 2)->member)

const struct tenant_fields *match_fields(const struct exchange *x, unsigned i)
{
    return layer(x, i);
}

bool match_has_limits(const struct exchange *x)
{
    return x->site->fields.limits != NULL ||
           (x->tenant != NULL && x->tenant->fields.limits != NULL) ||
           (x->defaults != NULL && x->defaults->fields.limits != NULL);
}

/* The nearest to the request that says it; a request of the edge's own has no site. */
uint32_t match_retries(const struct exchange *x)
{
    uint8_t said = x->site != NULL ? x->site->fields.retries : 0;

    if (said == 0 && x->tenant != NULL)
        said = x->tenant->fields.retries;
    if (said == 0 && x->service != NULL)
        said = x->service->policy.retry.retries;
    if (said == 0 && x->defaults != NULL)
        said = x->defaults->fields.retries;
    return said != 0 ? said - 1u : RETRIES_STANDARD;
}

uint32_t match_retry_after(const struct exchange *x)
{
    uint32_t seconds = SAID(x, retry_after_s);

    return seconds != 0 ? seconds : RETRY_AFTER_S;
}

uint32_t match_share(const struct exchange *x)
{
    if (x->site == NULL) /* the edge's own */
        return x->tenant != NULL ? x->tenant->fields.share : 0;
    return SAID(x, share);
}

uint32_t match_stream_timeout(const struct exchange *x)
{
    uint32_t said = x->site != NULL ? SAID(x, stream_timeout_ms) : x->timeout_ms;

    return said != 0 ? said : (uint32_t)x->w->settings->stream_timeout_ms;
}

uint32_t match_tunnel_timeout(const struct exchange *x)
{
    uint32_t said = SAID(x, tunnel_timeout_ms);

    return said != 0 ? said : (uint32_t)x->w->settings->tunnel_timeout_ms;
}

struct object *match_owner_of_endpoint(const struct exchange *x, uint32_t *slot)
{
    struct object *owner = &x->site->object;

    *slot = x->site_slot;
    if (x->service != NULL)
        owner = &x->service->object;
    else if (x->route != NULL)
        owner = &x->routes->object;
    else if (x->tenant != NULL && x->action == &x->tenant->fields.to)
        owner = &x->tenant->object;
    else if (x->defaults != NULL && x->action == &x->defaults->fields.to)
        owner = &x->defaults->object;
    if (owner != &x->site->object)
        *slot = owner->ref.slot;
    return owner;
}

struct str match_page(const struct exchange *x)
{
    for (unsigned i = 0; i < MATCH_LAYERS; i++)
        if (layer(x, i)->page.ptr != NULL)
            return layer(x, i)->page;
    return str_slice(NULL, 0);
}

const struct chain *match_modules(const struct exchange *x)
{
    return x->site != NULL && !x->site->bad ? SAID(x, modules) : NULL;
}

bool match_is_sites(const struct exchange *x)
{
    return x->action != &to_https;
}

/* --- pins --- */

static enum fault pin_layers(struct exchange *x)
{
    struct sites *s = &x->w->sites;

    if (x->site->bad)
        return FAULT_bad_record;
    x->defaults = (struct defaults *)sites_pin(s, OBJECT_DEFAULTS, 0);
    if (!x->site->has_tenant)
        return FAULT_NONE;
    x->tenant = (struct tenant *)sites_pin(s, OBJECT_TENANT, x->site->tenant_slot);
    if (x->tenant == NULL)
        return FAULT_tenant_gone;
    if (x->tenant->bad)
        return FAULT_bad_record;
    x->routes = (struct routes *)sites_pin(s, OBJECT_ROUTES, x->tenant->routes_slot);
    return FAULT_NONE;
}

/* A service may have got its owner after it was named here. */
static bool may_use(const struct exchange *x, const struct service *service)
{
    const char *owner = service->policy.owner;

    if (owner[0] == '\0')
        return true;
    return x->tenant != NULL && strcmp(x->tenant->id, owner) == 0;
}

static enum fault pin_service(struct exchange *x, uint32_t slot)
{
    x->service = (struct service *)sites_pin(&x->w->sites, OBJECT_SERVICE, slot);
    if (x->service == NULL)
        return FAULT_no_endpoint;
    if (x->service->bad)
        return FAULT_bad_record;
    if (!may_use(x, x->service))
        return FAULT_service_forbidden;
    x->balanced = x->service;
    return FAULT_NONE;
}

enum fault match_choose(struct exchange *x, uint32_t slot)
{
    struct service *was = x->service, *left = was;
    enum fault fault = pin_service(x, slot);

    if (fault != FAULT_NONE) {
        left = x->service;
        x->service = was;
    }
    if (left != NULL)
        sites_unpin(&x->w->sites, left->object.ref.slot, &left->object);
    return fault;
}

enum fault match_own(struct exchange *x, const struct exchange *parent, uint32_t slot)
{
    if (parent->tenant != NULL) {
        uint32_t tenant = parent->tenant->object.ref.slot;

        x->tenant = (struct tenant *)sites_pin(&x->w->sites, OBJECT_TENANT, tenant);
        if (x->tenant == NULL || strcmp(x->tenant->id, parent->tenant->id) != 0)
            return FAULT_tenant_gone;
    }
    return pin_service(x, slot);
}

/* --- rules --- */

static struct str nth_header(void *owner, struct str name, unsigned n)
{
    const struct head *h = owner;

    for (unsigned i = 0; i < h->count; i++)
        if (str_equals_nocase(head_name(h, &h->fields[i]), name) && n-- == 0)
            return head_value(h, &h->fields[i]);
    return str_slice(NULL, 0);
}

struct route_request match_question(const struct exchange *x)
{
    return (struct route_request){ .owner = (void *)(uintptr_t)&x->request, /* read alone */
                                   .header = nth_header,
                                   .method = parser_method_name(x->request.method),
                                   .query = x->target.query,
                                   .client = x->client->client_address(x->session),
                                   .websocket = x->request.upgrade };
}

static bool is_raw(const struct exchange *x)
{
    return SAID(x, path) == PATH_RAW;
}

static const struct route *try_routes(struct exchange *x, const struct route_request *q)
{
    const struct route *route = routes_match(x->routes, q, x->w->route_scratch);

    if (regex_gave_up(x->w->route_scratch))
        counter_add(&x->w->counters->regexes_given_up, 1);
    return route;
}

static struct str form_of(struct str path, char *to)
{
    memcpy(to, path.ptr, path.len);
    return str_slice(to, route_path_form(to, path.len));
}

/* The endpoint gets the path as the client wrote it, and may take "//" as "/" before it resolves
 * "..": that is another path, and what is denied must be denied in either reading. */
static const struct route *denied_otherwise(struct exchange *x, struct route_request *q)
{
    const struct route *route = NULL;

    q->path = route_path_otherwise(x->target.path, x->w->path_form);
    if (q->path.len > 0)
        route = try_routes(x, q);
    return route != NULL && route->action.kind == ACTION_DENY ? route : NULL;
}

static const struct route *find_route(struct exchange *x)
{
    struct worker *w = x->w;
    const struct route *route;
    struct route_request q = match_question(x);

    if (is_raw(x) && (route = denied_otherwise(x, &q)) != NULL)
        return route;
    q.path = x->path;
    if (memmem(q.path.ptr, q.path.len, "//", 2) != NULL)
        q.path = form_of(q.path, w->path_form);
    return try_routes(x, &q);
}

static const struct action *find_action(struct exchange *x)
{
    if (x->routes != NULL && x->routes->count > 0)
        x->route = find_route(x);
    if (x->route != NULL)
        return &x->route->action;
    for (unsigned i = 0; i < MATCH_LAYERS; i++)
        if (layer(x, i)->to.kind != ACTION_UNSET)
            return &layer(x, i)->to;
    return NULL;
}

/* --- the path --- */

struct str match_own_path(const struct exchange *x)
{
    struct str path = is_raw(x) ? x->target.path : x->path;

    return path.ptr[0] == '/' ? path : STR("/");
}

/* As the client wrote it, if that is wanted; but what a rule strips may stand there in another
 * form, and then it is the normal form that is stripped. */
static struct str path_to_rewrite(const struct exchange *x)
{
    size_t len;

    if (!is_raw(x))
        return x->path;
    if (x->route != NULL && x->route->strip.len > 0 &&
        !rewrite_strips(x->route->strip, x->target.path, &len) &&
        rewrite_strips(x->route->strip, x->path, &len))
        return x->path;
    return x->target.path;
}

static bool make_path(struct exchange *x)
{
    const struct route *route = x->route;

    x->path_sent = path_to_rewrite(x);
    if (route == NULL || route->strip.len + route->prepend.len == 0)
        return true;
    x->path_made = malloc(route->prepend.len + x->path_sent.len + 1);
    if (x->path_made == NULL)
        return false;
    x->path_sent = str_slice(x->path_made, rewrite_path(route, x->path_sent, x->path_made));
    return true;
}

/* --- the whole --- */

static enum fault find_where_to(struct exchange *x)
{
    const struct action *a = x->action;
    uint64_t hash;

    switch (a->kind) {
    case ACTION_SERVICE:
        return pin_service(x, a->service_slot);
    case ACTION_ENDPOINTS:
        x->balanced = a->own;
        return FAULT_NONE;
    case ACTION_SPLIT:
        hash = rewrite_client_hash(x->client->client_address(x->session), str_from(x->tenant->id),
                                   x->route->name);
        return pin_service(x, action_split(a, hash)->service_slot);
    case ACTION_DENY:
        return FAULT_denied;
    case ACTION_REDIRECT:
    case ACTION_RESPOND:
        return FAULT_NONE;
    case ACTION_UNSET:
        break;
    }
    return FAULT_no_route;
}

enum fault match_request(struct exchange *x)
{
    enum fault fault = pin_layers(x);

    if (fault == FAULT_NONE && (match_has_limits(x) || x->was_counted))
        fault = limits_admit(x);
    if (fault != FAULT_NONE)
        return fault;
    switch (SAID(x, status)) {
    case STATUS_MAINTENANCE:
        return FAULT_maintenance;
    case STATUS_SUSPENDED:
        return FAULT_suspended;
    case STATUS_UNSET:
    case STATUS_ACTIVE:
        break;
    }
    if (x->routes != NULL && x->routes->bad)
        return FAULT_bad_record;
    if (SAID(x, https) == HTTPS_REDIRECT && !x->https) {
        x->action = &to_https;
        return FAULT_NONE;
    }
    x->action = find_action(x);
    if (!make_path(x))
        return FAULT_out_of_memory;
    x->timeout_ms = x->route != NULL ? x->route->timeout_ms : 0;
    if (x->timeout_ms == 0)
        x->timeout_ms = SAID(x, timeout_ms);
    if (x->timeout_ms == 0)
        x->timeout_ms = x->w->settings->response_timeout_ms;
    return x->action != NULL ? find_where_to(x) : FAULT_no_route;
}
