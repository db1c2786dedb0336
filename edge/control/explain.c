/* explain.c -- the steps of an exchange, walked without one: host, tenant, status, rules, endpoint.
 *
 * In the order of proxy/exchange.c and by the functions it calls; a test asks both for hundreds of
 * requests.
 *
 * Owns:    what it compiles, for the length of the call.
 * Thread:  control
 * Used by: admin_pages.c, cli/explain.c.
 * Not here: reading and judging records (explain_records.c); how it is written (explain_text.c).  */
#include "control/explain.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "control/bans.h"
#include "control/explain_endpoints.h"
#include "control/explain_limits.h"
#include "control/explain_records.h"
#include "control/explain_sent.h"
#include "routing/compile.h"
#include "routing/endpoint.h"
#include "routing/rewrite.h"
#include "routing/schedule.h"
#include "store/keys.h"

/* All of one walk. */
struct walk {
    struct explanation *e;
    const struct explain_source *source;
    struct explain_message message;
    struct str site_name, tenant_id; /* of the records that hold; "" */
    struct explain_record site_record, tenant_record, routes_record, defaults_record;
    struct site *site;
    struct tenant *tenant;
    struct routes *routes;
    struct defaults *defaults;
    const struct action *action;
    const struct route *route;
    struct service *service;
    const struct service *balanced; /* service, or the unnamed one */ /* a named one */
    bool raw; /* the path goes on as the client wrote it */
};

/* --- how it ends --- */

static void ends(struct walk *w, enum fault fault)
{
    w->e->fault = fault;
    w->e->status = fault_row(fault)->status;
    w->e->ends = str_from(fault_row(fault)->sentence);
}

static void remark(struct walk *w, struct str text)
{
    struct explained_line line = { .text = text };

    explain_add(w->e, remarks, line);
}

/* --- host --- */

/* Which slot a name has means nothing here: names are looked up by themselves. */
static uint32_t *slots_for(struct explanation *e, const struct record_fields *fields)
{
    return arena_alloc(&e->arena, (fields->names.count + 1) * sizeof(uint32_t));
}

/* What is known of its endpoints and of whatever else it holds, on an edge that runs. */
static void attach(const struct walk *w, struct object *object)
{
    if (w->source->states != NULL)
        states_attach(w->source->states, object);
}

static bool find_host(struct walk *w)
{
    struct explanation *e = w->e;
    char candidate[HOST_MAX_BYTES + 1];
    struct str name;

    for (size_t at = 0; (name = keys_candidate(e->host, &at, candidate)).len > 0;) {
        name = arena_copy(&e->arena, name);
        explain_load(e, w->source, FAMILY_host, name, &w->site_record);
        if (w->site_record.state == EXPLAINED_ABSENT)
            continue;
        w->site_name = name;
        e->answered_by = explain_key(e, w->source, FAMILY_host, name);
        if (w->site_record.state == EXPLAINED_GOOD) {
            w->site = compile_site(&(struct site_key){ .slots = { 0 } }, &w->site_record.fields,
                                   slots_for(e, &w->site_record.fields));
            attach(w, &w->site->object);
            return true;
        }
        ends(w, w->site_record.state == EXPLAINED_BAD ? FAULT_bad_record : FAULT_store_unavailable);
        return false;
    }
    ends(w, FAULT_unknown_host);
    return false;
}

/* --- tenant --- */

static void load_defaults(struct walk *w)
{
    explain_load(w->e, w->source, FAMILY_defaults, STR(""), &w->defaults_record);
    if (w->defaults_record.state != EXPLAINED_GOOD)
        return;
    w->defaults = compile_defaults((struct slot_ref){ 0 }, &w->defaults_record.fields,
                                   slots_for(w->e, &w->defaults_record.fields));
    attach(w, &w->defaults->object);
}

