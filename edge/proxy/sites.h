/* sites.h -- a worker's tables of compiled objects: host -> site -> tenant -> service.
 *
 * The only place where Redis and requests meet: control's changes are applied here, requests look
 * here and nowhere else. Nothing in it is shared with another thread but the objects themselves,
 * which are immutable. */
#ifndef PROXY_SITES_H
#define PROXY_SITES_H

#include "base/list.h"
#include "base/map.h"
#include "net/timer.h"
#include "proxy/host_table.h"
#include "proxy/worker.h"
#include "routing/changes.h"

/* The object that a slot holds now, and how many exchanges of this worker use it. Every request for
 * a host comes here, so it is small: what is seldom looked at stands in struct slot_side. */
struct slot {
    struct object *object; /* NULL: the record is gone */
    uint32_t generation;
    uint32_t pins;
};

struct slot_side {
    slot_tick *used;
    uint32_t cursor; /* balancing: outlives the object */
    uint32_t tick;   /* what this worker wrote to *used last; not of sites, see host_table.h */
};

/* How a host was resolved last: by its own key, by a wildcard, or by none. Each kind is bounded on
 * its own, so that random names never push good ones out. */
enum host_kind { HOST_EXACT, HOST_WILDCARD, HOST_UNKNOWN, HOST_KINDS };

struct host_clock {
    size_t hand; /* second chance: from this line on */
    size_t count, most;
};

enum sites_result {
    SITES_FOUND,   /* *ref is a site that this worker holds */
    SITES_UNKNOWN, /* no key answers */
    SITES_WAIT,    /* control was asked; on_answer comes later */
    SITES_BUSY,    /* too much is being asked already */
};

/* One exchange waiting for its host. Embed it. */
struct sites_waiter {
    struct list node;
    void (*on_answer)(struct sites_waiter *w, enum sites_result result, struct slot_ref site,
                      enum fault fault);
};

struct sites {
    struct slot *slots[OBJECT_KINDS];
    struct slot_side *sides[OBJECT_KINDS]; /* slot by slot */
    uint32_t rooms[OBJECT_KINDS];
    struct host_table hosts;
    struct host_clock clocks[HOST_KINDS];
    struct map asked; /* struct asked_host */
    struct map suffixes;
    uint32_t suffix_clock, suffix_floor, unknown_floor;
    struct list retired;         /* replaced objects still pinned */
    struct released_mail *freed; /* replaced objects nobody here uses, on their way to control */
    size_t freed_room;
    struct loop *loop;
    struct worker_shared *shared;
    struct counters *counters;
    unsigned worker;
};

void sites_init(struct sites *s, struct loop *l, struct worker_shared *shared,
                struct counters *counters, unsigned worker);
void sites_free(struct sites *s);

/* Which site answers `host`, whose print is map_print_of(host)? On SITES_WAIT `waiter` hangs in the
 * list of those who asked. */
enum sites_result sites_find(struct sites *s, struct str host, struct map_print print,
                             struct slot_ref *ref, struct sites_waiter *waiter);
/* The host is about to be asked for: what its answer stands on is on its way from memory while other
 * work is done; first its line, then the slot that the line names. With many hosts, that wait would
 * be most of what finding one costs. */
void sites_fetch_line(const struct sites *s, struct map_print print);
void sites_fetch_slot(const struct sites *s, struct map_print print);

/* The object in a slot, pinned; NULL when its record is gone. Undone by sites_unpin with the same
 * object and slot, however often the slot was swapped in between. */
struct object *sites_pin(struct sites *s, enum object_kind kind, uint32_t slot);
void sites_unpin(struct sites *s, uint32_t slot, struct object *object);
/* Once more what is pinned already, of whatever age it is. */
void sites_pin_again(struct sites *s, uint32_t slot, struct object *object);
uint32_t *sites_cursor(struct sites *s, enum object_kind kind, uint32_t slot);

/* Takes part in `changes`: frees it when this worker is the last to have applied it. */
void sites_apply(struct sites *s, struct changes *changes);

/* The first `most` hosts remembered, as a JSON array. */
void sites_dump_hosts(const struct sites *s, size_t most, struct buf *json);
void sites_dump_services(const struct sites *s, size_t most, struct buf *json);

#endif
