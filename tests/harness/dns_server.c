/* dns_server.c -- one thread that reads questions and writes answers, octet by octet (RFC 1035 4.1).
 *
 * Owns:    its names, to the end of the test's process.
 * Thread:  its own; what tests say is under the server's lock.
 * Used by: tests.
 * Not here: asserts; they belong to the test's own thread. */
#include "harness/dns_server.h"

#include "harness/await.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAMES_MAX 32
#define TEXT_MAX 512
#define MESSAGE_MAX 4096
#define TYPE_A 1
#define TYPE_AAAA 28

struct entry {
    char name[256], addresses[TEXT_MAX];
    unsigned ttl_s;
};

struct dns_server {
    int udp, tcp;
    char at[64];
    pthread_t thread;
    pthread_mutex_t lock;
    enum dns_mood mood;
    struct entry entries[NAMES_MAX];
    unsigned count, questions, by_tcp;
};

static size_t put16(unsigned char *to, unsigned n)
{
    to[0] = (unsigned char)(n >> 8);
    to[1] = (unsigned char)n;
    return 2;
}

/* "3app8internal0" as "app.internal"; returns where the type stands, 0: no question. */
static size_t read_name(const unsigned char *message, size_t len, char name[256])
{
    size_t at = 12, n = 0;

    while (at < len && message[at] != 0) {
        size_t label = message[at++];

        if (label > 63 || at + label > len || n + label + 2 > 256)
            return 0;
        memcpy(name + n, message + at, label);
        n += label;
        name[n++] = '.';
        at += label;
    }
    name[n > 0 ? n - 1 : 0] = '\0';
    return at + 5 <= len ? at + 1 : 0;
}

static struct entry *find(struct dns_server *d, const char *name)
{
    for (unsigned i = 0; i < d->count; i++)
        if (strcasecmp(d->entries[i].name, name) == 0)
            return &d->entries[i];
    return NULL;
}

/* Records of this type, each with a pointer to the name in the question. */
static size_t put_records(const struct entry *e, unsigned type, unsigned char *to, unsigned *count)
{
    char copy[TEXT_MAX], *rest = copy, *word;
    size_t len = 0;

    snprintf(copy, sizeof(copy), "%s", e->addresses);
    while ((word = strsep(&rest, " ")) != NULL) {
        unsigned char ip[16];
        unsigned bytes = type == TYPE_A ? 4 : 16;

        if (inet_pton(type == TYPE_A ? AF_INET : AF_INET6, word, ip) != 1)
            continue;
        len += put16(to + len, 0xc00c);
        len += put16(to + len, type);
        len += put16(to + len, 1);
        len += put16(to + len, e->ttl_s >> 16);
        len += put16(to + len, e->ttl_s & 0xffff);
        len += put16(to + len, bytes);
        memcpy(to + len, ip, bytes);
        len += bytes;
        *count += 1;
    }
    return len;
}

/* The answer's length; 0: none is given. */
static size_t answer(struct dns_server *d, const unsigned char *message, size_t len, bool by_tcp,
                     unsigned char *to)
{
    char name[256] = "";
    size_t type_at = len > 12 ? read_name(message, len, name) : 0, end = type_at + 4;
    unsigned type, code = 0, count = 0;
    const struct entry *e;
    bool cut;

    if (type_at == 0)
        return 0;
    pthread_mutex_lock(&d->lock);
    type = (unsigned)message[type_at] << 8 | message[type_at + 1];
    d->questions += type == TYPE_A;
    d->by_tcp += by_tcp;
    e = find(d, name);
    cut = d->mood == DNS_TRUNCATES && !by_tcp;
    memcpy(to, message, end);
    if (d->mood == DNS_SERVFAIL)
        code = 2;
    else if (e == NULL)
        code = 3;
    else if (!cut)
        end += put_records(e, type, to + end, &count);
    put16(to + 2, 0x8180 | (cut ? 0x0200 : 0) | code);
    put16(to + 6, count);
    put16(to + 8, 0);
    put16(to + 10, 0);
    if (d->mood == DNS_SILENT)
        end = 0;
    pthread_mutex_unlock(&d->lock);
    return end;
}

