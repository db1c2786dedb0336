/* topology_view.c -- lists of Sentinel, read into the view.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: topology.c, topology_look.c.
 * Not here: how it is written (topology_text.c). */
#include "store/topology_view.h"

#include <string.h>

bool topology_read_primary(const redisReply *r, struct redis_place *to)
{
    return r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
           r->element[0]->type == REDIS_REPLY_STRING && r->element[1]->type == REDIS_REPLY_STRING &&
           redis_place_set(to, str_slice(r->element[0]->str, r->element[0]->len),
                           str_slice(r->element[1]->str, r->element[1]->len));
}

struct topology_node *topology_find(struct topology_node *nodes, unsigned count,
                                    const struct redis_place *at)
{
    for (unsigned i = 0; i < count; i++)
        if (redis_place_equals(&nodes[i].at, at))
            return &nodes[i];
    return NULL;
}

static bool read_node(const redisReply *map, struct topology_node *to)
{
    *to = (struct topology_node){ .latency_us = TOPOLOGY_UNKNOWN, .offset = TOPOLOGY_UNKNOWN };
    str_printable(redis_map_field(map, "flags"), to->flags, sizeof(to->flags));
    str_printable(redis_map_field(map, "master-link-status"), to->link, sizeof(to->link));
    return redis_place_set(&to->at, redis_map_field(map, "ip"), redis_map_field(map, "port"));
}

static bool has_flag(const struct topology_node *n, const char *flag)
{
    struct str rest = str_from(n->flags), part;

    while (rest.len > 0 && str_split(&rest, ',', &part))
        if (str_equals(part, str_from(flag)))
            return true;
    return false;
}

/* Reachable for Sentinel, and in touch with its primary. */
static bool is_healthy(const struct topology_node *n)
{
    return !has_flag(n, "s_down") && !has_flag(n, "o_down") && !has_flag(n, "disconnected") &&
           strcmp(n->link, "ok") == 0;
}

void topology_take_replicas(struct topology_view *v, const redisReply *list, uint64_t now_ms)
{
    struct topology_node nodes[TOPOLOGY_REPLICAS_MAX], n;
    unsigned count = 0;

    for (size_t i = 0; i < list->elements && count < TOPOLOGY_REPLICAS_MAX; i++) {
        const redisReply *map = list->element[i];
        const struct topology_node *known;

        if (!read_node(map, &n))
            continue;
        n.healthy = is_healthy(&n);
        n.offset = redis_map_number(map, "slave-repl-offset");
        known = topology_find(v->replicas, v->replica_count, &n.at);
        n.known_since = known != NULL && known->healthy ? known->known_since : now_ms;
        if (known != NULL) {
            n.latency_us = known->latency_us;
            n.avoid_until = known->avoid_until;
        }
        nodes[count++] = n;
    }
    memcpy(v->replicas, nodes, count * sizeof(nodes[0]));
    v->replica_count = count;
}

/* A learnt one that is silent makes room, where Sentinels come and go with their addresses. */
static struct topology_node *room_for_sentinel(struct topology_view *v)
{
    if (v->sentinel_count < REDIS_SENTINELS_MAX)
        return &v->sentinels[v->sentinel_count++];
    for (unsigned i = v->url->sentinel_count; i < v->sentinel_count; i++)
        if (!v->sentinels[i].healthy && i != v->asked)
            return &v->sentinels[i];
    return NULL;
}

void topology_take_sentinels(struct topology_view *v, const redisReply *list)
{
    struct topology_node n;

    for (size_t i = 0; i < list->elements; i++) {
        struct topology_node *known;

        if (!read_node(list->element[i], &n))
            continue;
        n.healthy = !has_flag(&n, "s_down") && !has_flag(&n, "disconnected");
        known = topology_find(v->sentinels, v->sentinel_count, &n.at);
        if (known != NULL) {
            known->healthy = n.healthy;
            memcpy(known->flags, n.flags, sizeof(known->flags));
        } else if ((known = room_for_sentinel(v)) != NULL) {
            *known = n;
        }
    }
}
