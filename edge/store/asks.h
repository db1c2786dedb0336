/* asks.h -- what modules ask of Redis: sent on a link of its own, answered within a time. */
#ifndef STORE_ASKS_H
#define STORE_ASKS_H

#include "module_host/ask.h"
#include "store/flights.h"

struct store;

struct asks {
    struct flights flights; /* by LINK_MODULES */
    size_t bytes;           /* of all flights */
    bool refusal_logged;
};

void asks_init(struct store *s);
void asks_ask(struct store *s, struct ask *ask);

#endif
