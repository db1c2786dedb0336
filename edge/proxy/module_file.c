/* module_file.c -- files as bodies: what the page cache has goes out at once, the rest is read by
 * jobs.
 *
 * Owns:    the open file, from usher_reply_file to the end of the exchange, or of the job that reads
 *          it when that comes later.
 * Thread:  its worker; jobs read on another.
 * Used by: module_reply.c; modules, through module_calls.c.
 * Not here: what else takes time (module_wait.c); which file it is (modules/static_files). */
#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/check.h"
#include "net/job.h"
#include "proxy/module_calls.h"
#include "proxy/worker_state.h"

#define PIECE_BYTES (64u << 10)     /* from the cache, into the worker's own room */
#define JOB_BYTES (256u << 10)      /* from a disk */
#define TURN_BYTES (512u << 10)     /* then others of this loop have their turn */
#define DIRECT_LEAST (128u << 10)   /* below, copying costs less than asking */
#define CACHESTAT 451               /* the system call; the same number everywhere */
#define FILE_BYTES_MAX (1ull << 62) /* so that sums stay in range */

struct module_file {
    struct job job;
    struct turn_end again;
    struct module_run *run; /* NULL: the exchange has ended while a job reads */
    int fd;
    uint64_t at, left;
    bool in_memory; /* of a file system that has no disk: reading does not wait */
    bool reading;   /* a job does */
    bool read;      /* it has: */
    ssize_t got;    /* so many bytes, or not as many as one */
    char *room;     /* here */
};

static void on_again(struct turn_end *end)
{
    struct module_file *f = LIST_ITEM(end, struct module_file, again);

    exchange_on_modules(f->run->x);
}

enum usher_result module_reply_file(struct usher_exchange *o, uint32_t status, int fd,
                                    uint64_t from, uint64_t bytes)
{
    struct module_run *run = run_of(o);
    struct module_file *f = NULL;

    if (fd >= 0 && from < FILE_BYTES_MAX && bytes < FILE_BYTES_MAX &&
        modules_begin_file(run, status, bytes) == USHER_ANSWERED)
        f = calloc(1, sizeof(*f));
    if (f == NULL) {
        if (fd >= 0)
            close(fd);
        return USHER_FAULT;
    }
    f->run = run;
    f->fd = fd;
    f->at = from;
    f->left = bytes;
    turn_end_init(&f->again, on_again);
    run->file = f;
    return USHER_ANSWERED;
}

static void close_file(struct module_file *f)
{
    close(f->fd);
    free(f->room);
    free(f);
}

void modules_drop_file(struct module_run *run)
{
    struct module_file *f = run->file;

    run->file = NULL;
    run->sending = false;
    if (f == NULL)
        return;
    turn_end_cancel(&f->again);
    f->run = NULL;
    if (!f->reading)
        close_file(f);
}

/* --- reading --- */

static void work(struct job *j)
{
    struct module_file *f = LIST_ITEM(j, struct module_file, job);
    size_t want = f->left < JOB_BYTES ? (size_t)f->left : JOB_BYTES;

    do
        f->got = pread(f->fd, f->room, want, (off_t)f->at);
    while (f->got < 0 && errno == EINTR);
}

static void on_read(struct job *j)
{
    struct module_file *f = LIST_ITEM(j, struct module_file, job);

    f->reading = false;
    f->read = true;
    if (f->run == NULL)
        close_file(f);
    else
        exchange_on_modules(f->run->x);
}

static bool start_reading(struct module_file *f)
{
    if (f->room == NULL)
        f->room = malloc(JOB_BYTES);
    if (f->room == NULL)
        return false;
    f->reading = true;
    job_start(&f->run->x->w->loop, &f->job, work, on_read);
    return true;
}