static bool load_tenant(struct walk *w)
{
    const struct record_fields *f = &w->site_record.fields;

    if (!f->has_tenant)
        return true;
    w->tenant_id = w->e->tenant = arena_copy(&w->e->arena, f->names.items[f->tenant].name);
    explain_load(w->e, w->source, FAMILY_tenant, w->tenant_id, &w->tenant_record);
    switch (w->tenant_record.state) {
    case EXPLAINED_ABSENT:
        ends(w, FAULT_tenant_gone);
        return false;
    case EXPLAINED_BAD:
        ends(w, FAULT_bad_record);
        return false;
    case EXPLAINED_UNREAD:
        ends(w, FAULT_store_unavailable);
        return false;
    case EXPLAINED_GOOD:
        break;
    }
    w->tenant = compile_tenant((struct slot_ref){ 0 }, w->tenant_id, &w->tenant_record.fields,
                               slots_for(w->e, &w->tenant_record.fields), 0);
    attach(w, &w->tenant->object);
    return true;
}

/* The three that may say a field, the strongest first. */
static const struct tenant_fields *fields_of(const struct walk *w, unsigned rank)
{
    switch (rank) {
    case 0:
        return &w->site->fields;
    case 1:
        return w->tenant != NULL ? &w->tenant->fields : NULL;
    default:
        return w->defaults != NULL ? &w->defaults->fields : NULL;
    }
}

static struct str key_of_rank(struct walk *w, unsigned rank)
{
    if (rank == 0)
        return explain_key(w->e, w->source, FAMILY_host, w->site_name);
    if (rank == 1)
        return explain_key(w->e, w->source, FAMILY_tenant, w->tenant_id);
    return explain_key(w->e, w->source, FAMILY_defaults, STR(""));
}

#define RANKS 3

static void add_field(struct walk *w, const char *name, struct str value, unsigned rank,
                      const char *standard)
{
    struct explained_field f = { name, value,
                                 rank < RANKS ? key_of_rank(w, rank) : str_from(standard) };

    explain_add(w->e, fields, f);
}

/* The first rank whose field is said; RANKS: none. */
#define FIRST_RANK(w, member, unset)                                                               \
    ({                                                                                             \
        unsigned rank_ = 0;                                                                        \
                                                                                                   \
        while (rank_ < RANKS &&                                                                    \
               (fields_of(w, rank_) == NULL || fields_of(w, rank_)->member == (unset)))            \
            rank_++;                                                                               \
        rank_;                                                                                     \
    })

static enum tenant_status find_status(struct walk *w)
{
    static const char *const words[] = { "", "active", "maintenance", "suspended" };
    unsigned rank = FIRST_RANK(w, status, STATUS_UNSET);
    enum tenant_status status = rank < RANKS ? fields_of(w, rank)->status : STATUS_ACTIVE;

    add_field(w, "status", str_from(words[status]), rank, "default");
    return status;
}

static bool find_https_redirect(struct walk *w)
{
    unsigned rank = FIRST_RANK(w, https, HTTPS_UNSET);
    bool redirects = rank < RANKS && fields_of(w, rank)->https == HTTPS_REDIRECT;

    add_field(w, "https", redirects ? STR("redirect") : STR("off"), rank, "default");
    return redirects;
}

static bool find_raw_path(struct walk *w)
{
    unsigned rank = FIRST_RANK(w, path, PATH_UNSET);
    bool raw = rank < RANKS && fields_of(w, rank)->path == PATH_RAW;

    add_field(w, "path", raw ? STR("raw") : STR("normal"), rank, "default");
    return raw;
}

static bool judge_limits(struct walk *w)
{
    struct explained_ranks ranks = { .fields = { NULL } };

    for (unsigned i = 0; i < RANKS; i++) {
        ranks.fields[i] = fields_of(w, i);
        if (ranks.fields[i] != NULL && ranks.fields[i]->limits != NULL)
            ranks.keys[i] = key_of_rank(w, i);
    }
    if (explain_limits(w->e, &ranks, &w->message.client))
        return true;
    ends(w, FAULT_denied_address);
    return false;
}

