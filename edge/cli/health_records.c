/* health_records.c -- usher:health: as an edge would take it that starts now.
 *
 * Owns:    the answer of Redis that was read last.
 * Thread:  control
 * Used by: explain.c.
 * Not here: what votes mean (control/health_verdict.c). */
#include "cli/health_records.h"

#include <stdlib.h>

#include "routing/endpoint.h"

#define KEEP_MS (24u * 60 * 60 * 1000) /* what has run out, Redis has not */

/* NULL: Redis says nothing, or does not let us; then nothing is known. */
static redisReply *ask(struct health_records *r, unsigned argc, const struct str *words, int type)
{
    redisReply *reply = redis_client_do(r->client, argc, words);

    if (reply != NULL && reply->type == type)
        return reply;
    if (reply != NULL)
        freeReplyObject(reply);
    return NULL;
}

static void drop(struct health_records *r)
{
    if (r->said != NULL)
        freeReplyObject(r->said);
    r->said = NULL;
}

static void read_service(struct health_records *r, const char *name)
{
    redisReply *time = ask(r, 1, &STR("TIME"), REDIS_REPLY_ARRAY);
    struct buf key = { 0 };

    drop(r);
    if (time != NULL && time->elements > 0)
        r->now_ms = strtoull(time->element[0]->str, NULL, 10) * 1000;
    r->said = ask(r, 2,
                  (struct str[]){ STR("HGETALL"),
                                  verb_redis_key(r->settings, &key, "health:", str_from(name)) },
                  REDIS_REPLY_ARRAY);
    buf_free(&key);
    if (time != NULL)
        freeReplyObject(time);
}

/* True: down. An edge that is the only checker is believed by itself. */
static bool say(const struct health_records *r, struct str endpoint, struct buf *says)
{
    struct health_shared shared = { .count = 0 };

    for (size_t i = 0; r->said != NULL && i + 1 < r->said->elements; i += 2)
        if (str_equals(endpoint, str_slice(r->said->element[i]->str, r->said->element[i]->len)))
            health_shared_read(
                str_slice(r->said->element[i + 1]->str, r->said->element[i + 1]->len), &shared);
    return health_shared_say(&shared, r->now_ms, KEEP_MS, says);
}

static bool health(void *owner, struct str service, struct str endpoint, struct buf *says)
{
    (void)service; /* it was read just now */
    return say(owner, endpoint, says);
}

static void know(void *owner, const struct service *service)
{
    struct health_records *r = owner;
    char text[ENDPOINT_TEXT_SIZE];

    read_service(r, service->name);
    for (uint32_t i = 0; i < service->endpoint_count; i++) {
        const struct endpoint *e = &service->endpoints[i];
        struct buf says = { 0 };

        if (say(r, str_from(endpoint_text(e, text)), &says))
            atomic_store_explicit(&e->state->down_ms, HEALTH_REFUSES, memory_order_relaxed);
        buf_free(&says);
    }
}

void health_records_use(struct health_records *r, struct redis_client *client,
                        const struct settings *s, struct explain_source *source)
{
    *r = (struct health_records){ .client = client, .settings = s };
    states_init(&r->states);
    source->states = &r->states;
    source->know = know;
    source->health = health;
    source->owner = r;
}

void health_records_free(struct health_records *r)
{
    drop(r);
    states_free(&r->states);
}
