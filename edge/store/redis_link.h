/* redis_link.h -- one connection to Redis, or to a Sentinel, that comes back by itself.
 *
 * Where it leads is asked of the topology before each attempt. */
#ifndef STORE_REDIS_LINK_H
#define STORE_REDIS_LINK_H

#include <hiredis/async.h>
#include <stdbool.h>

#include "base/buf.h"
#include "net/loop.h"
#include "settings.h"
#include "store/redis_answers.h"

struct redis_link;
struct topology;
struct guard;

enum link_use {
    LINK_READS,
    LINK_WRITES,
    LINK_MODULES, /* what modules ask; of the primary */
    LINK_CALLS,   /* what edges share; of the primary */
    LINK_ASKS,    /* a Sentinel */
    LINK_USES,
};

struct redis_link_events {
    void *owner;
    void (*up)(void *owner);
    /* Was up and is no more; commands under way have been answered with NULL. */
    void (*down)(void *owner, const char *reason);
    void (*failed)(void *owner, const char *reason); /* an attempt to connect */
    void (*push)(void *owner, const redisReply *push);
    void (*was_read)(void *owner); /* after each turn in which something could be read */
};

struct redis_link_options {
    struct loop *loop;
    const struct redis_url *url;
    struct topology *topology;
    struct guard *guard; /* told of every address that Redis may be at */
    enum link_use use;
    const char *client_name;
    bool tracking; /* of the configuration families, under `prefix` */
    struct str prefix;
};

struct redis_link *redis_link_open(const struct redis_link_options *o,
                                   const struct redis_link_events *e);
bool redis_link_is_up(const struct redis_link *l);
uint64_t redis_link_silent_ms(const struct redis_link *l); /* since something was heard */
uint64_t redis_link_ups(const struct redis_link *l);       /* how often it came up */
/* Where it leads or last led (port 0: a unix socket), and what it has found there. */
const struct redis_place *redis_link_place(const struct redis_link *l);
const struct redis_server *redis_link_server(const struct redis_link *l);

/* The reply comes to fn(_, reply, owner of the events); NULL when the link was lost. fn may be
 * NULL. A reply that is an error belongs to redis_link_refused first. */
void redis_link_send(struct redis_link *l, redisCallbackFn *fn, unsigned argc,
                     const struct str *words);
void redis_link_send_for(struct redis_link *l, redisCallbackFn *fn, void *owner, unsigned argc,
                         const struct str *words);
/* Inside MULTI: a reply that is an error ends the link, with that error as its reason; but for a
 * Redis at its maxmemory, which takes nothing into a MULTI: then EXEC is answered by EXECABORT. */
void redis_link_queue(struct redis_link *l, unsigned argc, const struct str *words);
/* Is it an error that says "not here" or "not now" (READONLY, LOADING, MOVED ...)? Then the link
 * has been ended, and comes back where its work can be done. */
bool redis_link_refused(struct redis_link *l, const redisReply *r);
/* Bytes that came in and are still unread. */
bool redis_link_has_unread(const struct redis_link *l);
/* An answer that makes the link useless: it is closed and comes back later. */
void redis_link_fail(struct redis_link *l, const char *reason);
/* Its place is another one now: comes back at once. */
void redis_link_move(struct redis_link *l, const char *reason);
void redis_link_try_now(struct redis_link *l); /* if it waits */

/* Run the loop on until it has nothing left, then redis_link_free. */
void redis_link_close(struct redis_link *l);
void redis_link_free(struct redis_link *l);

#endif
