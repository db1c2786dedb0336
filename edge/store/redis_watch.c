/* redis_watch.c -- between hiredis and the loop: when to read, when to write.
 *
 * hiredis frees its side when it likes; libuv its own a turn later.
 *
 * Owns:    the watch of the descriptor.
 * Thread:  control
 * Used by: redis_link.c.
 * Not here: connecting, and what is said (redis_link.c). */
#include "store/redis_watch.h"

#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/check.h"
#include "net/fd_watch.h"
#include "store/redis_tls.h"

#define READS_PER_TURN 32

struct watch {
    struct fd_watch fd;
    redisAsyncContext *redis; /* NULL: freed */
    const struct redis_watch_events *events;
    void *owner;
    bool reading, writing;
};

/* While a TLS handshake waits for the other side, a writable descriptor is no news. */
static void look_for(struct watch *w)
{
    if (w->redis != NULL)
        fd_watch_for(&w->fd, w->reading, w->writing && !redis_tls_waits_to_read(&w->redis->c));
}

static bool is_owned(const struct watch *w)
{
    return w->redis != NULL && w->redis->data != NULL;
}

static void on_ready(struct fd_watch *fd, bool readable, bool writable)
{
    struct watch *w = fd->owner;

    if (!is_owned(w))
        return;
    if (writable)
        redisAsyncHandleWrite(w->redis);
    if (readable && is_owned(w))
        w->events->heard(w->owner);
    for (unsigned i = 0; readable && i < READS_PER_TURN && is_owned(w); i++) {
        if (i > 0 && !redis_watch_has_unread(w->redis))
            break;
        redisAsyncHandleRead(w->redis);
    }
    look_for(w);
    if (readable && is_owned(w))
        w->events->was_read(w->owner);
}

static void add_read(void *privdata)
{
    struct watch *w = privdata;

    w->reading = true;
    look_for(w);
}

static void del_read(void *privdata)
{
    struct watch *w = privdata;

    w->reading = false;
    look_for(w);
}

static void add_write(void *privdata)
{
    struct watch *w = privdata;

    w->writing = true;
    look_for(w);
}

static void del_write(void *privdata)
{
    struct watch *w = privdata;

    w->writing = false;
    look_for(w);
}

static void on_closed(struct fd_watch *fd)
{
    free(fd->owner);
}

static void cleanup(void *privdata)
{
    struct watch *w = privdata;

    w->redis = NULL;
    fd_watch_close(&w->fd, on_closed);
}

bool redis_watch(redisAsyncContext *redis, struct loop *l, const struct redis_watch_events *events,
                 void *owner)
{
    struct watch *w = check_alloc(sizeof(*w));

    if (!fd_watch_open(&w->fd, l, redis->c.fd, on_ready, w)) {
        free(w);
        return false;
    }
    w->redis = redis;
    w->events = events;
    w->owner = owner;
    redis->ev.data = w;
    redis->ev.addRead = add_read;
    redis->ev.delRead = del_read;
    redis->ev.addWrite = add_write;
    redis->ev.delWrite = del_write;
    redis->ev.cleanup = cleanup;
    return true;
}

bool redis_watch_has_unread(const redisAsyncContext *redis)
{
    int unread = 0;

    return redis_tls_has_unread(&redis->c) ||
           (ioctl(redis->c.fd, FIONREAD, &unread) == 0 && unread > 0);
}
