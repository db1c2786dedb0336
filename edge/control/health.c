/* health.c -- which endpoints are checked, and when; what workers are told of them.
 *
 * Owns:    what is known of each endpoint that is checked; states' words on health.
 * Thread:  control
 * Used by: control.c.
 * Not here: one check (health_check.c); sharing with other edges (health_share.c); what results come to
 *           (health_verdict.c); saying how it stands (health_say.c). */
#include "control/health.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "control/health_parts.h"
#include "routing/endpoint.h"
#include "routing/name_state.h"

#define CHECKS_MOST 256 /* at once */
#define UNKNOWN_MS 5u   /* for each endpoint of a service, before its first check */
#define SPREAD_MS 1000u /* first checks come within this */
#define RESOLVE_MS 100u /* a name is being asked for */
#define AGAIN_MS 20u    /* at least, from the end of a check to the next */
#define LOOK_MS 1000    /* what was said may have run out */

static void look_at(struct health_target *t);

/* --- checks --- */

static bool is_checked(const struct service *s)
{
    return s != NULL && s->endpoint_count > 0 && health_kind_of(s->policy.health) != HEALTH_OFF;
}

static void check_in(struct health_target *t, uint64_t ms)
{
    timer_set(t->service->health->loop, &t->due, ms > 0 ? ms : 1);
}

/* All at once would be a burst, for endpoints and for this edge; of what nothing is known about, soon. */
static void check_soon(struct health_target *t)
{
    uint32_t within = health_policy_of(t->service)->interval_ms;

    if (t->own.word == HEALTH_UNKNOWN && within > t->service->count * UNKNOWN_MS)
        within = t->service->count * UNKNOWN_MS;
    check_in(t, random_below(&t->service->health->random, within < SPREAD_MS ? within : SPREAD_MS));
}

static void stop_check(struct health_target *t)
{
    timer_stop(&t->due);
    list_remove(&t->waiting);
    if (t->check != NULL)
        health_check_cancel(t->check);
    t->check = NULL;
}

static void take_result(struct health_target *t, bool good, const char *reason)
{
    struct health_service *sv = t->service;
    struct health *h = sv->health;
    uint64_t now = loop_now_ms(h->loop), wait;
    bool changed;

    h->good += good;
    h->failed += !good;
    if (!good && health_refuses(reason) != health_refuses(t->reason))
        t->sent = HEALTH_UNKNOWN; /* it is another matter now */
    if (!good)
        snprintf(t->reason, sizeof(t->reason), "%s", reason);
    changed = health_own_result(&t->own, health_policy_of(sv), good, now);
    if (t->own.word != t->sent)
        health_share_vote(sv, changed);
    wait = health_about(h, health_own_wait_ms(&t->own, health_policy_of(sv)));
    check_in(t, wait > now - t->began_ms + AGAIN_MS ? wait - (now - t->began_ms) : AGAIN_MS);
    look_at(t);
}

static void on_checked(void *owner, bool good, const char *reason)
{
    struct health_target *t = owner;

    t->check = NULL;
    take_result(t, good, reason);
}

/* It was never known where it is, nor that it is nowhere. */
static bool is_being_resolved(const struct endpoint *e)
{
    return endpoint_is_named(e) && name_count(e->options->resolved) == 0 &&
           !atomic_load_explicit(&e->options->resolved->failed, memory_order_relaxed);
}

/* Of a name, one address after the other. False: it has none. */
static bool find_place(const struct health_target *t, struct health_place *place)
{
    const struct health *h = t->service->health;
    const struct endpoint *e = t->endpoint;
    uint16_t port = t->service->now->policy.health->port;

    *place = (struct health_place){ .at = e->address };
    if (endpoint_is_named(e) && !name_pick(e->options->resolved, (unsigned)(h->good + h->failed),
                                           e->address.v4.sin_port, &place->at))
        return false;
    if (e->options != NULL) {
        place->unix_path = e->options->unix_path;
        place->connects_only = e->options->protocol != PROTOCOL_HTTP;
    }
    place->host = place->unix_path.ptr != NULL ? STR("localhost") : str_from(t->name);
    if (port != 0 && place->at.any.sa_family == AF_INET6)
        place->at.v6.sin6_port = htons(port);
    else if (port != 0)
        place->at.v4.sin_port = htons(port);
    return true;
}

static bool is_allowed(const struct guard *guard, const struct health_place *place)
{
    return (place->unix_path.ptr != NULL ? guard_judge_unix(guard, place->unix_path)
                                         : guard_judge(guard, &place->at)) == GUARD_ALLOWED;
}

