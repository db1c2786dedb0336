/* origin.c -- a fast keep-alive HTTP/1.1 origin: one thread, responses made once, little parsing.
 *
 * Owns:    its sockets and the made responses
 * Thread:  any (one)
 * Used by: bench/run
 * Not here: request bodies (it serves GET)
 *
 *   origin [-c CORE] [-n NAME] LISTEN-ADDRESS...      prints the ports it listens on, one a line
 *
 *   /small 100 bytes; /4k, /16k, /64k, /256k, /1m: that many; /head: the request's head, sent back
 * NAME (default: origin) is the response's Origin field. Requests may be pipelined.
 * "Connection: close" is obeyed.
 */
#include "loopback.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_ROOM = 7000, EVENTS = 512, LISTENERS = 64 };

struct answer {
    const char *path;
    size_t body;
    char *bytes; /* head and body */
    size_t size;
};

struct client {
    int fd;
    bool close_after, hung_up, closed;
    size_t filled; /* of `in` */
    const char *out;
    size_t out_size; /* of what is still to be sent */
    char *own;       /* a response made for this request alone */
    struct client *next_closed;
    char in[HEAD_ROOM];
};

struct origin {
    int epoll;
    const char *name;
    int listeners[LISTENERS];
    unsigned listener_count;
    struct client *closed; /* freed after the turn */
};

static struct answer answers[] = {
    { "/small", 100, NULL, 0 },       { "/4k", 4 * 1024, NULL, 0 },
    { "/16k", 16 * 1024, NULL, 0 },   { "/64k", 64 * 1024, NULL, 0 },
    { "/256k", 256 * 1024, NULL, 0 }, { "/1m", 1024 * 1024, NULL, 0 },
};

static char *make(const char *status, const char *name, size_t body, size_t *size)
{
    char date[64];
    time_t now = time(NULL);
    struct tm utc;
    size_t room = 512 + strlen(name) + body;
    char *bytes = malloc(room);

    if (!bytes)
        loopback_die("origin: no memory");
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
    int head = snprintf(bytes, room,
                        "HTTP/1.1 %s\r\nServer: bench\r\nDate: %s\r\nContent-Type: text/plain\r\n"
                        "Content-Length: %zu\r\nOrigin: %s\r\nCache-Control: no-store\r\n\r\n",
                        status, date, body, name);
    for (size_t i = 0; i < body; i++)
        bytes[(size_t)head + i] = i % 64 == 63 ? '\n' : (char)('0' + i % 10);
    *size = (size_t)head + body;
    return bytes;
}

static void close_client(struct origin *o, struct client *c)
{
    close(c->fd);
    c->closed = true;
    c->next_closed = o->closed;
    o->closed = c;
}

/* The answer to one head. What is made for one request is owned by the client until it is sent. */
static void choose(struct origin *o, struct client *c, const char *head, size_t size)
{
    c->close_after = memmem(head, size, "\r\nConnection: close\r\n", 21) != NULL;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        size_t length = strlen(answers[i].path);
        if (size > 5 + length && !memcmp(head, "GET ", 4) && head[4 + length] == ' ' &&
            !memcmp(head + 4, answers[i].path, length)) {
            c->out = answers[i].bytes;
            c->out_size = answers[i].size;
            return;
        }
    }
    bool echo = size > 10 && !memcmp(head, "GET /head ", 10);
    c->own = make(echo ? "200 OK" : "404 Not Found", o->name, echo ? size : 0, &c->out_size);
    if (echo)
        memcpy(c->own + c->out_size - size, head, size);
    c->out = c->own;
}

/* False when the connection ended. */
static bool send_out(struct origin *o, struct client *c)
{
    while (c->out_size) {
        ssize_t sent = send(c->fd, c->out, c->out_size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return true;
        if (sent < 0) {
            close_client(o, c);
            return false;
        }
        c->out += sent;
        c->out_size -= (size_t)sent;
    }
    free(c->own);
    c->own = NULL;
    if (c->close_after) {
        close_client(o, c);
        return false;
    }
    return true;
}

/* Answers the whole heads in `in`, one after the other while the socket takes the answers. */
static bool answer_all(struct origin *o, struct client *c)
{
    size_t done = 0;

    while (!c->out_size && done < c->filled) {
        const char *head = c->in + done;
        const char *end = memmem(head, c->filled - done, "\r\n\r\n", 4);
        if (!end)
            break;
        size_t size = (size_t)(end - head) + 4;
        choose(o, c, head, size);
        done += size;
        if (!send_out(o, c))
            return false;
    }
    c->filled -= done;
    if (done)
        memmove(c->in, c->in + done, c->filled);
    return true;
}

/* Reads and answers until the socket is empty, or full with an answer. A short read has emptied it,
 * unless the end was announced. */
static void turn(struct origin *o, struct client *c, uint32_t events)
{
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->hung_up = true;
    if (c->closed || (c->out_size && !send_out(o, c)) || !answer_all(o, c))
        return;
    while (!c->out_size) {
        size_t room = sizeof(c->in) - c->filled;
        ssize_t got = room ? recv(c->fd, c->in + c->filled, room, 0) : 0;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            close_client(o, c);
            return;
        }
        c->filled += (size_t)got;
        if (!answer_all(o, c) || ((size_t)got < room && !c->hung_up))
            return;
    }
}

static void accept_all(struct origin *o, int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct client *c = malloc(sizeof(*c));
        struct epoll_event event = { EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, { .ptr = c } };
        if (!c)
            loopback_die("origin: no memory");
        memset(c, 0, offsetof(struct client, in));
        c->fd = fd;
        loopback_no_delay(fd);
        if (epoll_ctl(o->epoll, EPOLL_CTL_ADD, fd, &event))
            loopback_die("origin: cannot watch: %s", strerror(errno));
    }
}

static void listen_at(struct origin *o, const char *address)
{
    uint16_t port;
    struct epoll_event event = { .events = EPOLLIN };

    if (o->listener_count == LISTENERS)
        loopback_die("origin: at most %d addresses", LISTENERS);
    int *slot = &o->listeners[o->listener_count++];
    *slot = loopback_listen(loopback_address(address), &port);
    event.data.ptr = slot;
    if (epoll_ctl(o->epoll, EPOLL_CTL_ADD, *slot, &event))
        loopback_die("origin: cannot watch: %s", strerror(errno));
    printf("%u\n", port);
}

static void serve(struct origin *o)
{
    struct epoll_event events[EVENTS];

    for (;;) {
        int count = epoll_wait(o->epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int *slot = events[i].data.ptr;
            if (slot >= o->listeners && slot < o->listeners + LISTENERS)
                accept_all(o, *slot);
            else
                turn(o, events[i].data.ptr, events[i].events);
        }
        while (o->closed) {
            struct client *c = o->closed;
            o->closed = c->next_closed;
            free(c->own);
            free(c);
        }
    }
}

int main(int argc, char **argv)
{
    static struct origin o = { .name = "origin" };
    int option;

    signal(SIGPIPE, SIG_IGN);
    while ((option = getopt(argc, argv, "c:n:")) != -1) {
        if (option == 'c')
            loopback_pin((unsigned)loopback_number("core", optarg, 0, 1023));
        else if (option == 'n')
            o.name = optarg;
        else
            return 2;
    }
    o.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (o.epoll < 0 || optind == argc)
        loopback_die("usage: origin [-c CORE] [-n NAME] LISTEN-ADDRESS...");
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        answers[i].bytes = make("200 OK", o.name, answers[i].body, &answers[i].size);
    while (optind < argc)
        listen_at(&o, argv[optind++]);
    fflush(stdout);
    serve(&o);
}
