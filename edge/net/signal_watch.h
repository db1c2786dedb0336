/* signal_watch.h -- a signal, delivered as an ordinary callback of one loop. */
#ifndef NET_SIGNAL_WATCH_H
#define NET_SIGNAL_WATCH_H

#include <uv.h>

struct loop;
struct signal_watch;
typedef void (*signal_watch_fn)(void *owner, int number);

struct signal_watch {
    uv_signal_t uv;
    signal_watch_fn fn;
    void *owner;
};

/* Embed it; it must stay until the loop is closed. It does not keep the loop running. */
void signal_watch_open(struct signal_watch *w, struct loop *l, int number, signal_watch_fn fn,
                       void *owner);
void signal_watch_close(struct signal_watch *w);

#endif
