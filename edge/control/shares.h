/* shares.h -- this edge's shares of connections that are counted over the whole cluster
 * (max_conns_of cluster): leased from Redis, as it needs them. */
#ifndef CONTROL_SHARES_H
#define CONTROL_SHARES_H

#include "net/timer.h"
#include "proxy/worker.h"
#include "store/store.h"

struct shares {
    struct loop *loop;
    struct store *store;
    const struct worker_shared *workers;
    unsigned worker_count;
    struct str edge;
    struct timer timer;
    bool closed;
    unsigned errors; /* answers in a row that were none */
};

void shares_open(struct shares *s, struct loop *l, struct store *store,
                 const struct worker_shared *workers, unsigned worker_count, struct str edge);
void shares_changed(struct shares *s); /* records have changed: there may be some to lease */
/* Nothing runs any more: others may have them at once. */
void shares_leave(struct shares *s);
void shares_close(struct shares *s); /* before the workers end */

#endif
