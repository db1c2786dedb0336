/* health_say.c -- how it stands with the endpoints that are checked: for explanations, pages, metrics.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: admin_pages.c, explain_page.c.
 * Not here: finding out (health.c). */
#include "control/health.h"

#include "control/health_parts.h"

static uint64_t seconds_since(const struct health *h, uint64_t since_ms)
{
    uint64_t now = loop_now_ms(h->loop);

    return now > since_ms ? (now - since_ms) / 1000 : 0;
}

/* "edge-a,edge-b" */
static void add_sayers(const struct health_target *t, struct buf *to)
{
    if (!t->told_shared) {
        buf_add_text(to, t->service->health->settings->name);
        return;
    }
    for (unsigned i = 0; i < t->shared.count; i++)
        buf_printf(to, "%s%s", i > 0 ? "," : "", t->shared.votes[i].edge);
}

/* One of the checkers finds it down; that is not believed. */
static void say_doubt(const struct health_target *t, struct buf *to)
{
    for (unsigned i = 0; i < t->shared.count; i++)
        if (t->shared.votes[i].down) {
            buf_printf(to, "up, though %s finds: %s", t->shared.votes[i].edge,
                       t->shared.votes[i].reason);
            return;
        }
}

bool health_say(const struct health *h, struct str service, struct str endpoint, struct buf *to)
{
    const struct health_service *sv = health_service_of(h, service);
    const struct health_target *t = sv != NULL ? health_target_of(sv, endpoint) : NULL;
    bool trusted;

    if (t == NULL)
        return false;
    if (!t->down) {
        say_doubt(t, to);
        return false;
    }
    trusted = !h->closed && !health_is_down(t->endpoint->state, loop_now_ms(h->loop));
    buf_printf(to, "down: %s, for %llu s, says ", t->told_reason,
               (unsigned long long)seconds_since(h, t->since_ms));
    add_sayers(t, to);
    if (trusted)
        buf_add_text(to, "; but it has answered requests of this edge since");
    else if (sv->panics)
        buf_add_text(to, "; but so few are up that all are taken for up");
    return !trusted && !sv->panics;
}

/* --- JSON --- */

static const char *role_word(enum health_role role)
{
    switch (role) {
    case HEALTH_CHECKS:
        return "checks";
    case HEALTH_WAITS:
        return "waits";
    case HEALTH_ALONE:
        return "alone";
    case HEALTH_ASKS:
        break;
    }
    return "asks";
}

static const char *state_word(const struct health_target *t)
{
    if (t->down)
        return "down";
    return health_stand_of(t).word == HEALTH_UNKNOWN ? "unknown" : "up";
}

static void write_target(const struct health_target *t, struct buf *to)
{
    struct buf says = { 0 };

    buf_add_text(to, "{\"endpoint\":");
    buf_add_json(to, str_from(t->name));
    buf_printf(to, ",\"state\":\"%s\"", state_word(t));
    health_say(t->service->health, str_from(t->service->name), str_from(t->name), &says);
    if (says.len > 0) {
        buf_add_text(to, ",\"says\":");
        buf_add_json(to, str_slice(says.ptr, says.len));
    }
    buf_free(&says);
    buf_add_text(to, ",\"votes\":[");
    health_votes_json(&t->shared, to);
    buf_add_text(to, "]}");
}

static void write_head(const struct health_service *sv, struct buf *to)
{
    buf_add_text(to, "{\"service\":");
    buf_add_json(to, str_from(sv->name));
    buf_printf(to, ",\"this_edge\":\"%s\",\"panic\":%s", role_word(sv->role),
               sv->panics ? "true" : "false");
}

bool health_write_json(const struct health *h, struct str service, struct buf *to)
{
    const struct health_service *sv = health_service_of(h, service);

    if (sv == NULL || h->closed)
        return false;
    write_head(sv, to);
    buf_add_text(to, ",\"endpoints\":[");
    for (uint32_t i = 0; i < sv->count; i++) {
        buf_add_text(to, i > 0 ? ",\n" : "\n");
        write_target(sv->targets[i], to);
    }
    buf_add_text(to, "]}");
    return true;
}

