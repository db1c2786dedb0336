/* disk.h -- the file of the disk copy: rows of key and last good value, in a folder of its own.
 *
 * Nothing is believed before disk_check: it walks every row. Values are given out only when their
 * checksum is right. A struct disk is one connection, for one thread at a time. */
#ifndef STORE_DISK_H
#define STORE_DISK_H

#include "base/buf.h"
#include "routing/record.h"

#define DISK_KEY_MAX 1100
#define DISK_FILE_NAME "state.db" /* in the folder */

struct disk;

enum disk_result {
    DISK_DONE,
    DISK_NONE,    /* no such row */
    DISK_DAMAGED, /* it holds what nobody wrote: disk_erase, and begin anew */
    DISK_FAILED,  /* no room, no right, an I/O error: disk_reason says which */
};

struct disk_row {
    enum family family;
    struct str name, value; /* the value as routing/value.h encodes it */
    uint64_t deadline_ms;   /* wall clock; 0: none */
};

struct disk_facts {
    uint64_t rows;
    bool complete; /* every record of Redis was in it once: what it lacks did not exist then */
};

typedef void (*disk_row_fn)(void *owner, const struct disk_row *row);

/* Never NULL; the first call says what is wrong. `dir` must exist. */
struct disk *disk_open(const char *dir, struct str prefix);
void disk_close(struct disk *d);
const char *disk_reason(const struct disk *d); /* of the last DISK_DAMAGED or DISK_FAILED */
/* Takes the file away; nobody has it open. False: that fails. */
bool disk_erase(const char *dir);

/* Makes the tables where there are none, and walks all rows. One of another prefix or version counts
 * as damaged. */
enum disk_result disk_check(struct disk *d, disk_row_fn seen, void *owner,
                            struct disk_facts *facts);

/* For a connection other than the one that checked. */
enum disk_result disk_prepare(struct disk *d);
enum disk_result disk_get(struct disk *d, enum family family, struct str name, struct buf *value,
                          uint64_t *deadline_ms);
/* Up to `most` rows behind the key in `cursor` (start with none), which is moved; DISK_NONE: that
 * was the last one. */
enum disk_result disk_walk(struct disk *d, struct buf *cursor, size_t most, disk_row_fn seen,
                           void *owner);

/* All or nothing: begin, then puts and deletes, then commit; after a failure: roll back. */
enum disk_result disk_begin(struct disk *d);
enum disk_result disk_put(struct disk *d,
                          const struct disk_row *row); /* unchanged: nothing is written */
enum disk_result disk_delete(struct disk *d, enum family family, struct str name);
void disk_set_complete(struct disk *d, bool complete);
enum disk_result disk_commit(struct disk *d);
void disk_roll_back(struct disk *d);
/* What was committed goes from the log into the file, and the log is emptied. */
void disk_settle(struct disk *d);

#endif