static void check_now(struct health_target *t)
{
    struct health *h = t->service->health;
    const struct service_policy *p = &t->service->now->policy;
    struct health_place place;

    t->began_ms = loop_now_ms(h->loop);
    if (is_being_resolved(t->endpoint))
        check_in(t, RESOLVE_MS);
    else if (!find_place(t, &place))
        take_result(t, false, "its name has no address");
    else if (!is_allowed(h->guard, &place))
        take_result(t, false, "its place is forbidden");
    else
        t->check = health_check_start(&h->checks, p->health, &place,
                                      (enum proxy_version)p->send_proxy, on_checked, t);
}

static void run_checks(void *owner)
{
    struct health *h = owner;
    struct list *node;

    while (h->checks.open < CHECKS_MOST && (node = list_take_first(&h->waiting)) != NULL)
        check_now(LIST_ITEM(node, struct health_target, waiting));
}

static void on_due(struct timer *timer)
{
    struct health_target *t = LIST_ITEM(timer, struct health_target, due);
    struct health *h = t->service->health;

    list_append(&h->waiting, &t->waiting);
    run_checks(h);
}

/* --- what workers are told --- */

struct health_standing health_stand_of(const struct health_target *t)
{
    const struct health_service *sv = t->service;
    const struct health *h = sv->health;

    return health_stand(health_does_check(sv), &t->own, t->reason,
                        sv->role == HEALTH_ALONE ? NULL : &t->shared, loop_now_ms(h->loop),
                        h->ahead_ms, health_keep_ms(health_policy_of(sv)));
}

static void log_down(const struct health_target *t)
{
    const struct health_service *sv = t->service;
    char reason[HEALTH_REASON_SIZE + 16];
    struct buf by = { 0 };

    for (unsigned i = 0; t->told_shared && i < t->shared.count; i++)
        buf_printf(&by, "%s%s", i > 0 ? "," : "", t->shared.votes[i].edge);
    log_line(LOG_WARN, "endpoint_down", "service=%s endpoint=%s reason=%s by=%s", sv->name, t->name,
             log_quote(str_from(t->told_reason), reason, sizeof(reason)),
             by.len > 0 ? by.ptr : sv->health->settings->name);
    buf_free(&by);
}

static void tell_down(struct health_target *t, const struct health_standing *stand)
{
    struct endpoint_state *state = t->endpoint->state;
    uint64_t since = stand->since_ms > 0 ? stand->since_ms : 1;
    bool was = t->down;

    t->down = true;
    t->told_shared = stand->shared;
    t->since_ms = since;
    snprintf(t->told_reason, sizeof(t->told_reason), "%s", stand->reason);
    atomic_store_explicit(&state->down_ms, health_refuses(stand->reason) ? HEALTH_REFUSES : since,
                          memory_order_relaxed);
    if (!was)
        log_down(t);
}

static void tell_up(struct health_target *t)
{
    struct endpoint_state *state = t->endpoint->state;
    uint64_t now = loop_now_ms(t->service->health->loop);

    if (!t->down)
        return;
    t->down = false;
    atomic_store_explicit(&state->up_ms, now, memory_order_relaxed);
    atomic_store_explicit(&state->down_ms, 0, memory_order_relaxed);
    log_line(LOG_INFO, "endpoint_up", "service=%s endpoint=%s down_ms=%llu", t->service->name,
             t->name, (unsigned long long)(now > t->since_ms ? now - t->since_ms : 0));
}

static void judge(struct health_target *t)
{
    struct health_standing stand = health_stand_of(t);

    if (stand.word == HEALTH_DOWN)
        tell_down(t, &stand);
    else
        tell_up(t);
}

/* As workers see it (routing/balance.c): backups do not count, but one that is up ends a panic. */
static void sum_up(struct health_service *sv)
{
    uint64_t all = 0, up = 0, backups = 0, now = loop_now_ms(sv->health->loop);
    bool did = sv->panics;

    sv->down = 0;
    for (uint32_t i = 0; i < sv->count; i++) {
        const struct endpoint *e = sv->targets[i]->endpoint;
        bool backup = endpoint_rota(sv->now, e) == ROTA_BACKUP;
        uint32_t weight = endpoint_weight(e), fit = health_is_down(e->state, now) ? 0 : weight;

        sv->down += sv->targets[i]->down;
        backups += backup ? fit : 0;
        all += backup ? 0 : weight;
        up += backup ? 0 : fit;
    }
    sv->panics = backups == 0 && up * 100 < all * health_policy_of(sv)->panic;
    if (sv->panics != did)
        log_line(did ? LOG_INFO : LOG_WARN, did ? "health_panic_over" : "health_panic",
                 "service=%s up=%llu of=%llu", sv->name, (unsigned long long)up,
                 (unsigned long long)all);
    if (sv->down > 0)
        timer_set(sv->health->loop, &sv->look, LOOK_MS);
    else
        timer_stop(&sv->look);
}

