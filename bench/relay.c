/* relay.c -- the floor: an upstream per client connection, bytes copied both ways, nothing parsed.
 *
 * Owns:    its sockets
 * Thread:  any (one)
 * Used by: bench/run
 * Not here: HTTP
 *
 *   relay LISTEN-ADDRESS ORIGIN-ADDRESS      prints the port it listens on
 *
 * Both sockets of a pair are registered once, edge-triggered, for reading and writing, so that a turn
 * is nothing but epoll_wait, recv and send. One buffer serves all pairs; what a full socket did not
 * take waits in a copy of its own. CHUNK is just under loopback's largest segment (65,483 bytes): one
 * send of 64 KiB leaves as a large segment and a tiny one, and then 1 MiB costs twice as much.
 */
#include "loopback.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 63 * 1024, EVENTS = 512 };

struct side {
    int fd;
    struct side *other;
    bool readable, ended;     /* bytes may wait; the end was read */
    bool hung_up;             /* the end was announced: a short read is not the last one */
    char *waiting;            /* what the other side sent and this one's socket did not take */
    size_t from, to;          /* of `waiting` */
    bool shut_after, is_shut; /* nothing comes after `waiting`; and said so */
    bool closed;
    struct side *next_closed;
};

struct relay {
    int epoll, listener;
    struct sockaddr_in origin;
    struct side *closed; /* freed after the turn: its events may still be in the batch */
    char chunk[CHUNK];
};

static void close_pair(struct relay *r, struct side *s)
{
    if (s->closed)
        return;
    s->closed = s->other->closed = true;
    close(s->fd);
    close(s->other->fd);
    s->next_closed = s->other;
    s->other->next_closed = r->closed;
    r->closed = s;
}

/* Sends what it can, keeps the rest; false when the connection failed. */
static bool give(struct side *to, const char *bytes, size_t size)
{
    ssize_t sent = send(to->fd, bytes, size, MSG_NOSIGNAL);

    if (sent < 0) {
        if (errno != EAGAIN && errno != ENOTCONN)
            return false;
        sent = 0;
    }
    if ((size_t)sent == size)
        return true;
    if (!(to->waiting = malloc(size - (size_t)sent)))
        return false;
    to->from = 0;
    to->to = size - (size_t)sent;
    memcpy(to->waiting, bytes + sent, to->to);
    return true;
}

static bool flush(struct side *to)
{
    while (to->from < to->to) {
        ssize_t sent = send(to->fd, to->waiting + to->from, to->to - to->from, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == ENOTCONN;
        to->from += (size_t)sent;
    }
    free(to->waiting);
    to->waiting = NULL;
    to->from = to->to = 0;
    return true;
}

static void end_side(struct relay *r, struct side *from)
{
    struct side *to = from->other;

    from->ended = true;
    if (!to->waiting && !to->is_shut) {
        to->is_shut = true;
        (void)shutdown(to->fd, SHUT_WR);
    }
    to->shut_after = true;
    if (to->ended && !from->waiting && !to->waiting)
        close_pair(r, from);
}

/* Reads until the socket is empty or the other one full. A short read has emptied it. */
static void pump(struct relay *r, struct side *from)
{
    while (from->readable && !from->ended && !from->other->waiting) {
        ssize_t got = recv(from->fd, r->chunk, CHUNK, 0);
        if (got < 0) {
            from->readable = false;
            if (errno != EAGAIN && errno != ENOTCONN)
                close_pair(r, from);
            return;
        }
        if (got == 0) {
            end_side(r, from);
            return;
        }
        from->readable = got == CHUNK || from->hung_up;
        if (!give(from->other, r->chunk, (size_t)got)) {
            close_pair(r, from);
            return;
        }
    }
}

static void turn(struct relay *r, struct side *s, uint32_t events)
{
    if (s->closed)
        return;
    if (events & EPOLLOUT && s->waiting) {
        if (!flush(s)) {
            close_pair(r, s);
            return;
        }
        if (!s->waiting && s->shut_after)
            end_side(r, s->other);
        else
            pump(r, s->other);
        if (s->closed)
            return;
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        s->readable = true;
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            s->hung_up = true;
        pump(r, s);
    }
}

static bool watch(struct relay *r, struct side *s)
{
    struct epoll_event event = { EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, { .ptr = s } };

    return !epoll_ctl(r->epoll, EPOLL_CTL_ADD, s->fd, &event);
}

static void accept_all(struct relay *r)
{
    int fd;

    while ((fd = accept4(r->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct side *client = calloc(1, sizeof(*client)), *upstream = calloc(1, sizeof(*upstream));
        if (!client || !upstream)
            loopback_die("relay: no memory");
        loopback_no_delay(fd);
        *client = (struct side){ .fd = fd, .other = upstream };
        *upstream = (struct side){ .fd = loopback_connect(&r->origin, NULL), .other = client };
        if (upstream->fd < 0)
            loopback_die("relay: cannot connect: %s", strerror(errno));
        if (!watch(r, client) || !watch(r, upstream))
            loopback_die("relay: cannot watch: %s", strerror(errno));
    }
}

static void free_closed(struct relay *r)
{
    while (r->closed) {
        struct side *s = r->closed;
        r->closed = s->next_closed;
        free(s->waiting);
        free(s);
    }
}

int main(int argc, char **argv)
{
    static struct relay r;
    struct epoll_event events[EVENTS], event = { .events = EPOLLIN };
    uint16_t port;

    if (argc != 3)
        loopback_die("usage: relay LISTEN-ADDRESS ORIGIN-ADDRESS");
    signal(SIGPIPE, SIG_IGN);
    r.origin = loopback_address(argv[2]);
    r.listener = loopback_listen(loopback_address(argv[1]), &port);
    r.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (r.epoll < 0 || epoll_ctl(r.epoll, EPOLL_CTL_ADD, r.listener, &event))
        loopback_die("relay: cannot watch: %s", strerror(errno));
    printf("%u\n", port);
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(r.epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                turn(&r, events[i].data.ptr, events[i].events);
            else
                accept_all(&r);
        }
        free_closed(&r);
    }
}
