/* test_drain.c -- the steps from a signal to the end, and their limits. */
#include <criterion/criterion.h>

#include "base/log.h"
#include "control/drain.h"
#include "net/mailbox.h"
#include "proxy/tunnel.h"

struct stage {
    struct loop loop;
    struct mailbox box; /* keeps the loop running, as control's does */
    bool running;
    struct settings settings;
    struct drain drain;
    unsigned told, cut, over, left;
    bool handed_over;
    uint64_t told_at, over_at;
};

static void on_tell(void *owner, bool handed_over)
{
    struct stage *s = owner;

    s->told++;
    s->handed_over = handed_over;
    s->told_at = loop_now_ms(&s->loop);
}

static void on_cut(void *owner)
{
    struct stage *s = owner;

    s->cut++;
}

static void on_over(void *owner, unsigned left)
{
    struct stage *s = owner;

    s->over++;
    s->left = left;
    s->over_at = loop_now_ms(&s->loop);
    if (s->running)
        loop_stop(&s->loop);
}

static void on_mail(void *owner, struct mail *mail)
{
    (void)owner;
    (void)mail;
}

static const struct drain_events events = { .tell_workers = on_tell,
                                            .cut_requests = on_cut,
                                            .over = on_over };

static void stage_open(struct stage *s, uint64_t wait_ms, uint64_t timeout_ms)
{
    memset(s, 0, sizeof(*s));
    log_set_level(LOG_ERROR);
    loop_init(&s->loop);
    mailbox_open(&s->box, &s->loop, on_mail, s);
    s->settings.workers = 2;
    s->settings.drain_wait_ms = wait_ms;
    s->settings.drain_timeout_ms = timeout_ms;
    drain_init(&s->drain, &s->loop, &s->settings, &events, s);
    cr_assert_not(drain_is_on(&s->drain));
}

static void stage_run(struct stage *s)
{
    s->running = true;
    loop_run(&s->loop);
}

static void stage_close(struct stage *s)
{
    mailbox_close(&s->box);
    loop_close(&s->loop);
}

Test(drain, without_a_wait_workers_are_told_at_once)
{
    struct stage s;

    stage_open(&s, 0, 60000);
    drain_begin(&s.drain);
    cr_assert(drain_is_on(&s.drain));
    cr_assert_eq(s.told, 1);
    drain_worker_done(&s.drain);
    cr_assert_eq(s.over, 0);
    drain_worker_done(&s.drain);
    cr_assert_eq(s.over, 1);
    cr_assert_eq(s.left, 0);
    stage_close(&s);
}

Test(drain, the_wait_comes_first)
{
    struct stage s;
    uint64_t began;

    stage_open(&s, 50, 50);
    began = loop_now_ms(&s.loop);
    drain_begin(&s.drain);
    cr_assert_eq(s.told, 0);
    drain_worker_done(&s.drain); /* too early to count */
    stage_run(&s);
    cr_assert_eq(s.told, 1);
    cr_assert_geq(s.told_at - began, 50);
    cr_assert_eq(s.over, 1);
    cr_assert_eq(s.cut, 1);
    cr_assert_eq(s.left, 2, "no worker said it was done");
    cr_assert_geq(s.over_at - s.told_at, 50);
    stage_close(&s);
}

Test(drain, tunnels_get_their_time_after_requests_are_cut)
{
    struct stage s;
    uint64_t began;

    stage_open(&s, 0, 30);
    s.settings.tunnel_drain_ms = 100;
    began = loop_now_ms(&s.loop);
    drain_begin(&s.drain);
    drain_worker_done(&s.drain);
    stage_run(&s);
    cr_assert_eq(s.cut, 1);
    cr_assert_eq(s.left, 1, "the other worker has tunnels that do not end");
    cr_assert_geq(s.over_at - began, 100 + TUNNEL_LINGER_MS);
    stage_close(&s);
}

Test(drain, what_is_handed_over_waits_for_nobody)
{
    struct stage s;

    stage_open(&s, 60000, 60000);
    drain_hand_over(&s.drain);
    cr_assert(drain_is_on(&s.drain));
    cr_assert_eq(s.told, 1);
    cr_assert(s.handed_over);
    drain_worker_done(&s.drain);
    drain_worker_done(&s.drain);
    cr_assert_eq(s.over, 1);
    stage_close(&s);
}

Test(drain, a_worker_that_is_done_after_the_end_changes_nothing)
{
    struct stage s;

    stage_open(&s, 0, 20);
    drain_begin(&s.drain);
    drain_worker_done(&s.drain);
    stage_run(&s);
    cr_assert_eq(s.left, 1);
    drain_worker_done(&s.drain);
    cr_assert_eq(s.over, 1);
    stage_close(&s);
}
