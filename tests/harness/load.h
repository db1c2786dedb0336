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
    pthread_mutex_t lock; /* of `at` */
    char at[64];
    bool may_go_back; /* where Redis itself loses writes, as a failover does */
    /* Where nothing is left to serve from, "not now" (503, the store's) is no wrong answer. */
    atomic_bool may_refuse;
    atomic_bool stop;
    atomic_uint turn; /* odd: the edge is away */
    atomic_uint numbered, asked, refused, wrong;
    char seen[300]; /* the first wrong answer */
    pthread_t threads[LOAD_CLIENTS];
};

/* Begins, and returns when each client has had answers. Each host must be known by then. */
void load_start(struct load *l, const struct edge *e, struct versions *v);
/* So many more answers have come. */
void load_await(struct load *l, unsigned more);
/* SIGKILL in the middle of requests, which alone may remain without an answer. Nobody is asked then, */
void load_kill(struct load *l, struct edge *e);
/* until this one is. */
void load_turn(struct load *l, const struct edge *e);
/* Ends, and asserts that answers came until then and none was wrong. */
void load_end(struct load *l);

/* A number from the environment: CHAOS_SEED, so that what was drawn by lot comes again. */
unsigned load_number(const char *name, unsigned otherwise);

#endif
