/* endpoint_state.c -- states found or made for what was compiled, and let go of.
 *
 * Owns:    the states; each is freed with the last object that refers to it.
 * Thread:  control; what stands in a state is read and written by all.
 * Used by: store/objects.c (attaches), compile.c (detaches).
 * Not here: what the rooms that use them keep there. */
#include "routing/endpoint_state.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "routing/endpoint.h"
#include "routing/name_state.h"
#include "routing/site.h"

#define SWEPT_AT_ONCE 2

static const size_t sizes[STATE_KINDS] = { [STATE_ENDPOINT] = sizeof(struct endpoint_state),
                                           [STATE_SERVICE] = sizeof(struct service_state),
                                           [STATE_TENANT] = sizeof(struct tenant_state),
                                           [STATE_NAME] = sizeof(struct name_state) };

static bool has_key(const void *value, struct str key)
{
    const struct state *state = value;

    return str_equals(str_slice(state->key, state->key_len), key);
}

void states_init(struct states *s)
{
    for (unsigned kind = 0; kind < STATE_KINDS; kind++)
        map_init(&s->maps[kind], has_key);
    list_init(&s->lingering);
    list_init(&s->limited);
    s->lane_count = 1;
}

static void let_go(struct state *state);

static void free_places(struct places *p)
{
    struct state *service = &p->service->state;

    CHECK(places_open(p) == 0);
    list_remove(&p->node);
    free(p->lanes);
    free(p);
    let_go(service);
}

static void free_queue(struct service_state *service)
{
    wait_queue_free(service->queue);
    list_remove(&service->limited_node);
}

static void free_state(struct state *state)
{
    struct endpoint_state *endpoint = (struct endpoint_state *)state;
    struct service_state *service = (struct service_state *)state;

    list_remove(&state->lingering);
    if (state->key != NULL)
        map_remove(&state->states->maps[state->kind], state->hash, state);
    if (state->kind == STATE_SERVICE && service->queue != NULL)
        free_queue(service);
    if (state->kind == STATE_ENDPOINT && endpoint->places != NULL)
        free_places(endpoint->places);
    free(state->key);
    free(state);
}

/* What is counted stays counted when its record goes, or is evicted, and comes again. */
static bool is_busy(const struct state *state)
{
    const struct tenant_state *t = (const struct tenant_state *)state;

    if (state->kind != STATE_TENANT)
        return atomic_load_explicit(&state->holds, memory_order_acquire) > 0;
    return atomic_load_explicit(&t->conns, memory_order_acquire) > 0 ||
           atomic_load_explicit(&t->lease.asking, memory_order_acquire);
}

/* Two looks for each new one: there are never many more than are busy. */
static void sweep(struct states *s)
{
    for (unsigned i = 0; i < SWEPT_AT_ONCE; i++) {
        struct list *node = list_take_first(&s->lingering);
        struct state *state;

        if (node == NULL)
            return;
        state = LIST_ITEM(node, struct state, lingering);
        if (is_busy(state))
            list_append(&s->lingering, node);
        else
            free_state(state);
    }
}

void states_free(struct states *s)
{
    struct list *node;

    while ((node = list_take_first(&s->lingering)) != NULL) /* no worker runs any more */
        free_state(LIST_ITEM(node, struct state, lingering));
    for (unsigned kind = 0; kind < STATE_KINDS; kind++) {
        CHECK(s->maps[kind].count == 0);
        map_free(&s->maps[kind]);
    }
}

/* One more object refers to it. */
static void *hold(struct states *s, enum state_kind kind, struct str key)
{
    uint64_t hash = map_hash(key);
    struct state *state = map_find(&s->maps[kind], hash, key);

    if (state == NULL) {
        sweep(s);
        state = check_alloc(sizes[kind]);
        *state = (struct state){ .states = s,
                                 .kind = kind,
                                 .hash = hash,
                                 .key_len = key.len,
                                 .key = check_alloc(key.len + 1) };
        memcpy(state->key, key.ptr, key.len);
        list_init(&state->lingering);
        map_add(&s->maps[kind], hash, state);
        if (kind == STATE_NAME && s->on_name != NULL)
            s->on_name(s->owner, (struct name_state *)state, true);
    }
    list_remove(&state->lingering);
    state->uses++;
    return state;
}

