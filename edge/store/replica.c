/* replica.c -- how far a replica is behind.
 *
 * The link between the two tells late that it is broken (repl-timeout, a minute), and the last byte
 * over it may be ten seconds old where nothing is written. What was written tells at once: a replica
 * that is not where its primary was a while ago has missed something.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: topology.c.
 * Not here: asking, and what is done about it (topology.c). */
#include "store/replica.h"

#include <string.h>

#include "store/redis_answers.h"

#define IDLE_MS 10000 /* a primary pings its replicas so often, by default */

void replica_primary_said(struct replica *r, struct str text, uint64_t now_ms)
{
    uint64_t offset = redis_info_number(text, "master_repl_offset");
    char id[sizeof(r->primary_id)];

    str_printable(redis_info_field(text, "master_replid"), id, sizeof(id));
    if (strcmp(id, r->primary_id) != 0)
        r->sample_count = 0;
    memcpy(r->primary_id, id, sizeof(id));
    if (!str_equals(redis_info_field(text, "role"), STR("master")))
        return;
    r->samples[r->sample_count % REPLICA_SAMPLES].ms = now_ms;
    r->samples[r->sample_count % REPLICA_SAMPLES].offset = offset;
    r->sample_count++;
}

void replica_said(struct replica *r, struct str text)
{
    r->heard = true;
    r->is_replica = str_equals(redis_info_field(text, "role"), STR("slave"));
    r->link_up = str_equals(redis_info_field(text, "master_link_status"), STR("up"));
    r->syncing = redis_info_number(text, "master_sync_in_progress") != 0;
    r->last_io_s = redis_info_number(text, "master_last_io_seconds_ago");
    r->offset = redis_info_number(text, "slave_repl_offset");
    str_printable(redis_info_field(text, "master_replid"), r->id, sizeof(r->id));
}

uint64_t replica_lag_ms(const struct replica *r, uint64_t now_ms)
{
    unsigned first = r->sample_count > REPLICA_SAMPLES ? r->sample_count - REPLICA_SAMPLES : 0;

    if (!r->heard || r->sample_count == 0 || strcmp(r->id, r->primary_id) != 0)
        return UINT64_MAX;
    for (unsigned i = first; i < r->sample_count; i++)
        if (r->samples[i % REPLICA_SAMPLES].offset > r->offset)
            return now_ms - r->samples[i % REPLICA_SAMPLES].ms;
    return 0;
}

const char *replica_is_stale(const struct replica *r, uint64_t now_ms, uint64_t most_ms)
{
    uint64_t lag = replica_lag_ms(r, now_ms);

    if (!r->heard)
        return "it does not say how it stands to its primary";
    if (!r->is_replica)
        return NULL;
    if (!r->link_up)
        return r->syncing ? "it copies its primary anew" : "its link to the primary is down";
    if (lag != UINT64_MAX && lag > most_ms)
        return "it is behind its primary";
    if (r->last_io_s * 1000 > most_ms + IDLE_MS)
        return "it has heard nothing from its primary for long";
    return NULL;
}
