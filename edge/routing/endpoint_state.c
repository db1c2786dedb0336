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
#include "routing/service.h"
#include "routing/site.h"

static const size_t sizes[STATE_KINDS] = { [STATE_ENDPOINT] = sizeof(struct endpoint_state),
                                           [STATE_SERVICE] = sizeof(struct service_state),
                                           [STATE_TENANT] = sizeof(struct tenant_state) };

static bool has_key(const void *value, struct str key)
{
    const struct state *state = value;

    return str_equals(str_slice(state->key, state->key_len), key);
}

void states_init(struct states *s)
{
    for (unsigned kind = 0; kind < STATE_KINDS; kind++)
        map_init(&s->maps[kind], has_key);
}

void states_free(struct states *s)
{
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
        state = check_alloc(sizes[kind]);
        *state = (struct state){ .states = s,
                                 .kind = kind,
                                 .hash = hash,
                                 .key_len = key.len,
                                 .key = check_alloc(key.len + 1) };
        memcpy(state->key, key.ptr, key.len);
        map_add(&s->maps[kind], hash, state);
    }
    state->uses++;
    return state;
}

static void let_go(struct state *state)
{
    if (state == NULL || --state->uses > 0)
        return;
    map_remove(&state->states->maps[state->kind], state->hash, state);
    free(state->key);
    free(state);
}

/* --- endpoints --- */

char *endpoint_text(const struct endpoint *e, char to[ENDPOINT_TEXT_SIZE])
{
    return address_text(&e->address, to);
}

static void attach_endpoints(struct states *s, struct service *service)
{
    char text[ENDPOINT_TEXT_SIZE];

    for (uint32_t i = 0; i < service->endpoint_count; i++) {
        struct buf key = { 0 };

        buf_printf(&key, "%s %s", service->name, endpoint_text(&service->endpoints[i], text));
        service->endpoints[i].state = hold(s, STATE_ENDPOINT, str_slice(key.ptr, key.len));
        buf_free(&key);
    }
}

static void detach_endpoints(const struct service *service)
{
    for (uint32_t i = 0; i < service->endpoint_count; i++)
        let_go((struct state *)service->endpoints[i].state);
}

/* Of one that is alone there is nothing to choose, so nothing to know. */
static struct service *own_of(const struct action *a)
{
    return a->kind == ACTION_ENDPOINTS && a->own->endpoint_count > 1
               ? (struct service *)(uintptr_t)a->own
               : NULL;
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

void states_attach(struct states *s, struct object *object)
{
    struct service *service = (struct service *)object;
    struct tenant *tenant = (struct tenant *)object;

    if (object->kind == OBJECT_SERVICE) {
        service->state = hold(s, STATE_SERVICE, str_from(service->name));
        attach_endpoints(s, service);
    } else if (object->kind == OBJECT_TENANT) {
        tenant->state = hold(s, STATE_TENANT, str_from(tenant->id));
    }
    each_own(object, attach_endpoints, s);
}

static void detach_own(struct states *s, struct service *own)
{
    (void)s;
    detach_endpoints(own);
}

void states_detach(struct object *object)
{
    if (object->kind == OBJECT_SERVICE) {
        detach_endpoints((struct service *)object);
        let_go((struct state *)((struct service *)object)->state);
    } else if (object->kind == OBJECT_TENANT) {
        let_go((struct state *)((struct tenant *)object)->state);
    }
    each_own(object, detach_own, NULL);
}
