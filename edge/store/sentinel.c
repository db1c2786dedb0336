/* sentinel.c -- the conversation with Sentinel: questions, and what it announces.
 *
 * Owns:    a link to a Sentinel.
 * Thread:  control
 * Used by: topology.c.
 * Not here: which Sentinel, and what follows from its answers (topology.c). */
#include "store/sentinel.h"

#include <stdlib.h>

#include "base/check.h"
#include "store/topology_view.h"

#define ASK_EVERY_MS 5000

struct sentinel {
    struct loop *loop;
    const struct redis_url *url;
    struct sentinel_events events;
    struct redis_link *link;
    struct timer again;
    uint64_t epoch; /* as it said last */
};

/* --- what it announces --- */

/* "mymaster 10.0.0.1 6379 10.0.0.2 6379" */
static void on_switch(struct sentinel *s, struct str text)
{
    struct str word, host, port;
    struct redis_place to;

    if (!str_word(&text, &word) || !str_equals(word, str_from(s->url->primary_name)) ||
        !str_word(&text, &word) || !str_word(&text, &word) || !str_word(&text, &host) ||
        !str_word(&text, &port) || !redis_place_set(&to, host, port))
        return;
    s->events.primary(s->events.owner, &to, SENTINEL_ANNOUNCED);
    sentinel_ask(s);
}

static void on_message(redisAsyncContext *redis, void *reply, void *owner)
{
    struct sentinel *s = owner;
    const redisReply *r = reply;

    if (r == NULL || redis->data == NULL)
        return;
    if (r->type == REDIS_REPLY_ERROR) {
        redis_link_fail(s->link, r->str);
        return;
    }
    if (r->elements != 3 || r->element[0]->type != REDIS_REPLY_STRING ||
        r->element[1]->type != REDIS_REPLY_STRING || r->element[2]->type != REDIS_REPLY_STRING ||
        strcmp(r->element[0]->str, "message") != 0)
        return;
    if (strcmp(r->element[1]->str, "+switch-master") == 0)
        on_switch(s, str_slice(r->element[2]->str, r->element[2]->len));
    else
        sentinel_ask(s); /* a node went, came, or is new */
}

/* --- what it answers --- */

/* False: nothing to go by; the link has failed if it was an error. */
static bool is_list(struct sentinel *s, redisAsyncContext *redis, const redisReply *r)
{
    if (r == NULL || redis->data == NULL)
        return false;
    if (r->type == REDIS_REPLY_ERROR)
        redis_link_fail(s->link, r->str);
    return r->type == REDIS_REPLY_ARRAY;
}

static void on_primary(redisAsyncContext *redis, void *reply, void *owner)
{
    struct sentinel *s = owner;
    const redisReply *r = reply;
    struct redis_place at;

    if (r == NULL || redis->data == NULL)
        return;
    if (topology_read_primary(r, &at))
        s->events.primary(s->events.owner, &at, s->epoch);
    else if (r->type == REDIS_REPLY_ERROR)
        redis_link_fail(s->link, r->str);
    else
        s->events.no_primary(s->events.owner);
}

/* Asked for its epoch alone: during a failover the answer to the other question is ahead of it. */
static void on_epoch(redisAsyncContext *redis, void *reply, void *owner)
{
    struct sentinel *s = owner;

    if (redis->data != NULL)
        s->epoch = redis_map_number(reply, "config-epoch");
}

static void on_replicas(redisAsyncContext *redis, void *reply, void *owner)
{
    struct sentinel *s = owner;

    if (is_list(s, redis, reply))
        s->events.replicas(s->events.owner, reply);
}

static void on_sentinels(redisAsyncContext *redis, void *reply, void *owner)
{
    struct sentinel *s = owner;

    if (is_list(s, redis, reply))
        s->events.sentinels(s->events.owner, reply);
}

void sentinel_ask(struct sentinel *s)
{
    struct str name = str_from(s->url->primary_name);

    if (!redis_link_is_up(s->link))
        return;
    timer_set(s->loop, &s->again, ASK_EVERY_MS);
    redis_link_send(s->link, on_epoch, 3, (struct str[]){ STR("SENTINEL"), STR("MASTER"), name });
    redis_link_send(s->link, on_primary, 3,
                    (struct str[]){ STR("SENTINEL"), STR("GET-MASTER-ADDR-BY-NAME"), name });
    redis_link_send(s->link, on_replicas, 3,
                    (struct str[]){ STR("SENTINEL"), STR("REPLICAS"), name });
    redis_link_send(s->link, on_sentinels, 3,
                    (struct str[]){ STR("SENTINEL"), STR("SENTINELS"), name });
}

static void on_again(struct timer *t)
{
    sentinel_ask(LIST_ITEM(t, struct sentinel, again));
}

/* --- the link --- */

static void on_up(void *owner)
{
    struct sentinel *s = owner;

    redis_link_send(s->link, on_message, 8,
                    (struct str[]){ STR("SUBSCRIBE"), STR("+switch-master"), STR("+slave"),
                                    STR("+sdown"), STR("-sdown"), STR("+odown"), STR("-odown"),
                                    STR("+sentinel") });
    sentinel_ask(s); /* behind it: no switch falls between the two */
}

static void on_failed(void *owner, const char *reason)
{
    struct sentinel *s = owner;

    timer_stop(&s->again);
    s->events.failed(s->events.owner, reason);
}

static void on_push(void *owner, const redisReply *push)
{
    (void)owner;
    (void)push;
}

static void on_read(void *owner)
{
    (void)owner;
}

struct sentinel *sentinel_open(struct loop *l, const struct redis_url *url,
                               struct topology *topology, struct guard *guard,
                               const struct sentinel_events *e)
{
    struct sentinel *s = check_alloc(sizeof(*s));
    struct redis_link_options o = { .loop = l,
                                    .url = url,
                                    .topology = topology,
                                    .guard = guard,
                                    .use = LINK_ASKS,
                                    .client_name = "" };
    struct redis_link_events events = { s, on_up, on_failed, on_failed, on_push, on_read };

    s->loop = l;
    s->url = url;
    s->events = *e;
    timer_init(&s->again, on_again);
    s->link = redis_link_open(&o, &events);
    return s;
}

bool sentinel_is_up(const struct sentinel *s)
{
    return redis_link_is_up(s->link);
}

void sentinel_leave(struct sentinel *s, const char *reason)
{
    redis_link_move(s->link, reason);
}

void sentinel_close(struct sentinel *s)
{
    timer_stop(&s->again);
    redis_link_close(s->link);
}

void sentinel_free(struct sentinel *s)
{
    redis_link_free(s->link);
    free(s);
}