static void look_at(struct health_target *t)
{
    bool was = t->down;

    judge(t);
    if (t->down != was)
        sum_up(t->service);
}

void health_look_at(struct health_service *sv)
{
    for (uint32_t i = 0; i < sv->count; i++)
        judge(sv->targets[i]);
    sum_up(sv);
}

static void on_look(struct timer *t)
{
    health_look_at(LIST_ITEM(t, struct health_service, look));
}

/* --- roles --- */

/* It goes on from what this edge has found before, else from what others have. */
static void begin_checks(struct health_target *t)
{
    const struct health_service *sv = t->service;
    const struct health *h = sv->health;
    uint64_t now = loop_now_ms(h->loop);
    struct health_standing stand = health_stand_before(
        &t->shared, h->settings->name, now, h->ahead_ms, health_keep_ms(health_policy_of(sv)));

    if (stand.word == HEALTH_UNKNOWN)
        stand = health_stand_of(t);
    t->own = (struct health_own){ .word = stand.word, .since_ms = now };
    if (stand.word == HEALTH_DOWN) {
        t->own.failing_ms = stand.since_ms;
        snprintf(t->reason, sizeof(t->reason), "%s", stand.reason);
    }
    t->sent = HEALTH_UNKNOWN;
    check_soon(t);
}

static void end_checks(struct health_target *t)
{
    stop_check(t);
    t->own = (struct health_own){ .word = HEALTH_UNKNOWN };
    t->sent = HEALTH_UNKNOWN;
}

void health_take_role(struct health_service *sv, enum health_role role)
{
    bool did = health_does_check(sv), does = role == HEALTH_CHECKS || role == HEALTH_ALONE;

    if (does && !did)
        for (uint32_t i = 0; i < sv->count; i++)
            begin_checks(sv->targets[i]);
    sv->role = role;
    if (did && !does)
        for (uint32_t i = 0; i < sv->count; i++)
            end_checks(sv->targets[i]);
    health_look_at(sv);
}

/* --- services come, change and go --- */

static bool is_named(const void *value, struct str key)
{
    return str_equals(str_from(((const struct health_target *)value)->name), key);
}

static bool has_name(const void *value, struct str key)
{
    return str_equals(str_from(((const struct health_service *)value)->name), key);
}

struct health_service *health_service_of(const struct health *h, struct str name)
{
    return map_find(&h->services, map_hash(name), name);
}

struct health_target *health_target_of(const struct health_service *sv, struct str name)
{
    return map_find(&sv->by_name, map_hash(name), name);
}

static void drop_target(struct health_target *t)
{
    stop_check(t);
    map_remove(&t->service->by_name, map_hash(str_from(t->name)), t);
    if (t->down)
        atomic_store_explicit(&t->endpoint->state->down_ms, 0, memory_order_relaxed);
    free(t->name);
    free(t);
}

static struct health_target *new_target(struct health_service *sv, const char *name)
{
    struct health_target *t = check_alloc(sizeof(*t));
    size_t bytes = strlen(name) + 1;

    t->service = sv;
    t->name = check_alloc(bytes);
    memcpy(t->name, name, bytes);
    list_init(&t->waiting);
    timer_init(&t->due, on_due);
    map_add(&sv->by_name, map_hash(str_from(t->name)), t);
    return t;
}

/* The targets of the version before, by name; new ones for what is new; the rest goes. */
static void match_targets(struct health_service *sv)
{
    const struct service *s = sv->now;
    struct health_target **before = sv->targets, **now;
    uint32_t count = sv->count;
    char text[ENDPOINT_TEXT_SIZE];

    now = check_alloc(s->endpoint_count * sizeof(struct health_target *));
    for (uint32_t i = 0; i < s->endpoint_count; i++) {
        struct str name = str_from(endpoint_text(&s->endpoints[i], text));
        struct health_target *t = health_target_of(sv, name);

        if (t == NULL)
            t = new_target(sv, text);
        t->seen = true;
        t->endpoint = &s->endpoints[i];
        now[i] = t;
    }
    for (uint32_t i = 0; i < count; i++)
        if (!before[i]->seen)
            drop_target(before[i]);
    for (uint32_t i = 0; i < s->endpoint_count; i++)
        now[i]->seen = false;
    free(before);
    sv->targets = now;
    sv->count = s->endpoint_count;
}

