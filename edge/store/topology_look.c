/* topology_look.c -- goes round all Sentinels and nodes once.
 *
 * Owns:    its connections, one at a time.
 * Thread:  control (the only one there is, in a verb)
 * Used by: cli/topology.c.
 * Not here: what a running edge sees (topology.c). */
#include "store/topology_look.h"

#include <stdio.h>

#include "base/clock.h"

struct look {
    struct topology_view *view;
    const struct redis_url *url;
    unsigned timeout_ms;
    char *error;
};

static redisReply *ask(struct redis_client *c, unsigned argc, const struct str *words, int type)
{
    redisReply *r = redis_client_do(c, argc, words);

    if (r != NULL && r->type == type)
        return r;
    freeReplyObject(r);
    return NULL;
}

static redisReply *ask_sentinel(struct redis_client *c, const struct redis_url *url,
                                struct str question)
{
    return ask(c, 3, (struct str[]){ STR("SENTINEL"), question, str_from(url->primary_name) },
               REDIS_REPLY_ARRAY);
}

/* The first Sentinel that knows the primary is believed; the others are only greeted. */
static void look_at_sentinel(struct look *k, unsigned i)
{
    struct topology_view *v = k->view;
    struct redis_client *c =
        redis_client_open_sentinel(k->url, &v->sentinels[i].at, k->timeout_ms, k->error);
    redisReply *primary, *replicas, *sentinels;

    v->sentinels[i].healthy = c != NULL;
    if (c == NULL)
        return;
    if (v->primary_known) {
        redis_client_close(c);
        return;
    }
    primary = ask_sentinel(c, k->url, STR("GET-MASTER-ADDR-BY-NAME"));
    replicas = ask_sentinel(c, k->url, STR("REPLICAS"));
    sentinels = ask_sentinel(c, k->url, STR("SENTINELS"));
    v->primary_known = topology_read_primary(primary, &v->primary.at);
    if (v->primary_known) {
        v->asked = i;
        v->asked_up = true;
    } else {
        snprintf(k->error, REDIS_CLIENT_ERROR_SIZE, "Sentinel knows no primary named %.100s",
                 k->url->primary_name);
    }
    if (replicas != NULL)
        topology_take_replicas(v, replicas, 0);
    if (sentinels != NULL)
        topology_take_sentinels(v, sentinels);
    freeReplyObject(primary);
    freeReplyObject(replicas);
    freeReplyObject(sentinels);
    redis_client_close(c);
}

/* "slave0:ip=10.0.0.2,port=6379,state=online,offset=1,lag=0": where no Sentinel tells. */
static void take_listed_replicas(struct topology_view *v, struct str text)
{
    for (unsigned i = 0; i < TOPOLOGY_REPLICAS_MAX; i++) {
        struct topology_node n = { .latency_us = TOPOLOGY_UNKNOWN, .offset = TOPOLOGY_UNKNOWN };
        struct str rest, part, host = STR(""), port = STR("");
        char name[16];

        snprintf(name, sizeof(name), "slave%u", i);
        rest = redis_info_field(text, name);
        while (rest.len > 0 && str_split(&rest, ',', &part)) {
            if (str_starts_with(part, STR("ip=")))
                host = str_slice(part.ptr + 3, part.len - 3);
            else if (str_starts_with(part, STR("port=")))
                port = str_slice(part.ptr + 5, part.len - 5);
            else if (str_equals(part, STR("state=online")))
                n.healthy = true;
        }
        if (redis_place_set(&n.at, host, port))
            v->replicas[v->replica_count++] = n;
    }
}

static void take_replication(struct look *k, struct topology_node *n, struct str text)
{
    bool replica = str_equals(redis_info_field(text, "role"), STR("slave"));

    n->offset = redis_info_number(text, replica ? "slave_repl_offset" : "master_repl_offset");
    if (replica && !str_equals(redis_info_field(text, "master_link_status"), STR("up")))
        n->healthy = false;
    if (!replica && k->url->sentinel_count == 0)
        take_listed_replicas(k->view, text);
}

static bool look_at_node(struct look *k, struct topology_node *n, struct topology_link *link)
{
    struct redis_client *c = redis_client_open_node(k->url, &n->at, k->timeout_ms, k->error);
    uint64_t began;
    redisReply *r;

    link->at = n->at;
    if (c == NULL) {
        n->healthy = false;
        str_printable(str_from(k->error), link->why, sizeof(link->why));
        return false;
    }
    link->up = true;
    link->server = *redis_client_server(c);
    began = clock_now_ns();
    r = redis_client_do(c, 1, (struct str[]){ STR("PING") });
    n->latency_us = (clock_now_ns() - began) / 1000;
    freeReplyObject(r);
    r = ask(c, 2, (struct str[]){ STR("INFO"), STR("replication") }, REDIS_REPLY_STRING);
    if (r != NULL)
        take_replication(k, n, str_slice(r->str, r->len));
    freeReplyObject(r);
    redis_client_close(c);
    return true;
}

bool topology_look(struct topology_view *v, const struct redis_url *url, bool reads_replicas,
                   unsigned timeout_ms, char error[REDIS_CLIENT_ERROR_SIZE])
{
    struct look k = { v, url, timeout_ms, error };
    const struct topology_node *best = NULL;
    struct topology_link best_link, link;

    *v = (struct topology_view){ .url = url,
                                 .reads_replicas = reads_replicas,
                                 .lag_ms = TOPOLOGY_UNKNOWN,
                                 .sentinel_count = url->sentinel_count };
    v->primary = (struct topology_node){ .healthy = true, .offset = TOPOLOGY_UNKNOWN };
    for (unsigned i = 0; i < url->sentinel_count; i++)
        v->sentinels[i] = (struct topology_node){ .at = url->sentinels[i] };
    for (unsigned i = 0; i < v->sentinel_count; i++) /* those that are learnt, too */
        look_at_sentinel(&k, i);
    if (url->sentinel_count == 0) {
        v->primary_known = true;
        memcpy(v->primary.at.host, url->host, sizeof(v->primary.at.host));
        v->primary.at.port = url->unix_socket ? 0 : url->port;
    }
    if (!v->primary_known)
        return false;
    look_at_node(&k, &v->primary, &v->writes);
    v->reads = v->writes;
    for (unsigned i = 0; i < v->replica_count; i++) {
        struct topology_node *n = &v->replicas[i];

        memset(&link, 0, sizeof(link));
        if (look_at_node(&k, n, &link) && n->healthy &&
            (best == NULL || n->latency_us < best->latency_us)) {
            best = n;
            best_link = link;
        }
    }
    if (reads_replicas && best != NULL)
        v->reads = best_link;
    return v->reads.up || v->writes.up;
}