static void serve_udp(struct dns_server *d)
{
    unsigned char message[MESSAGE_MAX], to[MESSAGE_MAX];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    ssize_t n = recvfrom(d->udp, message, sizeof(message), 0, (struct sockaddr *)&from, &from_len);
    size_t len = n > 0 ? answer(d, message, (size_t)n, false, to) : 0;

    if (len > 0)
        sendto(d->udp, to, len, 0, (struct sockaddr *)&from, from_len);
}

/* One question; the next comes with another connection. */
static void serve_tcp(struct dns_server *d)
{
    unsigned char message[MESSAGE_MAX], to[MESSAGE_MAX + 2];
    int fd = accept4(d->tcp, NULL, NULL, SOCK_CLOEXEC);
    size_t have = 0, len;
    ssize_t n;

    if (fd < 0)
        return;
    while ((n = recv(fd, message + have, sizeof(message) - have, 0)) > 0) {
        have += (size_t)n;
        while (have >= 2 && have >= 2 + ((size_t)message[0] << 8 | message[1])) {
            size_t whole = 2 + ((size_t)message[0] << 8 | message[1]);

            len = answer(d, message + 2, whole - 2, true, to + 2);
            put16(to, (unsigned)len);
            if (len > 0 && send(fd, to, len + 2, MSG_NOSIGNAL) < 0)
                break;
            memmove(message, message + whole, have - whole);
            have -= whole;
        }
    }
    close(fd);
}

static void *serve(void *owner)
{
    struct dns_server *d = owner;
    struct pollfd fds[] = { { .fd = d->udp, .events = POLLIN },
                            { .fd = d->tcp, .events = POLLIN } };

    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[0].revents != 0)
            serve_udp(d);
        if (fds[1].revents != 0)
            serve_tcp(d);
    }
}

struct dns_server *dns_server_start(void)
{
    static struct dns_server servers[4]; /* of one test; never freed, its thread runs on */
    static unsigned used;
    struct dns_server *d = &servers[used++];
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(to);

    cr_assert_leq(used, 4);
    pthread_mutex_init(&d->lock, NULL);
    for (unsigned tries = 0;; tries++) { /* a port that is free for both */
        cr_assert_lt(tries, 100);
        to.sin_port = 0;
        d->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        d->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(bind(d->udp, (struct sockaddr *)&to, len), 0);
        getsockname(d->udp, (struct sockaddr *)&to, &len);
        if (bind(d->tcp, (struct sockaddr *)&to, len) == 0)
            break;
        close(d->udp);
        close(d->tcp);
    }
    cr_assert_eq(listen(d->tcp, 64), 0);
    snprintf(d->at, sizeof(d->at), "127.0.0.1:%u", ntohs(to.sin_port));
    await_thread(&d->thread, serve, d);
    return d;
}

const char *dns_server_at(const struct dns_server *d)
{
    return d->at;
}

void dns_server_say(struct dns_server *d, const char *name, unsigned ttl_s, const char *addresses)
{
    struct entry *e;

    pthread_mutex_lock(&d->lock);
    e = find(d, name);
    if (e == NULL)
        e = &d->entries[d->count++ % NAMES_MAX];
    snprintf(e->name, sizeof(e->name), "%s", name);
    snprintf(e->addresses, sizeof(e->addresses), "%s", addresses);
    e->ttl_s = ttl_s;
    pthread_mutex_unlock(&d->lock);
}

void dns_server_mood(struct dns_server *d, enum dns_mood mood)
{
    pthread_mutex_lock(&d->lock);
    d->mood = mood;
    pthread_mutex_unlock(&d->lock);
}

unsigned dns_server_questions(struct dns_server *d)
{
    unsigned n;

    pthread_mutex_lock(&d->lock);
    n = d->questions;
    pthread_mutex_unlock(&d->lock);
    return n;
}

unsigned dns_server_by_tcp(struct dns_server *d)
{
    unsigned n;

    pthread_mutex_lock(&d->lock);
    n = d->by_tcp;
    pthread_mutex_unlock(&d->lock);
    return n;
}
