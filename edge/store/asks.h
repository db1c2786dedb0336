/* asks.h -- what modules ask of Redis: sent on a link of its own, answered within a time. */
#ifndef STORE_ASKS_H
#define STORE_ASKS_H

#include "base/list.h"
#include "module_host/ask.h"
#include "net/timer.h"

struct redis_link;
struct store;

struct asks {
    struct redis_link *link; /* NULL: nobody has asked yet */
    bool tried;              /* it has been up, or has failed: while it is not up, Redis is away */
    struct list open;        /* struct flight, not yet answered; the oldest first */
    struct list sent;        /* struct flight, from sending to Redis's answer, however late */
    size_t count, bytes;     /* of all flights */
    struct timer limit;
    bool refusal_logged;
};

void asks_init(struct store *s);
void asks_ask(struct store *s, struct ask *ask);
void asks_try_now(struct store *s); /* another link is up: this one may be, too */
void asks_close(struct store *s);   /* all are answered */
void asks_free(struct store *s);

#endif
