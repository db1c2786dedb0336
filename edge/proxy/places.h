/* places.h -- taking and giving back places (max_conns) on a worker, and the idle upstreams that have one. */
#ifndef PROXY_PLACES_H
#define PROXY_PLACES_H

#include "routing/endpoint_state.h"

struct upstream;
struct worker;

/* Takes a free one; false: there is none. */
bool places_take(struct places *p);
/* Gives one back: to whoever waits, or free. */
void places_give(struct worker *w, struct places *p);

/* The upstream is idle: it goes to who waits, or is kept, or is closed (more are open than may be). */
void places_put(struct upstream *u);
/* It is kept, whoever waits. */
void places_keep(struct upstream *u);
/* The newest of this worker's idle ones; NULL: there is none. It is no longer kept here. */
struct upstream *places_take_idle(struct worker *w, struct places *p);
void places_remove(struct upstream *u); /* it is about to be closed; harmless when not kept here */

/* Closes this worker's idle upstreams of this service (NULL: of any) that are more than may be. */
void places_trim(struct worker *w, const struct service_state *service);
void places_close_all(struct worker *w); /* at once; nothing is kept any more */

#endif
