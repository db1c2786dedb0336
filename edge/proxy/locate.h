/* locate.h -- where an endpoint is that is no plain address, and what is spoken there. */
#ifndef PROXY_LOCATE_H
#define PROXY_LOCATE_H

#include "base/fault.h"
#include "net/timer.h"

struct endpoint;
struct exchange;
struct pool_bucket;
struct worker;

/* Exchanges that wait for the first address of a name, the oldest first. */
struct locate_waits {
    struct list exchanges;
    struct timer timer;
};

void locate_init(struct worker *w);

/* The bucket of an exchange's endpoint, held once for the caller. NULL: *fault; FAULT_NONE: the exchange
 * waits, and runs its step again when there is more to know. */
struct pool_bucket *locate_bucket(struct exchange *x, enum fault *fault);
/* For a connection that is there already: to the endpoint, at whichever address. */
struct pool_bucket *locate_adopted(struct worker *w, const struct endpoint *e);
/* It could not be connected to. Has its name another address, to be tried next? Not where places are
 * counted (max_conns): there each attempt has but one. */
bool locate_another(struct exchange *x, enum fault fault);
/* Names have got addresses, or have none: who waits looks again. */
void locate_names_changed(struct worker *w);

#endif
