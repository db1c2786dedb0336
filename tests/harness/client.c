/* client.c -- raw HTTP clients.
 *
 * Owns:    the list of open clients, so that a scene can close what a test left.
 * Thread:  one thread a client.
 * Used by: scene.c, tests.
 * Not here: expectations (scene.h). */
#include "harness/client.h"

#include "harness/await.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct open_client {
    struct client *client;
    struct open_client *next;
};

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct open_client *all;

static socklen_t address_of(const char *text, struct sockaddr_storage *to)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)to;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
    char host[64];
    unsigned port;

    memset(to, 0, sizeof(*to));
    if (sscanf(text, "[%63[^]]]:%u", host, &port) == 2) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 ? sizeof(*v6) : 0;
    }
    if (sscanf(text, "%63[^:]:%u", host, &port) != 2)
        return 0;
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1 ? sizeof(*v4) : 0;
}

static struct client *open_with(const char *address, const char *source, int receive_buffer)
{
    struct sockaddr_storage to, from;
    socklen_t len = address_of(address, &to);
    struct client *c = kept_alloc(sizeof(*c));
    struct open_client *entry = kept_alloc(sizeof(*entry));
    int on = 1;

    cr_assert_gt(len, 0, "%s is no address", address);
    c->fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (source != NULL)
        cr_assert(bind(c->fd, (struct sockaddr *)&from,
                       address_of(kept_format("%s:0", source), &from)) == 0,
                  "no address of ours: %s", source);
    if (receive_buffer > 0)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, len) != 0) {
        if (c->fd >= 0)
            close(c->fd);
        return NULL;
    }
    c->in.fd = c->fd;
    entry->client = c;
    pthread_mutex_lock(&all_lock);
    entry->next = all;
    all = entry;
    pthread_mutex_unlock(&all_lock);
    return c;
}

struct client *client_try(const char *address)
{
    return open_with(address, NULL, 0);
}

struct client *client_open_from(const char *address, const char *source)
{
    struct client *c = open_with(address, source, 0);

    cr_assert_not_null(c, "no connection to %s from %s", address, source);
    return c;
}

struct client *client_open(const char *address)
{
    struct client *c = open_with(address, NULL, 0);

    cr_assert_not_null(c, "no connection to %s: %s", address, strerror(errno));
    return c;
}

struct client *client_open_narrow(const char *address)
{
    struct client *c = open_with(address, NULL, 4096);

    cr_assert_not_null(c, "no connection to %s: %s", address, strerror(errno));
    return c;
}

bool client_send_bytes(struct client *c, const void *bytes, size_t len)
{
    return send_all(c->fd, bytes, len, AWAIT_MS);
}

void client_send(struct client *c, const char *text)
{
    client_send_bytes(c, text, strlen(text));
}

void client_sendf(struct client *c, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    client_send(c, text);
    free(text);
}

void client_send_pattern(struct client *c, uint64_t len)
{
    char piece[32768];

    for (uint64_t at = 0; at < len;) {
        size_t part = len - at < sizeof(piece) ? (size_t)(len - at) : sizeof(piece);

        pattern_fill(piece, part, at);
        if (!client_send_bytes(c, piece, part))
            return;
        at += part;
    }
}

void client_half_close(struct client *c)
{
    shutdown(c->fd, SHUT_WR);
}

void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = c->in.fd = -1;
    inbox_free(&c->in);
}

void client_reset(struct client *c)
{
    struct linger at_once = { 1, 0 };

    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    client_close(c);
}

void client_close_all(void)
{
    pthread_mutex_lock(&all_lock);
    for (; all != NULL; all = all->next)
        client_close(all->client);
    pthread_mutex_unlock(&all_lock);
}

static struct response read_response(struct client *c, bool to_head, bool with_body)
{
    struct response r = { .head = "", .text = "", .why = "" };
    char *head;

    if (c->fd < 0 || (head = message_head(&c->in, AWAIT_MS)) == NULL) {
        r.why = c->fd < 0       ? "no connection"
                : c->in.reset   ? "reset"
                : !c->in.ended  ? "silent"
                : c->in.len > 0 ? "closed within the head"
                                : "closed";
        return r;
    }
    r.head = head;
    if (sscanf(head, "HTTP/1.%*c %d", &r.status) != 1)
        r.why = "no status line";
    if (with_body) {
        message_body(&c->in, head, message_body_ends(head, true, to_head), AWAIT_MS, &r.body);
        r.text = r.body.text;
    }
    return r;
}

struct response client_read(struct client *c)
{
    return read_response(c, false, true);
}

struct response client_read_to_head(struct client *c)
{
    return read_response(c, true, true);
}

struct response client_read_head(struct client *c)
{
    return read_response(c, false, false);
}

char *client_read_bytes(struct client *c, size_t len)
{
    char *text;
    size_t n;

    while (c->in.len < len && inbox_fill(&c->in, AWAIT_MS) > 0)
        continue;
    n = c->in.len < len ? c->in.len : len;
    text = kept_text(n > 0 ? c->in.bytes : "", n);
    if (n > 0)
        inbox_take(&c->in, n);
    return text;
}

bool client_ended(struct client *c, int ms)
{
    return c->in.len == 0 && inbox_fill(&c->in, ms) == 0;
}

bool client_silent(struct client *c, int ms)
{
    return c->in.len == 0 && inbox_fill(&c->in, ms) < 0;
}

struct response client_get(struct client *c, const char *host, const char *path)
{
    client_sendf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
    return client_read(c);
}

struct response client_get_once(const char *address, const char *host, const char *path)
{
    struct client *c = client_try(address);
    struct response r = { .head = "", .text = "", .why = "no connection" };

    if (c == NULL)
        return r;
    client_sendf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host);
    r = client_read(c);
    client_close(c);
    return r;
}

struct response client_exchange(const char *address, const char *bytes)
{
    struct client *c = client_open(address);
    struct response r;

    client_send(c, bytes);
    r = client_read(c);
    client_close(c);
    return r;
}

char *response_field(const struct response *r, const char *name)
{
    return message_field(r->head, name);
}

const char *response_fault(const struct response *r)
{
    char *fault = message_field(r->head, "usher-fault");

    return fault != NULL ? fault : "";
}
