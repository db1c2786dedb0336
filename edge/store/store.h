/* store.h -- what control sees of Redis: ask for hosts, be told of changes.
 *
 * All on control's thread. The store reads Redis, keeps the mirror, compiles, and tells of each
 * round's outcome at once (on_changes). Requests never wait for it but once per host. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/loop.h"
#include "routing/changes.h"
#include "routing/record.h"
#include "settings.h"

struct ask;
struct guard;
struct module_host;
struct states;
struct store;

/* Of all workers together, since start. */
struct store_facts {
    uint64_t connections; /* open now */
    uint64_t requests, faults;
    bool draining;
};

struct store_events {
    void *owner;
    /* Takes `changes`. Called from a turn's end or from within store_lookup's turn, never from
     * within store_lookup itself. */
    void (*on_changes)(void *owner, struct changes *changes);
    /* Once every worker has applied all changes given out until now, store_confirmed with this
     * number must follow. NULL: they are applied by then. */
    void (*confirm)(void *owner, uint64_t number);
    /* What an edge says of itself that the store does not know. NULL: nothing. */
    void (*facts)(void *owner, struct store_facts *facts);
    /* Gets an ask back, answered; perhaps from within store_ask. NULL: nobody asks. */
    void (*on_asked)(void *owner, struct ask *ask);
    /* A key that edges share (health:, ban:) was written or deleted: its name without the prefix; len
     * 0: any of them may have been, for the link that would have told is a new one. NULL: not wanted. */
    void (*on_shared)(void *owner, struct str key);
    /* After store_let_go. */
    void (*let_go)(void *owner);
};

/* What /metrics, /readyz and the log say of it. Counters grow only. */
struct store_status {
    bool up;           /* the link is there and tracking */
    bool ever_synced;  /* since start: the link was up once and its first reads came in */
    bool suspect;      /* something held has not been verified since the link was lost */
    bool stale;        /* the replica that is read from is behind, and nothing better is there */
    bool evicts;       /* Redis's maxmemory-policy deletes records when its memory is full */
    bool regressed;    /* Redis came back with too much missing: held back (--max-loss) */
    uint64_t switches; /* the primary moved, as Sentinel says */
    uint64_t reconnects, rounds, reads, pushes, lookups, lookups_refused;
    uint64_t bad_records_seen, records_evicted;
    uint64_t history_recorded, history_skipped;         /* changes of records */
    uint64_t asks, asks_away, asks_wrong;               /* of modules; without an answer; refused */
    uint64_t records_good, records_bad, records_absent; /* held now */
    uint64_t cache_bytes;
    bool serves_copy;            /* Redis was not reached at start: the disk copy answers */
    bool syncing, complete;      /* the walk over all keys goes on; all names are known */
    uint64_t sync_keys, sync_of; /* gone over, of about so many */
    uint64_t names, hosts;       /* keys known to exist */
    uint64_t missing_hosts;      /* while regressed */
    uint64_t recalled;           /* values taken from the disk copy */
};

/* `guard` is told where Redis is, and asked about endpoints. `modules` NULL: what records say of
 * modules is not looked at. */
struct store *store_open(struct loop *l, const struct settings *s, struct guard *guard,
                         const struct module_host *modules, const struct store_events *e);
void store_lookup(struct store *s, unsigned worker, struct str host);
/* Takes `ask` until on_asked gives it back, at store_close at the latest. */
void store_ask(struct store *s, struct ask *ask);

/* A call: one command of Redis, as at most 64 words; mostly EVAL, whose keys are whole keys (store_prefix). */
enum call_kind { CALL_NULL, CALL_NUMBER, CALL_TEXT };
struct call_value {
    enum call_kind kind;
    long long number;
    struct str text;
};
struct call_answer {
    bool away;                       /* Redis did not answer in time, or cannot now */
    const char *error;               /* what it says against the command; NULL: nothing */
    const struct call_value *values; /* borrowed; what lies in arrays is taken out of them */
    size_t count;
};
typedef void (*call_fn)(void *owner, const struct call_answer *answer);
/* NULL: Redis is away, or too much is being asked; fn is not called. Else it is called once, later,
 * unless cancelled before: the call is void then. */
struct store_call *store_call(struct store *s, unsigned argc, const struct str *words, call_fn fn,
                              void *owner);
void store_call_cancel(struct store_call *c);
/* What this edge knows of tenants, services and endpoints beside their records. */
struct states *store_states(struct store *s);
struct str store_prefix(const struct store *s); /* "usher:" */
void store_confirmed(struct store *s, uint64_t number);
/* One process of an edge takes over from another. Silent: it neither announces itself nor acknowledges
 * what it has applied. */
void store_silence(struct store *s, bool silent);
/* Leaves --state-dir to the other, which it can still read; events.let_go follows, perhaps at once. */
void store_let_go(struct store *s);
void store_take_back(struct store *s);
/* This edge ends: it is taken out of usher:edges, as well as it can within a second; then `left` is
 * called, perhaps at once. */
void store_leave(struct store *s, void (*left)(void *owner), void *owner);
/* Of names that endpoints have: from now on, first of all there are. on_name NULL: no more. */
struct name_state;
void store_tell_names(struct store *s,
                      void (*on_name)(void *owner, struct name_state *name, bool used),
                      void *owner);

const struct store_status *store_status(struct store *s);
/* The last good value of a record, as routing/value.h encodes it, added to `value`. False: none is
 * known. */
bool store_fetch(struct store *s, enum family family, struct str name, struct buf *value);
/* How it stands with a record. False: it is not held here, and nothing is known of it. */
struct store_record {
    bool present;
    bool good;                        /* store_fetch has a version that is in force */
    const struct record_error *error; /* what is wrong with the value in Redis; NULL: nothing */
};
bool store_look(struct store *s, enum family family, struct str name, struct store_record *record);
void store_dump(struct store *s, struct buf *json);                            /* an object */
void store_dump_records(struct store *s, struct str prefix, struct buf *json); /* an array */

/* Where Redis is, as this edge sees it: JSON, or drawn. */
void store_topology(struct store *s, bool drawn, struct buf *to);
/* Ends the holding back: what is missing in Redis is believed gone. False: nothing is held back. */
bool store_accept(struct store *s);
struct copy_status;
void store_copy_status(struct store *s, struct copy_status *to);

/* Closes the links; run the loop on until it has nothing left, then store_free. */
void store_close(struct store *s);
void store_free(struct store *s);

#endif
