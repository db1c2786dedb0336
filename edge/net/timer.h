/* timer.h -- time limits embedded in what they limit: a wheel of 16 ms slots.
 *
 * Setting a timer again to a later moment is one store: it is moved when its old slot comes up.
 * A timer never fires early; it fires at most about 20 ms late on a loop that is not stalled. */
#ifndef NET_TIMER_H
#define NET_TIMER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"

#define TIMER_SLOT_MS 16
#define TIMER_SLOTS 512

struct loop;
struct timer;
typedef void (*timer_fn)(struct timer *t);

struct timer {
    struct list node;
    uint64_t due_ms;  /* on the loop's clock; 0 = not set */
    uint64_t slot_ms; /* when the slot it hangs in comes up */
    timer_fn fn;
};

struct timer_wheel {
    struct list slots[TIMER_SLOTS];
    uint64_t used[TIMER_SLOTS / 64]; /* a bit per slot that may hold timers */
    uint64_t at;                     /* slots up to this number (not index) have come up */
    uint64_t armed_for;              /* slot number the uv_timer waits for; UINT64_MAX = none */
    uv_timer_t uv;
};

void timer_init(struct timer *t, timer_fn fn);
void timer_set(struct loop *l, struct timer *t, uint64_t in_ms);
void timer_stop(struct timer *t); /* harmless when not set */

static inline bool timer_is_set(const struct timer *t)
{
    return t->due_ms != 0;
}

/* For loop.c. */
void timer_wheel_init(struct timer_wheel *w, struct loop *l);
void timer_wheel_arm(struct timer_wheel *w, struct loop *l);
void timer_wheel_close(struct timer_wheel *w);

#endif
