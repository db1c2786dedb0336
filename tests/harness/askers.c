/* askers.c -- clients without a break, as strict as a client may be.
 *
 * Owns:    their connections and threads.
 * Thread:  its own, one a client; no asserts there.
 * Used by: tests.
 * Not here: which version of what is served (load.c). */
#include "harness/askers.h"

#include "harness/await.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_S 20

struct asker {
    struct askers *all;
    int fd; /* -1: none */
    bool keeps;
    unsigned on_connection;
    char answer[2048];
};

static void say_failed(struct asker *a, const char *what)
{
    struct askers *all = a->all;

    pthread_mutex_lock(&all->lock);
    if (atomic_fetch_add(&all->failed, 1) == 0)
        snprintf(all->seen, sizeof(all->seen), "%s (%s), request %u of %s connection: %.200s", what,
                 strerror(errno), a->on_connection, a->keeps ? "a kept" : "its own", a->answer);
    pthread_mutex_unlock(&all->lock);
}

static bool connected(struct asker *a)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    struct timeval limit = { ANSWER_S, 0 };
    char host[32];
    unsigned port;
    int on = 1;

    if (sscanf(a->all->at, "%31[^:]:%u", host, &port) != 2)
        return false;
    to.sin_port = htons((uint16_t)port);
    inet_pton(AF_INET, host, &to.sin_addr);
    a->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(a->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(a->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    a->on_connection = 0;
    atomic_fetch_add(&a->all->connections, 1);
    return connect(a->fd, (struct sockaddr *)&to, sizeof(to)) == 0;
}

/* A whole answer with a length. */
static bool answered(struct asker *a)
{
    size_t len = 0;

    for (;;) {
        ssize_t n = recv(a->fd, a->answer + len, sizeof(a->answer) - 1 - len, 0);
        char *end, *length;

        if (n <= 0) {
            errno = n == 0 ? 0 : errno;
            return false;
        }
        len += (size_t)n;
        a->answer[len] = '\0';
        end = strstr(a->answer, "\r\n\r\n");
        length = strcasestr(a->answer, "\r\ncontent-length:");
        if (end != NULL && length != NULL && length < end &&
            strlen(end + 4) >= strtoul(length + 17, NULL, 10))
            return true;
    }
}

static void hang_up(struct asker *a)
{
    close(a->fd);
    a->fd = -1;
}

static void ask(struct asker *a)
{
    char text[200];
    int n = snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nHost: %s\r\n%s\r\n", a->all->host,
                     a->keeps ? "" : "Connection: close\r\n");

    a->answer[0] = '\0';
    if (a->fd < 0 && !connected(a)) {
        say_failed(a, "no connection");
        hang_up(a);
        return;
    }
    a->on_connection++;
    if (send(a->fd, text, (size_t)n, MSG_NOSIGNAL) != n || !answered(a)) {
        say_failed(a, "no answer");
        hang_up(a);
        return;
    }
    if (strncmp(a->answer, "HTTP/1.1 200 ", 13) != 0)
        say_failed(a, "not 200");
    atomic_fetch_add(&a->all->answered, 1);
    if (!a->keeps || strcasestr(a->answer, "\r\nconnection: close\r\n") != NULL)
        hang_up(a);
}

static void *run(void *owner)
{
    struct asker a = { .all = owner, .fd = -1 };

    a.keeps = atomic_fetch_add(&a.all->numbered, 1) % 2 == 0;
    while (!atomic_load(&a.all->stop))
        ask(&a);
    if (a.fd >= 0)
        hang_up(&a);
    return NULL;
}

void askers_await(struct askers *a, unsigned more)
{
    unsigned before = atomic_load(&a->answered);

    await(atomic_load(&a->answered) >= before + more);
}

void askers_start(struct askers *a, const struct edge *e, const char *host)
{
    memset(a, 0, sizeof(*a));
    pthread_mutex_init(&a->lock, NULL);
    snprintf(a->at, sizeof(a->at), "%s", e->at);
    snprintf(a->host, sizeof(a->host), "%s", host);
    for (unsigned i = 0; i < ASKERS; i++)
        await_thread(&a->threads[i], run, a);
    askers_await(a, ASKERS * 10);
}

void askers_end(struct askers *a)
{
    askers_await(a, ASKERS * 10);
    atomic_store(&a->stop, true);
    for (unsigned i = 0; i < ASKERS; i++)
        pthread_join(a->threads[i], NULL);
    cr_assert_eq(a->failed, 0, "%u requests failed beside %u, the first: %s", (unsigned)a->failed,
                 (unsigned)a->answered, a->seen);
}
