/* drain.c -- the steps of ending: not ready, wait, workers finish, over.
 *
 * Owns:    the phase and its time limit.
 * Thread:  control
 * Used by: control.c (signals, the workers' mails), admin_pages.c (/readyz).
 * Not here: how a worker finishes what runs (proxy/worker.c). */
#include "control/drain.h"

#include "base/check.h"
#include "base/log.h"
#include "proxy/tunnel.h"

#define TUNNEL_GRACE_MS 500 /* for the workers' word that they have ended */

static void end(struct drain *d)
{
    d->phase = DRAIN_OVER;
    timer_stop(&d->timer);
    log_line(LOG_INFO, "drain_ended", "ms=%llu workers_cut=%u",
             (unsigned long long)(loop_now_ms(d->loop) - d->began_ms), d->workers_left);
    d->events->over(d->owner, d->workers_left);
}

static void begin_workers(struct drain *d, bool handed_over)
{
    d->phase = DRAIN_WORKERS;
    d->workers_began_ms = loop_now_ms(d->loop);
    timer_set(d->loop, &d->timer, d->settings->drain_timeout_ms);
    d->events->tell_workers(d->owner, handed_over);
}

/* Workers end tunnels by themselves: they get the time to. */
static void wait_for_tunnels(struct drain *d)
{
    uint64_t until =
        d->workers_began_ms + d->settings->tunnel_drain_ms + TUNNEL_LINGER_MS + TUNNEL_GRACE_MS;

    d->phase = DRAIN_TUNNELS;
    d->events->cut_requests(d->owner);
    timer_set(d->loop, &d->timer, until > loop_now_ms(d->loop) ? until - loop_now_ms(d->loop) : 0);
}

static void on_timer(struct timer *t)
{
    struct drain *d = LIST_ITEM(t, struct drain, timer);

    if (d->phase == DRAIN_WAITS)
        begin_workers(d, false);
    else if (d->phase == DRAIN_WORKERS)
        wait_for_tunnels(d);
    else if (d->phase == DRAIN_TUNNELS)
        end(d);
}

void drain_init(struct drain *d, struct loop *l, const struct settings *s,
                const struct drain_events *events, void *owner)
{
    *d = (struct drain){
        .workers_left = s->workers, .loop = l, .settings = s, .events = events, .owner = owner
    };
    timer_init(&d->timer, on_timer);
}

void drain_begin(struct drain *d)
{
    CHECK(d->phase == DRAIN_OFF);
    d->began_ms = loop_now_ms(d->loop);
    log_line(LOG_INFO, "drain_started", "wait_ms=%llu timeout_ms=%llu",
             (unsigned long long)d->settings->drain_wait_ms,
             (unsigned long long)d->settings->drain_timeout_ms);
    if (d->settings->drain_wait_ms > 0) {
        d->phase = DRAIN_WAITS;
        timer_set(d->loop, &d->timer, d->settings->drain_wait_ms);
    } else {
        begin_workers(d, false);
    }
}

void drain_hand_over(struct drain *d)
{
    CHECK(d->phase == DRAIN_OFF);
    d->began_ms = loop_now_ms(d->loop);
    log_line(LOG_INFO, "drain_started", "timeout_ms=%llu handed_over=yes",
             (unsigned long long)d->settings->drain_timeout_ms);
    begin_workers(d, true);
}

void drain_worker_done(struct drain *d)
{
    if (d->phase != DRAIN_WORKERS && d->phase != DRAIN_TUNNELS)
        return; /* its mail crossed our decision to cut */
    CHECK(d->workers_left > 0);
    if (--d->workers_left == 0)
        end(d);
}
