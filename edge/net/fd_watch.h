/* fd_watch.h -- tells when a descriptor that a library owns can be read or written. */
#ifndef NET_FD_WATCH_H
#define NET_FD_WATCH_H

#include <stdbool.h>
#include <uv.h>

struct loop;
struct fd_watch;
/* readable is also true on errors and hang-up: the library finds out by reading. */
typedef void (*fd_watch_fn)(struct fd_watch *w, bool readable, bool writable);
typedef void (*fd_watch_closed_fn)(struct fd_watch *w);

struct fd_watch {
    uv_poll_t poll;
    fd_watch_fn fn;
    fd_watch_closed_fn closed_fn;
    void *owner;
    int events;
};

/* false: the kernel will not watch this descriptor. Nothing is watched until fd_watch_for. */
bool fd_watch_open(struct fd_watch *w, struct loop *l, int fd, fd_watch_fn fn, void *owner);
void fd_watch_for(struct fd_watch *w, bool readable, bool writable);
/* Before the descriptor is closed. `closed` runs in a later turn; then `w` may be freed. */
void fd_watch_close(struct fd_watch *w, fd_watch_closed_fn closed);

#endif
