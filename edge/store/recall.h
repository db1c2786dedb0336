/* recall.h -- last good values out of the disk copy, into the round that needs them. */
#ifndef STORE_RECALL_H
#define STORE_RECALL_H

#include "store/copy.h"
#include "store/mirror.h"

struct recall {
    uint64_t token; /* of the question under way */
    bool asked;
    bool waiting;            /* for the copy to be open: then it is asked */
    bool loading;            /* what is not found is absent */
    struct record **records; /* the round's, in the order asked */
    size_t count;
    struct timer limit;
};

void recall_init(struct store *s);
void recall_free(struct store *s);

/* With Redis away: may this record, of which nothing is known, be read from the copy? */
bool recall_can_load(const struct store *s, const struct record *r, enum queue queue);
void recall_load(struct store *s, struct record **records, size_t count);

/* Of the round's records, those whose value is bad and that have no good version, and those that are
 * gone and not believed to be. False: there are none; else sync_recalled follows. */
bool recall_stand_ins(struct store *s);

/* The copy is open, or cannot be. */
void recall_copy_settled(struct store *s);
void recall_answered(struct store *s, struct copy_request *r); /* takes r */
void recall_cancel(struct store *s);

#endif
