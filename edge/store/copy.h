/* copy.h -- the disk copy as control sees it: nothing here waits for the disk but copy_fetch.
 *
 * One thread opens, checks and writes, another reads. What is put is queued, the newest of each key,
 * and written soon; a full or failing disk is said once, and tried again until it works. Without
 * --state-dir there is no copy, and every function takes NULL for one that is never ready. */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "net/loop.h"
#include "net/mailbox.h"
#include "store/disk.h"
#include "store/names.h"

struct copy;

/* Values that are asked for; answered as the same thing. Free with copy_request_free. */
struct copy_wanted {
    enum family family;
    struct buf name, value;
    uint64_t deadline_ms; /* wall clock; 0: none */
    bool found;
};

struct copy_request {
    struct mail mail;
    uint64_t token; /* the asker's */
    size_t count;
    struct copy_wanted *items;
};

/* Some rows, in the order of their keys: `rows` laid out in `text`, names only. */
struct copy_walked {
    enum family family;
    size_t name_at, name_len;
    uint64_t deadline_ms;
};

struct copy_walk {
    struct mail mail;
    struct buf cursor, text;
    struct copy_walked *rows;
    size_t count, room;
    bool last; /* nothing comes behind; also when it cannot be read */
};

struct copy_events {
    void *owner;
    /* It can be used from now on: these names are in it. Takes what is in *names. Comes again when
     * the copy had to be made anew. */
    void (*opened)(void *owner, struct names *names, const struct disk_facts *facts);
    void (*failed)(void *owner); /* the first attempt to open it has failed; it goes on trying */
    void (*behind)(void *owner); /* it lacks some of what was put: everything is to be put again */
    void (*answered)(void *owner, struct copy_request *r);
    void (*walked)(void *owner, struct copy_walk *w);
    void (*let_go)(void *owner); /* after copy_let_go: another edge may have the folder */
};

struct copy_status {
    bool configured, ready, failing, complete;
    uint64_t rows, queued, written, damaged, failures;
    char reason[200]; /* why it cannot be used, or written */
};

struct copy *copy_open(struct loop *l, const char *dir, struct str prefix,
                       const struct copy_events *e);
/* Writes what is queued, within a few seconds. Run the loop on, then copy_free. */
void copy_close(struct copy *c);
void copy_free(struct copy *c);

/* Writes what is queued and leaves the folder to another edge; what is there can still be read. */
void copy_let_go(struct copy *c);
void copy_take_back(struct copy *c); /* as soon as the other lets go: `opened` comes again */

bool copy_is_ready(const struct copy *c);
bool copy_is_settled(const struct copy *c); /* ready, or found to be unusable */
bool copy_has_all(struct copy *c);          /* it takes what is put, and has skipped nothing */
bool copy_has_room(struct copy *c);         /* for those who can wait */
void copy_status(struct copy *c, struct copy_status *to);

void copy_put(struct copy *c, const struct disk_row *row);
void copy_delete(struct copy *c, enum family family, struct str name);
void copy_set_complete(struct copy *c, bool complete); /* when all that was put before is written */

struct copy_request *copy_request_new(size_t count);
void copy_request_free(struct copy_request *r);
void copy_ask(struct copy *c, struct copy_request *r);

void copy_walk_on(struct copy *c, struct copy_walk *w); /* NULL: from the first row */
void copy_walk_free(struct copy_walk *w);

/* Waits for the disk, but not for one that is seen to stall. False: no such row is known. */
bool copy_fetch(struct copy *c, enum family family, struct str name, struct buf *value);

#endif
