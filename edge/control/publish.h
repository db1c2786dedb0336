/* publish.h -- changes on their way to every worker, replaced objects on their way back. */
#ifndef CONTROL_PUBLISH_H
#define CONTROL_PUBLISH_H

#include "base/map.h"
#include "proxy/worker.h"
#include "routing/changes.h"

typedef void (*publish_post_fn)(void *owner, unsigned worker, struct mail *mail);

struct publisher {
    unsigned workers;
    publish_post_fn post;
    void *owner;
    struct map retired; /* struct object: replaced, not yet let go by every worker */
    uint64_t rounds;    /* that had something in them */
};

void publish_open(struct publisher *p, unsigned workers, publish_post_fn post, void *owner);
/* Takes `changes`. What they replace belongs to the publisher from here on. */
void publish_changes(struct publisher *p, struct changes *changes);
/* Asks every worker to say when it has applied all changes until here: CONTROL_CONFIRMED with this
 * number comes from the last. */
void publish_confirm(struct publisher *p, uint64_t number);
/* One worker has let go of these. Takes the mail. */
void publish_released(struct publisher *p, struct released_mail *mail);
/* Takes `changes` when no worker is left to apply them. */
void publish_discard(struct publisher *p, struct changes *changes);
/* When the workers have ended, and before the store is freed: frees what was never let go and stands
 * nowhere any more. */
void publish_close(struct publisher *p);

#endif
