/* listen.h -- the sockets that clients and operators connect to.
 *
 * Control keeps each of them open as long as this edge serves, to hand them over to the next one (upgrade.h):
 * a listening socket that is closed resets whoever waits in its queue, unless another holds it, too. */
#ifndef CONTROL_LISTEN_H
#define CONTROL_LISTEN_H

#include <stdbool.h>

#include "control/inherited.h"
#include "settings.h"

struct listen_socket {
    int fd;
    unsigned address; /* of settings.listen */
};

struct listen_fds {
    int admin; /* -1: none */
    struct listen_socket *sockets;
    unsigned count;
};

/* Takes what was inherited, and binds what was not; one socket for each address, or more. Each address is
 * logged as the kernel gave it; port 0 in settings becomes that port. Inherited sockets for clients stand in
 * the place of all of --listen. False, and nothing is left open, when one cannot be bound: logged too. */
bool listen_open(struct listen_fds *l, struct settings *s, const struct inherited *from);

/* Binds more (SO_REUSEPORT), until each worker can have a socket of its own for each address. What the
 * kernel does not give, workers share. */
void listen_widen(struct listen_fds *l, const struct settings *s);

/* Duplicates for one worker: at least one for each address, all sockets being given to somebody. Returns how
 * many; *fds is for free(). */
unsigned listen_for_worker(const struct listen_fds *l, const struct settings *s, unsigned worker,
                           int **fds);

void listen_close(struct listen_fds *l); /* not the admin socket: its server owns it */

#endif