bool health_write_text(const struct health *h, struct str service, struct buf *to)
{
    const struct health_service *sv = health_service_of(h, service);

    if (sv == NULL || h->closed)
        return false;
    for (uint32_t i = 0; i < sv->count; i++) {
        const struct health_target *t = sv->targets[i];
        struct buf says = { 0 };

        health_say(h, service, str_from(t->name), &says);
        buf_printf(to, "%s  %s\n", t->name, says.len > 0 ? says.ptr : state_word(t));
        buf_free(&says);
    }
    buf_printf(to, "this edge %s%s\n", role_word(sv->role),
               sv->role == HEALTH_WAITS   ? ": others check"
               : sv->role == HEALTH_ALONE ? ": Redis is away"
                                          : "");
    return true;
}

void health_write_list(const struct health *h, struct buf *json)
{
    const struct health_service *sv;
    size_t at = 0;
    unsigned listed = 0;

    buf_add_text(json, "[");
    while ((sv = map_next(&h->services, &at)) != NULL && listed < HEALTH_LISTED) {
        buf_add_text(json, listed++ > 0 ? ",\n" : "\n");
        write_head(sv, json);
        buf_printf(json, ",\"endpoints\":%u,\"down\":%u}", sv->count, sv->down);
    }
    buf_add_text(json, "\n]");
}

/* --- metrics --- */

static void head(struct buf *to, const char *name, const char *type, const char *says)
{
    buf_printf(to, "# HELP %s %s\n# TYPE %s %s\n", name, says, name, type);
}

static void write_roles(const struct health *h, struct buf *to)
{
    unsigned long long counts[4] = { 0 };
    const struct health_service *sv;
    size_t at = 0;

    while ((sv = map_next(&h->services, &at)) != NULL)
        counts[sv->role]++;
    head(to, "usher_health_services", "gauge",
         "Services that are checked, by what this edge does: checks, waits for others' findings, "
         "alone (Redis is away), asks.");
    for (unsigned role = 0; role < 4; role++)
        buf_printf(to, "usher_health_services{role=\"%s\"} %llu\n",
                   role_word((enum health_role)role), counts[role]);
}

static void write_endpoints(const struct health *h, struct buf *to)
{
    unsigned long long endpoints = 0, down = 0, panics = 0;
    const struct health_service *sv;
    size_t at = 0;
    unsigned listed = 0;

    head(to, "usher_health_endpoints", "gauge",
         "Endpoints of each service that is checked (of at most 1000 services).");
    while ((sv = map_next(&h->services, &at)) != NULL) {
        endpoints += sv->count;
        down += sv->down;
        panics += sv->panics;
        if (listed++ < HEALTH_LISTED)
            buf_printf(to,
                       "usher_health_endpoints{service=\"%s\",state=\"up\"} %u\n"
                       "usher_health_endpoints{service=\"%s\",state=\"down\"} %u\n",
                       sv->name, sv->count - sv->down, sv->name, sv->down);
    }
    head(to, "usher_health_endpoints_checked", "gauge",
         "Endpoints of all services that are checked.");
    buf_printf(to, "usher_health_endpoints_checked %llu\n", endpoints);
    head(to, "usher_health_endpoints_down", "gauge", "Those of them that are down.");
    buf_printf(to, "usher_health_endpoints_down %llu\n", down);
    head(to, "usher_health_panics", "gauge",
         "Services of which so few endpoints are up that all are taken for up.");
    buf_printf(to, "usher_health_panics %llu\n", panics);
}

void health_write_metrics(const struct health *h, struct buf *to)
{
    head(to, "usher_health_checks_total", "counter", "Checks that this edge made.");
    buf_printf(to,
               "usher_health_checks_total{result=\"good\"} %llu\n"
               "usher_health_checks_total{result=\"failed\"} %llu\n",
               (unsigned long long)h->good, (unsigned long long)h->failed);
    write_roles(h, to);
    write_endpoints(h, to);
    head(to, "usher_health_calls_total", "counter", "Words with Redis to share the checking.");
    buf_printf(to, "usher_health_calls_total %llu\n", (unsigned long long)h->shared_calls);
    head(to, "usher_health_calls_away_total", "counter",
         "Those that Redis did not answer, or not well.");
    buf_printf(to, "usher_health_calls_away_total %llu\n", (unsigned long long)h->shared_away);
}
