/* loop.c -- a libuv loop and what happens at both ends of its turns.
 *
 * Owns:    the uv_loop_t, its prepare and check handles, the timer wheel.
 * Thread:  the one that runs it.
 * Used by: control, workers.
 * Not here: the wheel itself (timer.c); waking another thread's loop (mailbox.c). */
#include "net/loop.h"

#include "base/check.h"

static void run_all(struct list *ends)
{
    struct list *node;

    while ((node = list_take_first(ends)) != NULL) {
        struct turn_end *end = LIST_ITEM(node, struct turn_end, node);

        end->fn(end);
    }
}

/* Work may ask for more work: that too belongs to this turn. */
static void run_ends(struct loop *l)
{
    run_all(&l->ends);
}

/* What asks for its next turn again is not run in this one. */
static void on_no_wait(uv_idle_t *handle)
{
    struct loop *l = handle->data;
    struct list now;

    list_init(&now);
    list_move_all(&now, &l->nexts);
    uv_idle_stop(&l->no_wait);
    run_all(&now);
}

/* Timers and the callbacks of finished writes run before the wait. */
static void on_before_wait(uv_prepare_t *handle)
{
    struct loop *l = handle->data;

    run_ends(l);
    timer_wheel_arm(&l->wheel, l);
}

static void on_after_wait(uv_check_t *handle)
{
    run_ends(handle->data);
}

void loop_init(struct loop *l)
{
    CHECK(uv_loop_init(&l->uv) == 0);
    l->uv.data = l;
    list_init(&l->ends);
    list_init(&l->nexts);
    timer_wheel_init(&l->wheel, l);
    CHECK(uv_prepare_init(&l->uv, &l->before_wait) == 0);
    CHECK(uv_check_init(&l->uv, &l->after_wait) == 0);
    CHECK(uv_idle_init(&l->uv, &l->no_wait) == 0);
    l->before_wait.data = l->after_wait.data = l->no_wait.data = l;
    CHECK(uv_prepare_start(&l->before_wait, on_before_wait) == 0);
    CHECK(uv_check_start(&l->after_wait, on_after_wait) == 0);
    uv_unref((uv_handle_t *)&l->before_wait);
    uv_unref((uv_handle_t *)&l->after_wait);
}

void loop_run(struct loop *l)
{
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
    uv_stop(&l->uv);
}

void loop_close(struct loop *l)
{
    timer_wheel_close(&l->wheel);
    uv_close((uv_handle_t *)&l->before_wait, NULL);
    uv_close((uv_handle_t *)&l->after_wait, NULL);
    uv_close((uv_handle_t *)&l->no_wait, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    run_ends(l);
    CHECK(uv_loop_close(&l->uv) == 0);
}

void turn_end_init(struct turn_end *end, turn_end_fn fn)
{
    list_init(&end->node);
    end->fn = fn;
}

void loop_at_turn_end(struct loop *l, struct turn_end *end)
{
    if (list_is_empty(&end->node))
        list_append(&l->ends, &end->node);
}

void loop_at_next_turn(struct loop *l, struct turn_end *end)
{
    if (list_is_empty(&end->node))
        list_append(&l->nexts, &end->node);
    uv_idle_start(&l->no_wait, on_no_wait);
}

void turn_end_cancel(struct turn_end *end)
{
    list_remove(&end->node);
}
