/* hedge.h -- a second attempt at another endpoint while the first has not been answered yet: the first
 * to be answered is the request's, the other one is cut. */
#ifndef PROXY_HEDGE_H
#define PROXY_HEDGE_H

#include "proxy/exchange.h"

/* The first attempt of a request begins, to a service with `hedge`: sets the time for the second, if the
 * request may have one. */
void hedge_begin(struct exchange *x);

/* A response has begun, or the exchange ends: no second attempt goes on. x->hedge is NULL then. */
void hedge_over(struct exchange *x);

/* The first attempt has failed, or (fault NONE) was answered by what is not wanted. True: the second is
 * under way, and the request is its own now; the first is over. */
bool hedge_goes_on(struct exchange *x, enum fault fault);

/* Is this the exchange that makes a second attempt? */
bool hedge_is_rival(const struct exchange *x);
/* It was answered by what is not wanted. True: the first may still be answered better; this one has
 * ended. */
bool hedge_declines(struct exchange *rival);

#endif