static bool judge_status(struct walk *w)
{
    enum tenant_status status = find_status(w);
    unsigned rank;

    if (status == STATUS_SUSPENDED) {
        ends(w, FAULT_suspended);
        return false;
    }
    if (status != STATUS_MAINTENANCE)
        return true;
    rank = FIRST_RANK(w, retry_after_s, 0);
    add_field(w, "retry_after",
              explain_print(w->e, "%u", rank < RANKS ? fields_of(w, rank)->retry_after_s : 30),
              rank, "default");
    rank = FIRST_RANK(w, page.ptr, NULL);
    if (rank < RANKS)
        add_field(w, "page", explain_print(w->e, "%zu bytes", fields_of(w, rank)->page.len), rank,
                  "");
    ends(w, FAULT_maintenance);
    return false;
}

/* --- rules --- */

static bool load_routes(struct walk *w)
{
    if (w->tenant == NULL)
        return true;
    explain_load(w->e, w->source, FAMILY_routes, w->tenant_id, &w->routes_record);
    if (w->routes_record.state == EXPLAINED_BAD || w->routes_record.state == EXPLAINED_UNREAD) {
        ends(w, FAULT_bad_record);
        return false;
    }
    if (w->routes_record.state != EXPLAINED_GOOD)
        return true;
    w->routes = compile_routes((struct slot_ref){ 0 }, w->tenant_id, &w->routes_record.fields,
                               slots_for(w->e, &w->routes_record.fields));
    attach(w, &w->routes->object);
    return true;
}

static void explain_rule(struct walk *w, const struct route *r, const struct route_request *q,
                         struct route_scratch *scratch)
{
    struct explained_rule rule = { .name = arena_copy(&w->e->arena, r->name),
                                   .why = STR(""),
                                   .tried = w->route == NULL };
    struct buf text = { 0 };

    buf_add_text(&text, "");
    route_text(w->routes, r, &text);
    rule.text = arena_copy(&w->e->arena, str_slice(text.ptr, text.len));
    buf_clear(&text);
    if (rule.tried) {
        rule.holds = !route_refuses(w->routes, r, q, scratch, &text);
        if (!rule.holds)
            rule.why = arena_copy(&w->e->arena, str_slice(text.ptr, text.len));
        else
            w->route = r;
    }
    buf_free(&text);
    explain_add(w->e, rules, rule);
}

/* What is denied in the other reading of a raw path is denied. */
static void look_otherwise(struct walk *w, struct route_request *q, struct route_scratch *scratch)
{
    struct str path = w->message.target.path;
    char *forms = check_alloc(4 * path.len + 1);
    const struct route *met = NULL;

    q->path = route_path_otherwise(path, forms);
    if (q->path.len > 0)
        met = routes_match(w->routes, q, scratch);
    if (met != NULL && met->action.kind == ACTION_DENY && met != w->route) {
        remark(w, STR("path=raw: the endpoint may take // as / before it removes dot segments; the "
                      "rule is met by the path read so"));
        w->route = met;
    }
    free(forms);
}

static void match(struct walk *w)
{
    struct route_request q = explain_message_route_request(&w->message);
    struct route_scratch *scratch = route_scratch_new();
    const struct route *met;

    for (uint32_t i = 0; i < w->routes->count; i++)
        explain_rule(w, &w->routes->items[i], &q, scratch);
    met = routes_match(w->routes, &q, scratch);
    if (met != w->route) {
        remark(w,
               STR("the index of the rules and the rules one by one disagree: a mistake of usher"));
        w->route = met;
    }
    if (w->raw)
        look_otherwise(w, &q, scratch);
    route_scratch_free(scratch);
}

