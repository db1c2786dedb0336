/* sentinel.c -- starts Sentinels and what they watch, with limits short enough for a test.
 *
 * Owns:    their processes and folders.
 * Thread:  the test's.
 * Used by: tests.
 * Not here: the edge (scene.c). */
#include "harness/sentinel.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Sentinel connects anew once a second at most, and cuts its own connection too when it turns a node:
 * with less than that it takes a node that it has just promoted for dead. */
#define DOWN_AFTER_MS 1700

static const char *make_dir(struct sentinels *c, struct scene *s, unsigned i)
{
    snprintf(c->dirs[i], sizeof(c->dirs[i]), "%s/n%u", s->dir, i);
    cr_assert_eq(mkdir(c->dirs[i], 0700), 0);
    return c->dirs[i];
}

static bool is_in_step(struct redis *replica)
{
    return has(redis_say(replica, "INFO replication"), "master_link_status:up");
}

static bool knows_all(struct redis *sentinel, unsigned replicas)
{
    const char *all = redis_say(sentinel, "SENTINEL MASTER mymaster");

    return has(all, kept_format("num-slaves\n%u\n", replicas)) &&
           has(all, kept_format("num-other-sentinels\n%u\n", SENTINELS - 1)) && !has(all, "s_down");
}

void sentinels_start(struct sentinels *c, struct scene *s, unsigned nodes, const char *config)
{
    memset(c, 0, sizeof(*c));
    c->node_count = nodes;
    for (unsigned i = 0; i < nodes; i++)
        redis_start_configured(
            &c->nodes[i], make_dir(c, s, SENTINELS + i), 0, false,
            kept_format("repl-diskless-sync-delay 0\nrepl-ping-replica-period 1\n%s%s", config,
                        i == 0 ? "" : kept_format("replicaof 127.0.0.1 %u\n", c->nodes[0].port)));
    for (unsigned i = 1; i < nodes; i++)
        await(is_in_step(&c->nodes[i]));
    for (unsigned i = 0; i < SENTINELS; i++)
        redis_start_configured(&c->sentinels[i], make_dir(c, s, i), 0, true,
                               kept_format("sentinel monitor mymaster 127.0.0.1 %u 2\n"
                                           "sentinel down-after-milliseconds mymaster %d\n"
                                           "sentinel failover-timeout mymaster 3000\n",
                                           c->nodes[0].port, DOWN_AFTER_MS));
    for (unsigned i = 0; i < SENTINELS; i++)
        await_within(knows_all(&c->sentinels[i], nodes - 1), 20000); /* they say hello in 2 s */
}

const char *sentinels_url(const struct sentinels *c)
{
    return kept_format("sentinel://127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u/mymaster",
                       c->sentinels[0].port, c->sentinels[1].port, c->sentinels[2].port);
}

static struct redis *named_primary(struct sentinels *c)
{
    const char *first = NULL;

    for (unsigned i = 0; i < SENTINELS; i++) {
        const char *at;

        if (!c->sentinels[i].process.running)
            continue;
        at = redis_say(&c->sentinels[i], "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster");
        if (first != NULL && strcmp(first, at) != 0)
            return NULL;
        first = at;
    }
    for (unsigned i = 0; i < c->node_count && first != NULL; i++)
        if (has(first, kept_format("\n%u\n", c->nodes[i].port)))
            return &c->nodes[i];
    return NULL;
}

const char *sentinels_role(struct redis *node)
{
    const char *role;

    redis_reconnect(node);
    node->may_end = true; /* Sentinel ends all connections to one that it makes a replica */
    role = redis_try(node, "ROLE");
    node->may_end = false;
    return kept_format("%.*s", (int)strcspn(role, "\n"), role);
}

struct redis *sentinels_primary(struct sentinels *c, const struct redis *old)
{
    struct redis *primary = NULL;

    await_within((primary = named_primary(c)) != NULL && primary != old &&
                     strcmp(sentinels_role(primary), "master") == 0,
                 30000);
    return primary;
}

const char *sentinels_node(const struct redis *node)
{
    return kept_format("127.0.0.1:%u", node->port);
}

void sentinels_end(struct sentinels *c)
{
    for (unsigned i = 0; i < SENTINELS; i++)
        redis_free(&c->sentinels[i]);
    for (unsigned i = 0; i < c->node_count; i++)
        redis_free(&c->nodes[i]);
    for (unsigned i = 0; i < SENTINELS + c->node_count; i++) {
        unlink(kept_format("%s/conf", c->dirs[i]));
        rmdir(c->dirs[i]);
    }
}
