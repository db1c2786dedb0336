/* mirror.c -- finding, counting, dropping records; slots.
 *
 * Owns:    records and their current objects; a replaced object is control's.
 * Thread:  control
 * Used by: all of store/.
 * Not here: what records say (judge.c); when they are read (sync.c). */
#include "store/mirror.h"

#include <stdlib.h>

#include "base/check.h"
#include "store/deadlines.h"

#define ABSENTS_MOST 100000
#define ABSENTS_SHARE 4 /* the part of the cache's bytes that they may take: one in so many */
#define LOOKS_MOST 4096 /* for something to drop, in one round: the next one goes on */
#define NEVER_SEEN UINT32_MAX
#define SLOTS_RESTING 64 /* a freed slot is not given out again before so many others were freed */
#define NO_SLOT UINT32_MAX
#define SLOT_BYTES 48 /* of a slot, here and in the workers' tables */
#define HOST_SLOT_BYTES 12
#define TICKS_CHUNK 1024u /* slots; their room is a multiple of it */

enum counted { COUNTED_NOT, COUNTED_GOOD, COUNTED_BAD, COUNTED_ABSENT };

static bool has_name(const void *value, struct str name)
{
    const struct record *r = value;

    return r->name_len == name.len && memcmp(r->name, name.ptr, name.len) == 0;
}

static struct str text_of_key(const struct site_key *key)
{
    return str_slice((const char *)key, sizeof(*key));
}

static bool has_site_key(const void *value, struct str key)
{
    const struct site *site = value;

    return memcmp(&site->key, key.ptr, sizeof(site->key)) == 0;
}

void mirror_init(struct mirror *m, struct store_status *status)
{
    *m = (struct mirror){ .status = status, .epoch = 1 };
    for (unsigned f = 0; f < FAMILIES; f++)
        map_init(&m->maps[f], has_name);
    map_init(&m->sites, has_site_key);
    list_init(&m->held);
    list_init(&m->absents);
}

static void free_record(struct record *r)
{
    deadline_free(r);
    free(r->named);
    free(r->raw);
    free(r->error);
    free(r);
}

static void free_slots(struct slots *s)
{
    for (uint32_t i = 0; i < s->room / TICKS_CHUNK; i++)
        free(s->ticks[i]);
    free(s->ticks);
    free(s->generations);
    free(s->next_free);
}

void mirror_free(struct mirror *m)
{
    struct record *r;

    for (unsigned f = 0; f < FAMILIES; f++) {
        for (size_t at = 0; (r = map_next(&m->maps[f], &at)) != NULL;) {
            if (r->object != NULL && --r->object->uses == 0)
                object_free(r->object);
            free_record(r);
        }
        map_free(&m->maps[f]);
    }
    for (unsigned kind = 0; kind < OBJECT_KINDS; kind++)
        free_slots(&m->slots[kind]);
    free_slots(&m->hosts);
    map_free(&m->sites);
}

bool record_exists(const struct record *r)
{
    return r->present || (r->pair != NULL && r->pair->present);
}

bool record_has_right_name(const struct record *r)
{
    const char *expected;

    return record_name_is_right((enum family)r->family, record_name(r), &expected);
}

enum object_kind record_kind(const struct record *r)
{
    static const enum object_kind kinds[FAMILIES] = {
        [FAMILY_host] = OBJECT_SITE,         [FAMILY_tenant] = OBJECT_TENANT,
        [FAMILY_routes] = OBJECT_ROUTES,     [FAMILY_service] = OBJECT_SERVICE,
        [FAMILY_endpoints] = OBJECT_SERVICE, [FAMILY_defaults] = OBJECT_DEFAULTS,
    };

    return kinds[r->family];
}

struct record *mirror_find(const struct mirror *m, enum family family, struct str name)
{
    return map_find(&m->maps[family], map_hash(name), name);
}

static struct record *make(struct mirror *m, enum family family, struct str name)
{
    struct record *r = check_alloc(sizeof(*r) + name.len + 1);

    CHECK(name.len <= UINT16_MAX);
    r->hash = map_hash(name);
    r->family = (uint8_t)family;
    r->queue = QUEUE_NONE;
    r->name_len = (uint16_t)name.len;
    memcpy(r->name, name.ptr, name.len);
    list_init(&r->clock);
    list_init(&r->queue_node);
    list_init(&r->missing_node);
    list_init(&r->lookups);
    list_init(&r->waiters);
    list_init(&r->wait_node);
    map_add(&m->maps[family], r->hash, r);
    return r;
}