static void say_action(const struct action *a, struct buf *to)
{
    switch (a->kind) {
    case ACTION_SERVICE:
        buf_printf(to, "to service:" STR_FMT, STR_ARG(a->service));
        break;
    case ACTION_ENDPOINTS:
        buf_add_text(to, "to");
        for (uint32_t i = 0; i < a->own->endpoint_count; i++) {
            buf_add_text(to, " ");
            endpoint_say(&a->own->endpoints[i], to);
        }
        break;
    case ACTION_SPLIT:
        buf_add_text(to, "split");
        for (uint32_t i = 0; i < a->part_count; i++)
            buf_printf(to, " service:" STR_FMT "=%u", STR_ARG(a->parts[i].service),
                       a->parts[i].weight);
        break;
    case ACTION_REDIRECT:
        buf_printf(to, "redirect %u " STR_FMT, a->code, STR_ARG(a->text));
        break;
    case ACTION_RESPOND:
        buf_printf(to, "respond %u", a->code);
        break;
    case ACTION_DENY:
        buf_add_text(to, "deny");
        break;
    case ACTION_UNSET:
        buf_add_text(to, "nothing");
    }
}

/* Those of a chain, but for those that a later one names too. */
static void add_modules(struct walk *w, const struct chain *chain, uint64_t but, struct str from)
{
    for (uint32_t i = 0; i < chain->count; i++) {
        const struct chain_link *link = &chain->links[i];
        struct explained_module m = { str_from(link->row->module.name),
                                      arena_copy(&w->e->arena, link->text), from };

        if ((but & (uint64_t)1 << link->row->index) == 0)
            explain_add(w->e, modules, m);
    }
}

static void find_modules(struct walk *w)
{
    unsigned rank = FIRST_RANK(w, modules, NULL);
    const struct chain *of_rule = w->route != NULL ? w->route->modules : NULL;

    if (rank < RANKS)
        add_modules(w, fields_of(w, rank)->modules, of_rule != NULL ? of_rule->has : 0,
                    key_of_rank(w, rank));
    if (of_rule != NULL)
        add_modules(w, of_rule, 0, explain_print(w->e, "rule " STR_FMT, STR_ARG(w->route->name)));
}

static void find_action(struct walk *w)
{
    struct buf text = { 0 };
    unsigned rank;

    if (w->routes != NULL)
        match(w);
    find_modules(w);
    if (w->route != NULL) {
        w->action = &w->route->action;
        w->e->action_from = explain_print(w->e, "rule " STR_FMT, STR_ARG(w->route->name));
    } else {
        rank = FIRST_RANK(w, to.kind, ACTION_UNSET);
        if (rank == RANKS)
            return;
        w->action = &fields_of(w, rank)->to;
        w->e->action_from = explain_print(w->e, "`to` of " STR_FMT, STR_ARG(key_of_rank(w, rank)));
    }
    say_action(w->action, &text);
    w->e->action = arena_copy(&w->e->arena, str_slice(text.ptr, text.len));
    buf_free(&text);
}

/* --- endpoints --- */

/* As far as is known: what is asked of Redis knows of no edge. */
static bool circuit_is_open(const struct service *service)
{
    return service->state != NULL && service->policy.breaker.percent > 0 &&
           strcmp(breaker_state_name(&service->state->breaker, clock_now_ms()), "open") == 0;
}

static void find_endpoints(struct walk *w, struct service *service)
{
    struct route_request q = explain_message_route_request(&w->message);
    struct str zone = str_from(w->source->settings->zone);

    q.path = w->e->normal_path;
    w->balanced = service;
    if (service == w->service)
        service_arrange(service, zone);
    if (!explain_endpoints(w->e, w->source, service, &q))
        ends(w, FAULT_no_endpoint);
    if (circuit_is_open(service))
        ends(w, FAULT_circuit_open);
    if (w->e->panic)
        remark(w, STR("so few of the service's endpoints are up that all are used (panic)"));
}