static void let_go(struct state *state)
{
    if (state == NULL || --state->uses > 0)
        return;
    if (state->kind == STATE_NAME && state->states->on_name != NULL)
        state->states->on_name(state->states->owner, (struct name_state *)state, false);
    if (is_busy(state))
        list_append(&state->states->lingering, &state->lingering);
    else
        free_state(state);
}

/* --- places --- */

static void make_queue(struct states *s, struct service_state *service)
{
    service->queue = wait_queue_new(s->lane_count);
    list_init(&service->places);
    list_append(&s->limited, &service->limited_node);
}

static struct places *new_places(struct states *s, struct service *service,
                                 struct endpoint_state *endpoint)
{
    struct places *p = check_alloc(sizeof(*p));

    p->state = &endpoint->state;
    p->service = hold(s, STATE_SERVICE, str_from(service->name));
    p->max = PLACES_ANY;
    atomic_init(&p->limit, PLACES_ANY);
    p->lane_count = s->lane_count;
    p->lanes = aligned_alloc(_Alignof(struct places_lane), s->lane_count * sizeof(*p->lanes));
    CHECK(p->lanes != NULL);
    for (unsigned i = 0; i < s->lane_count; i++) {
        list_init(&p->lanes[i].idle);
        atomic_init(&p->lanes[i].idle_count, 0);
    }
    list_append(&p->service->places, &p->node);
    return p;
}

/* What its records say of connections to the endpoint, told to all who have it. A share of the cluster's
 * is given by control (shares.c): until then there is none. */
static void attach_places(struct states *s, struct service *service, const struct endpoint *e)
{
    bool shared = service->policy.max_conns_of == MAX_CONNS_OF_CLUSTER;
    struct places *p = e->state->places;

    if (service->limited && p == NULL)
        p = e->state->places = new_places(s, service, e->state);
    if (p == NULL)
        return;
    p->max = service_max_conns(service, e);
    if (p->max == PLACES_ANY || !shared)
        atomic_store(&p->limit, p->max);
    else if (!p->shared)
        atomic_store(&p->limit, 0);
    else if (places_limit(p) > p->max)
        atomic_store(&p->limit, p->max);
    p->shared = shared && p->max != PLACES_ANY;
}

void states_tell_names(struct states *s,
                       void (*on_name)(void *owner, struct name_state *name, bool used),
                       void *owner)
{
    struct name_state *name;

    s->on_name = on_name;
    s->owner = owner;
    for (size_t at = 0; on_name != NULL && (name = map_next(&s->maps[STATE_NAME], &at)) != NULL;)
        on_name(owner, name, true);
}

/* --- names --- */

/* Each endpoint that has a name, also one that is alone. Options are of this object alone. */
static void attach_names(struct states *s, struct service *service)
{
    for (uint32_t i = 0; i < service->endpoint_count; i++) {
        struct endpoint_options *o =
            (struct endpoint_options *)(uintptr_t)service->endpoints[i].options;

        if (o != NULL && o->name.ptr != NULL)
            o->resolved = hold(s, STATE_NAME, o->name);
    }
}

static void detach_names(struct states *s, struct service *service)
{
    (void)s;
    for (uint32_t i = 0; i < service->endpoint_count; i++) {
        const struct endpoint_options *o = service->endpoints[i].options;

        if (o != NULL && o->name.ptr != NULL)
            let_go((struct state *)o->resolved);
    }
}

/* --- endpoints --- */

/* What is new in a service that was there before is told from what comes with it. */
static void attach_endpoints(struct states *s, struct service *service)
{
    bool was_there = service->state != NULL && service->state->state.uses > 1;
    char text[ENDPOINT_TEXT_SIZE];

    for (uint32_t i = 0; i < service->endpoint_count; i++) {
        struct buf key = { 0 };

        buf_printf(&key, "%s %s", service->name, endpoint_text(&service->endpoints[i], text));
        service->endpoints[i].state = hold(s, STATE_ENDPOINT, str_slice(key.ptr, key.len));
        buf_free(&key);
        attach_places(s, service, &service->endpoints[i]);
        if (was_there && service->endpoints[i].state->state.uses == 1)
            atomic_store_explicit(&service->endpoints[i].state->added_ms, clock_now_ms(),
                                  memory_order_relaxed);
    }
}

