/* cluster.c -- starts the nodes, lets them meet, shares out the slots, moves one.
 *
 * Owns:    the nodes' processes.
 * Thread:  the test's.
 * Used by: tests.
 * Not here: the edge (scene.c). */
#include "harness/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static bool is_whole(struct redis *node)
{
    const char *all = redis_say(node, "CLUSTER INFO");

    return has(all, "cluster_state:ok") && has(all, "cluster_known_nodes:3");
}

/* The bus's port cannot be the usual 10000 more than the port where that is above 65535. */
static void start_node(struct cluster *c, struct scene *s, unsigned i)
{
    const char *dir = kept_format("%s/c%u", s->dir, i);

    cr_assert_eq(mkdir(dir, 0700), 0);
    redis_start_configured(&c->nodes[i], dir, 0, false,
                           kept_format("cluster-enabled yes\ncluster-port %u\n"
                                       "cluster-node-timeout 5000\ncluster-announce-ip 127.0.0.1\n"
                                       "cluster-require-full-coverage yes\n",
                                       redis_free_port()));
    c->ids[i] = redis_say(&c->nodes[i], "CLUSTER MYID");
    cr_assert_str_eq(redis_say(&c->nodes[i], "CLUSTER ADDSLOTSRANGE %u %u", i * 16384 / 3,
                               (i + 1) * 16384 / 3 - 1),
                     "OK");
}

static unsigned bus_port(struct redis *node)
{
    const char *own = redis_say(node, "CLUSTER NODES");

    return (unsigned)strtoul(strchr(own, '@') + 1, NULL, 10);
}

void cluster_start(struct cluster *c, struct scene *s)
{
    memset(c, 0, sizeof(*c));
    for (unsigned i = 0; i < CLUSTER_NODES; i++) {
        start_node(c, s, i);
        redis_say(&c->nodes[i], "CLUSTER SET-CONFIG-EPOCH %u", i + 1);
    }
    for (unsigned i = 1; i < CLUSTER_NODES; i++)
        redis_say(&c->nodes[0], "CLUSTER MEET 127.0.0.1 %u %u", c->nodes[i].port,
                  bus_port(&c->nodes[i]));
    for (unsigned i = 0; i < CLUSTER_NODES; i++)
        await_within(is_whole(&c->nodes[i]), 30000);
}

struct redis *cluster_owner(struct cluster *c, const char *key)
{
    for (unsigned i = 0; i < CLUSTER_NODES; i++)
        if (!starts(redis_try(&c->nodes[i], "EXISTS %s", key), "-MOVED"))
            return &c->nodes[i];
    cr_assert_fail("no node owns %s", key);
    return NULL;
}

static bool all_agree(struct cluster *c, const char *key, const struct redis *owner)
{
    for (unsigned i = 0; i < CLUSTER_NODES; i++) {
        const char *said = redis_try(&c->nodes[i], "EXISTS %s", key);

        if (&c->nodes[i] != owner && !has(said, kept_format("127.0.0.1:%u", owner->port)))
            return false;
    }
    return true;
}

void cluster_move(struct cluster *c, const char *key, struct redis *to)
{
    struct redis *from = cluster_owner(c, key);
    const char *slot = redis_say(to, "CLUSTER KEYSLOT %s", key);
    const char *source = c->ids[from - c->nodes], *target = c->ids[to - c->nodes];
    char *keys, *rest;

    redis_say(to, "CLUSTER SETSLOT %s IMPORTING %s", slot, source);
    redis_say(from, "CLUSTER SETSLOT %s MIGRATING %s", slot, target);
    keys = redis_say(from, "CLUSTER GETKEYSINSLOT %s 1000", slot);
    for (char *k = strtok_r(keys, "\n", &rest); k != NULL; k = strtok_r(NULL, "\n", &rest))
        redis_say(from, "MIGRATE 127.0.0.1 %u %s 0 5000", to->port, k);
    redis_say(to, "CLUSTER SETSLOT %s NODE %s", slot, target);
    redis_say(from, "CLUSTER SETSLOT %s NODE %s", slot, target);
    await_within(all_agree(c, key, to), 20000);
}

void cluster_end(struct cluster *c)
{
    for (unsigned i = 0; i < CLUSTER_NODES; i++)
        redis_free(&c->nodes[i]);
}
