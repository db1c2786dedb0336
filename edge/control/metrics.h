/* metrics.h -- the figures of this edge as Prometheus reads them. */
#ifndef CONTROL_METRICS_H
#define CONTROL_METRICS_H

#include <stdbool.h>

#include "base/buf.h"
#include "proxy/counters.h"
#include "store/copy.h"
#include "store/store.h"

/* What the text is made of: filled in by whoever has it. */
struct metrics {
    struct counters sum; /* of all workers; by metrics_add */
    const struct store_status *store;
    struct copy_status copy;
    unsigned workers;
    uint64_t rounds;                  /* published to the workers */
    uint64_t retired;                 /* replaced objects that some worker still uses */
    uint64_t rates_asked, rates_away; /* of rates.c */
    uint64_t log_dropped;             /* access log lines */
    uint64_t bans, bans_wrong;
    bool draining;
    const struct states *states;
};

void metrics_add(struct metrics *m, const struct counters *board);
/* What of the sum is announced to others. */
void metrics_facts(const struct metrics *m, struct store_facts *facts);
void metrics_write(const struct metrics *m, struct buf *to);

#endif
