/* attempt.h -- one try of an exchange at one endpoint: from the choice of it until it is known how it
 * went. Whatever is counted per endpoint begins and ends here; each attempt ends once. */
#ifndef PROXY_ATTEMPT_H
#define PROXY_ATTEMPT_H

#include "proxy/exchange.h"
#include "proxy/worker_state.h"

void attempt_begin(struct exchange *x, const struct endpoint *e);

/* FAULT_NONE: its response came to the end, whatever its status. A fault whose blame is ENDPOINT: it
 * has failed. Any other: it was given up, which says nothing of the endpoint. The endpoint and
 * its service are still pinned. */
void attempt_over(struct exchange *x, enum fault fault);

/* For attempts that are watched: the response's head is here. False: it was not taken, the request has
 * gone on elsewhere. */
bool attempt_answered(struct exchange *x);

/* May its service be asked at all? Perhaps to find out whether it may: x->trial, until an attempt begins. */
bool attempt_ask_circuit(struct exchange *x);
void attempt_drop_trial(struct exchange *x); /* none has begun */
/* In seconds, until it is worth while to come again. */
uint64_t attempt_circuit_wait_s(const struct exchange *x);

/* Its 101 has come, so it went well. What it is counted in as under way, it is counted in by `to` from here on,
 * until that is over; the owner of its endpoint stays pinned. */
void attempt_to_tunnel(struct exchange *x, struct attempt *to);
void attempt_tunnel_over(struct attempt *a);

static inline bool attempt_is_on(const struct exchange *x)
{
    return x->attempt.on;
}

#endif