static void detach_endpoints(const struct service *service)
{
    for (uint32_t i = 0; i < service->endpoint_count; i++)
        let_go((struct state *)service->endpoints[i].state);
}

static struct service *own_of(const struct action *a)
{
    return a->kind == ACTION_ENDPOINTS ? (struct service *)(uintptr_t)a->own : NULL;
}

/* Of one that is alone there is nothing to choose, so nothing to know. */
static void attach_own(struct states *s, struct service *own)
{
    attach_names(s, own);
    if (own->endpoint_count > 1)
        attach_endpoints(s, own);
}

/* --- objects --- */

/* Calls `each` with every unnamed list of endpoints that the object holds. */
static void each_own(struct object *object, void (*each)(struct states *s, struct service *own),
                     struct states *s)
{
    const struct action *to = NULL;
    struct service *own;

    if (object->kind == OBJECT_SITE)
        to = &((struct site *)object)->fields.to;
    else if (object->kind == OBJECT_TENANT)
        to = &((struct tenant *)object)->fields.to;
    else if (object->kind == OBJECT_DEFAULTS)
        to = &((struct defaults *)object)->fields.to;
    if (to != NULL && (own = own_of(to)) != NULL)
        each(s, own);
    for (uint32_t i = 0; object->kind == OBJECT_ROUTES && i < ((struct routes *)object)->count; i++)
        if ((own = own_of(&((struct routes *)object)->items[i].action)) != NULL)
            each(s, own);
}

/* Its own rate is for it alone; whatever else it says is counted with its tenant's, if it has one. */
bool states_wants_own(const struct site *site)
{
    const struct limits *l = site->fields.limits;

    return l != NULL && (l->rps != 0 || !site->has_tenant);
}

void states_attach_host(struct states *s, struct site *site, struct str host)
{
    struct buf key = { 0 };

    buf_printf(&key, "host " STR_FMT, STR_ARG(host));
    atomic_init(&site->state, hold(s, STATE_TENANT, str_slice(key.ptr, key.len)));
    buf_free(&key);
}

struct tenant_state *states_of_site(struct states *s, struct site *site)
{
    struct tenant_state *seen = atomic_load_explicit(&site->state, memory_order_acquire), *made;

    if (seen != NULL)
        return seen;
    made = check_alloc(sizeof(*made));
    made->state = (struct state){ .states = s, .kind = STATE_TENANT, .uses = 1 };
    list_init(&made->state.lingering);
    if (atomic_compare_exchange_strong_explicit(&site->state, &seen, made, memory_order_acq_rel,
                                                memory_order_acquire))
        return made;
    free(made);
    return seen;
}

void states_each_tenant(struct states *s, void (*each)(void *owner, struct tenant_state *state),
                        void *owner)
{
    struct tenant_state *t;
    size_t at = 0;

    while ((t = map_next(&s->maps[STATE_TENANT], &at)) != NULL)
        each(owner, t);
}

void states_attach(struct states *s, struct object *object)
{
    struct service *service = (struct service *)object;
    struct tenant *tenant = (struct tenant *)object;

    if (object->kind == OBJECT_SERVICE) {
        service->state = hold(s, STATE_SERVICE, str_from(service->name));
        if (service->limited && service->state->queue == NULL)
            make_queue(s, service->state);
        attach_names(s, service);
        attach_endpoints(s, service);
    } else if (object->kind == OBJECT_TENANT) {
        tenant->state = hold(s, STATE_TENANT, str_from(tenant->id));
    } else if (object->kind == OBJECT_DEFAULTS) {
        ((struct defaults *)object)->states = s;
    }
    each_own(object, attach_own, s);
}

static void detach_own(struct states *s, struct service *own)
{
    detach_names(s, own);
    if (own->endpoint_count > 1)
        detach_endpoints(own);
}

void states_detach(struct object *object)
{
    if (object->kind == OBJECT_SERVICE) {
        detach_names(NULL, (struct service *)object);
        detach_endpoints((struct service *)object);
        let_go((struct state *)((struct service *)object)->state);
    } else if (object->kind == OBJECT_TENANT) {
        let_go((struct state *)((struct tenant *)object)->state);
    } else if (object->kind == OBJECT_SITE) {
        let_go((struct state *)atomic_load(&((struct site *)object)->state));
    }
    each_own(object, detach_own, NULL);
}
