/* lookups.h -- hosts that workers ask for, and who waits for which. */
#ifndef STORE_LOOKUPS_H
#define STORE_LOOKUPS_H

#include "store/mirror.h"

struct lookups {
    struct map waiting; /* struct lookup by host */
    double tokens;      /* of --lookup-rate */
    uint64_t filled_ms;
    struct list delayed; /* struct lookup in need of a token, first come first served */
    size_t delayed_count;
    struct timer delay;
};

void lookups_init(struct store *s);
void lookups_free(struct store *s);
void lookups_ask(struct store *s, unsigned worker, struct str host);
/* The first attempt to reach Redis has ended: who asked before that goes on, or is answered. */
void lookups_start(struct store *s);
/* The record has been read: whoever waited for it is answered, or waits for the next one. */
void lookups_go_on(struct store *s, struct record *r);
/* The link is lost. First they wait for no record any more; then all are answered from what is held,
 * or read from the disk copy, or told that it cannot be known. */
void lookups_detach_all(struct store *s);
void lookups_fail_all(struct store *s);

#endif