/* The other family of a pair; itself: it has none. */
static enum family other_of(enum family family)
{
    switch (family) {
    case FAMILY_service:
        return FAMILY_endpoints;
    case FAMILY_endpoints:
        return FAMILY_service;
    case FAMILY_tenant:
        return FAMILY_routes;
    case FAMILY_routes:
        return FAMILY_tenant;
    default:
        return family;
    }
}

struct record *mirror_get(struct mirror *m, enum family family, struct str name)
{
    struct record *r = mirror_find(m, family, name);

    if (r != NULL)
        return r;
    r = make(m, family, name);
    if (other_of(family) != family) {
        r->pair = make(m, other_of(family), record_name(r));
        r->pair->pair = r;
    }
    return r;
}

struct str mirror_raw(const struct record *r)
{
    return r->raw != NULL ? str_slice(r->raw->bytes, r->raw->len) : str_slice(NULL, 0);
}

void mirror_keep_raw(struct record *r, struct str raw)
{
    struct str now = mirror_raw(r);

    if (now.ptr != NULL && raw.ptr != NULL && str_equals(now, raw))
        return;
    free(r->raw);
    r->raw = NULL;
    if (raw.ptr == NULL)
        return;
    CHECK(raw.len <= UINT32_MAX);
    r->raw = check_alloc(sizeof(*r->raw) + raw.len);
    r->raw->len = (uint32_t)raw.len;
    memcpy(r->raw->bytes, raw.ptr, raw.len);
}

/* --- slots --- */

static void grow_slots(struct slots *s)
{
    uint32_t chunk = s->room / TICKS_CHUNK;

    s->room = s->room ? s->room * 2 : TICKS_CHUNK;
    s->generations = check_realloc(s->generations, s->room * sizeof(*s->generations));
    s->next_free = check_realloc(s->next_free, s->room * sizeof(*s->next_free));
    s->ticks = check_realloc(s->ticks, s->room / TICKS_CHUNK * sizeof(*s->ticks));
    for (; chunk < s->room / TICKS_CHUNK; chunk++)
        s->ticks[chunk] = check_alloc(TICKS_CHUNK * sizeof(slot_tick));
}

static struct slot_ref take_slot(struct slots *s)
{
    uint32_t slot;

    if (s->free_count > SLOTS_RESTING) {
        slot = s->free_first;
        s->free_first = s->next_free[slot];
        s->free_count--;
    } else {
        if (s->count == s->room)
            grow_slots(s);
        slot = s->count++;
        s->generations[slot] = 1;
    }
    return (struct slot_ref){ slot, s->generations[slot] };
}

static void give_back(struct slots *s, uint32_t slot)
{
    s->generations[slot]++;
    s->next_free[slot] = NO_SLOT;
    if (s->free_count == 0)
        s->free_first = slot;
    else
        s->next_free[s->free_last] = slot;
    s->free_last = slot;
    s->free_count++;
}

/* A host's own key, not a wildcard. */
static bool is_exact(const struct record *r)
{
    return r->family == FAMILY_host && r->name[0] != '*';
}

static const struct slots *slots_of(const struct mirror *m, const struct record *r)
{
    return is_exact(r) ? &m->hosts : &m->slots[record_kind(r)];
}

struct slot_ref mirror_slot(struct mirror *m, struct record *r)
{
    if (!r->has_slot)
        r->ref = take_slot((struct slots *)slots_of(m, r));
    r->has_slot = true;
    return r->ref;
}

slot_tick *mirror_tick(const struct mirror *m, const struct record *r)
{
    CHECK(r->has_slot);
    return &slots_of(m, r)->ticks[r->ref.slot / TICKS_CHUNK][r->ref.slot % TICKS_CHUNK];
}

void mirror_free_slot(struct mirror *m, struct record *r)
{
    if (r->has_slot)
        give_back((struct slots *)slots_of(m, r), r->ref.slot);
    r->has_slot = false;
}

/* --- objects --- */

struct object *mirror_find_site(const struct mirror *m, const struct site_key *key)
{
    struct site *site = map_find(&m->sites, map_hash(text_of_key(key)), text_of_key(key));

    return site != NULL ? &site->object : NULL;
}

/* Sites get their slot and are counted here, once however many hosts share one; other objects stand
 * in their record's slot and are counted with it. */
static void use(struct mirror *m, struct object *object, struct changes *changes)
{
    struct site *site = (struct site *)object;

    if (object->uses++ > 0 || object->kind != OBJECT_SITE)
        return;
    object->ref = take_slot(&m->slots[OBJECT_SITE]);
    changes_swap(changes, &(struct swap){ .kind = OBJECT_SITE, .ref = object->ref, .now = object });
    map_add(&m->sites, map_hash(text_of_key(&site->key)), site);
    m->bytes += object->bytes + SLOT_BYTES;
}

