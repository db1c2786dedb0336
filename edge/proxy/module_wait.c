/* module_wait.c -- timers and jobs that modules wait for.
 *
 * Owns:    each until it has come, whether its exchange still is or not.
 * Thread:  its worker; jobs run on another.
 * Used by: modules (usher_timer, usher_job, usher_wait_most).
 * Not here: Redis (module_ask.c); sub-requests (module_subrequest.c). */
#include <stdlib.h>

#include "module_host/crash.h"
#include "net/job.h"
#include "proxy/module_calls.h"
#include "proxy/worker_state.h"

#define WAIT_MOST_MS (10 * 60 * 1000)
#define JOB_BYTES_MAX (1u << 20)

struct module_timer {
    struct module_pending pending;
    struct timer timer;
};

struct module_job {
    struct module_pending pending;
    struct job job;
    const struct module_row *row;
    void (*work)(void *arg);
    _Alignas(16) char arg[];
};

bool module_wait_most(struct usher_exchange *o, uint32_t ms)
{
    struct module_run *run = run_of(o);

    if (!modules_may_wait(run) || ms == 0 || ms > WAIT_MOST_MS)
        return false;
    run->wait_ms = ms;
    if (timer_is_set(&run->deadline))
        timer_set(&run->x->w->loop, &run->deadline, ms);
    return true;
}

static void cancel_timer(struct module_pending *p)
{
    struct module_timer *m = LIST_ITEM(p, struct module_timer, pending);

    timer_stop(&m->timer);
    free(m);
}

static void on_timer(struct timer *t)
{
    struct module_timer *m = LIST_ITEM(t, struct module_timer, timer);

    modules_pending_done(&m->pending);
    free(m);
}

bool module_timer(struct usher_exchange *o, uint32_t ms, usher_resumed resumed, void *arg)
{
    struct module_run *run = run_of(o);
    struct module_timer *m;

    if (ms > WAIT_MOST_MS)
        return false;
    m = calloc(1, sizeof(*m));
    if (m == NULL || !modules_pend(run, &m->pending, resumed, arg)) {
        free(m);
        return false;
    }
    m->pending.cancel = cancel_timer;
    timer_init(&m->timer, on_timer);
    timer_set(&run->x->w->loop, &m->timer, ms > 0 ? ms : 1);
    return true;
}

static void work(struct job *j)
{
    struct module_job *m = LIST_ITEM(j, struct module_job, job);

    crash_watch_thread();
    crash_module = m->row;
    m->work(m->arg);
    crash_module = NULL;
}

/* Its client may have left to come again: what nobody waits for is not in the way of others. */
static void cancel_job(struct module_pending *p)
{
    job_cancel(&LIST_ITEM(p, struct module_job, pending)->job);
}

static void on_done(struct job *j)
{
    struct module_job *m = LIST_ITEM(j, struct module_job, job);

    modules_pending_done(&m->pending);
    free(m);
}

bool module_job(struct usher_exchange *o, void (*run_it)(void *arg), const void *arg, size_t bytes,
                usher_resumed resumed)
{
    struct module_run *run = run_of(o);
    struct module_job *m;

    if (bytes > JOB_BYTES_MAX)
        return false;
    m = calloc(1, sizeof(*m) + bytes + 1);
    if (m == NULL || !modules_pend(run, &m->pending, resumed, NULL)) {
        free(m);
        return false;
    }
    m->pending.cancel = cancel_job;
    m->pending.arg = m->arg;
    m->row = run->turns[run->at].link->row;
    m->work = run_it;
    if (bytes > 0)
        memcpy(m->arg, arg, bytes);
    job_start(&run->x->w->loop, &m->job, work, on_done);
    return true;
}
