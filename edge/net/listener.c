/* listener.c -- accepting connections; pausing when there is no room, never spinning.
 *
 * Owns:    one listening descriptor.
 * Thread:  binding: control; accepting: its worker.
 * Used by: proxy/worker.c; control/listen.c (binds), admin_http.c.
 * Not here: what is done with a connection (proxy/session.c). */
#include "net/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/check.h"
#include "net/loop.h"

#define BACKLOG 4096
#define ACCEPTS_PER_TURN 64 /* so that a flood of connections leaves turns to those there are */
#define RETRY_MS 100

int listener_bind(struct address *a)
{
    socklen_t len = address_len(a);
    int yes = 1, saved;
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (a->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)) == 0 &&
        bind(fd, &a->any, len) == 0 && listen(fd, BACKLOG) == 0 &&
        getsockname(fd, &a->any, &len) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* Whatever is missing may come free anywhere in the process, so it is also looked for by the clock. */
static void pause_accepting(struct listener *l, const char *reason)
{
    l->paused = true;
    fd_watch_for(&l->watch, false, false);
    timer_set(l->loop, &l->retry, RETRY_MS);
    l->events->paused(l->owner, reason);
}

/* Takes up to `most`; false when nothing is left to take now. */
static bool accept_some(struct listener *l, unsigned most)
{
    for (unsigned i = 0; i < most; i++) {
        struct address client;
        socklen_t len = sizeof(client);
        int fd;

        if (!l->events->room(l->owner)) {
            pause_accepting(l, "max_connections");
            return false;
        }
        fd = accept4(l->fd, &client.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            if (client.any.sa_family == AF_INET6) /* a socket of both families tells of IPv4 so */
                client = address_plain(&client);
            l->events->accepted(l->owner, fd, &client);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(l, errno == EMFILE || errno == ENFILE ? "descriptors" : "memory");
            return false;
        } else if (errno == EAGAIN || errno == EBADF || errno == EINVAL) {
            return false;
        } /* else: that one connection ended before it was taken (ECONNABORTED and its like) */
    }
    return true;
}

static void on_readable(struct fd_watch *w, bool readable, bool writable)
{
    struct listener *l = w->owner;

    (void)readable;
    (void)writable;
    accept_some(l, ACCEPTS_PER_TURN);
}

static void on_retry(struct timer *t)
{
    listener_resume(LIST_ITEM(t, struct listener, retry));
}

void listener_open(struct listener *l, struct loop *loop, int fd,
                   const struct listener_events *events, void *owner)
{
    *l =
        (struct listener){ .loop = loop, .events = events, .owner = owner, .fd = fd, .open = true };
    timer_init(&l->retry, on_retry);
    CHECK(fd_watch_open(&l->watch, loop, fd, on_readable, l));
    fd_watch_for(&l->watch, true, false);
}

void listener_refuse(int fd)
{
    struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
}

void listener_resume(struct listener *l)
{
    if (!l->open || !l->paused)
        return;
    l->paused = false;
    timer_stop(&l->retry);
    fd_watch_for(&l->watch, true, false);
}

static void on_closed(struct fd_watch *w)
{
    struct listener *l = w->owner;

    close(l->fd);
    l->fd = -1;
}

void listener_close(struct listener *l, bool take)
{
    if (!l->open)
        return;
    if (take)
        while (accept_some(l, ACCEPTS_PER_TURN))
            continue;
    l->open = false;
    timer_stop(&l->retry);
    fd_watch_close(&l->watch, on_closed);
}
