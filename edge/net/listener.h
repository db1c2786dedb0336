/* listener.h -- listening sockets (SO_REUSEPORT, one per worker and address) and accepting. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <stdbool.h>

#include "base/address.h"
#include "net/fd_watch.h"
#include "net/timer.h"

struct loop;
struct listener;

/* A listening, non-blocking socket, or -1 with errno. Port 0 in `a` is replaced by the kernel's
 * choice, so that the next call binds the same. TCP_NODELAY is set here: accepted ones inherit it. */
int listener_bind(struct address *a);

/* May one more be taken? Otherwise accepting pauses until listener_resume. */
typedef bool (*listener_room_fn)(void *owner);
/* Takes the descriptor. */
typedef void (*listener_accept_fn)(void *owner, int fd, const struct address *client);
/* Out of descriptors or of room: `reason` is a word for the log. */
typedef void (*listener_paused_fn)(void *owner, const char *reason);

struct listener_events {
    listener_room_fn room;
    listener_accept_fn accepted;
    listener_paused_fn paused;
};

struct listener {
    struct fd_watch watch;
    struct timer retry; /* out of descriptors: looked at again after a moment */
    struct loop *loop;
    const struct listener_events *events;
    void *owner;
    int fd; /* owned; -1 once closed */
    bool open, paused;
};

/* Embed struct listener; it must stay until the loop is closed. */
void listener_open(struct listener *l, struct loop *loop, int fd,
                   const struct listener_events *events, void *owner);
/* Closes a connection that was just accepted by a RST: nothing of it stays behind in the kernel, no
 * matter how many come. */
void listener_refuse(int fd);
void listener_resume(struct listener *l); /* harmless when not paused */
/* Takes what still waits in the accept queue (when `take`), then closes. */
void listener_close(struct listener *l, bool take);

#endif
