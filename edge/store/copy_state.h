/* copy_state.h -- what the disk copy's three files share; for them only. */
#ifndef STORE_COPY_STATE_H
#define STORE_COPY_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "store/copy.h"

enum copy_mail { MAIL_OPENED, MAIL_FAILED, MAIL_BEHIND, MAIL_ANSWERED, MAIL_WALKED, MAIL_LET_GO };

/* One row to be put or deleted. */
struct change {
    struct list node; /* in copy.queued, or in the batch that is being written */
    uint64_t hash;
    struct buf key, value; /* key: family, name */
    uint64_t deadline_ms;
    bool gone, in_batch, replaced;
};

struct opened_mail {
    struct mail mail;
    struct names names;
    struct disk_facts facts;
};

struct copy {
    struct copy_events events;
    struct loop *loop;
    struct mailbox box;
    char dir[4096];
    struct buf prefix;
    pthread_t writer, reader;
    pthread_mutex_t lock;
    pthread_cond_t to_write, to_read, to_retry;

    /* under the lock */
    struct map changes; /* struct change by key: the newest of each */
    struct list queued;
    size_t bytes;
    struct list requests; /* struct mail: copy_request or copy_walk */
    bool closing, overflowed, damaged;
    bool let_go;  /* another edge writes it, or is about to */
    bool lacking; /* changes were skipped, and control has not been told: it is not complete */
    int complete; /* to be set when the queue is empty; -1: as it is */
    struct copy_status status;

    atomic_uint opened; /* how often; 0: not yet */
    atomic_bool ready, settled;
    atomic_uint_fast64_t busy_since; /* monotonic ms: the writer waits for the disk since; 0: not */
    int lock_fd;                     /* writer */
    unsigned told;                   /* control: of so many openings */
    struct disk *fetch;              /* control: for copy_fetch */
    unsigned fetch_opened;
    bool stuck;
};

void copy_post(struct copy *c, struct mail *mail, enum copy_mail kind);
void copy_wait(struct copy *c, pthread_cond_t *cond, unsigned ms); /* under the lock */
void copy_write_key(struct buf *to, enum family family, struct str name);
size_t copy_change_bytes(const struct change *g);
void copy_change_free(struct change *g);
void copy_say_damaged(struct copy *c, const char *reason);

void *copy_writer_main(void *owner);
void *copy_reader_main(void *owner);

/* This connection again, or a new one when the file is another. NULL: it cannot be read. */
struct disk *copy_reopen(struct copy *c, struct disk *d, unsigned *opened);
/* The newest value of a row, queued or written; d may be NULL. */
bool copy_get(struct copy *c, struct disk *d, enum family family, struct str name,
              struct buf *value, uint64_t *deadline_ms);

#endif
