/* copy_reader.c -- the thread that reads the disk copy.
 *
 * Owns:    the reading connection.
 * Thread:  its own; control starts and ends it, and calls copy_get for copy_fetch.
 * Used by: copy.c.
 * Not here: writing (copy_writer.c), the file (disk.c). */
#include "base/check.h"
#include "store/copy_state.h"

#define WALK_ROWS 2000

/* --- reading --- */

/* What is queued is newer than the file. Under the lock. */
static bool find_queued(struct copy *c, enum family family, struct str name, bool *found,
                        struct buf *value, uint64_t *deadline_ms)
{
    struct buf key = { 0 };
    const struct change *g;

    copy_write_key(&key, family, name);
    g = map_find(&c->changes, map_hash(str_slice(key.ptr, key.len)), str_slice(key.ptr, key.len));
    buf_free(&key);
    if (g == NULL)
        return false;
    *found = !g->gone;
    if (*found) {
        buf_add(value, g->value.ptr ? g->value.ptr : "", g->value.len);
        *deadline_ms = g->deadline_ms;
    }
    return true;
}

static void found_damage(struct copy *c, struct disk *d)
{
    bool first;

    pthread_mutex_lock(&c->lock);
    first = !c->damaged;
    c->damaged = true;
    pthread_cond_signal(&c->to_write);
    pthread_mutex_unlock(&c->lock);
    if (first)
        copy_say_damaged(c, disk_reason(d));
}

/* This connection again, or a new one when the file is another. NULL: it cannot be read. */
struct disk *copy_reopen(struct copy *c, struct disk *d, unsigned *opened)
{
    unsigned now = atomic_load(&c->opened);

    if (!atomic_load(&c->ready))
        return d;
    if (d != NULL && now == *opened)
        return d;
    if (d != NULL)
        disk_close(d);
    d = disk_open(c->dir, str_slice(c->prefix.ptr, c->prefix.len));
    *opened = now;
    if (disk_prepare(d) == DISK_DONE)
        return d;
    disk_close(d);
    return NULL;
}

bool copy_get(struct copy *c, struct disk *d, enum family family, struct str name,
              struct buf *value, uint64_t *deadline_ms)
{
    enum disk_result result;
    bool found = false, queued;

    pthread_mutex_lock(&c->lock);
    queued = find_queued(c, family, name, &found, value, deadline_ms);
    pthread_mutex_unlock(&c->lock);
    if (queued)
        return found;
    if (d == NULL || !atomic_load(&c->ready))
        return false;
    result = disk_get(d, family, name, value, deadline_ms);
    if (result == DISK_DAMAGED)
        found_damage(c, d);
    return result == DISK_DONE;
}

static void answer(struct copy *c, struct disk *d, struct copy_request *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct copy_wanted *w = &r->items[i];

        w->found = copy_get(c, d, w->family, str_slice(w->name.ptr ? w->name.ptr : "", w->name.len),
                            &w->value, &w->deadline_ms);
    }
    copy_post(c, &r->mail, MAIL_ANSWERED);
}

static void add_walked(void *owner, const struct disk_row *row)
{
    struct copy_walk *w = owner;

    if (w->count == w->room) {
        w->room = w->room ? w->room * 2 : 64;
        w->rows = check_realloc(w->rows, w->room * sizeof(*w->rows));
    }
    w->rows[w->count++] =
        (struct copy_walked){ row->family, w->text.len, row->name.len, row->deadline_ms };
    buf_add_str(&w->text, row->name);
}

static void walk(struct copy *c, struct disk *d, struct copy_walk *w)
{
    enum disk_result result = DISK_FAILED;

    buf_clear(&w->text);
    w->count = 0;
    if (d != NULL && atomic_load(&c->ready))
        result = disk_walk(d, &w->cursor, WALK_ROWS, add_walked, w);
    if (result == DISK_DAMAGED)
        found_damage(c, d);
    w->last = result != DISK_DONE;
    copy_post(c, &w->mail, MAIL_WALKED);
}

static struct mail *next_request(struct copy *c)
{
    struct list *node;

    pthread_mutex_lock(&c->lock);
    while (list_is_empty(&c->requests) && !c->closing)
        pthread_cond_wait(&c->to_read, &c->lock);
    node = list_take_first(&c->requests);
    pthread_mutex_unlock(&c->lock);
    return node != NULL ? LIST_ITEM(node, struct mail, node) : NULL;
}

void *copy_reader_main(void *owner)
{
    struct copy *c = owner;
    struct disk *d = NULL;
    struct mail *mail;
    unsigned opened = 0;

    while ((mail = next_request(c)) != NULL) {
        d = copy_reopen(c, d, &opened);
        if (mail->kind == MAIL_ANSWERED)
            answer(c, d, (struct copy_request *)mail);
        else
            walk(c, d, (struct copy_walk *)mail);
    }
    if (d != NULL)
        disk_close(d);
    return NULL;
}
