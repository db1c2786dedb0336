/* job.c -- hands work to libuv's threads.
 *
 * Owns:    nothing.
 * Thread:  the loop's.
 * Used by: proxy/module_wait.c, proxy/module_file.c.
 * Not here: what is worked on. */
#include "net/job.h"

#include "base/check.h"
#include "base/list.h"

static void on_work(uv_work_t *uv)
{
    struct job *j = LIST_ITEM(uv, struct job, uv);

    j->work(j);
}

static void on_done(uv_work_t *uv, int status)
{
    struct job *j = LIST_ITEM(uv, struct job, uv);

    (void)status; /* done or cancelled: whoever cancelled it knows */
    j->done(j);
}

void job_start(struct loop *l, struct job *j, job_fn work, job_fn done)
{
    j->work = work;
    j->done = done;
    CHECK(uv_queue_work(&l->uv, &j->uv, on_work, on_done) == 0);
}

void job_cancel(struct job *j)
{
    uv_cancel((uv_req_t *)&j->uv);
}
