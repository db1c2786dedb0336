/* sentinel.h -- a primary, replicas, and three Sentinels that watch them, all on 127.0.0.1. */
#ifndef HARNESS_SENTINEL_H
#define HARNESS_SENTINEL_H

#include "harness/scene.h"

#define SENTINELS 3
#define SENTINEL_NODES_MAX 3

struct sentinels {
    char dirs[SENTINELS + SENTINEL_NODES_MAX][96];
    struct redis sentinels[SENTINELS];
    struct redis nodes[SENTINEL_NODES_MAX]; /* the first begins as the primary */
    unsigned node_count;
};

/* Returns when all know each other and the replicas are in step. `config`: more lines for each
 * node; may be "". */
void sentinels_start(struct sentinels *c, struct scene *s, unsigned nodes, const char *config);
const char *sentinels_url(const struct sentinels *c); /* sentinel://..., kept */
/* Awaits that they agree on a primary that is not `old` (may be NULL), and answers as one. */
struct redis *sentinels_primary(struct sentinels *c, const struct redis *old);
/* "master" or "slave"; asked on a new connection, as Sentinel cuts those of nodes it turns. */
const char *sentinels_role(struct redis *node);
const char *sentinels_node(const struct redis *node); /* "127.0.0.1:4711", kept */
void sentinels_end(struct sentinels *c);

#endif