static bool load_service(struct walk *w, struct str name)
{
    struct explain_record policy, members;
    enum fault fault = FAULT_NONE;

    w->e->service = arena_copy(&w->e->arena, name);
    explain_load(w->e, w->source, FAMILY_service, w->e->service, &policy);
    explain_load(w->e, w->source, FAMILY_endpoints, w->e->service, &members);
    if (w->e->unread)
        fault = FAULT_store_unavailable;
    else if (policy.state == EXPLAINED_BAD || members.state == EXPLAINED_BAD)
        fault = FAULT_bad_record;
    else if (policy.state == EXPLAINED_ABSENT && members.state == EXPLAINED_ABSENT)
        fault = FAULT_no_endpoint;
    else
        w->service =
            compile_service((struct slot_ref){ 0 }, w->e->service, false, &policy.fields.policy,
                            members.fields.endpoints.items, members.fields.endpoints.count);
    if (fault == FAULT_NONE && policy.fields.policy.owner[0] != '\0' &&
        !str_equals(w->tenant_id, str_from(policy.fields.policy.owner)))
        fault = FAULT_service_forbidden; /* it got its owner after it was named */
    if (fault != FAULT_NONE)
        ends(w, fault);
    else
        attach(w, &w->service->object);
    explain_record_free(&policy);
    explain_record_free(&members);
    return fault == FAULT_NONE;
}

static void choose_part(struct walk *w)
{
    uint64_t hash = rewrite_client_hash(&w->message.client, w->tenant_id, w->route->name);
    const struct split_part *chosen = action_split(w->action, hash);

    for (uint32_t i = 0; i < w->action->part_count; i++) {
        const struct split_part *p = &w->action->parts[i];
        struct explained_part part = { arena_copy(&w->e->arena, p->service), p->weight,
                                       p == chosen };

        explain_add(w->e, parts, part);
    }
    if (load_service(w, chosen->service))
        find_endpoints(w, w->service);
}

static void perform(struct walk *w)
{
    const struct action *a = w->action;

    switch (a->kind) {
    case ACTION_UNSET:
        ends(w, FAULT_no_route);
        break;
    case ACTION_SERVICE:
        if (load_service(w, a->service))
            find_endpoints(w, w->service);
        break;
    case ACTION_ENDPOINTS:
        find_endpoints(w, (struct service *)(uintptr_t)a->own);
        break;
    case ACTION_SPLIT:
        choose_part(w);
        break;
    case ACTION_REDIRECT:
        w->e->status = a->code;
        w->e->ends = explain_message_location(&w->message, w->e, a->text, w->raw);
        break;
    case ACTION_RESPOND:
        w->e->status = a->code;
        w->e->ends = arena_copy(&w->e->arena, a->text);
        break;
    case ACTION_DENY:
        ends(w, FAULT_denied);
        break;
    }
}

static void add_time(struct walk *w, struct explained_field f, uint32_t ms)
{
    f.value =
        ms % 1000 == 0 ? explain_print(w->e, "%us", ms / 1000) : explain_print(w->e, "%ums", ms);
    explain_add(w->e, fields, f);
}

/* Of a response; beside it what somebody says of its body and of tunnels. */
static void find_timeout(struct walk *w)
{
    unsigned rank = FIRST_RANK(w, timeout_ms, 0);
    struct explained_field f = { "timeout", STR(""), STR("") };

    if (w->route != NULL && w->route->timeout_ms > 0) {
        w->e->timeout_ms = w->route->timeout_ms;
        f.from = w->e->action_from;
    } else if (rank < RANKS) {
        w->e->timeout_ms = fields_of(w, rank)->timeout_ms;
        f.from = key_of_rank(w, rank);
    } else {
        w->e->timeout_ms = (uint32_t)w->source->settings->response_timeout_ms;
        f.from = STR("--response-timeout");
    }
    add_time(w, f, w->e->timeout_ms);
    rank = FIRST_RANK(w, stream_timeout_ms, 0);
    if (rank < RANKS)
        add_time(w, (struct explained_field){ "stream_timeout", STR(""), key_of_rank(w, rank) },
                 fields_of(w, rank)->stream_timeout_ms);
    rank = FIRST_RANK(w, tunnel_timeout_ms, 0);
    if (rank < RANKS)
        add_time(w, (struct explained_field){ "tunnel_timeout", STR(""), key_of_rank(w, rank) },
                 fields_of(w, rank)->tunnel_timeout_ms);
}

