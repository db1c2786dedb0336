/* topology_state.h -- what the parts of the topology share. */
#ifndef STORE_TOPOLOGY_STATE_H
#define STORE_TOPOLOGY_STATE_H

#include "store/nearby.h"
#include "store/replica.h"
#include "store/sentinel.h"
#include "store/topology.h"

#define TOPOLOGY_AVOID_MS 10000 /* a replica that was left for being stale */

struct topology {
    struct loop *loop;
    struct guard *guard;
    const struct settings *settings;
    const struct redis_url *url;
    struct topology_events events;
    struct store_status *status;
    struct topology_view view;
    struct redis_link *links[LINK_USES];
    struct sentinel *sentinel; /* NULL: a plain URL */
    struct nearby *nearby;
    struct timer look;
    unsigned looks;
    struct redis_place here; /* of a plain URL: as it says, or as a MOVED said */
    bool moved;
    unsigned failures; /* of a plain URL: attempts in a row */
    unsigned silent;   /* Sentinels in a row that did not answer */
    char silence[256]; /* the last one's reason */
    uint64_t epoch;    /* of the answer that was taken last */
    struct replica replica;
    uint64_t lost_ms; /* when writing ended; 0: it has not */
    bool memory_warned, replicas_known;
    char refusal[192];
};

/* --- topology.c --- */

/* The nearest healthy replica; NULL: none. */
struct topology_node *topology_best_replica(struct topology *t, bool avoided_too);
/* Where that use belongs, as of now; NULL: not known. */
struct redis_place *topology_place_of(struct topology *t, enum link_use use);

/* --- lookout.c --- */

void lookout_open(struct topology *t);
void lookout_begin(struct topology *t); /* the reading link has come up */
void lookout_measure(struct topology *t, bool all);
void lookout_close(struct topology *t);
void lookout_free(struct topology *t);

#endif
