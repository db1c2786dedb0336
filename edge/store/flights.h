/* flights.h -- questions to Redis that are under way on a link of their own, each answered within
 * --lookup-timeout: by Redis, or as "away".
 *
 * The first question opens the link. While it has been tried and is not up, Redis is away, and nothing is
 * taken. A question that is late is answered without Redis; what comes of it is thrown away. */
#ifndef STORE_FLIGHTS_H
#define STORE_FLIGHTS_H

#include "base/list.h"
#include "net/timer.h"
#include "store/redis_link.h"

struct store;
struct flights;

/* In front of each question. */
struct flight {
    struct list open_node; /* alone: it was answered */
    struct list sent_node; /* alone: not sent yet */
    struct flights *flights;
    uint64_t due_ms;
};

struct flight_events {
    void (*send)(struct flight *f); /* by flight_link; the reply comes to a function of theirs */
    void (*away)(struct flight *f); /* it is answered so */
    void (*free)(struct flight *f); /* nothing will ask for it any more */
};

struct flights {
    struct store *store;
    const struct flight_events *events;
    enum link_use use;
    struct redis_link *link; /* NULL: nobody has asked yet */
    bool tried;              /* it has been up, or has failed */
    struct list open;        /* struct flight, not yet answered; the oldest first */
    struct list sent;        /* struct flight, from sending to Redis's answer, however late */
    size_t count;            /* of all */
    struct timer limit;
};

void flights_init(struct flights *q, struct store *s, enum link_use use,
                  const struct flight_events *events);
/* Redis is not away for all that is known. */
bool flights_are_taken(const struct flights *q);
/* Sends it, now or when the link is up. */
void flights_add(struct flights *q, struct flight *f);
void flights_try_now(struct flights *q); /* another link is up: this one may be, too */
void flights_close(struct flights *q);   /* all are answered */
void flights_free(struct flights *q);

/* Its reply has come. NULL: the link is lost, and the flight with it, or it will be. */
struct flight *flight_of_reply(const redisAsyncContext *redis, const void *reply, void *owner);
static inline bool flight_is_open(const struct flight *f)
{
    return !list_is_empty(&f->open_node);
}
/* It is being answered: what comes later is not for it. */
static inline void flight_close(struct flight *f)
{
    list_remove(&f->open_node);
}
void flight_end(struct flight *f); /* Redis has answered; frees it */

#endif
