/* bans_file.h -- the bans of an edge in its --state-dir, for a start while Redis is away.
 *
 * One line for each: the range as its key says it, a space, when it ends (ms since 1970; 0: never). */
#ifndef CONTROL_BANS_FILE_H
#define CONTROL_BANS_FILE_H

#include "base/buf.h"
#include "net/job.h"

struct bans_file {
    char path[1100], fresh[1100]; /* the file, and what takes its place when it is whole */
    struct job job;
    struct buf text; /* being written */
    bool writing, failure_logged;
    int error; /* of the last writing; 0: none */
};

/* `dir` "": there is none, and the others must not be called. */
bool bans_file_init(struct bans_file *f, const char *dir);
/* Calls take(owner, range, ends) for each line that is right. */
void bans_file_read(const struct bans_file *f,
                    void (*take)(void *owner, struct str range, uint64_t ends_wall_ms),
                    void *owner);
/* Writes `text` on another thread, and takes it. False: one is being written, nothing was taken. */
bool bans_file_write(struct bans_file *f, struct loop *l, struct buf *text);
/* The same on this thread, at the end; waits for nobody. */
void bans_file_write_now(struct bans_file *f, struct buf *text);
void bans_file_free(struct bans_file *f); /* once the loop has run out */

#endif
