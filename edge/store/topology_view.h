/* topology_view.h -- where Redis is, as somebody sees it: plain facts, as JSON and as a drawing.
 *
 * Filled in by a running edge (topology.c) or by a look from outside (topology_look.c). */
#ifndef STORE_TOPOLOGY_VIEW_H
#define STORE_TOPOLOGY_VIEW_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/clock.h"
#include "settings.h"
#include "store/redis_answers.h"

#define TOPOLOGY_REPLICAS_MAX 32
#define TOPOLOGY_SWITCHES_MAX 8
#define TOPOLOGY_UNKNOWN UINT64_MAX

struct topology_node {
    struct redis_place at;
    char flags[96];       /* as Sentinel says: "slave,s_down"; "" = not said */
    char link[16];        /* of a replica to its primary, as Sentinel says: "ok" */
    bool healthy;         /* worth connecting to */
    uint64_t latency_us;  /* of a connection from here; TOPOLOGY_UNKNOWN */
    uint64_t offset;      /* of its replication; TOPOLOGY_UNKNOWN */
    uint64_t avoid_until; /* on the loop's clock: it was left for being stale */
    uint64_t known_since; /* on the loop's clock: healthy without a break */
};

struct topology_link {
    bool up;
    struct redis_place at;
    struct redis_server server;
    char why[128]; /* not up, or stale: why */
};

/* The primary moved. */
struct topology_switch {
    char at[CLOCK_TEXT_SIZE];
    struct redis_place from, to;
    uint64_t took_ms; /* from the loss of the old one, or word of it, to writing at the new one */
    bool over;
    uint64_t began_ms;
};

struct topology_view {
    const struct redis_url *url;
    bool reads_replicas; /* --read-from replica */
    struct topology_node sentinels[REDIS_SENTINELS_MAX];
    unsigned sentinel_count, asked; /* asked: the one that is listened to */
    bool asked_up;
    bool primary_known;
    struct topology_node primary;
    struct topology_node replicas[TOPOLOGY_REPLICAS_MAX];
    unsigned replica_count;
    struct topology_link reads, writes;
    uint64_t lag_ms; /* of the replica that is read from; TOPOLOGY_UNKNOWN */
    bool stale;      /* what is read may be old: nothing better is in reach */
    struct topology_switch switches[TOPOLOGY_SWITCHES_MAX]; /* a ring */
    unsigned switch_count;                                  /* ever */
};

/* An array of maps, as SENTINEL REPLICAS and SENTINEL SENTINELS answer: replaces the list, keeping
 * what is known of nodes that stay. */
void topology_take_replicas(struct topology_view *v, const redisReply *list, uint64_t now_ms);
/* Adds what is not known yet. */
void topology_take_sentinels(struct topology_view *v, const redisReply *list);
/* The two texts of SENTINEL GET-MASTER-ADDR-BY-NAME. False: it says nothing. */
bool topology_read_primary(const redisReply *r, struct redis_place *to);
struct topology_node *topology_find(struct topology_node *nodes, unsigned count,
                                    const struct redis_place *at);

void topology_write_json(const struct topology_view *v, struct buf *to);
void topology_draw(const struct topology_view *v, struct buf *to);

#endif
