/* writer.c -- writes without a break.
 *
 * Owns:    its connection and thread.
 * Thread:  its own; no asserts there.
 * Used by: tests.
 * Not here: what is written (versions.c); the test's own connection to Redis (redis.c). */
#include "harness/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_SECONDS 30 /* a paused Redis is waited for: no write overtakes another */
#define PAUSE_US 2000
#define DONE "written"

static void leave(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    pthread_mutex_unlock(&w->lock);
}

static bool join(struct writer *w)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    struct timeval limit = { ANSWER_SECONDS, 0 };

    if (w->fd >= 0)
        return true;
    pthread_mutex_lock(&w->lock);
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", w->socket);
    w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pthread_mutex_unlock(&w->lock);
    setsockopt(w->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(w->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    return connect(w->fd, (struct sockaddr *)&to, sizeof(to)) == 0;
}

/* True: all of it was obeyed. Where no answer comes it may have been, too. */
static bool write_commands(struct writer *w, const char *commands)
{
    char text[VERSIONS_TEXT + 32], answer[2048];
    int len = snprintf(text, sizeof(text), "%sECHO " DONE "\r\n", commands);
    size_t got = 0;

    if (!join(w) || send(w->fd, text, (size_t)len, MSG_NOSIGNAL) != len)
        return false;
    for (;;) {
        ssize_t n = recv(w->fd, answer + got, sizeof(answer) - 1 - got, 0);

        if (n <= 0)
            return false;
        got += (size_t)n;
        answer[got] = '\0';
        if (strstr(answer, DONE "\r\n") != NULL)
            return answer[0] != '-' && strstr(answer, "\n-") == NULL;
    }
}

static void *run(void *owner)
{
    struct writer *w = owner;
    struct timespec pause = { 0, PAUSE_US * 1000 }, later = { 0, 20 * 1000000 };

    while (!atomic_load(&w->stop)) {
        unsigned i = (unsigned)rand_r(&w->seed) % w->versions->count;
        char text[VERSIONS_TEXT];

        versions_commands(w->versions, i, atomic_load(&w->versions->written[i]) + 1, text);
        if (write_commands(w, text)) {
            atomic_fetch_add(&w->done, 1);
            nanosleep(&pause, NULL);
        } else {
            leave(w); /* another may have to be asked */
            atomic_fetch_add(&w->refused, 1);
            nanosleep(&later, NULL);
        }
    }
    leave(w);
    return NULL;
}

void writer_start(struct writer *w, struct versions *v, const struct redis *to)
{
    unsigned seed = w->seed;

    memset(w, 0, sizeof(*w));
    w->versions = v;
    w->fd = -1;
    w->seed = seed + 1;
    pthread_mutex_init(&w->lock, NULL);
    snprintf(w->socket, sizeof(w->socket), "%s", to->socket);
    await_thread(&w->thread, run, w);
    writer_await(w, 10);
}

void writer_turn(struct writer *w, const struct redis *to)
{
    pthread_mutex_lock(&w->lock);
    snprintf(w->socket, sizeof(w->socket), "%s", to->socket);
    shutdown(w->fd, SHUT_RDWR); /* an answer may be waited for there */
    pthread_mutex_unlock(&w->lock);
}

void writer_await(struct writer *w, unsigned more)
{
    unsigned before = atomic_load(&w->done);

    await(atomic_load(&w->done) >= before + more);
}

void writer_end(struct writer *w)
{
    atomic_store(&w->stop, true);
    pthread_mutex_lock(&w->lock);
    shutdown(w->fd, SHUT_RDWR);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
}
