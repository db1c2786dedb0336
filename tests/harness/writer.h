/* writer.h -- somebody who writes new versions without a break, and takes Redis as it comes: where it
 * refuses or is away, the next version is tried a little later. */
#ifndef HARNESS_WRITER_H
#define HARNESS_WRITER_H

#include "harness/versions.h"

struct writer {
    struct versions *versions;
    pthread_mutex_t lock;
    char socket[96]; /* of the Redis that it writes to */
    int fd;
    unsigned seed;
    atomic_bool stop;
    atomic_uint done, refused; /* writes */
    pthread_t thread;
};

void writer_start(struct writer *w, struct versions *v, const struct redis *to);
void writer_turn(struct writer *w, const struct redis *to); /* from now on to this one */
void writer_await(struct writer *w, unsigned more);         /* writes that Redis has obeyed */
void writer_end(struct writer *w);

#endif
