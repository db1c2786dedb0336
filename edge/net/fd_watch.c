/* fd_watch.c -- readiness of descriptors that are not ours.
 *
 * Owns:    a uv_poll_t, embedded.
 * Thread:  the loop's.
 * Used by: store/redis_link.c (hiredis), listener.c.
 * Not here: connections (conn.c). */
#include "net/fd_watch.h"

#include "net/loop.h"

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct fd_watch *w = poll->data;

    w->fn(w, status < 0 || (events & UV_READABLE), status == 0 && (events & UV_WRITABLE));
}

bool fd_watch_open(struct fd_watch *w, struct loop *l, int fd, fd_watch_fn fn, void *owner)
{
    *w = (struct fd_watch){ .fn = fn, .owner = owner };
    if (uv_poll_init(&l->uv, &w->poll, fd) != 0)
        return false;
    w->poll.data = w;
    return true;
}

void fd_watch_for(struct fd_watch *w, bool readable, bool writable)
{
    int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);

    if (events == w->events || uv_is_closing((uv_handle_t *)&w->poll))
        return;
    w->events = events;
    if (events == 0)
        uv_poll_stop(&w->poll);
    else
        uv_poll_start(&w->poll, events, on_poll);
}

static void on_closed(uv_handle_t *handle)
{
    struct fd_watch *w = handle->data;

    if (w->closed_fn)
        w->closed_fn(w);
}

void fd_watch_close(struct fd_watch *w, fd_watch_closed_fn closed)
{
    w->closed_fn = closed;
    uv_poll_stop(&w->poll);
    uv_close((uv_handle_t *)&w->poll, on_closed);
}