static bool is_in(const struct settings_ranges *ranges, const struct address *a)
{
    for (unsigned i = 0; i < ranges->count; i++)
        if (cidr_holds(&ranges->at[i], a))
            return true;
    return false;
}

/* As client_is_banned (proxy/client_address.c). */
static bool is_banned(struct walk *w, const struct explain_request *request)
{
    const struct settings *s = w->source->settings;
    const struct address *client = &w->message.client;
    const char *range = w->source->bans != NULL ? bans_find(w->source->bans, client) : NULL;

    if (range == NULL || is_in(&s->proxy_protocol, client) || is_in(&s->trusted_forwarders, client))
        return false;
    ends(w, FAULT_banned);
    remark(w, explain_print(w->e, "%sban:%s holds its address", s->prefix, range));
    if (!is_in(&s->trusted_forwarders, &request->client))
        remark(w, STR("no request comes so far: its connections are reset"));
    return true;
}

static void go(struct walk *w, const struct explain_request *request)
{
    enum fault fault = explain_message_read(&w->message, w->e, w->source->settings, request);

    if (fault != FAULT_NONE) {
        ends(w, fault);
        return;
    }
    if (is_banned(w, request) || !find_host(w))
        return;
    load_defaults(w);
    if (!load_tenant(w) || !judge_limits(w) || !judge_status(w))
        return;
    w->raw = find_raw_path(w);
    if (!load_routes(w))
        return;
    if (find_https_redirect(w) && !w->message.https) {
        w->e->status = 308;
        w->e->action = STR("redirect 308 https://$host$uri");
        w->e->action_from = STR("field https");
        w->e->ends = explain_message_location(&w->message, w->e, STR("https://$host$uri"), w->raw);
        return;
    }
    find_action(w);
    if (w->action == NULL) {
        if (w->e->modules_count > 0)
            remark(w,
                   STR("its modules see the request all the same, and one of them may answer it"));
        ends(w, FAULT_no_route);
        return;
    }
    perform(w);
    if (w->e->fault != FAULT_NONE || w->e->status != 0)
        return;
    find_timeout(w);
    explain_message_sent(&w->message, w->e, w->source->settings, w->route, w->raw);
    for (uint32_t i = 0; w->e->fault == FAULT_NONE && i < w->balanced->endpoint_count; i++)
        if (endpoint_speaks_fastcgi(&w->balanced->endpoints[i])) {
            explain_message_script(&w->message, w->e, &w->balanced->endpoints[i], w->route, w->raw);
            break;
        }
}

void explain(struct explanation *e, const struct explain_source *source,
             const struct explain_request *request)
{
    struct walk w = { .e = e, .source = source, .tenant_id = STR("") };

    *e = (struct explanation){ .from = STR(""), .balance = "", .send_proxy = "" };
    e->from = arena_copy(&e->arena, str_from(source->from));
    go(&w, request);
    if (e->unread) { /* then nothing is known of how it ends */
        e->fault = FAULT_NONE;
        e->status = 0;
        e->ends = STR("");
    }
    explain_message_free(&w.message);
    explain_record_free(&w.site_record);
    explain_record_free(&w.tenant_record);
    explain_record_free(&w.routes_record);
    explain_record_free(&w.defaults_record);
    /* Whatever it names was copied. */
    struct object *const objects[] = { w.site ? &w.site->object : NULL,
                                       w.tenant ? &w.tenant->object : NULL,
                                       w.routes ? &w.routes->object : NULL,
                                       w.defaults ? &w.defaults->object : NULL,
                                       w.service ? &w.service->object : NULL };

    for (unsigned i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
        if (objects[i] != NULL)
            object_free(objects[i]);
}

void explain_free(struct explanation *e)
{
    arena_free(&e->arena);
}