static bool is_same(const struct health_policy *a, const struct health_policy *b)
{
    return health_kind_of(a) == health_kind_of(b) && str_equals(a->path, b->path) &&
           str_equals(a->method, b->method) && str_equals(a->host, b->host) &&
           str_equals(a->status, b->status) && str_equals(a->body, b->body) &&
           a->interval_ms == b->interval_ms && a->timeout_ms == b->timeout_ms &&
           a->fast_ms == b->fast_ms && a->port == b->port;
}

static void change_service(struct health_service *sv, const struct service *s)
{
    bool same = is_same(sv->now->policy.health, s->policy.health) &&
                sv->now->policy.send_proxy == s->policy.send_proxy;

    sv->now = s;
    match_targets(sv);
    for (uint32_t i = 0; health_does_check(sv) && i < sv->count; i++) {
        struct health_target *t = sv->targets[i];
        bool runs = t->check != NULL;

        if (runs) /* it reads the version before */
            stop_check(t);
        if (!timer_is_set(&t->due) && !runs && list_is_empty(&t->waiting))
            begin_checks(t);
        else if (runs || !same)
            check_soon(t);
    }
    health_look_at(sv);
}

static void add_service(struct health *h, const struct service *s)
{
    struct health_service *sv = check_alloc(sizeof(*sv));

    sv->health = h;
    sv->now = s;
    snprintf(sv->name, sizeof(sv->name), "%s", s->name);
    timer_init(&sv->look, on_look);
    map_init(&sv->by_name, is_named);
    map_add(&h->services, map_hash(str_from(sv->name)), sv);
    match_targets(sv);
    health_share_open(sv);
}

static void drop_service(struct health_service *sv)
{
    health_share_close(sv, LEAVING_FOR_GOOD);
    timer_stop(&sv->look);
    for (uint32_t i = 0; i < sv->count; i++)
        drop_target(sv->targets[i]);
    map_remove(&sv->health->services, map_hash(str_from(sv->name)), sv);
    map_free(&sv->by_name);
    free(sv->targets);
    free(sv);
}

void health_changes(struct health *h, const struct changes *changes)
{
    for (size_t i = 0; !h->closed && i < changes->swap_count; i++) {
        const struct swap *swap = &changes->swaps[i];
        const struct service *now = (const struct service *)swap->now;
        const struct service *any = now ? now : (const struct service *)swap->before;
        struct health_service *sv;

        if (swap->kind != OBJECT_SERVICE || any == NULL)
            continue;
        if (h->services.count == 0 && !is_checked(now))
            continue;
        sv = health_service_of(h, str_from(any->name));
        if (sv != NULL && is_checked(now))
            change_service(sv, now);
        else if (sv != NULL)
            drop_service(sv);
        else if (is_checked(now))
            add_service(h, now);
    }
}

void health_shared_changed(struct health *h, struct str service)
{
    struct health_service *sv;

    if (h->closed)
        return;
    if (service.len > 0) {
        sv = health_service_of(h, service);
        if (sv != NULL)
            health_share_pushed(sv);
        return;
    }
    for (size_t at = 0; (sv = map_next(&h->services, &at)) != NULL;)
        health_share_want(sv, SHARE_READ);
}

/* --- beginning and ending --- */

struct health *health_open(struct loop *l, const struct settings *s, const struct guard *guard,
                           struct store *store)
{
    struct health *h = check_alloc(sizeof(*h));

    h->loop = l;
    h->settings = s;
    h->guard = guard;
    h->store = store;
    map_init(&h->services, has_name);
    random_init(&h->random);
    list_init(&h->waiting);
    list_init(&h->asking);
    health_checks_open(&h->checks, l, s->name, run_checks, h);
    health_share_watch(h);
    return h;
}

void health_leave(struct health *h, bool gives)
{
    struct health_service *sv;
    size_t at = 0;

    if (h->closed)
        return;
    h->closed = true;
    timer_stop(&h->watch);
    while ((sv = map_next(&h->services, &at)) != NULL) {
        health_share_close(sv, gives ? LEAVING_TO_OTHERS : LEAVING_TO_SELF);
        timer_stop(&sv->look);
        for (uint32_t i = 0; i < sv->count; i++)
            stop_check(sv->targets[i]);
    }
}

void health_close(struct health *h)
{
    struct health_service *sv;
    size_t at = 0;

    health_leave(h, true);
    while ((sv = map_next(&h->services, &at)) != NULL) {
        for (uint32_t i = 0; i < sv->count; i++) {
            free(sv->targets[i]->name);
            free(sv->targets[i]);
        }
        map_free(&sv->by_name);
        free(sv->targets);
        free(sv);
    }
    map_free(&h->services);
    map_init(&h->services, has_name);
}

void health_free(struct health *h)
{
    health_checks_free(&h->checks);
    map_free(&h->services);
    free(h);
}
