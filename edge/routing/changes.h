/* changes.h -- what one round of the store changes, as every worker gets it: all or nothing, in one
 * mail. Built by the store on control, then read-only; shared by all workers, freed by the last.
 *
 * A worker applies the parts in this order: swaps, forgotten hosts and suffixes, answers, moved
 * hosts; then whoever waited for an answer goes on. */
#ifndef ROUTING_CHANGES_H
#define ROUTING_CHANGES_H

#include <stdatomic.h>

#include "base/fault.h"
#include "base/str.h"
#include "routing/object.h"
#include "routing/site.h"

/* The slot's object from now on; NULL: the record is gone (deleted, or evicted from the mirror). */
struct swap {
    enum object_kind kind;
    struct slot_ref ref;
    struct object *now;
    struct object *before; /* for control: freed when every worker has let go of it */
    slot_tick *used;       /* of the slot; outlives it. NULL: not kept (a site's own slot) */
    bool evicted;          /* `now` is NULL for want of room: Redis still has the record */
};

/* A host's own key says something else: its site from now on. */
struct moved {
    struct map_print host;
    struct slot_ref site; /* generation 0: none */
};

enum answer_kind {
    ANSWER_SITE,    /* `site` answers this host */
    ANSWER_UNKNOWN, /* no key answers it */
    ANSWER_FAULT,   /* not to be known now: `fault` for whoever waits; nothing is remembered */
};

/* To one worker, that asked for one host. */
struct answer {
    unsigned worker;
    enum answer_kind kind;
    enum fault fault;
    struct slot_ref site; /* exact: the site's own; else the wildcard key's */
    slot_tick *used;      /* of the key that answers; outlives it */
    bool exact;           /* the host's own key answered; false: a wildcard did */
    uint8_t host_len;
    char host[HOST_MAX_BYTES + 1];
};

/* A host or suffix whose remembered answers are void: its key came into being or went away. */
struct forgotten {
    bool suffix; /* "*.shop.example": all hosts below; "*": every host. Answers by exact key stay */
    uint8_t host_len;
    char host[HOST_MAX_BYTES + 1];
};

struct changes {
    atomic_uint readers; /* set by control before posting */
    uint64_t round;      /* number of the store's round; grows */
    bool forget_unknown; /* every remembered "no key answers" is void */
    struct swap *swaps;
    size_t swap_count, swap_room;
    struct forgotten *forgotten;
    size_t forgotten_count, forgotten_room;
    struct answer *answers;
    size_t answer_count, answer_room;
    struct moved *moved;
    size_t moved_count, moved_room;
};

struct changes *changes_new(uint64_t round);
void changes_free(struct changes *c); /* not the objects */
bool changes_is_empty(const struct changes *c);
void changes_swap(struct changes *c, const struct swap *swap);
void changes_forget(struct changes *c, struct str host); /* a leading "*" makes it a suffix */
void changes_move(struct changes *c, struct str host, struct slot_ref site);
struct answer *changes_answer(struct changes *c, unsigned worker, struct str host);

#endif
