/* inherited.h -- listening sockets that this process was started with: by the edge that it follows, or by
 * systemd. */
#ifndef CONTROL_INHERITED_H
#define CONTROL_INHERITED_H

#include <stdbool.h>

#include "base/address.h"

#define INHERITED_ERROR_SIZE 200
/* Environment from one edge to the next: "admin=0|1 http=N". Descriptor 3 leads to the old edge; behind it
 * come the admin socket, if there is one, and those for clients. */
#define INHERITED_VARIABLE "USHER_HANDOVER"
#define INHERITED_FIRST_FD 3

struct inherited_socket {
    int fd;
    bool admin;
    struct address address; /* as bound */
};

struct inherited {
    struct inherited_socket *sockets;
    unsigned count;
    int old_edge; /* connected to the edge that hands over (takeover.h); -1: there is none */
};

/* Reads the environment (INHERITED_VARIABLE, or LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES of systemd) and
 * takes these variables out of it. Of systemd's sockets, those named "admin" are for operators. False: one of
 * them is not what was said; `error` is one line, and nothing is left open. */
bool inherited_take(struct inherited *i, char error[INHERITED_ERROR_SIZE]);
void inherited_free(struct inherited *i); /* the list, not the sockets */

#endif
