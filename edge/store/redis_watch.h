/* redis_watch.h -- a hiredis connection on our loop. */
#ifndef STORE_REDIS_WATCH_H
#define STORE_REDIS_WATCH_H

#include <hiredis/async.h>
#include <stdbool.h>

struct loop;

struct redis_watch_events {
    void (*heard)(void *owner);    /* something can be read: the other side lives */
    void (*was_read)(void *owner); /* at the end of a turn of reading; not when the owner let go */
};

/* Watches `redis` for as long as it lives. `owner` is told until redis->data is NULL; that is
 * the owner's way to let go. False: its descriptor cannot be watched. */
bool redis_watch(redisAsyncContext *redis, struct loop *l, const struct redis_watch_events *events,
                 void *owner);
/* Bytes that came in and are still unread. */
bool redis_watch_has_unread(const redisAsyncContext *redis);

#endif
