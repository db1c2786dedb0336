/* askers.h -- clients that ask one host without a break, and take no failure: a refused connection, a reset, a
 * request without its answer, an answer that is not 200.
 *
 * Half of them keep their connection until a response says close; the others take a new one each time. */
#ifndef HARNESS_ASKERS_H
#define HARNESS_ASKERS_H

#include <pthread.h>
#include <stdatomic.h>

#include "harness/edge.h"

#define ASKERS 6

struct askers {
    char at[64], host[64];
    atomic_bool stop;
    atomic_uint numbered, answered, failed, connections;
    pthread_mutex_t lock;
    char seen[400]; /* the first failure */
    pthread_t threads[ASKERS];
};

void askers_start(struct askers *a, const struct edge *e, const char *host);
void askers_await(struct askers *a, unsigned more); /* so many more answers have come */
void askers_end(struct askers *a);                  /* asserts that nothing has failed */

#endif
