/* relay.c -- copies bytes between two unix sockets, as badly as it is told.
 *
 * Owns:    its listening socket, a thread for it and one for each connection.
 * Thread:  its own.
 * Used by: tests of the store.
 * Not here: what the bytes mean. */
#include "harness/relay.h"

#include "harness/await.h"
#include "harness/message.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WIRES_MAX 256

struct wire {
    struct relay *relay;
    pthread_t thread;
    int edge, redis;
    bool ended;
};

struct relay {
    char path[100], to[100];
    int fd;
    pthread_t acceptor;
    pthread_mutex_t lock;
    bool frozen, stopping;
    unsigned drip, count, cuts;
    unsigned cut_behind; /* bytes; 0: no cut is due */
    struct wire *wires[WIRES_MAX];
};

static int unix_socket(const char *path, bool listens)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int done;

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    done = listens ? bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 64)
                   : connect(fd, (struct sockaddr *)&a, sizeof(a));
    if (done == 0)
        return fd;
    close(fd);
    return -1;
}

static void look(struct relay *r, bool *frozen, bool *stopping, unsigned *drip)
{
    pthread_mutex_lock(&r->lock);
    *frozen = r->frozen;
    *stopping = r->stopping;
    *drip = r->drip;
    pthread_mutex_unlock(&r->lock);
}

/* Sends in pieces; the sizes are made up, but the same in each run. */
static bool send_dripping(int fd, const char *bytes, size_t len, unsigned most, unsigned *seed)
{
    while (len > 0) {
        size_t part = 1 + (size_t)rand_r(seed) % most;
        struct timespec pause = { 0, rand_r(seed) % 4 == 0 ? 50000 : 0 };

        if (part > len)
            part = len;
        if (!send_all(fd, bytes, part, AWAIT_MS))
            return false;
        nanosleep(&pause, NULL);
        bytes += part;
        len -= part;
    }
    return true;
}

/* How much of this may pass, and whether the wire is cut then. */
static size_t before_cut(struct relay *r, size_t len, bool *cut)
{
    pthread_mutex_lock(&r->lock);
    *cut = r->cut_behind > 0 && r->cut_behind <= len;
    if (*cut) {
        len = r->cut_behind;
        r->cuts++;
    }
    r->cut_behind = *cut || r->cut_behind == 0 ? 0 : r->cut_behind - (unsigned)len;
    pthread_mutex_unlock(&r->lock);
    return len;
}

static bool carry(struct wire *w, bool from_redis, unsigned drip, unsigned *seed)
{
    char bytes[65536];
    ssize_t n = recv(from_redis ? w->redis : w->edge, bytes, sizeof(bytes), MSG_DONTWAIT);
    bool cut = false;

    if (n < 0)
        return errno == EAGAIN;
    if (n == 0)
        return false;
    if (from_redis) {
        size_t most = before_cut(w->relay, (size_t)n, &cut);

        if (cut) {
            send_all(w->edge, bytes, most, AWAIT_MS);
            return false;
        }
    }
    if (from_redis && drip > 0)
        return send_dripping(w->edge, bytes, (size_t)n, drip, seed);
    return send_all(from_redis ? w->edge : w->redis, bytes, (size_t)n, AWAIT_MS);
}

static void *run_wire(void *owner)
{
    struct wire *w = owner;
    unsigned seed = 1, drip;
    bool frozen, stopping, open = true;

    while (open) {
        struct pollfd ready[2] = { { .fd = w->edge, .events = POLLIN },
                                   { .fd = w->redis, .events = POLLIN } };

        poll(ready, 2, 20);
        look(w->relay, &frozen, &stopping, &drip);
        if (stopping)
            break;
        if (frozen) {
            await_nap();
            continue;
        }
        if (ready[0].revents != 0)
            open = carry(w, false, drip, &seed);
        if (open && ready[1].revents != 0)
            open = carry(w, true, drip, &seed);
    }
    shutdown(w->edge, SHUT_RDWR);
    shutdown(w->redis, SHUT_RDWR);
    pthread_mutex_lock(&w->relay->lock);
    w->ended = true;
    pthread_mutex_unlock(&w->relay->lock);
    return NULL;
}

static void end_wire(struct wire *w)
{
    pthread_join(w->thread, NULL);
    close(w->edge);
    close(w->redis);
}

/* Under the lock: wires that have ended make room. */
static void drop_ended(struct relay *r)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < r->count; i++)
        if (r->wires[i]->ended)
            end_wire(r->wires[i]);
        else
            r->wires[kept++] = r->wires[i];
    r->count = kept;
}

static void *accept_wires(void *owner)
{
    struct relay *r = owner;
    int fd;

    while ((fd = accept4(r->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct wire *w = kept_alloc(sizeof(*w));

        w->relay = r;
        w->edge = fd;
        w->redis = unix_socket(r->to, false);
        pthread_mutex_lock(&r->lock);
        drop_ended(r);
        if (w->redis < 0 || r->stopping || r->count == WIRES_MAX) {
            close(fd);
            if (w->redis >= 0)
                close(w->redis);
        } else {
            r->wires[r->count++] = w;
            await_thread(&w->thread, run_wire, w);
        }
        pthread_mutex_unlock(&r->lock);
    }
    return NULL;
}

struct relay *relay_start(const char *path, const char *to)
{
    struct relay *r = kept_alloc(sizeof(*r));

    snprintf(r->path, sizeof(r->path), "%s", path);
    snprintf(r->to, sizeof(r->to), "%s", to);
    pthread_mutex_init(&r->lock, NULL);
    r->fd = unix_socket(path, true);
    cr_assert_geq(r->fd, 0, "%s", path);
    await_thread(&r->acceptor, accept_wires, r);
    return r;
}

void relay_freeze(struct relay *r, bool frozen)
{
    pthread_mutex_lock(&r->lock);
    r->frozen = frozen;
    pthread_mutex_unlock(&r->lock);
}

void relay_drip(struct relay *r, unsigned most)
{
    pthread_mutex_lock(&r->lock);
    r->drip = most;
    pthread_mutex_unlock(&r->lock);
}

void relay_cut(struct relay *r)
{
    pthread_mutex_lock(&r->lock);
    for (unsigned i = 0; i < r->count; i++) {
        shutdown(r->wires[i]->edge, SHUT_RDWR);
        shutdown(r->wires[i]->redis, SHUT_RDWR);
    }
    pthread_mutex_unlock(&r->lock);
}

void relay_cut_behind(struct relay *r, unsigned bytes)
{
    pthread_mutex_lock(&r->lock);
    r->cut_behind = bytes;
    pthread_mutex_unlock(&r->lock);
}

unsigned relay_cuts(struct relay *r)
{
    unsigned cuts;

    pthread_mutex_lock(&r->lock);
    cuts = r->cuts;
    pthread_mutex_unlock(&r->lock);
    return cuts;
}

void relay_stop(struct relay *r)
{
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_mutex_unlock(&r->lock);
    shutdown(r->fd, SHUT_RDWR);
    pthread_join(r->acceptor, NULL);
    close(r->fd);
    for (unsigned i = 0; i < r->count; i++)
        end_wire(r->wires[i]);
    unlink(r->path);
}
