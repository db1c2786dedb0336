/* cidr_set.c -- ranges in a hash table by their prefix, found by a binary search over the lengths.
 *
 * Ranges inside others are left out, so no two overlap. Where a longer range may follow, the table
 * has a marker at each shorter length that the search would look at first: found means look longer,
 * absent means look shorter.
 *
 * Owns:    the table.
 * Thread:  any; whoever holds it only reads.
 * Used by: control/bans.c and control.c build; proxy/ asks.
 * Not here: text (cidr.c). */
#include "base/cidr_set.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/map.h"

#define BITS 128
#define MAPPED_BITS 96
#define ROOM_LEAST 16

enum kind { FREE, MARKER, RANGE };

struct prefix {
    uint64_t high, low; /* of the address, bits behind the prefix zero */
    uint8_t bits;
    uint8_t kind;
};

/* The lengths that ranges of one family have, ascending. */
struct lengths {
    uint8_t bits[BITS + 1];
    unsigned count;
};

struct cidr_set {
    struct prefix *slots;
    size_t mask, used;
    size_t count;
    struct lengths v4, v6;
    bool all_v4; /* a range of IPv6 holds all mapped addresses */
};

static uint64_t half(const uint8_t *bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return value;
}

static uint64_t cut(uint64_t value, unsigned bits)
{
    return bits == 0 ? 0 : bits >= 64 ? value : value & (UINT64_MAX << (64 - bits));
}

static struct prefix prefix_of(uint64_t high, uint64_t low, unsigned bits)
{
    return (struct prefix){ cut(high, bits), bits > 64 ? cut(low, bits - 64) : 0, (uint8_t)bits,
                            FREE };
}

static bool is_same(const struct prefix *a, const struct prefix *b)
{
    return a->high == b->high && a->low == b->low && a->bits == b->bits;
}

static bool covers(const struct prefix *wide, const struct prefix *p)
{
    struct prefix cut_off = prefix_of(p->high, p->low, wide->bits);

    return wide->bits <= p->bits && is_same(wide, &cut_off);
}

static bool is_mapped(const struct prefix *p)
{
    return p->bits >= MAPPED_BITS && p->high == 0 && p->low >> 32 == 0xffff;
}

/* --- the table --- */

static struct prefix *slot_of(const struct cidr_set *s, const struct prefix *p)
{
    struct {
        uint64_t high, low, bits;
    } key = { p->high, p->low, p->bits };
    size_t at = map_hash(str_slice((const char *)&key, sizeof(key))) & s->mask;

    while (s->slots[at].kind != FREE && !is_same(&s->slots[at], p))
        at = (at + 1) & s->mask;
    return &s->slots[at];
}

static void put(struct cidr_set *s, struct prefix p, enum kind kind);

static void make_room(struct cidr_set *s)
{
    struct prefix *old = s->slots;
    size_t room = s->mask + 1;

    s->slots = check_alloc(room * 2 * sizeof(*s->slots));
    s->mask = room * 2 - 1;
    s->used = 0;
    for (size_t i = 0; i < room; i++)
        if (old[i].kind != FREE)
            put(s, old[i], old[i].kind);
    free(old);
}

static void put(struct cidr_set *s, struct prefix p, enum kind kind)
{
    struct prefix *slot;

    if (s->used * 2 > s->mask)
        make_room(s);
    slot = slot_of(s, &p);
    if (slot->kind == FREE)
        s->used++;
    *slot = p;
    slot->kind = (uint8_t)kind;
}

/* --- building --- */

/* To `to`, the widest first: each length has its place there. */
static void sort(const struct cidr *ranges, size_t count, struct prefix *to)
{
    size_t places[BITS + 2] = { 0 };

    for (size_t i = 0; i < count; i++)
        places[ranges[i].bits + 1]++;
    for (unsigned bits = 1; bits <= BITS; bits++)
        places[bits] += places[bits - 1];
    for (size_t i = 0; i < count; i++)
        to[places[ranges[i].bits]++] =
            prefix_of(half(ranges[i].ip), half(ranges[i].ip + 8), ranges[i].bits);
}

