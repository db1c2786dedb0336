/* places.c -- an origin on all of the loopback's addresses.
 *
 * Owns:    its sockets, one thread.
 * Thread:  its own.
 * Used by: versions.c.
 * Not here: origins that follow a script (origin.c). */
#include "harness/places.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/await.h"

#define FILES_MAX 20000
#define HEAD_END "\r\n\r\n"

struct places {
    int fd, epoll, wake[2];
    unsigned port;
    pthread_t thread;
    unsigned char matched[FILES_MAX]; /* of HEAD_END, by descriptor */
};

static void accept_all(struct places *p)
{
    int fd, on = 1;

    while ((fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

        if (fd >= FILES_MAX || epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
            close(fd);
            continue;
        }
        p->matched[fd] = 0;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
}

static void answer(int fd)
{
    struct sockaddr_in at = { 0 };
    socklen_t len = sizeof(at);
    char address[INET_ADDRSTRLEN] = "", text[200];
    int n;

    getsockname(fd, (struct sockaddr *)&at, &len);
    inet_ntop(AF_INET, &at.sin_addr, address, sizeof(address));
    n = snprintf(text, sizeof(text),
                 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(address), address);
    (void)!send(fd, text, (size_t)n, MSG_NOSIGNAL);
}

/* Requests have no body: each empty line is the end of one. */
static void take(struct places *p, int fd)
{
    char bytes[16384];
    ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        close(fd);
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        unsigned char *matched = &p->matched[fd];

        *matched =
            bytes[i] == HEAD_END[*matched] ? (unsigned char)(*matched + 1) : bytes[i] == '\r';
        if (*matched == strlen(HEAD_END)) {
            *matched = 0;
            answer(fd);
        }
    }
}

static void *run(void *owner)
{
    struct places *p = owner;

    for (;;) {
        struct epoll_event ready[64];
        int n = epoll_wait(p->epoll, ready, 64, -1);

        for (int i = 0; i < n; i++) {
            if (ready[i].data.fd == p->wake[0])
                return NULL;
            if (ready[i].data.fd == p->fd)
                accept_all(p);
            else
                take(p, ready[i].data.fd);
        }
    }
}

static void watch(struct places *p, int fd)
{
    struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

    if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &e) != 0)
        abort();
}

struct places *places_start(void)
{
    struct places *p = kept_alloc(sizeof(*p));
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY) };
    socklen_t len = sizeof(any);

    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Every address, but of the loopback alone. */
    if (p->fd < 0 || setsockopt(p->fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) != 0 ||
        bind(p->fd, (struct sockaddr *)&any, len) != 0 || listen(p->fd, 4096) != 0 ||
        getsockname(p->fd, (struct sockaddr *)&any, &len) != 0 || pipe2(p->wake, O_CLOEXEC) != 0 ||
        (p->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
        abort();
    p->port = ntohs(any.sin_port);
    watch(p, p->fd);
    watch(p, p->wake[0]);
    await_thread(&p->thread, run, p);
    return p;
}

unsigned places_port(const struct places *p)
{
    return p->port;
}

void places_stop(struct places *p)
{
    close(p->wake[1]);
    pthread_join(p->thread, NULL);
    close(p->wake[0]);
    close(p->epoll);
    close(p->fd);
}
