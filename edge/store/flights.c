/* flights.c -- the link, the time limit and the end of questions under way.
 *
 * Owns:    the link, which the first question opens; each flight from flights_add to its end.
 * Thread:  control
 * Used by: asks.c, calls.c.
 * Not here: what is asked, and what becomes of the answers. */
#include "store/flights.h"

#include "base/check.h"
#include "store/state.h"

static void arm(struct flights *q)
{
    uint64_t now = loop_now_ms(q->store->loop), due;

    if (list_is_empty(&q->open)) {
        timer_stop(&q->limit);
        return;
    }
    due = LIST_ITEM(q->open.next, struct flight, open_node)->due_ms;
    if (!timer_is_set(&q->limit))
        timer_set(q->store->loop, &q->limit, due > now ? due - now : 1);
}

static void free_flight(struct flight *f)
{
    CHECK(!flight_is_open(f));
    list_remove(&f->sent_node);
    f->flights->count--;
    f->flights->events->free(f);
}

static void give_away(struct flight *f)
{
    bool was_sent = !list_is_empty(&f->sent_node);

    flight_close(f);
    f->flights->events->away(f);
    if (!was_sent)
        free_flight(f);
}

static void on_limit(struct timer *t)
{
    struct flights *q = LIST_ITEM(t, struct flights, limit);
    uint64_t now = loop_now_ms(q->store->loop);

    while (!list_is_empty(&q->open)) {
        struct flight *f = LIST_ITEM(q->open.next, struct flight, open_node);

        if (f->due_ms > now)
            break;
        give_away(f);
    }
    arm(q);
}

/* Whatever is under way comes to nothing. */
static void give_all_away(struct flights *q)
{
    struct list *node;

    while (!list_is_empty(&q->open))
        give_away(LIST_ITEM(q->open.next, struct flight, open_node));
    while ((node = list_take_first(&q->sent)) != NULL)
        free_flight(LIST_ITEM(node, struct flight, sent_node));
    timer_stop(&q->limit);
}

static void send_flight(struct flight *f)
{
    list_append(&f->flights->sent, &f->sent_node);
    f->flights->events->send(f);
}

/* --- the link --- */

static void on_up(void *owner)
{
    struct flights *q = owner;

    q->tried = true;
    LIST_EACH (node, after, &q->open) {
        send_flight(LIST_ITEM(node, struct flight, open_node));
        if (!redis_link_is_up(q->link))
            return; /* and no flight is left */
    }
}

static void on_down(void *owner, const char *reason)
{
    struct flights *q = owner;

    (void)reason;
    q->tried = true;
    give_all_away(q);
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

static void open_link(struct flights *q)
{
    struct store *s = q->store;
    struct redis_link_options o = { .loop = s->loop,
                                    .url = &s->settings->redis,
                                    .topology = s->topology,
                                    .guard = s->guard,
                                    .use = q->use,
                                    .client_name = s->client_name,
                                    .prefix = s->prefix };
    struct redis_link_events events = { q, on_up, on_down, on_down, on_push, on_read };

    q->link = redis_link_open(&o, &events);
    topology_use(s->topology, q->use, q->link);
}

/* --- what others call --- */

void flights_init(struct flights *q, struct store *s, enum link_use use,
                  const struct flight_events *events)
{
    *q = (struct flights){ .store = s, .events = events, .use = use };
    list_init(&q->open);
    list_init(&q->sent);
    timer_init(&q->limit, on_limit);
}

bool flights_are_taken(const struct flights *q)
{
    return !q->store->closing && (!q->tried || redis_link_is_up(q->link));
}

void flights_add(struct flights *q, struct flight *f)
{
    struct store *s = q->store;

    if (q->link == NULL)
        open_link(q);
    f->flights = q;
    f->due_ms = loop_now_ms(s->loop) + s->settings->lookup_timeout_ms;
    list_init(&f->sent_node);
    list_append(&q->open, &f->open_node);
    q->count++;
    arm(q);
    if (redis_link_is_up(q->link))
        send_flight(f);
}

struct flight *flight_of_reply(const redisAsyncContext *redis, const void *reply, void *owner)
{
    return reply != NULL && redis->data != NULL ? owner : NULL;
}

void flight_end(struct flight *f)
{
    struct flights *q = f->flights;

    free_flight(f);
    arm(q);
}

void flights_try_now(struct flights *q)
{
    if (q->link != NULL)
        redis_link_try_now(q->link);
}

void flights_close(struct flights *q)
{
    if (q->link != NULL)
        redis_link_close(q->link);
    give_all_away(q);
}

void flights_free(struct flights *q)
{
    if (q->link != NULL)
        redis_link_free(q->link);
}
