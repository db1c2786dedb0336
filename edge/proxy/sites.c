/* sites.c -- a worker's tables, and how changes reach them.
 *
 * Owns:    the tables; slots hold objects that control frees after this worker mailed their release.
 * Thread:  its worker.
 * Used by: exchange.c (finds, pins), worker.c (applies).
 * Not here: host names remembered (host_cache.c); compiling (routing/compile.c). */
#include "proxy/sites.h"

#include <stdlib.h>

#include "base/check.h"
#include "net/loop.h"
#include "proxy/host_cache.h"
#include "routing/balance.h"
#include "routing/endpoint.h"

struct retired {
    struct list node;
    struct object *object;
    uint32_t slot, pins;
};

void sites_init(struct sites *s, struct loop *l, struct worker_shared *shared,
                struct counters *counters, unsigned worker)
{
    *s = (struct sites){ .loop = l, .shared = shared, .counters = counters, .worker = worker };
    list_init(&s->retired);
    host_cache_init(s);
}

static void free_slots(struct sites *s, unsigned kind)
{
    free(s->slots[kind]);
    free(s->sides[kind]);
}

void sites_free(struct sites *s)
{
    host_cache_free(s);
    for (unsigned kind = 0; kind < OBJECT_KINDS; kind++)
        free_slots(s, kind);
    LIST_EACH (node, after, &s->retired)
        free(LIST_ITEM(node, struct retired, node));
    free(s->freed);
}

static void release(struct sites *s, struct object *object)
{
    if (s->freed == NULL || s->freed->count == s->freed_room) {
        size_t room = s->freed ? s->freed_room * 2 : 16;
        bool fresh = s->freed == NULL;

        s->freed = check_realloc(s->freed, sizeof(*s->freed) + room * sizeof(struct object *));
        s->freed_room = room;
        if (fresh)
            s->freed->count = 0;
    }
    s->freed->objects[s->freed->count++] = object;
}

static void mail_released(struct sites *s)
{
    if (s->freed == NULL)
        return;
    s->freed->mail.kind = CONTROL_RELEASED;
    s->freed->worker = s->worker;
    mailbox_post(s->shared->control, &s->freed->mail);
    s->freed = NULL;
}

static void *grown(void *items, size_t item, uint32_t from, uint32_t to)
{
    items = check_realloc(items, to * item);
    memset((char *)items + from * item, 0, (to - from) * item);
    return items;
}

static struct slot *slot_at(struct sites *s, enum object_kind kind, uint32_t index)
{
    uint32_t was = s->rooms[kind], room = was ? was : 64;

    if (index >= was) {
        while (room <= index)
            room *= 2;
        s->slots[kind] = grown(s->slots[kind], sizeof(struct slot), was, room);
        s->sides[kind] = grown(s->sides[kind], sizeof(struct slot_side), was, room);
        s->rooms[kind] = room;
    }
    return &s->slots[kind][index];
}

/* The slot was used in this tick: eviction goes by that. Of hosts, their lines say so. */
static void touch(struct sites *s, enum object_kind kind, uint32_t index, unsigned tick)
{
    struct slot_side *side = &s->sides[kind][index];

    if (side->tick == tick)
        return; /* without a look at *used, which is far away */
    side->tick = tick;
    atomic_store_explicit(side->used, tick, memory_order_relaxed);
}

struct object *sites_pin(struct sites *s, enum object_kind kind, uint32_t index)
{
    struct slot *slot;

    if (index >= s->rooms[kind])
        return NULL;
    slot = &s->slots[kind][index];
    if (slot->object == NULL)
        return NULL;
    slot->pins++;
    if (kind != OBJECT_SITE)
        touch(s, kind, index, object_tick(loop_now_ms(s->loop)));
    return slot->object;
}

static struct retired *retired_of(struct sites *s, uint32_t slot, const struct object *object)
{
    LIST_EACH (node, after, &s->retired) {
        struct retired *r = LIST_ITEM(node, struct retired, node);

        if (r->object == object && r->slot == slot)
            return r;
    }
    CHECK(!"a pinned object is either current or retired");
    return NULL;
}

static void unpin_retired(struct sites *s, uint32_t slot, struct object *object)
{
    struct retired *r = retired_of(s, slot, object);

    if (--r->pins > 0)
        return;
    list_remove(&r->node);
    release(s, object);
    free(r);
    mail_released(s);
}

void sites_unpin(struct sites *s, uint32_t index, struct object *object)
{
    struct slot *slot = &s->slots[object->kind][index];

    if (slot->object != object || slot->pins == 0) {
        unpin_retired(s, index, object);
        return;
    }
    slot->pins--;
}

void sites_pin_again(struct sites *s, uint32_t index, struct object *object)
{
    struct slot *slot = &s->slots[object->kind][index];

    if (slot->object == object)
        slot->pins++;
    else
        retired_of(s, index, object)->pins++;
}

