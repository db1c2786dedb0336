/* load.h -- clients that ask for known hosts without a break and check each answer.
 *
 * Half of them stay on one connection, where no version may go back; the others take a new one now
 * and then, so that every worker is asked. An answer that is not 200, or of another host, or older
 * than what every worker had, or newer than what was ever written, is wrong. */
#ifndef HARNESS_LOAD_H
#define HARNESS_LOAD_H

#include "harness/versions.h"

#define LOAD_CLIENTS 4

struct load {
    struct versions *versions;
    char at[64];
    bool may_go_back; /* where Redis itself loses writes, as a failover does */
    atomic_bool stop;
    atomic_uint numbered, asked, wrong;
    char seen[300]; /* the first wrong answer */
    pthread_t threads[LOAD_CLIENTS];
};

/* Begins, and returns when each client has had answers. Each host must be known by then. */
void load_start(struct load *l, const struct edge *e, struct versions *v);
/* So many more answers have come. */
void load_await(struct load *l, unsigned more);
/* Ends, and asserts that answers came until then and none was wrong. */
void load_end(struct load *l);

#endif
