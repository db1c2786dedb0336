/* deadlines.c -- Redis tells of an expired key when it notices; this edge looks at the moment itself.
 *
 * Owns:    one timer for each record that has a time to live.
 * Thread:  control
 * Used by: judge.c (sets), mirror.c (frees).
 * Not here: reading (sync.c). */
#include "store/deadlines.h"

#include <stdlib.h>

#include "base/check.h"
#include "store/state.h"
#include "store/sync.h"

#define FARTHEST_MS (1ll << 50)

struct deadline {
    struct timer timer;
    struct store *store;
    struct record *record;
};

static void on_due(struct timer *t)
{
    struct deadline *d = LIST_ITEM(t, struct deadline, timer);

    /* With Redis away it serves on, and is settled with all the others when Redis is back. */
    sync_want(d->store, d->record, QUEUE_WANTED);
}

void deadline_set(struct store *s, struct record *r, int64_t ttl_ms)
{
    if (ttl_ms < 0) {
        deadline_free(r);
        return;
    }
    if (ttl_ms > FARTHEST_MS)
        ttl_ms = FARTHEST_MS;
    if (r->deadline == NULL) {
        r->deadline = check_alloc(sizeof(*r->deadline));
        timer_init(&r->deadline->timer, on_due);
        r->deadline->store = s;
        r->deadline->record = r;
    }
    /* Still there at its last millisecond, gone in the next. */
    r->expires_ms = loop_now_ms(s->loop) + (uint64_t)ttl_ms + 1;
    timer_set(s->loop, &r->deadline->timer, (uint64_t)ttl_ms + 1);
}

void deadline_free(struct record *r)
{
    r->expires_ms = 0;
    if (r->deadline == NULL)
        return;
    timer_stop(&r->deadline->timer);
    free(r->deadline);
    r->deadline = NULL;
}
