/* takeover.h -- how an edge begins to serve: at once; or, when an edge hands over to it, as soon as it can.
 *
 * Between the two there is a socket (inherited.h). The new one writes TAKEOVER_READY when it accepts
 * connections; the old one, TAKEOVER_YOURS when it does not any more and has ceased to speak for this edge. An
 * end in place of either means that the other is gone. */
#ifndef CONTROL_TAKEOVER_H
#define CONTROL_TAKEOVER_H

#include <stdbool.h>

#include "net/fd_watch.h"
#include "net/timer.h"

#define TAKEOVER_READY 'r'
#define TAKEOVER_YOURS 'y'

struct control;

struct takeover {
    struct control *control;
    struct timer look; /* can it serve? */
    uint64_t began_ms;
    struct fd_watch old;
    int old_fd;   /* -1: there is no old edge */
    bool serving; /* workers accept */
    bool ready;   /* it has what it serves by */
};

/* `old_fd`: to the old edge, or -1. */
void takeover_begin(struct control *c, int old_fd);
void takeover_close(struct control *c);
/* Does it know what it serves: from Redis, or from a copy that has met Redis once? */
bool takeover_can_serve(struct control *c);

#endif
