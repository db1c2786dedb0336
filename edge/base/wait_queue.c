/* wait_queue.c -- groups of waiters by their turn: a heap on virtual time.
 *
 * A group's time moves on by one part of its share with each turn, and is never behind that of the last
 * turn, so that idleness saves nothing up. A group that is left by its last waiter is kept while it
 * is ahead of the others: else it would start afresh each time.
 *
 * Owns:    the groups; waiters are their owners'.
 * Thread:  any, with the lock held.
 * Used by: proxy/queue.c; routing/endpoint_state.c makes and frees it.
 * Not here: what is waited for, and who is told (proxy/queue.c). */
#include "base/wait_queue.h"

#include <stdlib.h>

#include "base/check.h"

#define TURN_TIME ((uint64_t)1 << 20) /* of a share of 1 */
#define IDLE_FLOWS 256                /* kept ahead of their time, at most about so many */

struct wait_flow {
    struct list waiters;
    unsigned waiting;
    uint64_t at;    /* when its turn is */
    uint64_t order; /* of those at the same time: who came first */
    uint64_t hash;
    size_t place; /* in the heap */
    size_t group_len;
    char group[];
};

static bool has_group(const void *value, struct str key)
{
    const struct wait_flow *f = value;

    return str_equals(str_slice(f->group, f->group_len), key);
}

struct wait_queue *wait_queue_new(unsigned lanes)
{
    struct wait_queue *q = check_alloc(sizeof(*q));

    pthread_mutex_init(&q->lock, NULL);
    map_init(&q->flows, has_group);
    q->lane_count = lanes;
    q->lanes = check_alloc((lanes + 1) * sizeof(*q->lanes));
    for (unsigned i = 0; i < lanes; i++)
        list_init(&q->lanes[i].taken);
    return q;
}

/* --- the heap --- */

static bool is_before(const struct wait_flow *a, const struct wait_flow *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void put(struct wait_queue *q, size_t place, struct wait_flow *f)
{
    q->heap[place] = f;
    f->place = place;
}

static void rise(struct wait_queue *q, struct wait_flow *f)
{
    size_t at = f->place;

    while (at > 0 && is_before(f, q->heap[(at - 1) / 2])) {
        put(q, at, q->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(q, at, f);
}

static void sink(struct wait_queue *q, struct wait_flow *f)
{
    size_t at = f->place, child;

    while ((child = 2 * at + 1) < q->heap_count) {
        if (child + 1 < q->heap_count && is_before(q->heap[child + 1], q->heap[child]))
            child++;
        if (!is_before(q->heap[child], f))
            break;
        put(q, at, q->heap[child]);
        at = child;
    }
    put(q, at, f);
}

static void push(struct wait_queue *q, struct wait_flow *f)
{
    if (q->heap_count == q->heap_room) {
        q->heap_room = q->heap_room ? q->heap_room * 2 : 16;
        q->heap = check_realloc(q->heap, q->heap_room * sizeof(struct wait_flow *));
    }
    put(q, q->heap_count++, f);
    rise(q, f);
}

static void drop(struct wait_queue *q, struct wait_flow *f)
{
    struct wait_flow *last = q->heap[--q->heap_count];

    if (last != f) {
        put(q, f->place, last);
        rise(q, last);
        sink(q, last);
    }
    map_remove(&q->flows, f->hash, f);
    free(f);
}

/* --- groups --- */

static void drop_idle(struct wait_queue *q)
{
    for (size_t i = q->heap_count; i-- > 0;)
        if (i < q->heap_count && q->heap[i]->waiting == 0)
            drop(q, q->heap[i]);
}

void wait_queue_free(struct wait_queue *q)
{
    CHECK(atomic_load_explicit(&q->waiting, memory_order_relaxed) == 0);
    while (q->heap_count > 0)
        drop(q, q->heap[q->heap_count - 1]);
    map_free(&q->flows);
    pthread_mutex_destroy(&q->lock);
    free(q->heap);
    free(q->lanes);
    free(q);
}

static struct wait_flow *flow_of(struct wait_queue *q, struct str group)
{
    uint64_t hash = map_hash(group);
    struct wait_flow *f = map_find(&q->flows, hash, group);

    if (f == NULL) {
        f = check_alloc(sizeof(*f) + group.len + 1);
        list_init(&f->waiters);
        f->hash = hash;
        f->group_len = group.len;
        if (group.len > 0)
            memcpy(f->group, group.ptr, group.len);
        f->at = q->now;
        f->order = q->added++;
        map_add(&q->flows, hash, f);
        push(q, f);
    } else if (f->waiting == 0 && f->at < q->now) {
        f->at = q->now;
        f->order = q->added++;
        sink(q, f);
    }
    return f;
}

static struct wait_flow *join(struct wait_queue *q, struct waiter *w, struct str group,
                              uint32_t share)
{
    unsigned waiting = atomic_load_explicit(&q->waiting, memory_order_relaxed);

    CHECK(share > 0);
    if (q->heap_count > IDLE_FLOWS + 2 * (size_t)waiting)
        drop_idle(q);
    w->flow = flow_of(q, group);
    w->share = share;
    w->flow->waiting++;
    atomic_fetch_add(&q->waiting, 1);
    return w->flow;
}

void wait_queue_add(struct wait_queue *q, struct waiter *w, struct str group, uint32_t share)
{
    list_append(&join(q, w, group, share)->waiters, &w->node);
}

void wait_queue_add_first(struct wait_queue *q, struct waiter *w, struct str group, uint32_t share)
{
    list_prepend(&join(q, w, group, share)->waiters, &w->node);
}

struct waiter *wait_queue_next(struct wait_queue *q)
{
    while (q->heap_count > 0 && q->heap[0]->waiting == 0)
        drop(q, q->heap[0]);
    return q->heap_count > 0 ? LIST_ITEM(q->heap[0]->waiters.next, struct waiter, node) : NULL;
}

void wait_queue_remove(struct wait_queue *q, struct waiter *w)
{
    list_remove(&w->node);
    w->flow->waiting--;
    w->flow = NULL;
    atomic_fetch_sub(&q->waiting, 1);
}

void wait_queue_take(struct wait_queue *q, struct waiter *w)
{
    struct wait_flow *f = w->flow;

    wait_queue_remove(q, w);
    q->now = f->at;
    f->at += TURN_TIME / w->share;
    f->order = q->added++;
    sink(q, f);
}

void wait_queue_groups(const struct wait_queue *q,
                       void (*each)(void *owner, struct str group, unsigned waiting), void *owner)
{
    for (size_t i = 0; i < q->heap_count; i++)
        if (q->heap[i]->waiting > 0)
            each(owner, str_slice(q->heap[i]->group, q->heap[i]->group_len), q->heap[i]->waiting);
}
