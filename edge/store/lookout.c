/* lookout.c -- looks after the Redis that is read from: is a replica current, is there a better one,
 * does its memory policy delete records?
 *
 * Owns:    measurements under way.
 * Thread:  control
 * Used by: topology.c.
 * Not here: how a replica is judged (replica.c); where links lead (topology.c). */
#include <stdio.h>

#include "base/log.h"
#include "store/store.h"
#include "store/topology_state.h"

#define LOOK_EVERY_MS 1000
#define MEASURE_EVERY_LOOKS 30
#define MEMORY_EVERY_LOOKS 30
#define PROVEN_MS 3000 /* a replica is healthy for so long before one moves to it */

static void on_latency(void *owner, const struct redis_place *at, uint64_t latency_us)
{
    struct topology *t = owner;
    struct topology_node *n = topology_find(t->view.replicas, t->view.replica_count, at);

    if (n != NULL)
        n->latency_us = latency_us;
}

void lookout_measure(struct topology *t, bool all)
{
    for (unsigned i = 0; i < t->view.replica_count && t->view.reads_replicas; i++)
        if (all || t->view.replicas[i].latency_us == TOPOLOGY_UNKNOWN)
            nearby_measure(t->nearby, &t->view.replicas[i].at);
}

static void set_stale(struct topology *t, const char *why)
{
    struct topology_link *l = &t->view.reads;
    bool stale = why != NULL;

    snprintf(l->why, sizeof(l->why), "%s", stale ? why : "");
    if (stale == t->view.stale)
        return;
    t->view.stale = stale;
    t->status->stale = stale;
    log_line(stale ? LOG_WARN : LOG_INFO, stale ? "replica_stale" : "replica_current",
             "reason=\"%s\"", stale ? why : "it is as its primary is");
    t->events.stale(t->events.owner, stale);
}

/* Something better to read from than this; false when there is nothing. */
static bool leave_replica(struct topology *t, const char *why)
{
    struct redis_link *l = t->links[LINK_READS];
    struct topology_node *n =
        topology_find(t->view.replicas, t->view.replica_count, redis_link_place(l));
    const struct redis_place *other;
    char text[REDIS_PLACE_TEXT_SIZE], reason[256];

    if (t->sentinel == NULL)
        return false;
    if (n != NULL)
        n->avoid_until = loop_now_ms(t->loop) + TOPOLOGY_AVOID_MS;
    other = topology_place_of(t, LINK_READS);
    if (other == NULL || redis_place_equals(other, redis_link_place(l)) ||
        (topology_best_replica(t, true) == NULL && !redis_link_is_up(t->links[LINK_WRITES])))
        return false;
    snprintf(reason, sizeof(reason), "the replica %.100s is stale: %.100s",
             redis_place_text(redis_link_place(l), text), why);
    redis_link_move(l, reason);
    return true;
}

static void on_replica_said(redisAsyncContext *redis, void *reply, void *owner)
{
    struct topology *t = owner;
    const redisReply *r = reply;
    uint64_t now = loop_now_ms(t->loop);
    const char *why;

    if (r == NULL || redis->data == NULL || redis_link_refused(t->links[LINK_READS], r))
        return;
    if (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_VERB)
        replica_said(&t->replica, str_slice(r->str, r->len));
    why = replica_is_stale(&t->replica, now, t->settings->replica_lag_ms);
    t->view.lag_ms = replica_lag_ms(&t->replica, now);
    if (why == NULL || !leave_replica(t, why))
        set_stale(t, why);
}

static void on_primary_said(redisAsyncContext *redis, void *reply, void *owner)
{
    struct topology *t = owner;
    const redisReply *r = reply;

    if (r == NULL || redis->data == NULL)
        return;
    if (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_VERB) {
        struct str text = str_slice(r->str, r->len);

        t->view.primary.offset = redis_info_number(text, "master_repl_offset");
        replica_primary_said(&t->replica, text, loop_now_ms(t->loop));
    }
}

static void on_memory_said(redisAsyncContext *redis, void *reply, void *owner)
{
    struct topology *t = owner;
    const redisReply *r = reply;
    struct str policy;
    char shown[64];

    if (r == NULL || redis->data == NULL ||
        (r->type != REDIS_REPLY_STRING && r->type != REDIS_REPLY_VERB))
        return; /* not allowed to know */
    policy = redis_info_field(str_slice(r->str, r->len), "maxmemory_policy");
    t->status->evicts = policy.len > 0 && !str_equals(policy, STR("noeviction"));
    if (t->status->evicts && !t->memory_warned)
        log_line(LOG_WARN, "redis_evicts",
                 "policy=%s maxmemory=%llu "
                 "reason=\"Redis deletes records when its memory is full: set maxmemory-policy "
                 "noeviction\"",
                 log_quote(policy, shown, sizeof(shown)),
                 (unsigned long long)redis_info_number(str_slice(r->str, r->len), "maxmemory"));
    t->memory_warned = t->status->evicts;
}

/* From the primary, or from a stale replica, to a replica that has been healthy for a while. */
static void prefer_replica(struct topology *t)
{
    const struct topology_node *best = topology_best_replica(t, false);
    struct redis_link *l = t->links[LINK_READS];

    if (!t->view.reads_replicas || best == NULL || !redis_link_is_up(l) ||
        (redis_link_server(l)->replica && !t->view.stale) ||
        loop_now_ms(t->loop) - best->known_since < PROVEN_MS ||
        redis_place_equals(&best->at, redis_link_place(l)))
        return;
    redis_link_move(l, "a replica is healthy again");
}

static void ask_about(struct redis_link *l, redisCallbackFn *fn, struct topology *t,
                      struct str what)
{
    redis_link_send_for(l, fn, t, 2, (struct str[]){ STR("INFO"), what });
}

static void look_at(struct topology *t)
{
    struct redis_link *reads = t->links[LINK_READS], *writes = t->links[LINK_WRITES];

    if (t->looks % MEMORY_EVERY_LOOKS == 0)
        ask_about(reads, on_memory_said, t, STR("memory"));
    if (t->looks % MEASURE_EVERY_LOOKS == MEASURE_EVERY_LOOKS - 1)
        lookout_measure(t, true);
    t->looks++;
    if (t->sentinel != NULL && !redis_link_server(writes)->replica)
        ask_about(writes, on_primary_said, t, STR("replication"));
    if (redis_link_is_up(reads) && redis_link_server(reads)->replica)
        ask_about(reads, on_replica_said, t, STR("replication"));
    else if (redis_link_is_up(reads))
        set_stale(t, NULL);
}

static void on_look(struct timer *timer)
{
    struct topology *t = LIST_ITEM(timer, struct topology, look);

    timer_set(t->loop, &t->look, LOOK_EVERY_MS);
    look_at(t);
    prefer_replica(t);
}

void lookout_open(struct topology *t)
{
    timer_init(&t->look, on_look);
    t->nearby = nearby_open(t->loop, on_latency, t);
}

void lookout_begin(struct topology *t)
{
    t->looks = 0;
    look_at(t); /* before anything is read there */
    timer_set(t->loop, &t->look, LOOK_EVERY_MS);
}

void lookout_close(struct topology *t)
{
    timer_stop(&t->look);
    nearby_close(t->nearby);
}

void lookout_free(struct topology *t)
{
    nearby_free(t->nearby);
}
