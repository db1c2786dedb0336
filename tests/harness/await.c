/* await.c -- the clock, gates and kept memory.
 *
 * Owns:    kept memory: one list for the process, for each test runs in a process of its own.
 * Thread:  any.
 * Used by: every file of the harness, and tests.
 * Not here: what is awaited. */
#include "harness/await.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct keep {
    void *what;
    struct keep *next;
};

static pthread_mutex_t keep_lock = PTHREAD_MUTEX_INITIALIZER;
static struct keep *keeps;

uint64_t await_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void await_nap(void)
{
    poll(NULL, 0, 3);
}

void gate_wait(struct gate *g)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30; /* a test that failed opens no gate */
    pthread_mutex_lock(&g->lock);
    g->waiting++;
    while (!g->open && g->passes == 0)
        if (pthread_cond_timedwait(&g->opened, &g->lock, &until) != 0)
            break;
    if (!g->open && g->passes > 0)
        g->passes--;
    g->waiting--;
    pthread_mutex_unlock(&g->lock);
}

void gate_pass(struct gate *g, unsigned count)
{
    pthread_mutex_lock(&g->lock);
    g->passes += count;
    pthread_cond_broadcast(&g->opened);
    pthread_mutex_unlock(&g->lock);
}

void gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->opened);
    pthread_mutex_unlock(&g->lock);
}

unsigned gate_waiting(struct gate *g)
{
    unsigned n;

    pthread_mutex_lock(&g->lock);
    n = g->waiting;
    pthread_mutex_unlock(&g->lock);
    return n;
}

void await_thread(pthread_t *thread, void *(*run)(void *), void *owner)
{
    pthread_attr_t small;

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 512 * 1024);
    if (pthread_create(thread, &small, run, owner) != 0)
        abort();
    pthread_attr_destroy(&small);
}

void *kept(void *from_malloc)
{
    struct keep *k = malloc(sizeof(*k));

    if (from_malloc == NULL || k == NULL)
        abort();
    k->what = from_malloc;
    pthread_mutex_lock(&keep_lock);
    k->next = keeps;
    keeps = k;
    pthread_mutex_unlock(&keep_lock);
    return from_malloc;
}

void *kept_alloc(size_t size)
{
    return kept(calloc(1, size > 0 ? size : 1));
}

char *kept_text(const char *bytes, size_t len)
{
    char *text = kept_alloc(len + 1);

    memcpy(text, bytes, len);
    return text;
}

char *kept_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    return kept(text);
}

void kept_free(void)
{
    pthread_mutex_lock(&keep_lock);
    while (keeps != NULL) {
        struct keep *k = keeps;

        keeps = k->next;
        free(k->what);
        free(k);
    }
    pthread_mutex_unlock(&keep_lock);
}

bool has(const char *text, const char *part)
{
    return text != NULL && strstr(text, part) != NULL;
}

bool starts(const char *text, const char *with)
{
    return text != NULL && strncmp(text, with, strlen(with)) == 0;
}
