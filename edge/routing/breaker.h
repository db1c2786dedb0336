/* breaker.h -- a service that fails so often that asking it is of no use is not asked for a while:
 * closed (all goes on), open (nothing does), half-open (a few requests find out). What is known lies in
 * struct service_state, and is this edge's alone. */
#ifndef ROUTING_BREAKER_H
#define ROUTING_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BREAKER_MIN_STANDARD 20
#define BREAKER_OPEN_STANDARD_MS 10000
#define BREAKER_WINDOW_MS 10000
#define BREAKER_TRIALS 3 /* that must go well, one after the other, for it to close */

/* Of service.def; all zero: not said. */
struct breaker_policy {
    uint8_t percent; /* of failures, that open it; 0: there is no breaker */
    uint32_t least;  /* requests in the window; 0: not said */
    uint32_t open_ms;
};

/* All zero: closed. Written by many. */
struct breaker {
    atomic_uint_fast64_t until_ms; /* 0: closed; until then open, and half-open from then on */
    atomic_uint trials, successes; /* while half-open */
    atomic_uint_fast64_t window;   /* number of the window whose counts these are */
    atomic_uint requests[2], failures[2]; /* of this window, and of the one before */
};

enum breaker_say { BREAKER_PASS, BREAKER_TRIAL, BREAKER_REFUSE };
enum breaker_turn { BREAKER_AS_IT_WAS, BREAKER_OPENED, BREAKER_CLOSED };

/* May a request go on? REFUSE: *wait_ms until it is worth while to ask again. */
enum breaker_say breaker_ask(struct breaker *b, const struct breaker_policy *p, uint64_t now_ms,
                             uint64_t *wait_ms);
/* How one that was let through went. `trial`: breaker_ask had said TRIAL. */
enum breaker_turn breaker_tell(struct breaker *b, const struct breaker_policy *p, bool trial,
                               bool failed, uint64_t now_ms);
/* A trial came to no end that says anything: another may take its place. */
void breaker_untell(struct breaker *b);

/* "closed", "open" or "half-open". */
const char *breaker_state_name(const struct breaker *b, uint64_t now_ms);

#endif