/* Sorted ones, without those that another one covers, or says too. Uses the table for itself. */
static size_t settle(struct cidr_set *s, struct prefix *all, size_t count)
{
    unsigned lengths[BITS + 1], used = 0;
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        bool covered = false;

        if (used == 0 || lengths[used - 1] != all[i].bits)
            lengths[used++] = all[i].bits;
        for (unsigned n = 0; n < used && !covered; n++) {
            struct prefix wide = prefix_of(all[i].high, all[i].low, lengths[n]);

            covered = slot_of(s, &wide)->kind == RANGE;
        }
        if (covered)
            continue;
        put(s, all[i], RANGE);
        all[kept++] = all[i];
    }
    return kept;
}

static void note_lengths(struct cidr_set *s, const struct prefix *all, size_t count)
{
    bool v4[BITS + 1] = { false }, v6[BITS + 1] = { false };
    struct prefix mapped = prefix_of(0, (uint64_t)0xffff << 32, MAPPED_BITS);

    for (size_t i = 0; i < count; i++) {
        (is_mapped(&all[i]) ? v4 : v6)[all[i].bits] = true;
        if (covers(&all[i], &mapped))
            s->all_v4 = true;
    }
    for (unsigned bits = 0; bits <= BITS; bits++) {
        if (v4[bits])
            s->v4.bits[s->v4.count++] = (uint8_t)bits;
        if (v6[bits])
            s->v6.bits[s->v6.count++] = (uint8_t)bits;
    }
}

/* Markers on the way that a look for an address in this range takes. */
static void mark(struct cidr_set *s, const struct prefix *p)
{
    const struct lengths *l = is_mapped(p) ? &s->v4 : &s->v6;
    unsigned from = 0, to = l->count;

    for (;;) {
        unsigned middle = (from + to) / 2;
        unsigned bits = l->bits[middle];

        CHECK(from < to);
        if (bits == p->bits)
            return;
        if (bits < p->bits) {
            put(s, prefix_of(p->high, p->low, bits), MARKER);
            from = middle + 1;
        } else {
            to = middle;
        }
    }
}

struct cidr_set *cidr_set_new(const struct cidr *ranges, size_t count)
{
    struct cidr_set *s = check_alloc(sizeof(*s));
    struct prefix *all = check_alloc((count + 1) * sizeof(*all));

    for (s->mask = ROOM_LEAST - 1; s->mask < 2 * count;)
        s->mask = 2 * s->mask + 1;
    s->slots = check_alloc((s->mask + 1) * sizeof(*s->slots));
    sort(ranges, count, all);
    s->count = settle(s, all, count);
    note_lengths(s, all, s->count);
    for (size_t i = 0; i < s->count; i++)
        mark(s, &all[i]);
    free(all);
    return s;
}

void cidr_set_free(struct cidr_set *s)
{
    if (s == NULL)
        return;
    free(s->slots);
    free(s);
}

/* --- asking --- */

bool cidr_set_holds(const struct cidr_set *s, const struct address *a)
{
    uint8_t ip[16];
    struct prefix whole;
    const struct lengths *l;
    unsigned from = 0, to;

    cidr_ip(a, ip);
    whole = prefix_of(half(ip), half(ip + 8), BITS);
    l = is_mapped(&whole) ? &s->v4 : &s->v6;
    if (l == &s->v4 && s->all_v4)
        return true;
    for (to = l->count; from < to;) {
        unsigned middle = (from + to) / 2;
        struct prefix p = prefix_of(whole.high, whole.low, l->bits[middle]);

        switch (slot_of(s, &p)->kind) {
        case RANGE:
            return true;
        case MARKER:
            from = middle + 1;
            break;
        default:
            to = middle;
        }
    }
    return false;
}

size_t cidr_set_count(const struct cidr_set *s)
{
    return s->count;
}
