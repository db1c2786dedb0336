/* wait_queue.h -- who waits for one thing, across threads: first in, first out within a group, and between
 * groups fair by their shares (start-time fair queueing), so that one with a thousand waiting does not
 * hold back one with a single one.
 *
 * Everything but `waiting` is read and written with the lock held. */
#ifndef BASE_WAIT_QUEUE_H
#define BASE_WAIT_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"

struct wait_flow;

/* Embed it. */
struct waiter {
    struct list node;
    struct wait_flow *flow; /* NULL: it does not wait */
    uint32_t share;         /* 1 or more */
};

/* Of one thread: what was taken from the queue for it. */
struct wait_lane {
    struct list taken; /* struct waiter */
    bool told;         /* word of it is on its way */
};

struct wait_queue {
    pthread_mutex_t lock;
    atomic_uint waiting; /* those who wait; read without the lock */
    struct map flows;    /* one for each group that waits, or has been served beyond its share */
    struct wait_flow **heap;
    size_t heap_count, heap_room;
    uint64_t now, added;
    unsigned lane_count;
    struct wait_lane *lanes;

    /* Since it was made. */
    atomic_uint_fast64_t served, waited_us, full, timed_out;
};

struct wait_queue *wait_queue_new(unsigned lanes);
void wait_queue_free(struct wait_queue *q); /* nobody waits */

void wait_queue_add(struct wait_queue *q, struct waiter *w, struct str group, uint32_t share);
/* Whoever has waited once already: the next of its group. */
void wait_queue_add_first(struct wait_queue *q, struct waiter *w, struct str group, uint32_t share);
/* Whose turn it is; NULL: nobody waits. */
struct waiter *wait_queue_next(struct wait_queue *q);
/* Takes off the one whose turn it is: its group has had its turn. */
void wait_queue_take(struct wait_queue *q, struct waiter *w);
/* It waits no more, without having had its turn. */
void wait_queue_remove(struct wait_queue *q, struct waiter *w);

/* Calls `each` for every group that waits, in no order. */
void wait_queue_groups(const struct wait_queue *q,
                       void (*each)(void *owner, struct str group, unsigned waiting), void *owner);

#endif
