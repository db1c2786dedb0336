/* retry.h -- an attempt has failed: is there another? */
#ifndef PROXY_RETRY_H
#define PROXY_RETRY_H

#include "proxy/exchange.h"

/* The attempt's connection is lost, or was not to be had; closed already. True: the request is sent once
 * more, x->step says from where on, and the caller runs it. Else the attempt is over, and so is the
 * request. */
bool retry(struct exchange *x, enum fault fault, bool stale);

/* The head of a response is here, and nothing of it was given on. True: it is not taken, its upstream is
 * closed, and the request has gone on elsewhere. */
bool retry_instead(struct exchange *x);

/* May a second attempt be made beside the first? If so, it is a part of the budget. */
bool retry_may_hedge(struct exchange *x);

/* A request more that retries may be a share of. */
void retry_count_request(struct exchange *x);

/* How long the endpoint may still take to begin its response: all attempts together as long as one. */
uint32_t retry_time_left(const struct exchange *x);

static inline unsigned retry_attempts(const struct exchange *x)
{
    return x->endpoint == NULL
               ? 0
               : 1u + x->retries.tried_count + x->retries.stale_count + x->retries.hedged;
}

#endif
