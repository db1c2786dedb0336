/* copy_writer.c -- the thread that opens the disk copy, checks it, and writes.
 *
 * A batch is one transaction. What fails is tried again, and said once; a damaged file is taken
 * away, and a new one begun.
 *
 * Owns:    the writing connection, the lock on the folder.
 * Thread:  its own; control starts and ends it.
 * Used by: copy.c.
 * Not here: what is queued (copy.c); the file (disk.c). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/copy_state.h"

#define BATCH_ROWS 2000
#define RETRY_MS 1000
#define SETTLE_MS 1000      /* of quiet; without any: */
#define SETTLE_MOST_MS 5000 /* what damage to the log can take away is no older than this */

static void post_word(struct copy *c, enum copy_mail kind)
{
    copy_post(c, check_alloc(sizeof(struct mail)), kind);
}

/* --- trouble --- */

/* Said once, until it works again. */
static void say_trouble(struct copy *c, const char *event, const char *reason)
{
    char text[300], dir[300];
    bool first;

    pthread_mutex_lock(&c->lock);
    first = !c->status.failing;
    c->status.failing = true;
    c->status.failures++;
    snprintf(c->status.reason, sizeof(c->status.reason), "%s", reason);
    pthread_mutex_unlock(&c->lock);
    if (first)
        log_line(LOG_ERROR, event, "dir=%s reason=%s",
                 log_quote(str_from(c->dir), dir, sizeof(dir)),
                 log_quote(str_from(reason), text, sizeof(text)));
}

static void say_works(struct copy *c)
{
    bool was;

    pthread_mutex_lock(&c->lock);
    was = c->status.failing;
    c->status.failing = false;
    c->status.reason[0] = '\0';
    pthread_mutex_unlock(&c->lock);
    if (was)
        log_line(LOG_INFO, "state_works_again", "dir=%s", c->dir);
}

/* --- opening --- */

