/* mirror.h -- the records this edge holds: what each Redis key said last, and what it became.
 *
 * A service is a pair of records (usher:service: and usher:endpoints:), made and dropped together;
 * the first of them owns the one compiled object. So is a tenant (usher:tenant: and usher:routes:),
 * but with an object for each: a change of one must not cost what the other is. */
#ifndef STORE_MIRROR_H
#define STORE_MIRROR_H

#include "base/list.h"
#include "base/map.h"
#include "net/timer.h"
#include "routing/changes.h"
#include "routing/record.h"
#include "store/store.h"

struct reading;
struct deadline;

/* The last good value of a record, as value_encode writes it. */
struct raw {
    uint32_t len;
    char bytes[];
};

/* Who waits to be read, in the order of urgency. */
enum queue { QUEUE_PUSHED, QUEUE_WANTED, QUEUE_VERIFY, QUEUE_SCAN, QUEUES, QUEUE_NONE = QUEUES };

enum verdict {
    VERDICT_NONE, /* not read in this round after all */
    VERDICT_SAME,
    VERDICT_GONE,
    VERDICT_GOOD,
    VERDICT_BAD,
    VERDICT_WITHHELD, /* gone, but not to be believed yet (verify.c) */
};

struct record {
    uint64_t hash;       /* of the name */
    uint64_t value_hash; /* of what was judged last */
    uint64_t epoch;      /* the mirror's when it was read last: else it is suspect */
    uint64_t expires_ms; /* on the loop's clock; 0 = never */
    struct list clock;   /* in mirror.held or mirror.absents, when it may be dropped */
    struct list queue_node, missing_node;
    struct list lookups;   /* struct lookup, waiting for this record to be read */
    struct list waiters;   /* records that are bad for want of this one */
    struct list wait_node; /* in waits_on->waiters */
    struct record *waits_on;
    struct record **named; /* what the object names: so many records, perhaps one twice */
    struct record *pair;   /* a service's other record */
    struct object *object;
    struct raw *raw;         /* NULL: it has none */
    struct reading *reading; /* this round's */
    struct deadline *deadline;
    struct record_error *error; /* when bad */
    struct slot_ref ref;
    size_t bytes; /* as counted in the mirror */
    uint32_t named_count;
    uint32_t reference_count; /* how often the objects of others name it */
    uint32_t seen_tick;
    uint8_t family, queue, verdict, counted;
    uint8_t owed; /* to a barrier, see barrier.c; 0: not */
    bool has_slot, among_absents;
    bool known, present, bad;
    bool has_good; /* the object, or this record's part of it, comes from a good version */
    bool pushed;   /* Redis told of a change: an absence is to be believed, */
    bool flushed;  /* but not when all was deleted in the same moment or since */
    bool found;    /* gone, as a look at everything has found: Redis may have told others of it */
    bool wanted;   /* a lookup asks for it */
    bool to_copy;  /* the walk came by: the disk copy gets it, changed or not */
    bool missing;  /* withheld */
    bool deleted;  /* absent, and we saw it go */
    bool was_known, was_present, is_new, keep, marked; /* while a round is judged */
    bool in_round, in_flight, to_read, is_hash;
    uint16_t name_len;
    char name[];
};

struct slots {
    uint32_t *generations, *next_free;
    slot_tick **ticks; /* by the chunk, so that each stays where it is */
    uint32_t count, room;
    uint32_t free_first, free_last, free_count;
};

struct mirror {
    struct map maps[FAMILIES];
    struct slots slots[OBJECT_KINDS];
    struct slots
        hosts;        /* of hosts' own keys: when they were used; sites stand in slots of theirs */
    struct map sites; /* struct site by its key */
    struct list held, absents;
    size_t held_count, absent_count;
    size_t bytes, absent_bytes;
    uint64_t epoch;
    bool copied; /* last good versions are in the disk copy too */
    bool evicting;
    struct store_status *status;
};

void mirror_init(struct mirror *m, struct store_status *status);
void mirror_free(struct mirror *m); /* objects too */

static inline struct str record_name(const struct record *r)
{
    return str_slice(r->name, r->name_len);
}

static inline bool record_is_fresh(const struct mirror *m, const struct record *r)
{
    return r->known && r->epoch == m->epoch;
}

/* The first of a pair, given either: it is held, referred to and waited for in the name of both. */
static inline struct record *record_owner(struct record *r)
{
    return r->family == FAMILY_endpoints || r->family == FAMILY_routes ? r->pair : r;
}

bool record_exists(const struct record *r); /* a service, a tenant: either of its keys */
bool record_has_right_name(const struct record *r);
enum object_kind record_kind(const struct record *r);

struct record *mirror_find(const struct mirror *m, enum family family, struct str name);
struct record *mirror_get(struct mirror *m, enum family family, struct str name); /* or makes it */

/* Its last good value, encoded; ptr NULL: it has none. Holds until the record's next round. */
struct str mirror_raw(const struct record *r);
void mirror_keep_raw(struct record *r, struct str raw); /* ptr NULL: it has none any more */

/* After a record changed: counts it, and hangs it where it can be dropped from. */
void mirror_settle(struct mirror *m, struct record *r);
void mirror_touch(struct mirror *m, struct record *r); /* an absent one was asked for */

struct slot_ref mirror_slot(struct mirror *m, struct record *r);
void mirror_free_slot(struct mirror *m, struct record *r);
slot_tick *mirror_tick(const struct mirror *m, const struct record *r); /* of its slot */

/* A site that is compiled from the same; NULL: there is none. */
struct object *mirror_find_site(const struct mirror *m, const struct site_key *key);
/* Makes it the record's object (NULL: none), and tells the workers. What it replaces is control's to
 * free when it stands nowhere any more. */
void mirror_put(struct mirror *m, struct record *r, struct object *object, struct changes *changes);
/* Where workers find the object of a host's record. */
struct slot_ref mirror_site_ref(const struct record *r);
/* What the object of `from` names from now on. Takes `named`, from the heap; NULL for none. */
void mirror_refer(struct mirror *m, struct record *from, struct record **named, uint32_t count);
void mirror_wait_for(struct mirror *m, struct record *r, struct record *on); /* on: NULL for none */

/* Nobody needs it: no queue, no round, no lookup, no reference, no waiter. */
bool record_is_idle(const struct record *r);
void mirror_drop(struct mirror *m, struct record *r); /* idle, and without an object */

/* Drops what has not been used for longest until the bounds hold. */
void mirror_evict(struct mirror *m, size_t most_bytes, struct changes *changes);

#endif