static void disuse(struct mirror *m, struct object *object, struct changes *changes)
{
    struct site *site = (struct site *)object;

    CHECK(object->uses > 0);
    if (--object->uses > 0 || object->kind != OBJECT_SITE)
        return;
    changes_swap(changes,
                 &(struct swap){ .kind = OBJECT_SITE, .ref = object->ref, .before = object });
    give_back(&m->slots[OBJECT_SITE], object->ref.slot);
    map_remove(&m->sites, map_hash(text_of_key(&site->key)), site);
    m->bytes -= object->bytes + SLOT_BYTES;
}

void mirror_put(struct mirror *m, struct record *r, struct object *object, struct changes *changes)
{
    struct object *before = r->object;

    if (object == before)
        return;
    r->object = object;
    if (object != NULL)
        use(m, object, changes);
    if (is_exact(r))
        changes_move(changes, record_name(r),
                     object != NULL ? object->ref : (struct slot_ref){ 0 });
    else
        changes_swap(changes, &(struct swap){ .kind = record_kind(r),
                                              .ref = r->ref,
                                              .now = object,
                                              .before = before,
                                              .evicted = m->evicting,
                                              .used = mirror_tick(m, r) });
    if (before != NULL)
        disuse(m, before, changes);
}

struct slot_ref mirror_site_ref(const struct record *r)
{
    return is_exact(r) ? r->object->ref : r->ref;
}

/* --- counting --- */

static void count_as(struct mirror *m, struct record *r, enum counted now)
{
    uint64_t *const counters[] = { [COUNTED_GOOD] = &m->status->records_good,
                                   [COUNTED_BAD] = &m->status->records_bad,
                                   [COUNTED_ABSENT] = &m->status->records_absent };

    if (r->counted == now)
        return;
    if (r->counted != COUNTED_NOT)
        --*counters[r->counted];
    if (now != COUNTED_NOT)
        ++*counters[now];
    r->counted = (uint8_t)now;
}

static void count_bytes(struct mirror *m, struct record *r, size_t bytes)
{
    m->bytes += bytes - r->bytes;
    if (!list_is_empty(&r->clock) && r->among_absents)
        m->absent_bytes += bytes - r->bytes;
    r->bytes = bytes;
    m->status->cache_bytes = m->bytes;
}

static size_t bytes_of(const struct record *r)
{
    size_t bytes = sizeof(*r) + r->name_len + 4 * sizeof(struct map_slot) +
                   r->named_count * sizeof(struct record *);

    if (r->object != NULL)
        bytes += (r->object->kind != OBJECT_SITE ? r->object->bytes : 0) +
                 (is_exact(r) ? HOST_SLOT_BYTES : SLOT_BYTES);
    if (r->raw != NULL)
        bytes += sizeof(*r->raw) + r->raw->len;
    if (r->error != NULL)
        bytes += sizeof(*r->error);
    return bytes;
}

static void unhang(struct mirror *m, struct record *r)
{
    if (list_is_empty(&r->clock))
        return;
    list_remove(&r->clock);
    if (r->among_absents) {
        m->absent_count--;
        m->absent_bytes -= r->bytes;
    } else {
        m->held_count--;
    }
}

/* A record that nothing else refers to hangs in one of the two clocks. */
static void hang(struct mirror *m, struct record *r)
{
    bool absent = !record_exists(r);
    bool free_to_go = r->known && r->reference_count == 0 && list_is_empty(&r->waiters);

    if (r->family == FAMILY_defaults)
        return;
    if (free_to_go && !list_is_empty(&r->clock) && r->among_absents == absent)
        return; /* it hangs right */
    unhang(m, r);
    if (!free_to_go)
        return;
    r->among_absents = absent;
    r->seen_tick = NEVER_SEEN;
    if (absent) {
        m->absent_count++;
        m->absent_bytes += r->bytes;
    } else {
        m->held_count++;
    }
    list_append(absent ? &m->absents : &m->held, &r->clock);
}

void mirror_settle(struct mirror *m, struct record *r)
{
    count_as(m, r,
             !r->known     ? COUNTED_NOT
             : !r->present ? COUNTED_ABSENT
             : r->bad      ? COUNTED_BAD
                           : COUNTED_GOOD);
    count_bytes(m, r, r->known ? bytes_of(r) : 0);
    hang(m, record_owner(r));
}

