/* access_log.c -- the thread that writes the access log.
 *
 * Owns:    the file, the queue of lines.
 * Thread:  access_log_write: any; writing: its own.
 * Used by: access_line.c (workers), control.c (opens, reopens, closes).
 * Not here: what a line says (access_line.c). */
#include "proxy/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

#define QUEUE_MOST_BYTES (8 * 1024 * 1024)
#define BLOCKED_LOOK_MS 200
#define CLOSE_SECONDS 2 /* for what is queued to be written at the end */

struct access_log {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct buf queue; /* under the lock, as is what follows */
    bool closing, reopen;
    atomic_bool gave_up; /* what is not written by now is dropped */
    atomic_uint_fast64_t dropped;
    char path[4096]; /* "" = standard output */
    int fd;
};

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

static size_t lines_in(const struct buf *b)
{
    size_t lines = 0;

    for (size_t i = 0; i < b->len; i++)
        lines += b->ptr[i] == '\n';
    return lines;
}

/* A pipe that poll calls writable takes PIPE_BUF bytes without waiting (POSIX); so the thread waits
 * in poll alone, and can be told to stop. */
static bool may_write(struct access_log *log)
{
    struct pollfd pipe = { .fd = log->fd, .events = POLLOUT };

    while (poll(&pipe, 1, BLOCKED_LOOK_MS) <= 0)
        if (atomic_load(&log->gave_up))
            return false;
    return true;
}

static void write_all(struct access_log *log, struct buf *lines)
{
    struct stat status;
    bool file = fstat(log->fd, &status) == 0 && S_ISREG(status.st_mode);
    size_t at = 0;

    while (at < lines->len) {
        size_t left = lines->len - at;
        ssize_t n = -1;

        if (file || may_write(log))
            n = write(log->fd, lines->ptr + at, file || left < PIPE_BUF ? left : PIPE_BUF);
        if (n > 0) {
            at += (size_t)n;
        } else if (n == 0 || errno != EINTR || atomic_load(&log->gave_up)) {
            struct buf rest = { .ptr = lines->ptr + at, .len = left };

            atomic_fetch_add(&log->dropped, lines_in(&rest));
            break;
        }
    }
    buf_clear(lines);
}

static void reopen_file(struct access_log *log)
{
    int fd = open_file(log->path);

    if (fd < 0) {
        log_line(LOG_ERROR, "access_log_not_reopened", "file=%s error=\"%s\"", log->path,
                 strerror(errno));
        return;
    }
    close(log->fd);
    log->fd = fd;
}

static void *thread_main(void *arg)
{
    struct access_log *log = arg;
    struct buf lines = { 0 };
    bool closing = false;

    while (!closing) {
        struct buf swapped = lines;
        bool reopen;

        pthread_mutex_lock(&log->lock);
        while (log->queue.len == 0 && !log->closing && !log->reopen)
            pthread_cond_wait(&log->filled, &log->lock);
        lines = log->queue;
        log->queue = swapped;
        closing = log->closing;
        reopen = log->reopen;
        log->reopen = false;
        pthread_mutex_unlock(&log->lock);
        write_all(log, &lines);
        if (reopen)
            reopen_file(log);
    }
    buf_free(&lines);
    return NULL;
}

struct access_log *access_log_open(const struct settings *s, const char **error)
{
    struct access_log *log;
    int fd = STDOUT_FILENO;

    *error = NULL;
    if (s->access_log == ACCESS_LOG_OFF)
        return NULL;
    if (s->access_log == ACCESS_LOG_FILE && (fd = open_file(s->access_log_file)) < 0) {
        *error = strerror(errno);
        return NULL;
    }
    log = check_alloc(sizeof(*log));
    log->fd = fd;
    if (s->access_log == ACCESS_LOG_FILE)
        memcpy(log->path, s->access_log_file, sizeof(log->path));
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->filled, NULL);
    CHECK(pthread_create(&log->thread, NULL, thread_main, log) == 0);
    return log;
}

void access_log_write(struct access_log *log, struct buf *lines)
{
    pthread_mutex_lock(&log->lock);
    if (log->queue.len + lines->len > QUEUE_MOST_BYTES)
        atomic_fetch_add(&log->dropped, lines_in(lines));
    else
        buf_add(&log->queue, lines->ptr, lines->len);
    pthread_cond_signal(&log->filled);
    pthread_mutex_unlock(&log->lock);
    buf_clear(lines);
}

uint64_t access_log_dropped(const struct access_log *log)
{
    return atomic_load(&((struct access_log *)log)->dropped);
}

void access_log_reopen(struct access_log *log)
{
    if (log->path[0] == '\0')
        return;
    pthread_mutex_lock(&log->lock);
    log->reopen = true;
    pthread_cond_signal(&log->filled);
    pthread_mutex_unlock(&log->lock);
}

static bool thread_ends(struct access_log *log)
{
    struct timespec limit;

    clock_gettime(CLOCK_REALTIME, &limit); /* the clock that this call goes by */
    limit.tv_sec += CLOSE_SECONDS;
    return pthread_timedjoin_np(log->thread, NULL, &limit) == 0;
}

void access_log_close(struct access_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->closing = true;
    pthread_cond_signal(&log->filled);
    pthread_mutex_unlock(&log->lock);
    if (!thread_ends(log)) {
        log_line(LOG_WARN, "access_log_cut", "reason=\"nobody takes its lines\"");
        atomic_store(&log->gave_up, true);
        pthread_join(log->thread, NULL);
    }
    if (log->path[0] != '\0')
        close(log->fd);
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->filled);
    buf_free(&log->queue);
    free(log);
}
