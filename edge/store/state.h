/* state.h -- what the parts of the store share. */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include "net/guard.h"
#include "store/asks.h"
#include "store/barrier.h"
#include "store/calls.h"
#include "store/errors.h"
#include "store/history.h"
#include "store/lookups.h"
#include "store/mirror.h"
#include "store/presence.h"
#include "store/recall.h"
#include "store/redis_link.h"
#include "store/scan.h"
#include "store/store.h"
#include "store/sync.h"
#include "store/topology.h"
#include "store/verify.h"

struct store {
    struct loop *loop;
    const struct settings *settings;
    struct guard *guard;
    const struct module_host *modules; /* NULL: not looked at */
    struct store_events events;
    struct store_status status;
    struct str prefix;
    char client_name[80];
    struct states states; /* what the mirror's objects point to; outlives them */
    struct mirror mirror;
    struct topology *topology;
    struct redis_link *reader, *writer;
    struct sync sync;
    struct lookups lookups;
    struct asks asks;
    struct flights calls;
    struct verify verify;
    struct errors errors;
    struct barrier barrier;
    struct presence presence;
    struct history history;
    struct copy *copy; /* NULL: no --state-dir */
    struct names names;
    struct scan scan;
    struct recall recall;
    struct timer start_wait;
    struct changes *open;  /* what goes out next; NULL: nothing yet */
    struct turn_end flush; /* at the end of the turn in which something was added to it */
    uint64_t round;
    bool up_logged, failure_logged, failed_once;
    bool starting; /* no word with Redis yet, nor a copy to serve from: lookups wait */
    bool closing;
};

struct changes *store_changes(struct store *s); /* the open ones; they go out at the turn's end */
void store_flush(struct store *s);              /* they go out now */
void store_has_read(struct store *s);           /* a round has closed */

#endif
