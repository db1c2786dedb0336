/* job.h -- work that would hold a loop, on a thread of libuv's pool. */
#ifndef NET_JOB_H
#define NET_JOB_H

#include <uv.h>

#include "net/loop.h"

struct job;
typedef void (*job_fn)(struct job *j);

/* Embed it; it must stay where it is until `done`. */
struct job {
    uv_work_t uv;
    job_fn work; /* on another thread */
    job_fn done; /* on the loop's */
};

void job_start(struct loop *l, struct job *j, job_fn work, job_fn done);
/* Not worked on if that has not begun; `done` comes all the same, later. */
void job_cancel(struct job *j);

#endif
