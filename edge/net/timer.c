/* timer.c -- the wheel. One uv_timer waits for its next used slot.
 *
 * Owns:    the slots; timers are embedded in their owners.
 * Thread:  the loop's.
 * Used by: every room with a time limit.
 * Not here: what time it is (base/clock.c). */
#include "net/timer.h"

#include "base/check.h"
#include "net/loop.h"

#define NEVER UINT64_MAX

static void link_timer(struct timer_wheel *w, struct timer *t)
{
    /* Rounded up, so that it never fires early; a far one hangs one turn of the wheel away. */
    uint64_t number = t->due_ms / TIMER_SLOT_MS + 1;

    if (number <= w->at)
        number = w->at + 1;
    if (number > w->at + TIMER_SLOTS - 1)
        number = w->at + TIMER_SLOTS - 1;
    t->slot_ms = number * TIMER_SLOT_MS;
    list_append(&w->slots[number % TIMER_SLOTS], &t->node);
    w->used[number % TIMER_SLOTS / 64] |= 1ull << (number % 64);
}

static void run_slot(struct timer_wheel *w, struct loop *l, uint64_t number)
{
    struct list due;
    struct list *node;
    unsigned index = number % TIMER_SLOTS;

    list_init(&due);
    list_move_all(&due, &w->slots[index]);
    w->used[index / 64] &= ~(1ull << (index % 64));
    while ((node = list_take_first(&due)) != NULL) {
        struct timer *t = LIST_ITEM(node, struct timer, node);

        if (t->due_ms > loop_now_ms(l)) { /* it was set again meanwhile, or is a far one */
            link_timer(w, t);
        } else {
            t->due_ms = 0;
            t->fn(t);
        }
    }
}

static void advance(struct timer_wheel *w, struct loop *l)
{
    uint64_t now = loop_now_ms(l) / TIMER_SLOT_MS;

    if (now > w->at + TIMER_SLOTS) /* a long sleep: each slot is looked at once */
        w->at = now - TIMER_SLOTS;
    while (w->at < now) {
        unsigned index = ++w->at % TIMER_SLOTS;

        if (w->used[index / 64] & (1ull << (index % 64)))
            run_slot(w, l, w->at);
    }
}

static void on_tick(uv_timer_t *handle)
{
    struct loop *l = handle->data;

    l->wheel.armed_for = NEVER;
    advance(&l->wheel, l);
}

/* The number of the next used slot behind w->at; NEVER when there is none. */
static uint64_t next_used(const struct timer_wheel *w)
{
    for (uint64_t n = w->at + 1; n < w->at + 1 + TIMER_SLOTS;) {
        unsigned index = n % TIMER_SLOTS;
        uint64_t word = w->used[index / 64] >> (index % 64);

        if (word != 0)
            return n + (unsigned)__builtin_ctzll(word);
        n += 64 - index % 64;
    }
    return NEVER;
}

void timer_wheel_arm(struct timer_wheel *w, struct loop *l)
{
    uint64_t next = next_used(w), due_ms;

    if (next == w->armed_for)
        return;
    w->armed_for = next;
    if (next == NEVER) {
        uv_timer_stop(&w->uv);
        return;
    }
    due_ms = next * TIMER_SLOT_MS;
    uv_timer_start(&w->uv, on_tick, due_ms > loop_now_ms(l) ? due_ms - loop_now_ms(l) : 0, 0);
}

void timer_wheel_init(struct timer_wheel *w, struct loop *l)
{
    for (unsigned i = 0; i < TIMER_SLOTS; i++)
        list_init(&w->slots[i]);
    for (unsigned i = 0; i < TIMER_SLOTS / 64; i++)
        w->used[i] = 0;
    w->at = loop_now_ms(l) / TIMER_SLOT_MS;
    w->armed_for = NEVER;
    CHECK(uv_timer_init(&l->uv, &w->uv) == 0);
    w->uv.data = l;
    uv_unref((uv_handle_t *)&w->uv);
}

void timer_wheel_close(struct timer_wheel *w)
{
    uv_close((uv_handle_t *)&w->uv, NULL);
}

void timer_init(struct timer *t, timer_fn fn)
{
    *t = (struct timer){ .fn = fn };
    list_init(&t->node);
}

void timer_set(struct loop *l, struct timer *t, uint64_t in_ms)
{
    t->due_ms = loop_now_ms(l) + in_ms;
    if (!list_is_empty(&t->node)) {
        if (t->slot_ms <= t->due_ms)
            return;
        list_remove(&t->node);
    }
    link_timer(&l->wheel, t);
}

void timer_stop(struct timer *t)
{
    t->due_ms = 0;
    list_remove(&t->node);
}