void mirror_touch(struct mirror *m, struct record *r)
{
    if (!r->among_absents || list_is_empty(&r->clock))
        return;
    list_remove(&r->clock);
    list_append(&m->absents, &r->clock);
}

/* --- who needs whom --- */

void mirror_refer(struct mirror *m, struct record *from, struct record **named, uint32_t count)
{
    struct record **were = from->named;
    uint32_t were_count = from->named_count;

    from->named = named;
    from->named_count = count;
    for (uint32_t i = 0; i < count; i++)
        named[i]->reference_count++;
    for (uint32_t i = 0; i < were_count; i++) {
        CHECK(were[i]->reference_count > 0);
        were[i]->reference_count--;
    }
    for (uint32_t i = 0; i < count; i++)
        mirror_settle(m, named[i]);
    for (uint32_t i = 0; i < were_count; i++)
        mirror_settle(m, were[i]);
    free(were);
}

void mirror_wait_for(struct mirror *m, struct record *r, struct record *on)
{
    struct record *was = r->waits_on;

    if (was == on)
        return;
    list_remove(&r->wait_node);
    r->waits_on = on;
    if (on != NULL) {
        list_append(&on->waiters, &r->wait_node);
        mirror_settle(m, on);
    }
    if (was != NULL)
        mirror_settle(m, was);
}

static bool is_idle(const struct record *r)
{
    return r->queue == QUEUE_NONE && !r->in_round && r->reference_count == 0 && !r->missing &&
           list_is_empty(&r->lookups) && list_is_empty(&r->waiters);
}

bool record_is_idle(const struct record *r)
{
    return is_idle(r) && (r->pair == NULL || is_idle(r->pair));
}

static void drop_one(struct mirror *m, struct record *r)
{
    CHECK(r->object == NULL && r->reading == NULL);
    mirror_free_slot(m, r);
    mirror_wait_for(m, r, NULL);
    mirror_refer(m, r, NULL, 0);
    count_as(m, r, COUNTED_NOT);
    count_bytes(m, r, 0);
    unhang(m, r);
    map_remove(&m->maps[r->family], r->hash, r);
    free_record(r);
}

void mirror_drop(struct mirror *m, struct record *r)
{
    struct record *pair = r->pair;

    CHECK(record_is_idle(r));
    drop_one(m, r);
    if (pair != NULL)
        drop_one(m, pair);
}

/* --- bounds --- */

static void evict(struct mirror *m, struct record *r, struct changes *changes)
{
    m->evicting = true;
    mirror_put(m, r, NULL, changes);
    if (r->pair != NULL)
        mirror_put(m, r->pair, NULL, changes);
    m->evicting = false;
    m->status->records_evicted++;
    mirror_drop(m, r);
}

/* A last good version whose current one is bad exists nowhere else, but in the disk copy. */
static bool is_last_copy(const struct record *r)
{
    return (r->bad && r->has_good) || (r->pair != NULL && r->pair->bad && r->pair->has_good);
}

/* Second chance: what is new, or was used since the hand came by last, stays for another round. */
static bool stays(const struct mirror *m, struct record *r)
{
    uint32_t tick;

    if (!record_is_idle(r) || (!m->copied && is_last_copy(r)))
        return true;
    tick = r->object ? atomic_load_explicit(mirror_tick(m, r), memory_order_relaxed) : 0;
    if (tick == r->seen_tick)
        return false;
    r->seen_tick = tick;
    return true;
}

/* Names that nobody has must not push out those that are served: they have a share of their own. */
static void evict_absents(struct mirror *m, size_t most_bytes)
{
    size_t looks = m->absent_count < LOOKS_MOST ? m->absent_count : LOOKS_MOST;

    for (; looks > 0; looks--) {
        struct record *r = LIST_ITEM(m->absents.next, struct record, clock);

        if (m->absent_count <= ABSENTS_MOST && m->absent_bytes <= most_bytes)
            return;
        if (record_is_idle(r))
            mirror_drop(m, r);
        else
            mirror_touch(m, r);
    }
}

void mirror_evict(struct mirror *m, size_t most_bytes, struct changes *changes)
{
    size_t looks = 2 * m->held_count < LOOKS_MOST ? 2 * m->held_count : LOOKS_MOST;

    evict_absents(m, most_bytes / ABSENTS_SHARE);
    while (m->bytes > most_bytes && looks-- > 0 && !list_is_empty(&m->held)) {
        struct record *r = LIST_ITEM(m->held.next, struct record, clock);

        if (!stays(m, r)) {
            evict(m, r, changes);
            continue;
        }
        list_remove(&r->clock);
        list_append(&m->held, &r->clock);
    }
}