static bool lock_folder(struct copy *c)
{
    char path[4200], reason[200];

    if (c->lock_fd >= 0)
        return true;
    if (mkdir(c->dir, 0700) != 0 && errno != EEXIST) {
        snprintf(reason, sizeof(reason), "the folder cannot be made: %s", strerror(errno));
        say_trouble(c, "state_unusable", reason);
        return false;
    }
    snprintf(path, sizeof(path), "%s/lock", c->dir);
    c->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (c->lock_fd < 0) {
        snprintf(reason, sizeof(reason), "its file \"lock\" cannot be opened: %s", strerror(errno));
        say_trouble(c, "state_unusable", reason);
        return false;
    }
    if (flock(c->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    close(c->lock_fd);
    c->lock_fd = -1;
    say_trouble(c, "state_unusable",
                "another edge uses this folder: each edge needs one of its own; this one goes on "
                "without, and takes it when it is free");
    return false;
}

static void add_name(void *owner, const struct disk_row *row)
{
    names_add(owner, row->family, row->name, false);
}

void copy_say_damaged(struct copy *c, const char *reason)
{
    char text[300];

    log_line(LOG_ERROR, "state_damaged", "dir=%s reason=%s", c->dir,
             log_quote(str_from(reason), text, sizeof(text)));
    pthread_mutex_lock(&c->lock);
    c->status.damaged++;
    pthread_mutex_unlock(&c->lock);
}

static void say_opened(struct copy *c, struct opened_mail *m)
{
    pthread_mutex_lock(&c->lock);
    c->status.rows = m->facts.rows;
    c->status.complete = m->facts.complete;
    c->damaged = false;
    c->complete = -1; /* that was said of the file before */
    pthread_mutex_unlock(&c->lock);
    say_works(c);
    atomic_fetch_add(&c->opened, 1);
    atomic_store(&c->ready, true);
    atomic_store(&c->settled, true);
    log_line(LOG_INFO, "state_opened", "dir=%s rows=%llu complete=%s", c->dir,
             (unsigned long long)m->facts.rows, m->facts.complete ? "yes" : "no");
    copy_post(c, &m->mail, MAIL_OPENED);
}

/* NULL: not now. A damaged file is taken away, and a new one begun. */
static struct disk *open_checked(struct copy *c)
{
    struct str prefix = str_slice(c->prefix.ptr, c->prefix.len);
    struct opened_mail *m = check_alloc(sizeof(*m));
    enum disk_result result = DISK_FAILED;
    struct disk *d = NULL;

    for (unsigned tries = 0; lock_folder(c) && tries < 2; tries++) {
        names_init(&m->names);
        d = disk_open(c->dir, prefix);
        result = disk_check(d, add_name, &m->names, &m->facts);
        if (result == DISK_DONE) {
            say_opened(c, m);
            return d;
        }
        names_free(&m->names);
        if (result == DISK_DAMAGED)
            copy_say_damaged(c, disk_reason(d));
        else
            say_trouble(c, "state_unusable", disk_reason(d));
        disk_close(d);
        if (result != DISK_DAMAGED || !disk_erase(c->dir))
            break;
    }
    free(m);
    return NULL;
}

/* --- writing --- */

/* Up to a batch of what is queued; true: that is all of it. */
static bool take_batch(struct copy *c, struct list *batch)
{
    for (unsigned n = 0; n < BATCH_ROWS && !list_is_empty(&c->queued); n++) {
        struct list *node = list_take_first(&c->queued);

        LIST_ITEM(node, struct change, node)->in_batch = true;
        list_append(batch, node);
    }
    return list_is_empty(&c->queued);
}

static void end_batch(struct copy *c, struct list *batch, bool written)
{
    struct list back;
    struct list *node;

    list_init(&back);
    while ((node = list_take_first(batch)) != NULL) {
        struct change *g = LIST_ITEM(node, struct change, node);

        g->in_batch = false;
        if (!written && !g->replaced) {
            list_append(&back, node);
            continue;
        }
        if (!g->replaced)
            map_remove(&c->changes, g->hash, g);
        c->bytes -= copy_change_bytes(g);
        c->status.queued--;
        c->status.written += written;
        copy_change_free(g);
    }
    list_move_all(&back, &c->queued); /* they were first */
    list_move_all(&c->queued, &back);
}

static enum disk_result write_one(struct disk *d, const struct change *g)
{
    struct disk_row row = { .family = (enum family)(unsigned char)g->key.ptr[0],
                            .name = str_slice(g->key.ptr + 1, g->key.len - 1),
                            .value = str_slice(g->value.ptr ? g->value.ptr : "", g->value.len),
                            .deadline_ms = g->deadline_ms };

    return g->gone ? disk_delete(d, row.family, row.name) : disk_put(d, &row);
}

static enum disk_result try_batch(struct disk *d, struct list *batch, int complete)
{
    enum disk_result result = disk_begin(d);

    if (result == DISK_DONE && complete >= 0)
        disk_set_complete(d, complete > 0);
    for (struct list *node = batch->next; node != batch && result == DISK_DONE; node = node->next)
        result = write_one(d, LIST_ITEM(node, struct change, node));
    if (result == DISK_DONE)
        result = disk_commit(d);
    if (result != DISK_DONE)
        disk_roll_back(d);
    return result;
}

/* Without a pause in what is written, the log grows until it is in its own way. */
static enum disk_result write_batch(struct disk *d, struct list *batch, int complete)
{
    enum disk_result result = try_batch(d, batch, complete);

    if (result != DISK_FAILED)
        return result;
    disk_settle(d);
    return try_batch(d, batch, complete);
}

static bool has_work(const struct copy *c)
{
    return !list_is_empty(&c->queued) || c->complete >= 0;
}

/* Waits until there is something to write; false: no more will come, or not to this file. */
static bool await_work(struct copy *c, struct disk *d, uint64_t *dirty_since)
{
    while (!has_work(c) && !c->closing && !c->damaged && !c->let_go) {
        if (*dirty_since == 0) {
            pthread_cond_wait(&c->to_write, &c->lock);
            continue;
        }
        copy_wait(c, &c->to_write, SETTLE_MS);
        if (has_work(c) || c->damaged)
            break;
        *dirty_since = 0;
        pthread_mutex_unlock(&c->lock);
        disk_settle(d);
        pthread_mutex_lock(&c->lock);
    }
    return has_work(c) && !c->damaged;
}

/* False: the file is damaged, or left to another edge, or this is the end. */
static bool write_some(struct copy *c, struct disk *d, uint64_t *dirty_since)
{
    struct list batch;
    enum disk_result result;
    bool all, overflowed, behind, left;
    int complete = -1;

    list_init(&batch);
    pthread_mutex_lock(&c->lock);
    if (!await_work(c, d, dirty_since)) {
        pthread_mutex_unlock(&c->lock);
        return false;
    }
    all = take_batch(c, &batch);
    overflowed = c->overflowed;
    c->overflowed = overflowed && !all; /* from now on it is the next batch's to tell of */
    if (overflowed)
        complete = 0;
    else if (all)
        complete = c->complete;
    pthread_mutex_unlock(&c->lock);
    atomic_store(&c->busy_since, clock_now_ms());
    result = write_batch(d, &batch, complete);
    atomic_store(&c->busy_since, 0);
    if (result == DISK_DAMAGED)
        copy_say_damaged(c, disk_reason(d));
    else if (result == DISK_FAILED)
        say_trouble(c, "state_not_written", disk_reason(d));
    else
        say_works(c);
    pthread_mutex_lock(&c->lock);
    end_batch(c, &batch, result == DISK_DONE);
    if (result == DISK_DONE && complete >= 0) {
        c->status.complete = complete > 0;
        if (complete == c->complete)
            c->complete = -1;
    }
    behind = result == DISK_DONE && all && overflowed;
    c->overflowed = c->overflowed || (overflowed && !behind);
    if (result == DISK_DAMAGED)
        c->damaged = true;
    else if (result == DISK_FAILED && !c->closing && !c->let_go)
        copy_wait(c, &c->to_retry, RETRY_MS);
    else if (result == DISK_FAILED && c->closing)
        c->damaged = true; /* it has had its chance */
    left = result == DISK_FAILED && c->let_go;
    pthread_mutex_unlock(&c->lock);
    if (behind)
        post_word(c, MAIL_BEHIND);
    if (*dirty_since == 0)
        *dirty_since = clock_now_ms();
    return result != DISK_DAMAGED && !left;
}

static void settle_in_time(struct disk *d, uint64_t *dirty_since)
{
    if (*dirty_since == 0 || clock_now_ms() - *dirty_since < SETTLE_MOST_MS)
        return;
    disk_settle(d);
    *dirty_since = 0;
}

static bool is_closing(struct copy *c)
{
    bool closing;

    pthread_mutex_lock(&c->lock);
    closing = c->closing;
    pthread_mutex_unlock(&c->lock);
    return closing;
}

static void rest(struct copy *c)
{
    if (!atomic_exchange(&c->settled, true))
        post_word(c, MAIL_FAILED);
    pthread_mutex_lock(&c->lock);
    if (!c->closing)
        copy_wait(c, &c->to_write, RETRY_MS);
    pthread_mutex_unlock(&c->lock);
}

/* Gives the folder up until it is wanted back; false: it is wanted. */
static bool stay_away(struct copy *c)
{
    bool away;

    pthread_mutex_lock(&c->lock);
    away = c->let_go && !c->closing;
    pthread_mutex_unlock(&c->lock);
    if (!away)
        return false;
    if (c->lock_fd >= 0)
        close(c->lock_fd);
    c->lock_fd = -1;
    post_word(c, MAIL_LET_GO);
    pthread_mutex_lock(&c->lock);
    while (c->let_go && !c->closing)
        pthread_cond_wait(&c->to_write, &c->lock);
    pthread_mutex_unlock(&c->lock);
    return true;
}

void *copy_writer_main(void *owner)
{
    struct copy *c = owner;

    while (!is_closing(c)) {
        struct disk *d;
        uint64_t dirty_since = 0;
        bool again;

        if (stay_away(c))
            continue;
        d = open_checked(c);
        if (d == NULL) {
            rest(c);
            continue;
        }
        while (write_some(c, d, &dirty_since))
            settle_in_time(d, &dirty_since);
        pthread_mutex_lock(&c->lock);
        again = c->damaged && !c->closing;
        if (again)
            atomic_store(&c->ready, false);
        pthread_mutex_unlock(&c->lock);
        disk_close(d);
        if (again)
            disk_erase(c->dir);
    }
    if (c->lock_fd >= 0)
        close(c->lock_fd);
    return NULL;
}
