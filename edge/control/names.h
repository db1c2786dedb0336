/* names.h -- the names of endpoints, resolved for as long as an object has them.
 *
 * Each is asked for again when its time to live has run out. What failed is asked for again with a
 * back-off, and its last addresses stay meanwhile, for ever if need be. */
#ifndef CONTROL_NAMES_H
#define CONTROL_NAMES_H

#include "base/buf.h"
#include "net/loop.h"
#include "settings.h"
#include "store/store.h"

struct names;

struct names_events {
    void (*tell_workers)(void *owner); /* that requests may be waiting for what is known now */
    void *owner;
};

/* Hears of names from the store, from here on. */
struct names *names_open(struct loop *l, const struct settings *settings, struct store *store,
                         const struct names_events *events);
/* No more is asked or heard; while objects are still there. */
void names_close(struct names *n);

void names_metrics(const struct names *n, struct buf *to);
void names_dump(const struct names *n, struct buf *json);

#endif
