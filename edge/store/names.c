/* names.c -- the set of keys: open addressing, two arrays, backward-shift removal.
 *
 * Owns:    the arrays.
 * Thread:  control; one made by copy.c's thread is handed over whole.
 * Used by: scan.c, verify.c, lookups.c, recall.c, copy.c.
 * Not here: when a name is believed to be there or gone (scan.c, judge.c). */
#include "store/names.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/map.h"
#include "store/keys.h"

/* A mark: whether it was seen (by turn), whether it is a host, 29 bits more of the hash, and one
 * that is always set. */
#define MARK_TURN 1u
#define MARK_HOST 2u
#define MARK_USED 4u
#define MARK_KEY (~MARK_TURN)

struct place {
    uint64_t hash;
    uint32_t mark;
};

void names_init(struct names *n)
{
    *n = (struct names){ .turn = MARK_TURN };
}

void names_free(struct names *n)
{
    free(n->hashes);
    free(n->marks);
    names_init(n);
}

static struct place place_of(enum family family, struct str name)
{
    char key[1 + KEYS_NAME_MAX];
    struct map_print print;

    CHECK(name.len <= KEYS_NAME_MAX);
    key[0] = (char)family;
    if (name.len > 0)
        memcpy(key + 1, name.ptr, name.len);
    print = map_print_of(str_slice(key, 1 + name.len));
    return (struct place){ print.low, ((uint32_t)print.high & ~7u) | MARK_USED |
                                          (family == FAMILY_host ? MARK_HOST : 0) };
}

/* Its slot, or the free one where it would be. */
static size_t slot_of(const struct names *n, struct place p)
{
    size_t i = p.hash & n->mask;

    while (n->marks[i] != 0 && (n->hashes[i] != p.hash || (n->marks[i] & MARK_KEY) != p.mark))
        i = (i + 1) & n->mask;
    return i;
}

static bool is_unseen(const struct names *n, size_t i)
{
    return (n->marks[i] & MARK_TURN) != n->turn;
}

static void count(struct names *n, size_t i, size_t by)
{
    bool host = (n->marks[i] & MARK_HOST) != 0, unseen = is_unseen(n, i);

    n->count += by;
    n->hosts += host ? by : 0;
    n->unseen += unseen ? by : 0;
    n->unseen_hosts += host && unseen ? by : 0;
}

bool names_has(const struct names *n, enum family family, struct str name)
{
    return n->marks != NULL && n->marks[slot_of(n, place_of(family, name))] != 0;
}

bool names_is_seen(const struct names *n, enum family family, struct str name)
{
    size_t i;

    if (n->marks == NULL)
        return false;
    i = slot_of(n, place_of(family, name));
    return n->marks[i] != 0 && !is_unseen(n, i);
}

static void resize(struct names *n, size_t size)
{
    struct names old = *n;
    size_t old_size = old.marks ? old.mask + 1 : 0;

    n->hashes = check_alloc(size * sizeof(*n->hashes));
    n->marks = check_alloc(size * sizeof(*n->marks));
    n->mask = size - 1;
    for (size_t i = 0; i < old_size; i++) {
        size_t to;

        if (old.marks[i] == 0)
            continue;
        to = slot_of(n, (struct place){ old.hashes[i], old.marks[i] & MARK_KEY });
        n->hashes[to] = old.hashes[i];
        n->marks[to] = old.marks[i];
    }
    free(old.hashes);
    free(old.marks);
}

static void add(struct names *n, struct place p, bool seen)
{
    size_t i;

    if (n->marks == NULL || (n->count + 1) * 4 > (n->mask + 1) * 3)
        resize(n, n->marks == NULL ? 64 : (n->mask + 1) * 2);
    i = slot_of(n, p);
    if (n->marks[i] != 0) {
        if (!seen)
            return;
        count(n, i, (size_t)-1);
    }
    n->hashes[i] = p.hash;
    n->marks[i] = p.mark | (seen ? n->turn : n->turn ^ MARK_TURN);
    count(n, i, 1);
}

void names_add(struct names *n, enum family family, struct str name, bool seen)
{
    add(n, place_of(family, name), seen);
}

static void remove_at(struct names *n, size_t hole)
{
    count(n, hole, (size_t)-1);
    for (size_t i = (hole + 1) & n->mask; n->marks[i] != 0; i = (i + 1) & n->mask) {
        size_t home = n->hashes[i] & n->mask;

        if (((i - home) & n->mask) >= ((i - hole) & n->mask)) {
            n->hashes[hole] = n->hashes[i];
            n->marks[hole] = n->marks[i];
            hole = i;
        }
    }
    n->marks[hole] = 0;
}

void names_remove(struct names *n, enum family family, struct str name)
{
    size_t i;

    if (n->marks == NULL)
        return;
    i = slot_of(n, place_of(family, name));
    if (n->marks[i] != 0)
        remove_at(n, i);
}

void names_begin(struct names *n)
{
    /* What was unseen in the turn before would count as seen now: all get the mark of before. */
    for (size_t i = 0; n->unseen > 0 && i <= n->mask; i++)
        if (n->marks[i] != 0 && is_unseen(n, i))
            n->marks[i] ^= MARK_TURN;
    n->turn ^= MARK_TURN;
    n->unseen = n->count;
    n->unseen_hosts = n->hosts;
}

void names_drop_unseen(struct names *n)
{
    if (n->unseen == 0)
        return;
    for (size_t i = 0; i <= n->mask; i++)
        if (n->marks[i] != 0 && is_unseen(n, i))
            n->marks[i] = 0;
    n->count -= n->unseen;
    n->hosts -= n->unseen_hosts;
    n->unseen = n->unseen_hosts = 0;
    resize(n, n->mask + 1); /* what is left finds its place anew */
}

void names_merge(struct names *n, const struct names *other)
{
    for (size_t i = 0; other->marks != NULL && i <= other->mask; i++)
        if (other->marks[i] != 0)
            add(n, (struct place){ other->hashes[i], other->marks[i] & MARK_KEY }, false);
}

size_t names_bytes(const struct names *n)
{
    return n->marks == NULL ? 0 : (n->mask + 1) * (sizeof(*n->hashes) + sizeof(*n->marks));
}
