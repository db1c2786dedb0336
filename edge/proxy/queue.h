/* queue.h -- requests for a service whose endpoints have a limit (max_conns): each gets a place, at once or
 * when its turn comes. */
#ifndef PROXY_QUEUE_H
#define PROXY_QUEUE_H

#include "base/buf.h"
#include "proxy/exchange.h"
#include "routing/endpoint_state.h"

struct pool_bucket;

/* Of x->balanced, which is limited. true: an attempt has begun, and has a place. false: *fault says why
 * not; FAULT_NONE: it waits (STEP_QUEUE), and is run on with an attempt, or ends by a fault. */
bool queue_enter(struct exchange *x, enum fault *fault);
/* It waits no more: its end is near. */
void queue_leave(struct exchange *x);
/* The upstream of an attempt that has a place. NULL: *fault says why; the place is given back. */
struct upstream *queue_connect(struct exchange *x, struct pool_bucket *bucket, enum fault *fault);

/* The place of an attempt that came to no upstream is given back. */
void queue_drop(struct exchange *x);

/* A place may be free: whoever has waited longest gets it, on any worker. */
void queue_serve(struct worker *w, struct service_state *service);

/* WORKER_QUEUE has come. */
struct queue_mail;
void queue_mailed(struct worker *w, struct queue_mail *mail);
/* Services have changed: those who wait go on by what they say now. */
void queue_services_changed(struct worker *w);

void queue_init(struct worker *w);

#endif
