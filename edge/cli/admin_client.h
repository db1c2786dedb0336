/* admin_client.h -- asks the admin port of a running edge; blocks, for the verbs of the command
 * line. */
#ifndef CLI_ADMIN_CLIENT_H
#define CLI_ADMIN_CLIENT_H

#include <stdbool.h>

#include "base/buf.h"

#define ADMIN_ERROR_SIZE 256

/* One request on a connection of its own. `address`: HOST:PORT or [IPv6]:PORT, where HOST may be a
 * name; `path` with its query, percent-encoded by the caller. True: an edge has answered, whatever
 * its *status; `body` (cleared first) holds what it said. False: `error` is one line that names the
 * address and says why. */
bool admin_ask(const char *address, const char *method, const char *path, unsigned *status,
               struct buf *body, char error[ADMIN_ERROR_SIZE]);

#endif
