/* listen.h -- the sockets that clients and operators connect to, bound before threads start. */
#ifndef CONTROL_LISTEN_H
#define CONTROL_LISTEN_H

#include <stdbool.h>

#include "settings.h"

struct listen_fds {
    int admin; /* -1: none */
    unsigned workers, count;
    int *fds; /* count for each worker in turn */
};

/* Binds all, and logs each address as the kernel gave it; port 0 in settings becomes that port.
 * False, and nothing is left open, when one cannot be bound: logged too. */
bool listen_open(struct listen_fds *l, struct settings *s);

static inline const int *listen_of_worker(const struct listen_fds *l, unsigned worker)
{
    return l->fds + (size_t)worker * l->count;
}

void listen_free(struct listen_fds *l); /* the list, not the sockets: workers and admin own them */

#endif