static bool is_in_memory(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* What comes without waiting for a disk. EAGAIN: nothing does. */
static ssize_t read_cached(struct module_file *f, char *to)
{
    struct iovec piece = { to, f->left < PIECE_BYTES ? (size_t)f->left : PIECE_BYTES };
    ssize_t got = preadv2(f->fd, &piece, 1, (off_t)f->at, f->in_memory ? 0 : RWF_NOWAIT);

    if (got >= 0 || errno == EAGAIN)
        return got;
    if ((errno == EOPNOTSUPP || errno == ENOSYS) && !f->in_memory) {
        f->in_memory = is_in_memory(f->fd); /* such a system knows no RWF_NOWAIT */
        return f->in_memory ? read_cached(f, to) : (errno = EAGAIN, -1);
    }
    return -1;
}

/* Is all of the next so many bytes in the page cache, so that nobody waits who sends them? Kernels
 * before 6.5 do not say. */
static bool is_cached(const struct module_file *f, size_t bytes)
{
    struct {
        uint64_t offset, bytes;
    } range = { f->at, bytes };
    struct {
        uint64_t cached, dirty, written, evicted, lately;
    } pages;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

    return syscall(CACHESTAT, f->fd, &range, &pages, 0) == 0 &&
           pages.cached >= (f->at + bytes - 1) / page - f->at / page + 1;
}

/* The next bytes, if they are here; MODULES_WAIT: a job gets them. */
static enum modules_say next_piece(struct module_file *f, struct str *piece)
{
    struct worker *w = f->run->x->w;
    char *room = f->room;
    ssize_t got = f->got;

    if (!f->read) {
        if (w->file_room == NULL)
            w->file_room = check_alloc(PIECE_BYTES);
        room = w->file_room;
        got = read_cached(f, room);
        if (got < 0 && errno == EAGAIN && start_reading(f))
            return MODULES_WAIT;
    }
    f->read = false;
    if (got <= 0)
        return MODULES_FAULT; /* it ends too soon, or cannot be read */
    *piece = str_slice(room, (size_t)got);
    return MODULES_GO_ON;
}

/* --- sending --- */

static enum modules_say cut(struct module_run *run, enum fault fault)
{
    run->fault = fault;
    return MODULES_FAULT;
}

static void give(struct exchange *x, struct module_file *f, struct str piece)
{
    f->at += piece.len;
    f->left -= piece.len;
    x->response_body_bytes += piece.len;
    modules_response_body(x, piece.ptr, piece.len);
    if (f->left == 0)
        modules_response_end(x);
}

static enum modules_say finish(struct exchange *x)
{
    if (x->modules->deferred != FAULT_NONE)
        return cut(x->modules, x->modules->deferred);
    modules_give_response(x);
    x->client->finish(x->session, STR(""));
    return MODULES_GO_ON;
}

/* The client gets what was given; true: and can take more. */
static bool flush(struct exchange *x, enum modules_say *say)
{
    struct module_run *run = x->modules;

    *say = MODULES_WAIT;
    if (run->deferred != FAULT_NONE) {
        *say = cut(run, run->deferred);
        return false;
    }
    modules_give_response(x);
    if (!x->client->flush(x->session)) {
        *say = cut(run, FAULT_client_closed);
        return false;
    }
    modules_given(x, USHER_RESPONSE);
    return !x->client->is_blocked(x->session); /* exchange_on_client_drained goes on */
}

/* As much as one turn may, from the cache to the socket at once. 0: not in this way; nor is what a job
 * had to read some of: the cache may have the next pages already, but still be reading them. */
static size_t send_directly(struct exchange *x, struct module_file *f)
{
    size_t bytes = f->left < TURN_BYTES ? (size_t)f->left : TURN_BYTES;

    if (x->client->send_file == NULL || x->modules->takes[USHER_RESPONSE] || f->room != NULL ||
        bytes < DIRECT_LEAST || !is_cached(f, bytes))
        return 0;
    bytes = x->client->send_file(x->session, f->fd, f->at, bytes);
    f->at += bytes;
    f->left -= bytes;
    x->response_body_bytes += bytes;
    return bytes;
}

static enum modules_say send_pieces(struct exchange *x, struct module_file *f)
{
    enum modules_say say;
    struct str piece;

    for (size_t sent = 0; sent < TURN_BYTES; sent += piece.len) {
        piece.len = send_directly(x, f);
        if (f->left == 0)
            return finish(x);
        if (piece.len > 0)
            continue;
        say = next_piece(f, &piece);
        if (say == MODULES_FAULT)
            return cut(x->modules, FAULT_module_fault);
        if (say == MODULES_WAIT) {
            flush(x, &say); /* the head: what is gathered is no longer ours after this turn */
            return say;
        }
        give(x, f, piece);
        if (f->left == 0)
            return finish(x);
        if (!flush(x, &say))
            return say;
    }
    loop_at_next_turn(&x->w->loop, &f->again);
    return MODULES_WAIT;
}

enum modules_say modules_send_file(struct exchange *x)
{
    struct module_run *run = x->modules;
    struct module_file *f = run->file;

    if (f->reading || (run->sending && x->client->is_blocked(x->session)))
        return MODULES_WAIT;
    if (!run->sending) {
        modules_send_own_head(x, f->left);
        run->sending = true;
        if (!modules_has_body(x))
            return finish(x);
        if (f->left == 0) {
            modules_response_end(x);
            return finish(x);
        }
    }
    return send_pieces(x, f);
}
