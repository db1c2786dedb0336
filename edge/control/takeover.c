/* takeover.c -- the new edge: looks whether it can serve, takes over, says so.
 *
 * Until then it accepts nothing: what waits in the queues is the old edge's. If that one goes, it serves at
 * once, as it is: there is nobody else.
 *
 * Owns:    the socket to the old edge.
 * Thread:  control
 * Used by: control.c.
 * Not here: the old edge's side (upgrade.c); binding (listen.c). */
#include "control/takeover.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "control/admin_pages.h"
#include "control/control_state.h"
#include "control/pid_file.h"
#include "store/copy.h"

#define LOOK_MS 10 /* then seldom and seldomer, up to: */
#define LOOK_MOST_MS 500

bool takeover_can_serve(struct control *c)
{
    const struct store_status *s = store_status(c->store);
    struct copy_status copy;

    if (s->ever_synced)
        return true;
    store_copy_status(c->store, &copy);
    return s->serves_copy && copy.rows > 0; /* one that holds nothing has never met Redis */
}

static void accept_clients(struct control *c)
{
    listen_widen(&c->listen, c->settings);
    for (unsigned i = 0; i < c->worker_count; i++) {
        struct accept_mail *mail = check_alloc(sizeof(*mail));

        mail->mail.kind = WORKER_ACCEPT;
        mail->count = listen_for_worker(&c->listen, c->settings, i, &mail->fds);
        worker_post(c->workers[i], &mail->mail);
    }
    if (c->listen.admin >= 0)
        c->admin = admin_http_open(&c->loop, c->listen.admin, admin_pages_serve, c);
    log_line(LOG_INFO, "serving", "workers=%u version=%s", c->worker_count, USHER_VERSION);
}

/* From here on this process is the edge. */
static void be_the_edge(struct control *c)
{
    store_silence(c->store, false);
    if (c->takeover.ready)
        notify_say(&c->notify, "MAINPID=%d\nREADY=1\nSTATUS=serving", (int)getpid());
}

static void on_old_closed(struct fd_watch *w)
{
    struct takeover *t = w->owner;

    close(t->old_fd);
    t->old_fd = -1;
}

/* The file is written before an old process is told: it may be gone a moment later, and whoever watched it
 * looks there for the next. */
static void serve(struct control *c)
{
    c->takeover.serving = true;
    accept_clients(c);
    pid_file_write(c->settings->pid_file);
}

/* It says that it has let go, or has ended. */
static void on_old_says(struct fd_watch *w, bool readable, bool writable)
{
    struct takeover *t = w->owner;
    struct control *c = t->control;
    char said = 0;
    ssize_t n;

    (void)readable;
    (void)writable;
    n = read(t->old_fd, &said, 1);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    fd_watch_close(w, on_old_closed);
    if (n <= 0 && !t->serving)
        log_line(LOG_WARN, "takes_over", "reason=\"the edge before this one is gone\"");
    if (!t->serving)
        serve(c);
    be_the_edge(c);
}

static void on_look(struct timer *timer)
{
    struct takeover *t = LIST_ITEM(timer, struct takeover, look);
    struct control *c = t->control;
    uint64_t passed = loop_now_ms(&c->loop) - t->began_ms;
    char word = TAKEOVER_READY;

    if (drain_is_on(&c->drain))
        return;
    if (!takeover_can_serve(c)) {
        timer_set(&c->loop, &t->look,
                  passed / 10 < LOOK_MOST_MS ? LOOK_MS + passed / 10 : LOOK_MOST_MS);
        return;
    }
    t->ready = true;
    if (t->old_fd < 0) {
        notify_say(&c->notify, "READY=1\nSTATUS=serving");
        return;
    }
    if (t->serving)
        return;
    serve(c);
    if (write(t->old_fd, &word, 1) != 1) /* its end is read, too */
        log_line(LOG_WARN, "takes_over", "reason=\"the edge before this one is gone\"");
}

void takeover_begin(struct control *c, int old_fd)
{
    struct takeover *t = &c->takeover;

    *t = (struct takeover){ .control = c, .old_fd = old_fd, .began_ms = loop_now_ms(&c->loop) };
    timer_init(&t->look, on_look);
    if (old_fd >= 0 && fd_watch_open(&t->old, &c->loop, old_fd, on_old_says, t)) {
        store_silence(c->store, true);
        fd_watch_for(&t->old, true, false);
    } else {
        t->old_fd = -1;
        serve(c);
        notify_say(&c->notify, "STATUS=waiting for Redis");
    }
    timer_set(&c->loop, &t->look, LOOK_MS);
}

void takeover_close(struct control *c)
{
    struct takeover *t = &c->takeover;

    timer_stop(&t->look);
    if (t->old_fd >= 0)
        fd_watch_close(&t->old, on_old_closed);
}
