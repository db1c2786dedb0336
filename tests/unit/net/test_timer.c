/* test_timer.c -- the wheel: never early, never lost, moved cheaply. */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "net/loop.h"
#include "net/mailbox.h"

struct waiter {
    struct timer timer; /* first */
    uint64_t due_ms, fired_ms;
    unsigned fired;
};

static void on_timer(struct timer *t)
{
    struct waiter *w = (struct waiter *)t;

    w->fired++;
    w->fired_ms = clock_now_ms();
}

static struct loop loop;
static struct mailbox box; /* keeps the loop alive: timers do not */

static void no_mail(void *owner, struct mail *mail)
{
    (void)owner;
    (void)mail;
}

static struct loop *loop_of_test(void)
{
    loop_init(&loop);
    mailbox_open(&box, &loop, no_mail, NULL);
    return &loop;
}

static void end_loop(void)
{
    mailbox_close(&box);
    loop_close(&loop);
}

static void run_for(struct loop *l, uint64_t ms)
{
    uint64_t until = clock_now_ms() + ms;

    while (clock_now_ms() < until) {
        uv_run(&l->uv, UV_RUN_NOWAIT);
        uv_sleep(1);
    }
    uv_run(&l->uv, UV_RUN_NOWAIT); /* what came due while this thread was kept waiting */
}

Test(timer, fires_once_and_never_early)
{
    struct loop *l = loop_of_test();
    struct waiter waiters[40];

    for (unsigned i = 0; i < 40; i++) {
        timer_init(&waiters[i].timer, on_timer);
        waiters[i].fired = 0;
        waiters[i].due_ms =
            loop_now_ms(l) + i * 5; /* the clock that timers go by, looked at once a turn */
        timer_set(l, &waiters[i].timer, i * 5);
    }
    run_for(l, 400);
    for (unsigned i = 0; i < 40; i++) {
        cr_expect_eq(waiters[i].fired, 1);
        cr_expect_geq(waiters[i].fired_ms + 1, waiters[i].due_ms); /* two clocks, cut to ms */
        cr_expect_not(timer_is_set(&waiters[i].timer));
    }
    end_loop();
}

Test(timer, set_again_moves_it_both_ways)
{
    struct loop *l = loop_of_test();
    struct waiter later = { 0 }, sooner = { 0 }, stopped = { 0 };

    timer_init(&later.timer, on_timer);
    timer_init(&sooner.timer, on_timer);
    timer_init(&stopped.timer, on_timer);
    timer_set(l, &later.timer, 20);
    timer_set(l, &later.timer, 60000);
    timer_set(l, &sooner.timer, 60000);
    timer_set(l, &sooner.timer, 20);
    timer_set(l, &stopped.timer, 20);
    timer_stop(&stopped.timer);
    run_for(l, 150);
    cr_expect_eq(later.fired, 0);
    cr_expect(timer_is_set(&later.timer));
    cr_expect_eq(sooner.fired, 1);
    cr_expect_eq(stopped.fired, 0);
    timer_stop(&later.timer);
    end_loop();
}

struct ended {
    struct turn_end end; /* first */
    struct loop *loop;
    unsigned runs;
};

static void on_end(struct turn_end *end)
{
    struct ended *e = (struct ended *)end;

    if (++e->runs == 1)
        loop_at_turn_end(e->loop, end); /* once more, in the same turn */
}

Test(loop, runs_a_turns_end_once_for_all_who_ask)
{
    struct loop *l = loop_of_test();
    struct ended e = { .loop = l };

    turn_end_init(&e.end, on_end);
    loop_at_turn_end(l, &e.end);
    loop_at_turn_end(l, &e.end);
    uv_run(&l->uv, UV_RUN_NOWAIT);
    cr_expect_eq(e.runs, 2);
    uv_run(&l->uv, UV_RUN_NOWAIT);
    cr_expect_eq(e.runs, 2);
    end_loop();
}

/* --- work for the next turn --- */

struct worked {
    struct turn_end end; /* first */
    unsigned runs, most;
    struct worked *cancels;
};

static void on_turn(struct turn_end *end)
{
    struct worked *w = (struct worked *)end;

    if (++w->runs < w->most)
        loop_at_next_turn(&loop, &w->end);
    if (w->cancels != NULL)
        turn_end_cancel(&w->cancels->end);
}

Test(next_turn, comes_at_once_and_once_a_turn_and_can_be_cancelled)
{
    struct loop *l = loop_of_test();
    struct worked last = { .most = 9 }, w = { .most = 3, .cancels = &last };
    uint64_t began = clock_now_ms();

    turn_end_init(&w.end, on_turn);
    turn_end_init(&last.end, on_turn);
    loop_at_next_turn(l, &w.end);
    loop_at_next_turn(l, &w.end);
    loop_at_next_turn(l, &last.end);
    cr_expect_eq(w.runs, 0);
    for (unsigned turn = 1; turn <= 3; turn++) {
        uv_run(&l->uv, UV_RUN_ONCE); /* would wait for ever if nothing were to come */
        cr_expect_eq(w.runs, turn);
    }
    uv_run(&l->uv, UV_RUN_NOWAIT);
    cr_expect_eq(w.runs, 3);
    cr_expect_eq(last.runs, 0, "was cancelled by the one before it");
    cr_expect_lt(clock_now_ms() - began, 5000);
    end_loop();
}
