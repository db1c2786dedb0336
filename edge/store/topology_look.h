/* topology_look.h -- the topology as somebody sees it who has no edge to ask. Blocks. */
#ifndef STORE_TOPOLOGY_LOOK_H
#define STORE_TOPOLOGY_LOOK_H

#include "store/redis_client.h"
#include "store/topology_view.h"

/* Asks Sentinels, primary and replicas, each for `timeout_ms` at most. `reads_replicas`: as an edge
 * with --read-from replica would choose. False: nothing was reached; `error` says why. What was
 * reached is in `v` either way. */
bool topology_look(struct topology_view *v, const struct redis_url *url, bool reads_replicas,
                   unsigned timeout_ms, char error[REDIS_CLIENT_ERROR_SIZE]);

#endif
