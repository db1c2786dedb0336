/* sockets.c -- so many WebSockets through a proxy, held open and idle.
 *
 * Owns:    its sockets
 * Thread:  any (one)
 * Used by: bench/websockets
 * Not here: frames: a few bytes that come back are enough to know that a tunnel lives
 *
 *   sockets [-n COUNT] [-h HOST] ADDRESS        ADDRESS is IPV4:PORT
 *
 * Opens them, 200 at a time, and says "open COUNT in MS ms"; for each line on standard input it then sends 16 bytes on
 * each, waits for these to come back, and says "alive COUNT in MS ms"; at its end it closes all. One that ends in between,
 * or is not answered with 101, is the end of it.
 */
#include "loopback.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 200, EVENTS = 512, COUNT_MOST = 60000, BYTES = 16, LIMIT_MS = 60000 };

struct socket {
    int fd;
    bool asked, open;
    unsigned filled; /* of the head, or of the bytes that come back */
    char head[1000];
};

struct crowd {
    int epoll;
    struct sockaddr_in address;
    char request[400];
    struct socket *sockets;
    unsigned count, begun, open, back;
};

static void begin(struct crowd *c)
{
    struct socket *s = &c->sockets[c->begun++];
    struct epoll_event event = { EPOLLIN | EPOLLOUT | EPOLLET, { .ptr = s } };

    s->fd = loopback_connect(&c->address, NULL);
    if (s->fd < 0)
        loopback_die("sockets: cannot connect: %s", strerror(errno));
    if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, s->fd, &event))
        loopback_die("sockets: cannot watch: %s", strerror(errno));
}

static void take_head(struct crowd *c, struct socket *s)
{
    s->head[s->filled] = '\0';
    if (!strstr(s->head, "\r\n\r\n"))
        return;
    if (strncmp(s->head, "HTTP/1.1 101 ", 13))
        loopback_die("sockets: number %u is answered with: %.200s", c->open, s->head);
    s->open = true;
    s->filled = 0;
    c->open++;
}

static void turn(struct crowd *c, struct socket *s)
{
    ssize_t got;

    if (!s->asked && send(s->fd, c->request, strlen(c->request), MSG_NOSIGNAL) > 0)
        s->asked = true;
    while ((got = recv(s->fd, s->head + s->filled, sizeof(s->head) - 1 - s->filled, 0)) > 0) {
        s->filled += (unsigned)got;
        if (!s->open) {
            take_head(c, s);
        } else if (s->filled >= BYTES) {
            s->filled -= BYTES;
            c->back++;
        }
    }
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != ENOTCONN))
        loopback_die("sockets: one of %u has ended: %s", c->open,
                     got == 0 ? "closed" : strerror(errno));
}

static void wait_once(struct crowd *c, int ms)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(c->epoll, events, EVENTS, ms);

    for (int i = 0; i < count; i++)
        turn(c, events[i].data.ptr);
}

static void open_all(struct crowd *c)
{
    uint64_t start = loopback_now_ns();

    while (c->open < c->count) {
        while (c->begun < c->count && c->begun - c->open < AT_ONCE)
            begin(c);
        wait_once(c, 100);
        if (loopback_now_ns() - start > (uint64_t)LIMIT_MS * 1000000)
            loopback_die("sockets: %u of %u are open after a minute", c->open, c->count);
    }
    printf("open %u in %.0f ms\n", c->open, (double)(loopback_now_ns() - start) / 1e6);
}

static void ask_all(struct crowd *c)
{
    uint64_t start = loopback_now_ns();

    c->back = 0;
    for (unsigned i = 0; i < c->count; i++) {
        if (send(c->sockets[i].fd, "are you still on", BYTES, MSG_NOSIGNAL) != BYTES)
            loopback_die("sockets: number %u takes nothing: %s", i, strerror(errno));
        if (i % 64 == 0)
            wait_once(c, 0);
    }
    while (c->back < c->count) {
        wait_once(c, 100);
        if (loopback_now_ns() - start > (uint64_t)LIMIT_MS * 1000000)
            loopback_die("sockets: %u of %u are alive", c->back, c->count);
    }
    printf("alive %u in %.0f ms\n", c->back, (double)(loopback_now_ns() - start) / 1e6);
}

/* While nobody says anything, one that ends is noticed. */
static bool read_line(struct crowd *c)
{
    struct pollfd fds[] = { { 0, POLLIN, 0 }, { c->epoll, POLLIN, 0 } };
    char line[100];

    for (;;) {
        poll(fds, 2, -1);
        if (fds[0].revents)
            return fgets(line, sizeof(line), stdin) != NULL;
        wait_once(c, 0);
    }
}

int main(int argc, char **argv)
{
    static struct crowd c = { .count = 9000 };
    const char *host = "bench.test";
    int option;

    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0);
    while ((option = getopt(argc, argv, "n:h:")) != -1) {
        if (option == 'n')
            c.count = (unsigned)loopback_number("count", optarg, 1, COUNT_MOST);
        else if (option == 'h')
            host = optarg;
        else
            return 2;
    }
    if (optind + 1 != argc)
        loopback_die("usage: sockets [-n COUNT] [-h HOST] ADDRESS");
    c.address = loopback_address(argv[optind]);
    snprintf(c.request, sizeof(c.request),
             "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
             host);
    c.epoll = epoll_create1(EPOLL_CLOEXEC);
    c.sockets = calloc(c.count, sizeof(*c.sockets));
    if (c.epoll < 0 || !c.sockets)
        loopback_die("sockets: no memory");
    open_all(&c);
    while (read_line(&c))
        ask_all(&c);
    return 0;
}