uint32_t *sites_cursor(struct sites *s, enum object_kind kind, uint32_t slot)
{
    return &s->sides[kind][slot].cursor;
}

static void apply_swap(struct sites *s, const struct swap *swap)
{
    struct slot *slot = slot_at(s, swap->kind, swap->ref.slot);

    if (slot->object != NULL && slot->pins > 0) {
        struct retired *r = check_alloc(sizeof(*r));

        r->object = slot->object;
        r->slot = swap->ref.slot;
        r->pins = slot->pins;
        list_append(&s->retired, &r->node);
    } else if (slot->object != NULL) {
        release(s, slot->object);
    }
    slot->object = swap->now;
    s->sides[swap->kind][swap->ref.slot].used = swap->used;
    s->sides[swap->kind][swap->ref.slot].tick = 0;
    slot->generation = swap->ref.generation;
    slot->pins = 0;
}

void sites_apply(struct sites *s, struct changes *changes)
{
    for (size_t i = 0; i < changes->swap_count; i++)
        apply_swap(s, &changes->swaps[i]);
    if (changes->forget_unknown)
        host_cache_forget_unknown(s);
    for (size_t i = 0; i < changes->forgotten_count; i++)
        host_cache_forget(s, &changes->forgotten[i]);
    atomic_store_explicit(&s->counters->applied_round, changes->round, memory_order_relaxed);
    for (size_t i = 0; i < changes->answer_count; i++)
        if (changes->answers[i].worker == s->worker)
            host_cache_answer(s, &changes->answers[i]);
    for (size_t i = 0; i < changes->moved_count; i++)
        host_cache_move(s, &changes->moved[i]);
    for (size_t i = 0; i < changes->answer_count; i++)
        if (changes->answers[i].worker == s->worker)
            host_cache_wake(s, &changes->answers[i]);
    mail_released(s);
    if (atomic_fetch_sub_explicit(&changes->readers, 1, memory_order_acq_rel) == 1)
        changes_free(changes);
}

static void dump_endpoint(const struct service *service, const struct endpoint *e, uint64_t now_ms,
                          struct buf *json)
{
    const struct endpoint_options *o = e->options;
    char text[ENDPOINT_TEXT_SIZE];

    buf_add_text(json, "{\"address\":");
    buf_add_json(json, str_from(endpoint_text(e, text)));
    buf_printf(json, ",\"weight\":%u", e->weight);
    if (o != NULL && o->backup)
        buf_add_text(json, ",\"backup\":true");
    if (o != NULL && o->drain)
        buf_add_text(json, ",\"drain\":true");
    if (o != NULL && o->zone.len > 0) {
        buf_add_text(json, ",\"zone\":");
        buf_add_json(json, o->zone);
        buf_printf(json, ",\"near\":%s", o->near ? "true" : "false");
    }
    if (service->counts_active && e->state != NULL)
        buf_printf(json, ",\"active\":%u",
                   atomic_load_explicit(&e->state->active, memory_order_relaxed));
    if (outlier_is_ejected(e->state, now_ms))
        buf_printf(
            json, ",\"ejected_ms\":%llu,\"ejected_for\":\"%s\"",
            (unsigned long long)(atomic_load(&e->state->outlier.until_ms) - now_ms),
            outlier_reason_name((enum outlier_reason)atomic_load(&e->state->outlier.reason)));
    buf_add_text(json, "}");
}

static void dump_service(const struct service *service, uint32_t pins, uint64_t now_ms,
                         struct buf *json)
{
    buf_add_text(json, "{\"name\":");
    buf_add_json(json, str_from(service->name));
    buf_printf(json, ",\"balance\":\"%s\",\"bad\":%s,\"pins\":%u,\"endpoints\":[",
               balance_words[service->policy.balance], service->bad ? "true" : "false", pins);
    for (uint32_t i = 0; i < service->endpoint_count; i++) {
        buf_add_text(json, i ? "," : "");
        dump_endpoint(service, &service->endpoints[i], now_ms, json);
    }
    buf_add_text(json, "]");
    if (service->state != NULL && service->policy.breaker.percent > 0)
        buf_printf(json, ",\"circuit\":\"%s\"",
                   breaker_state_name(&service->state->breaker, now_ms));
    buf_add_text(json, "}");
}

void sites_dump_services(const struct sites *s, size_t most, struct buf *json)
{
    bool first = true;

    buf_add_text(json, "[");
    for (uint32_t i = 0; i < s->rooms[OBJECT_SERVICE] && most > 0; i++) {
        const struct slot *slot = &s->slots[OBJECT_SERVICE][i];

        if (slot->object == NULL)
            continue;
        buf_add_text(json, first ? "" : ",");
        dump_service((const struct service *)slot->object, slot->pins, loop_now_ms(s->loop), json);
        first = false;
        most--;
    }
    buf_add_text(json, "]");
}
