/* cluster.h -- a Redis Cluster of three nodes without replicas, on 127.0.0.1. */
#ifndef HARNESS_CLUSTER_H
#define HARNESS_CLUSTER_H

#include "harness/scene.h"

#define CLUSTER_NODES 3

struct cluster {
    struct redis nodes[CLUSTER_NODES];
    const char *ids[CLUSTER_NODES];
};

/* Returns when all slots are served and all nodes agree. */
void cluster_start(struct cluster *c, struct scene *s);
struct redis *cluster_owner(struct cluster *c, const char *key); /* who has the key's slot */
/* Moves the slot of `key` with all its keys. */
void cluster_move(struct cluster *c, const char *key, struct redis *to);
void cluster_end(struct cluster *c);

#endif
