/* loop.h -- one thread's event loop: libuv's, with a timer wheel and end-of-turn work.
 *
 * A turn is one round of the loop: wait, then every callback that became due. Nothing is freed
 * inside its own callback: who ends is put on the turn's end (loop_at_turn_end) and freed there. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "net/timer.h"

struct turn_end;
typedef void (*turn_end_fn)(struct turn_end *end);

/* Work for the end of this turn; runs once per loop_at_turn_end. Embed it. */
struct turn_end {
    struct list node;
    turn_end_fn fn;
};

struct loop {
    uv_loop_t uv;
    uv_prepare_t before_wait;
    uv_check_t after_wait;
    uv_idle_t no_wait; /* runs while `nexts` has any */
    struct timer_wheel wheel;
    struct list ends;  /* struct turn_end, asked for in this turn */
    struct list nexts; /* struct turn_end, for the next one's beginning */
};

/* When this turn's events came in; monotonic. */
static inline uint64_t loop_now_ms(const struct loop *l)
{
    return uv_now(&l->uv);
}

void loop_init(struct loop *l);
void loop_run(struct loop *l);  /* until loop_stop, or nothing is left that could wake it */
void loop_stop(struct loop *l); /* from its own thread */
/* Runs turns until every handle is closed; whoever owns handles has asked for their closing. */
void loop_close(struct loop *l);

void turn_end_init(struct turn_end *end, turn_end_fn fn);
/* Runs end->fn(end) after all callbacks of this turn. Asked for twice, runs once. */
void loop_at_turn_end(struct loop *l, struct turn_end *end);
/* Runs it in the next turn, which comes at once: for long work that lets others in between. */
void loop_at_next_turn(struct loop *l, struct turn_end *end);
void turn_end_cancel(struct turn_end *end);

#endif
