/* copy.c -- the queue in front of the disk copy, and what control asks of it.
 *
 * Owns:    what is queued, by key; the two threads.
 * Thread:  control
 * Used by: store.c, scan.c, recall.c.
 * Not here: writing (copy_writer.c), reading (copy_reader.c), the file (disk.c). */
#include "store/copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/copy_state.h"

#define QUEUE_MOST_BYTES (32u << 20)
#define QUEUE_ROOM_BYTES (4u << 20) /* beyond it, those who can wait do */
#define CLOSE_SECONDS 5
#define STALLED_MS 500
#define HUNG_MS 10000

static struct str key_of(const struct change *g)
{
    return str_slice(g->key.ptr, g->key.len);
}

static bool has_key(const void *value, struct str key)
{
    return str_equals(key_of(value), key);
}

void copy_write_key(struct buf *to, enum family family, struct str name)
{
    char octet = (char)family;

    buf_add(to, &octet, 1);
    buf_add_str(to, name);
}

void copy_change_free(struct change *g)
{
    list_remove(&g->node);
    buf_free(&g->key);
    buf_free(&g->value);
    free(g);
}

size_t copy_change_bytes(const struct change *g)
{
    return sizeof(*g) + g->key.len + g->value.len;
}

void copy_wait(struct copy *c, pthread_cond_t *cond, unsigned ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(cond, &c->lock, &until);
}

void copy_post(struct copy *c, struct mail *mail, enum copy_mail kind)
{
    mail->kind = kind;
    mailbox_post(&c->box, mail);
}

static void on_mail(void *owner, struct mail *mail)
{
    struct copy *c = owner;
    struct opened_mail *m = (struct opened_mail *)mail;

    switch ((enum copy_mail)mail->kind) {
    case MAIL_ANSWERED:
        c->events.answered(c->events.owner, (struct copy_request *)mail);
        return;
    case MAIL_WALKED:
        c->events.walked(c->events.owner, (struct copy_walk *)mail);
        return;
    case MAIL_OPENED:
        c->told++;
        c->events.opened(c->events.owner, &m->names, &m->facts);
        names_free(&m->names);
        break;
    case MAIL_FAILED:
        c->events.failed(c->events.owner);
        break;
    case MAIL_LET_GO:
        c->events.let_go(c->events.owner);
        break;
    case MAIL_BEHIND:
        pthread_mutex_lock(&c->lock);
        c->lacking = c->overflowed;
        pthread_mutex_unlock(&c->lock);
        c->events.behind(c->events.owner);
        break;
    }
    free(mail);
}

struct copy *copy_open(struct loop *l, const char *dir, struct str prefix,
                       const struct copy_events *e)
{
    struct copy *c = check_alloc(sizeof(*c));
    pthread_condattr_t monotonic;

    c->loop = l;
    c->events = *e;
    snprintf(c->dir, sizeof(c->dir), "%s", dir);
    buf_add_str(&c->prefix, prefix);
    c->lock_fd = c->complete = -1;
    c->status.configured = true;
    map_init(&c->changes, has_key);
    list_init(&c->queued);
    list_init(&c->requests);
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&c->to_write, &monotonic);
    pthread_cond_init(&c->to_read, &monotonic);
    pthread_cond_init(&c->to_retry, &monotonic);
    pthread_condattr_destroy(&monotonic);
    mailbox_open(&c->box, l, on_mail, c);
    CHECK(pthread_create(&c->writer, NULL, copy_writer_main, c) == 0);
    CHECK(pthread_create(&c->reader, NULL, copy_reader_main, c) == 0);
    return c;
}

