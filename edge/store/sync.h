/* sync.h -- rounds: the one engine for everything that is read from Redis.
 *
 * A round takes keys (pushed ones first), reads them and what they name, makes sure that no push
 * for the time before is still on its way, then has all of it judged and sent out as one change. */
#ifndef STORE_SYNC_H
#define STORE_SYNC_H

#include <hiredis/hiredis.h>

#include "store/mirror.h"

enum round_step {
    ROUND_NONE,
    ROUND_READING,
    ROUND_RECALLING, /* the disk copy is asked for last good values */
    ROUND_FENCING,
    ROUND_SETTLING,
    ROUND_CLOSING
};

struct sync {
    enum round_step step;
    struct record **records; /* all of the round */
    size_t count, room;
    struct record **sent; /* those in the EXEC under way */
    size_t sent_count, sent_room;
    /* Redis at its maxmemory takes no MULTI: then the round is read without, reply by reply. */
    bool one_by_one;
    redisReply **singles; /* copies of what came so far */
    size_t single_count, single_room;
    size_t single_at, single_left; /* whose replies are coming, and how many of them still are */
    unsigned fences, unfenced;
    unsigned flushes; /* of all keys, that pushes may still come with */
    bool overflowed;  /* pushes were skipped */
    bool loading;     /* Redis is away: the round is read from the disk copy alone */
    struct list queues[QUEUES];
    size_t queued[QUEUES];
    struct turn_end end;
};

void sync_init(struct store *s);
void sync_free(struct store *s);

void sync_push(struct store *s, const redisReply *push);
/* Queues a record to be read; does nothing with the link down. */
void sync_want(struct store *s, struct record *r, enum queue queue);
/* A value has been read, or recalled: what it names joins the round. */
void sync_add_named(struct store *s, struct record *r);
void sync_recalled(struct store *s); /* the disk copy has answered, or taken too long */
void sync_was_read(struct store *s); /* the link has given what it had */
void sync_abort(struct store *s);    /* the link is lost: nothing waits any more */

#endif
