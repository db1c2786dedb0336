/* replica.h -- is a replica as its primary is, or behind? Judged by INFO replication of both. Pure. */
#ifndef STORE_REPLICA_H
#define STORE_REPLICA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define REPLICA_SAMPLES 64

/* Zeroed: nothing has been heard. */
struct replica {
    /* Of the primary: how far it was when, the latest last. A ring. */
    struct {
        uint64_t ms, offset;
    } samples[REPLICA_SAMPLES];
    unsigned sample_count; /* ever */
    char primary_id[48];   /* of its history: offsets of another one mean nothing */
    /* Of the replica. */
    bool heard, is_replica, link_up, syncing;
    uint64_t offset, last_io_s;
    char id[48];
};

/* `text`: what INFO replication said. */
void replica_primary_said(struct replica *r, struct str text, uint64_t now_ms);
void replica_said(struct replica *r, struct str text);

/* How long ago the primary was where the replica is now; UINT64_MAX: not known. */
uint64_t replica_lag_ms(const struct replica *r, uint64_t now_ms);
/* NULL: no. Else what makes it so, for the log. */
const char *replica_is_stale(const struct replica *r, uint64_t now_ms, uint64_t most_ms);

#endif