void copy_close(struct copy *c)
{
    struct timespec until;

    if (c == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    c->closing = true;
    pthread_cond_broadcast(&c->to_write);
    pthread_cond_broadcast(&c->to_read);
    pthread_cond_broadcast(&c->to_retry);
    pthread_mutex_unlock(&c->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_SECONDS;
    c->stuck = pthread_timedjoin_np(c->writer, NULL, &until) != 0 ||
               pthread_timedjoin_np(c->reader, NULL, &until) != 0;
    if (c->stuck)
        log_line(LOG_WARN, "state_stuck", "dir=%s reason=\"the disk does not answer\"", c->dir);
    mailbox_close(&c->box);
}

static void set_let_go(struct copy *c, bool let_go)
{
    pthread_mutex_lock(&c->lock);
    c->let_go = let_go;
    pthread_cond_broadcast(&c->to_write);
    pthread_cond_broadcast(&c->to_retry);
    pthread_mutex_unlock(&c->lock);
}

void copy_let_go(struct copy *c)
{
    set_let_go(c, true);
}

void copy_take_back(struct copy *c)
{
    set_let_go(c, false);
}

void copy_free(struct copy *c)
{
    struct list *node;

    if (c == NULL || c->stuck) /* its threads may still come back to it */
        return;
    while ((node = list_take_first(&c->queued)) != NULL)
        copy_change_free(LIST_ITEM(node, struct change, node));
    map_free(&c->changes);
    if (c->fetch != NULL)
        disk_close(c->fetch);
    buf_free(&c->prefix);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->to_write);
    pthread_cond_destroy(&c->to_read);
    pthread_cond_destroy(&c->to_retry);
    free(c);
}

bool copy_is_ready(const struct copy *c)
{
    return c != NULL && atomic_load(&c->ready);
}

bool copy_is_settled(const struct copy *c)
{
    return c == NULL || atomic_load(&c->settled);
}

/* Has the disk held the writer up for so long? */
static bool is_stalled(const struct copy *c, uint64_t ms)
{
    uint64_t since = atomic_load(&c->busy_since);

    return since != 0 && clock_now_ms() - since > ms;
}

bool copy_has_all(struct copy *c)
{
    bool all;

    if (!copy_is_ready(c) || c->told != atomic_load(&c->opened))
        return false;
    pthread_mutex_lock(&c->lock);
    all = !c->lacking && !c->status.failing;
    pthread_mutex_unlock(&c->lock);
    return all;
}

/* With a disk that takes nothing there is no waiting for it: all is put again when it works. */
bool copy_has_room(struct copy *c)
{
    bool room;

    if (!copy_is_ready(c))
        return true;
    pthread_mutex_lock(&c->lock);
    room = c->bytes < QUEUE_ROOM_BYTES || c->status.failing || c->overflowed;
    pthread_mutex_unlock(&c->lock);
    return room || is_stalled(c, HUNG_MS);
}

void copy_status(struct copy *c, struct copy_status *to)
{
    *to = (struct copy_status){ 0 };
    if (c == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    *to = c->status;
    pthread_mutex_unlock(&c->lock);
    to->ready = copy_is_ready(c);
}

/* Under the lock. */
static void queue_change(struct copy *c, struct change *g)
{
    struct change *was;

    g->hash = map_hash(key_of(g));
    was = map_find(&c->changes, g->hash, key_of(g));
    if (was == NULL && c->bytes > QUEUE_MOST_BYTES) {
        c->overflowed = c->lacking = true;
        c->complete = -1;
        copy_change_free(g);
        return;
    }
    if (was != NULL) {
        map_remove(&c->changes, was->hash, was);
        was->replaced = true;
    }
    if (was != NULL && !was->in_batch) {
        c->bytes -= copy_change_bytes(was);
        c->status.queued--;
        list_append(&was->node, &g->node); /* takes its place */
        copy_change_free(was);
    } else {
        list_append(&c->queued, &g->node);
    }
    map_add(&c->changes, g->hash, g);
    c->bytes += copy_change_bytes(g);
    c->status.queued++;
    pthread_cond_signal(&c->to_write);
}

static void change(struct copy *c, const struct disk_row *row, bool gone)
{
    struct change *g;

    if (!copy_is_ready(c)) /* when it is, everything is put again */
        return;
    g = check_alloc(sizeof(*g));
    list_init(&g->node);
    copy_write_key(&g->key, row->family, row->name);
    if (!gone)
        buf_add_str(&g->value, row->value);
    g->deadline_ms = row->deadline_ms;
    g->gone = gone;
    pthread_mutex_lock(&c->lock);
    if (c->let_go) /* whoever has it now writes it; when it is opened again, everything is put again */
        copy_change_free(g);
    else
        queue_change(c, g);
    pthread_mutex_unlock(&c->lock);
}

void copy_put(struct copy *c, const struct disk_row *row)
{
    change(c, row, false);
}

void copy_delete(struct copy *c, enum family family, struct str name)
{
    struct disk_row row = { .family = family, .name = name };

    change(c, &row, true);
}

void copy_set_complete(struct copy *c, bool complete)
{
    /* A file that control has not heard of yet lacks what was put before it was there. */
    if (!copy_is_ready(c) || c->told != atomic_load(&c->opened))
        return;
    pthread_mutex_lock(&c->lock);
    if (!c->lacking && !c->let_go)
        c->complete = complete;
    pthread_cond_signal(&c->to_write);
    pthread_mutex_unlock(&c->lock);
}

struct copy_request *copy_request_new(size_t count)
{
    struct copy_request *r = check_alloc(sizeof(*r));

    r->count = count;
    r->items = check_alloc((count + 1) * sizeof(*r->items));
    return r;
}

void copy_request_free(struct copy_request *r)
{
    for (size_t i = 0; i < r->count; i++) {
        buf_free(&r->items[i].name);
        buf_free(&r->items[i].value);
    }
    free(r->items);
    free(r);
}

static void request(struct copy *c, struct mail *mail, enum copy_mail kind)
{
    mail->kind = kind;
    list_init(&mail->node);
    pthread_mutex_lock(&c->lock);
    list_append(&c->requests, &mail->node);
    pthread_cond_broadcast(&c->to_read);
    pthread_mutex_unlock(&c->lock);
}

void copy_ask(struct copy *c, struct copy_request *r)
{
    request(c, &r->mail, MAIL_ANSWERED);
}

void copy_walk_on(struct copy *c, struct copy_walk *w)
{
    if (w == NULL)
        w = check_alloc(sizeof(*w));
    request(c, &w->mail, MAIL_WALKED);
}

void copy_walk_free(struct copy_walk *w)
{
    buf_free(&w->cursor);
    buf_free(&w->text);
    free(w->rows);
    free(w);
}

bool copy_fetch(struct copy *c, enum family family, struct str name, struct buf *value)
{
    uint64_t deadline_ms;

    if (!copy_is_ready(c) || is_stalled(c, STALLED_MS)) /* it would hold control up, too */
        return false;
    c->fetch = copy_reopen(c, c->fetch, &c->fetch_opened);
    return copy_get(c, c->fetch, family, name, value, &deadline_ms);
}
