/* demo_origin.c -- a small HTTP/1.1 server that says its name and what reached it: the origins of "make run".
 *
 * Owns:    one listening socket; a thread for each connection
 * Thread:  any
 * Used by: setup/run, docker/demo.Dockerfile
 * Not here: anything a test relies on (tests/harness has its own)
 *
 *   demo_origin NAME PORT     listens on 127.0.0.1:PORT, or where the kernel likes if that is taken; prints the port
 *   demo_origin NAME IP:PORT  listens there, or nowhere
 *   /            what came: method, path, header fields
 *   /slow        the same, two seconds later
 *   /stream      ten server-sent events, one a second
 *   /bytes/N     N bytes
 *   /status/N    an answer with that status
 *   /echo        the request's body, sent back
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_ROOM = 64 * 1024, TEXT_ROOM = HEAD_ROOM + 1024 };

struct client {
    int fd;
    const char *origin;
    size_t filled; /* bytes of `in` that were read */
    size_t head;   /* length of the request's head in `in` */
    uint64_t body; /* its Content-Length, less what was taken */
    char method[16];
    char path[1024];
    bool keep_alive;
    char in[HEAD_ROOM];
    char text[TEXT_ROOM];
};

static bool send_all(int fd, const char *from, size_t bytes)
{
    while (bytes > 0) {
        ssize_t sent = send(fd, from, bytes, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        from += sent;
        bytes -= (size_t)sent;
    }
    return true;
}

static bool send_head(struct client *c, int status, const char *type, uint64_t bytes)
{
    char head[512];
    int n = snprintf(
        head, sizeof(head),
        "HTTP/1.1 %d %s\r\nServer: %s\r\nContent-Type: %s\r\nContent-Length: %llu\r\n%s\r\n",
        status, status < 400 ? "Fine" : "As You Wished", c->origin, type, (unsigned long long)bytes,
        c->keep_alive ? "" : "Connection: close\r\n");

    return send_all(c->fd, head, (size_t)n);
}

static bool answer_text(struct client *c, int status)
{
    size_t at = 0;
    const char *line = c->in;

    at += (size_t)snprintf(c->text, TEXT_ROOM, "Hello from %s!\n\n", c->origin);
    while (line < c->in + c->head - 2) {
        const char *end = memchr(line, '\n', (size_t)(c->in + c->head - line));
        size_t length = (size_t)(end - line) - 1;

        if (at + length + 8 < TEXT_ROOM)
            at += (size_t)snprintf(c->text + at, TEXT_ROOM - at, "  %.*s\n", (int)length, line);
        line = end + 1;
    }
    return send_head(c, status, "text/plain", at) &&
           (strcmp(c->method, "HEAD") == 0 || send_all(c->fd, c->text, at));
}

static bool answer_bytes(struct client *c, uint64_t bytes)
{
    if (!send_head(c, 200, "application/octet-stream", bytes))
        return false;
    if (strcmp(c->method, "HEAD") == 0)
        return true;
    memset(c->text, '.', TEXT_ROOM);
    while (bytes > 0) {
        size_t now = bytes < TEXT_ROOM ? (size_t)bytes : TEXT_ROOM;

        if (!send_all(c->fd, c->text, now))
            return false;
        bytes -= now;
    }
    return true;
}

static bool answer_stream(struct client *c)
{
    static const char head[] =
        "HTTP/1.1 200 Fine\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";

    if (!send_all(c->fd, head, sizeof(head) - 1))
        return false;
    for (int i = 1; i <= 10; i++) {
        char event[256], chunk[300];
        int n = snprintf(event, sizeof(event), "data: %d of 10 from %s\n\n", i, c->origin);
        int m = snprintf(chunk, sizeof(chunk), "%x\r\n%s\r\n", (unsigned)n, event);

        if (!send_all(c->fd, chunk, (size_t)m))
            return false;
        nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
    }
    return send_all(c->fd, "0\r\n\r\n", 5);
}

/* Takes the body off the connection; sends it back where `echo` says so. */
static bool take_body(struct client *c, bool echo)
{
    size_t here = c->filled - c->head;

    if (echo && !send_head(c, 200, "application/octet-stream", c->body))
        return false;
    if (here > c->body)
        here = (size_t)c->body;
    if (echo && !send_all(c->fd, c->in + c->head, here))
        return false;
    memmove(c->in + c->head, c->in + c->head + here, c->filled - c->head - here);
    c->filled -= here;
    for (c->body -= here; c->body > 0;) {
        ssize_t n = recv(c->fd, c->text, c->body < TEXT_ROOM ? (size_t)c->body : TEXT_ROOM, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || (echo && !send_all(c->fd, c->text, (size_t)n)))
            return false;
        c->body -= (uint64_t)n;
    }
    return true;
}

static bool answer(struct client *c)
{
    if (strcmp(c->path, "/echo") == 0)
        return take_body(c, true);
    if (!take_body(c, false))
        return false;
    if (strcmp(c->path, "/slow") == 0)
        nanosleep(&(struct timespec){ .tv_sec = 2 }, NULL);
    if (strcmp(c->path, "/stream") == 0)
        return answer_stream(c);
    if (strncmp(c->path, "/bytes/", 7) == 0)
        return answer_bytes(c, strtoull(c->path + 7, NULL, 10));
    if (strncmp(c->path, "/status/", 8) == 0) {
        unsigned long status = strtoul(c->path + 8, NULL, 10);

        return answer_text(c, status >= 200 && status <= 599 ? (int)status : 400);
    }
    return answer_text(c, 200);
}

static const char *field(const struct client *c, const char *name)
{
    size_t length = strlen(name);

    for (const char *line = c->in; line < c->in + c->head - 2; line = strchr(line, '\n') + 1)
        if (strncasecmp(line, name, length) == 0 && line[length] == ':')
            return line + length + 1 + strspn(line + length + 1, " \t");
    return NULL;
}

/* Reads until a whole head stands at the front of `in`. */
static bool read_head(struct client *c)
{
    for (;;) {
        char *end = c->filled ? memmem(c->in, c->filled, "\r\n\r\n", 4) : NULL;
        ssize_t n;

        if (end) {
            c->head = (size_t)(end - c->in) + 4;
            return memchr(c->in, 0, c->head) == NULL;
        }
        if (c->filled == HEAD_ROOM)
            return false;
        n = recv(c->fd, c->in + c->filled, HEAD_ROOM - c->filled, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        c->filled += (size_t)n;
    }
}

static bool serve_one(struct client *c)
{
    const char *value;
    int minor = 0;

    if (!read_head(c) || sscanf(c->in, "%15s %1023s HTTP/1.%d", c->method, c->path, &minor) != 3)
        return false;
    value = field(c, "content-length");
    c->body = value ? strtoull(value, NULL, 10) : 0;
    value = field(c, "connection");
    c->keep_alive = minor == 1 && !(value && strncasecmp(value, "close", 5) == 0);
    if (field(c, "transfer-encoding")) {
        static const char no[] =
            "HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

        send_all(c->fd, no, sizeof(no) - 1);
        return false;
    }
    if (field(c, "expect") && !send_all(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25))
        return false;
    if (!answer(c))
        return false;
    memmove(c->in, c->in + c->head, c->filled - c->head);
    c->filled -= c->head;
    return c->keep_alive;
}

static void *serve(void *argument)
{
    struct client *c = argument;

    while (serve_one(c))
        ;
    close(c->fd);
    free(c);
    return NULL;
}

/* `place`: PORT or IP:PORT */
static int listen_on(const char *place)
{
    struct sockaddr_in where = { .sin_family = AF_INET };
    const char *colon = strchr(place, ':');
    char ip[INET_ADDRSTRLEN];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    socklen_t length = sizeof(where);

    snprintf(ip, sizeof(ip), "%.*s", colon ? (int)(colon - place) : 9, colon ? place : "127.0.0.1");
    where.sin_port = htons((uint16_t)strtoul(colon ? colon + 1 : place, NULL, 10));
    if (fd < 0 || inet_pton(AF_INET, ip, &where.sin_addr) != 1) {
        errno = fd < 0 ? errno : EINVAL;
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(fd, (struct sockaddr *)&where, sizeof(where)) != 0 || listen(fd, 1024) != 0) {
        close(fd);
        return colon || where.sin_port == 0 ? -1 : listen_on("0");
    }
    getsockname(fd, (struct sockaddr *)&where, &length);
    printf("%u\n", (unsigned)ntohs(where.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    pthread_attr_t detached;
    int listening;

    if (argc != 3) {
        fprintf(stderr, "usage: demo_origin NAME [IP:]PORT\n");
        return 2;
    }
    listening = listen_on(argv[2]);
    if (listening < 0) {
        perror("demo_origin");
        return 1;
    }
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (;;) {
        int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC), yes = 1;
        struct client *c = fd < 0 ? NULL : calloc(1, sizeof(*c));
        pthread_t thread;

        if (!c) {
            if (fd >= 0)
                close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        c->fd = fd;
        c->origin = argv[1];
        if (pthread_create(&thread, &detached, serve, c) != 0) {
            close(fd);
            free(c);
        }
    }
}
