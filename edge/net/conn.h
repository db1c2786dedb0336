/* conn.h -- one TCP or unix connection, ours or a client's: reading into borrowed memory, writing at once.
 *
 * Reading stays switched on; bytes are read into the loop's one read buffer (or where the owner
 * says) and are valid only inside the callback. Writing goes straight to the socket; what the
 * kernel does not take is copied and sent later, and conn_is_blocked says so until it is gone: whoever
 * feeds the connection stops feeding it meanwhile. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>
#include <uv.h>

#include "base/address.h"

struct conn;
struct loop;

/* Where reads go when the owner has no place of its own. One per loop. */
struct conn_read_buffer {
    char *ptr;
    size_t len;
};

struct conn_events {
    void (*connected)(struct conn *c, int error); /* 0, or a negative errno */
    void (*read)(struct conn *c, const char *bytes, size_t len);
    void (*ended)(struct conn *c,
                  int error);        /* 0: the other side sends no more; else negative errno */
    void (*drained)(struct conn *c); /* what was blocked has been sent */
    void (*closed)(struct conn *c);  /* after conn_close, in a later turn: now free it */
    /* Memory for the next read; NULL function or false: the loop's read buffer. */
    bool (*place)(struct conn *c, char **ptr, size_t *len);
};

struct conn {
    uv_tcp_t tcp;
    uv_connect_t connecting;
    const struct conn_events *events;
    struct conn_read_buffer *buffer;
    unsigned writes_pending;
    bool reading, ended, write_failed, closing;
};

/* Takes `fd` (also on false, closing it). False, as with those below: nothing is open, but conn_close is
 * due all the same. */
bool conn_accept(struct conn *c, struct loop *l, int fd, const struct conn_events *events,
                 struct conn_read_buffer *buffer);
/* false: it cannot even be tried (out of descriptors, mostly). */
bool conn_connect(struct conn *c, struct loop *l, const struct address *to,
                  const struct conn_events *events, struct conn_read_buffer *buffer, int *error);
/* To a unix socket: there is no waiting, it is connected on true. -EAGAIN: its queue is full. */
bool conn_connect_unix(struct conn *c, struct loop *l, const char *path,
                       const struct conn_events *events, struct conn_read_buffer *buffer,
                       int *error);

void conn_read(struct conn *c, bool on);
/* Reads once, now, without waiting to be told that there is something: a client that has connected
 * has mostly sent its request, too. Nothing there: nothing happens. */
void conn_read_early(struct conn *c);

/* Sends all pieces in order. false: the connection is broken for writing (reading may still give
 * what the other side sent before). Input-sized copies can fail: then it is false too. */
bool conn_write(struct conn *c, const struct iovec *pieces, unsigned count);
/* Of a file, without copying it: how many bytes the kernel took. 0: none now, or something is queued, or
 * it cannot; conn_write finds out which. It may wait for the file's disk. */
size_t conn_send_file(struct conn *c, int file, uint64_t at, size_t bytes);
static inline bool conn_is_blocked(const struct conn *c)
{
    return c->writes_pending > 0;
}
size_t conn_blocked_bytes(const struct conn *c);

void conn_shutdown(struct conn *c); /* no more writing, after what is queued */
void conn_close(struct conn *c);    /* at once; what is queued is lost. Again: harmless */
void conn_reset(struct conn *c); /* conn_close with a RST: the other side must not think it whole */

struct address conn_local_address(const struct conn *c); /* family 0: it has none any more */

/* The socket by another descriptor, to be given to conn_accept of another loop; the caller closes `c`, of
 * which nothing is sent then. -1: there is no descriptor to be had. */
int conn_take_socket(struct conn *c);

void conn_keep_alive(struct conn *c, unsigned seconds); /* TCP's own probes, when idle so long */

#endif
