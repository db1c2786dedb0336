/* origin.c -- a fast keep-alive HTTP/1.1 origin: one thread, responses made once, little parsing.
 *
 * Owns:    its sockets and the made responses
 * Thread:  any (one)
 * Used by: bench/run
 * Not here: request bodies (it serves GET)
 *
 *   origin [-c CORE] [-n NAME] LISTEN-ADDRESS...      prints the ports it listens on, one a line
 *
 *   /small 100 bytes; /4k, /16k, /64k, /256k, /1m: that many; /html8k, /html64k: a page with text in it, alike to
 *   a compressor; /head: the request's head, sent back
 * NAME (default: origin) is the response's Origin field. Requests may be pipelined.
 * "Connection: close" is obeyed. A WebSocket is opened where one is asked for, and sends back what comes.
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
    bool page;   /* HTML; else plain lines */
    char *bytes; /* head and body */
    size_t size;
};

struct client {
    int fd;
    bool close_after, hung_up, closed;
    bool tunnel;   /* nothing is parsed any more */
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
    { .path = "/small", .body = 100 },
    { .path = "/4k", .body = 4 * 1024 },
    { .path = "/16k", .body = 16 * 1024 },
    { .path = "/64k", .body = 64 * 1024 },
    { .path = "/256k", .body = 256 * 1024 },
    { .path = "/1m", .body = 1024 * 1024 },
    { .path = "/html8k", .body = 8 * 1024, .page = true },
    { .path = "/html64k", .body = 64 * 1024, .page = true },
};

/* --- what is served --- */

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* A word: often one of a few, as in a language; seldom one that is not met again. */
static size_t put_word(char *to, uint32_t *state)
{
    static const char syllables[][4] = { "ba", "con", "der", "el",  "fi",  "gra", "hin", "is",
                                         "jo", "ka",  "lum", "men", "nor", "ost", "per", "qui",
                                         "ra", "sol", "ter", "un",  "ver", "wo",  "xi",  "ze" };
    uint64_t rank = (uint64_t)(next_random(state) % 2048) * (next_random(state) % 2048) *
                        (next_random(state) % 2048) >>
                    22;
    uint32_t word = (uint32_t)(rank + 1) * 2654435761u >> 8;
    size_t size = 0;

    for (uint32_t left = 1 + (uint32_t)rank % 3; left; left--, word /= 24) {
        size_t length = strlen(syllables[word % 24]);
        memcpy(to + size, syllables[word % 24], length);
        size += length;
    }
    return size;
}

/* A list of things with links, numbers and sentences, that gzip makes about four times smaller. */
static void make_page(char *to, size_t size)
{
    static const char begins[] = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                                 "<title>Things</title></head><body><ul class=\"things\">\n";
    uint32_t state = 20261124;
    char item[2048];
    size_t at = sizeof(begins) - 1;

    memcpy(to, begins, at);
    while (at < size) {
        uint32_t number = next_random(&state) % 100000;
        size_t length = (size_t)snprintf(
            item, sizeof(item),
            "<li class=\"thing\" id=\"thing-%u\"><a href=\"/things/%u\"><img src=\"/images/%08x.jpg\" "
            "width=\"320\" height=\"240\" alt=\"\"></a><span class=\"price\">%u.%02u</span><p>",
            number, number, next_random(&state), number % 300, number % 97);
        for (uint32_t words = 12 + next_random(&state) % 40; words; words--) {
            length += put_word(item + length, &state);
            item[length++] = words % 9 == 1 ? '.' : ' ';
        }
        length += (size_t)snprintf(item + length, sizeof(item) - length, "</p></li>\n");
        memcpy(to + at, item, length < size - at ? length : size - at);
        at += length < size - at ? length : size - at;
    }
}

static char *make(const char *status, const char *name, size_t body, bool page, size_t *size)
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
                        "HTTP/1.1 %s\r\nServer: bench\r\nDate: %s\r\nContent-Type: %s\r\n"
                        "Content-Length: %zu\r\nOrigin: %s\r\nCache-Control: no-store\r\n\r\n",
                        status, date, page ? "text/html" : "text/plain", body, name);
    if (page)
        make_page(bytes + head, body);
    for (size_t i = 0; i < body && !page; i++)
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

/* To the key of RFC 6455 1.3, which is the only one that is sent here. */
static const char upgraded[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

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
    if (memmem(head, size, "pgrade: websocket\r\n", 19)) {
        c->tunnel = true;
        c->out = upgraded;
        c->out_size = sizeof(upgraded) - 1;
        return;
    }
    bool echo = size > 10 && !memcmp(head, "GET /head ", 10);
    c->own = make(echo ? "200 OK" : "404 Not Found", o->name, echo ? size : 0, false, &c->out_size);
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

/* What came goes back. */
static bool send_back(struct origin *o, struct client *c)
{
    if (c->out_size || !c->filled)
        return true;
    c->own = malloc(c->filled);
    if (!c->own)
        loopback_die("origin: no memory");
    memcpy(c->own, c->in, c->filled);
    c->out = c->own;
    c->out_size = c->filled;
    c->filled = 0;
    return send_out(o, c);
}

/* Answers the whole heads in `in`, one after the other while the socket takes the answers. */
static bool answer_all(struct origin *o, struct client *c)
{
    size_t done = 0;

    while (!c->tunnel && !c->out_size && done < c->filled) {
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
    return c->tunnel ? send_back(o, c) : true;
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
        answers[i].bytes =
            make("200 OK", o.name, answers[i].body, answers[i].page, &answers[i].size);
    while (optind < argc)
        listen_at(&o, argv[optind++]);
    fflush(stdout);
    serve(&o);
}
