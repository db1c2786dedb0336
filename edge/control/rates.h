/* rates.h -- rates that all edges hold together (rps_of cluster): tokens leased from Redis for the workers. */
#ifndef CONTROL_RATES_H
#define CONTROL_RATES_H

#include <stdint.h>

#include "base/str.h"
#include "proxy/worker.h"

struct store;

struct rates {
    struct store *store; /* NULL: not open yet, or closed: nothing is asked */
    struct str edge;     /* this one's name */
    /* Since start. */
    uint64_t asked, away, refused; /* refused: Redis took the script for wrong */
    uint64_t logged_ms;
};

/* A worker's: answered into its state's lease, at once or later. Takes the mail. */
void rates_ask(struct rates *r, struct rate_mail *mail);

#endif
