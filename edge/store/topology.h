/* topology.h -- where Redis is: what links ask before they connect, and who moves them when it has
 * changed.
 *
 * With a plain URL there is one place, or the node of the Cluster that a MOVED named. With Sentinel
 * it is the primary that Sentinel names, and for reading perhaps a replica near by. */
#ifndef STORE_TOPOLOGY_H
#define STORE_TOPOLOGY_H

#include <stdbool.h>

#include "store/redis_link.h"
#include "store/topology_view.h"

struct topology;
struct store_status;

struct topology_events {
    void *owner;
    /* What is read may be old, though the link is up, and nothing better is in reach; or (false) it
     * is current again. */
    void (*stale)(void *owner, bool stale);
};

/* Sets the fields of `status` that are about Redis itself. */
struct topology *topology_open(struct loop *l, const struct settings *s, struct guard *guard,
                               struct store_status *status, const struct topology_events *e);
void topology_use(struct topology *t, enum link_use use, struct redis_link *link);
const struct topology_view *topology_see(struct topology *t); /* filled in as of now */

/* --- for redis_link.c --- */

/* Where to connect to. False: not known; *why says so when that is a failure, and is NULL while it
 * is being found out. */
bool topology_place(struct topology *t, enum link_use use, struct redis_place *to,
                    const char **why);
/* What answered the greeting is of no use: why, in words. NULL: it is. */
const char *topology_refuses(struct topology *t, enum link_use use,
                             const struct redis_server *server);
void topology_up(struct topology *t, enum link_use use);
void topology_lost(struct topology *t, enum link_use use, bool was_up, const char *reason);

void topology_close(struct topology *t); /* before the links; run the loop on, then free */
void topology_free(struct topology *t);

#endif
