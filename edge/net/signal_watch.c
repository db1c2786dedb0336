/* signal_watch.c -- signals, taken where the loop runs.
 *
 * Owns:    the process's disposition of the signals it is given.
 * Thread:  its loop's; the kernel may pick any thread for the signal itself.
 * Used by: control/control.c.
 * Not here: what a signal means. */
#include "net/signal_watch.h"

#include "base/check.h"
#include "net/loop.h"

static void on_signal(uv_signal_t *uv, int number)
{
    struct signal_watch *w = uv->data;

    w->fn(w->owner, number);
}

void signal_watch_open(struct signal_watch *w, struct loop *l, int number, signal_watch_fn fn,
                       void *owner)
{
    w->fn = fn;
    w->owner = owner;
    CHECK(uv_signal_init(&l->uv, &w->uv) == 0);
    w->uv.data = w;
    CHECK(uv_signal_start(&w->uv, on_signal, number) == 0);
    uv_unref((uv_handle_t *)&w->uv);
}

void signal_watch_close(struct signal_watch *w)
{
    uv_close((uv_handle_t *)&w->uv, NULL);
}
