/* bans.h -- the ranges that usher:ban: keys ban, all over the cluster: kept here, mailed to workers.
 *
 * A key that is written is read and in force within milliseconds; all keys are gone over when the link
 * to Redis is new. A ban ends at its moment, with Redis or without. */
#ifndef CONTROL_BANS_H
#define CONTROL_BANS_H

#include "base/buf.h"
#include "base/map.h"
#include "control/bans_file.h"
#include "net/loop.h"
#include "proxy/client_address.h"

#define BANS_MOST 100000

struct store;
struct store_call;

struct bans_events {
    void *owner;
    /* From now on these are banned; NULL: nobody is. Takes it: each worker lets go of it once. */
    void (*publish)(void *owner, struct banned *banned);
    void (*settled)(void *owner); /* what was pushed until now is published */
};

struct bans {
    struct loop *loop;
    struct store *store;
    struct bans_events events;
    unsigned workers;
    struct map by_text; /* struct ban */
    uint64_t in_force, wrong;
    bool full; /* there are more keys than BANS_MOST: logged once */

    struct list dirty; /* struct dirty: keys to be read */
    size_t dirty_count;
    struct list asked;       /* struct dirty: keys that are being read */
    struct store_call *call; /* NULL: nothing is being read */
    bool walk_due, walking;
    bool sweep_due; /* the last walk has not seen all; Redis may have lost them */
    uint32_t walk;  /* number of the last walk */
    struct buf cursor;
    unsigned steps; /* of all walks */
    bool refusal_logged;

    bool changed; /* since the last set was built */
    bool grew;    /* the same, and there is one more to be turned away */
    bool published;
    uint64_t next_build_ms; /* so that building takes a tenth of the time at most */
    bool kept, keep_due;    /* in `file`; what is there is not what is known */
    struct bans_file file;
    struct turn_end go;
    struct timer again, pace, ending, keeping;
    bool closing;
};

void bans_open(struct bans *b, struct loop *l, unsigned workers, const struct bans_events *e);
/* Right after store_open. `state_dir` "": they are not kept there; else those that are hold until
 * Redis says otherwise. */
void bans_use(struct bans *b, struct store *store, const char *state_dir);
/* store_events.on_shared: "ban:10.0.0.0/8"; "": any may have changed; others are not looked at. */
void bans_changed(struct bans *b, struct str key);
/* The range that bans this address; NULL: none does. Looks at each of them: not for requests. */
const char *bans_find(const struct bans *b, const struct address *a);
bool bans_are_settled(const struct bans *b);
void bans_close(struct bans *b); /* before the store's closing */
void bans_free(struct bans *b);

#endif
