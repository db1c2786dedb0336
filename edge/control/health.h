/* health.h -- checks of endpoints, for the services that ask for them and that this edge holds.
 *
 * Of all edges that hold a service two check its endpoints at a time, and tell the others by Redis
 * (health_share.c). An endpoint is down for all when both say so, and for one that checks also when it
 * finds so itself. While Redis is away each edge checks by itself, for itself. What is known stands in the
 * states that workers read (routing/health.h). */
#ifndef CONTROL_HEALTH_H
#define CONTROL_HEALTH_H

#include "net/guard.h"
#include "routing/changes.h"
#include "settings.h"
#include "store/store.h"

struct health;

struct health *health_open(struct loop *l, const struct settings *s, const struct guard *guard,
                           struct store *store);
/* What a round of the store brings: before it is published. */
void health_changes(struct health *h, const struct changes *changes);
/* A key of usher:health: was written (its name behind that), or, len 0, any may have been. */
void health_shared_changed(struct health *h, struct str service);
/* This edge ends: it checks no more. `gives`: others are to take its places at once; else one of its
 * name does. */
void health_leave(struct health *h, bool gives);
void health_close(struct health *h); /* then run the loop until all has closed */
void health_free(struct health *h);

/* What is known of an endpoint, as a sentence's part: "down: status 503, expected 200-399, for 12 s, says
 * edge-a"; nothing is added of one that is up and undisputed. True: it gets no requests for it. */
bool health_say(const struct health *h, struct str service, struct str endpoint, struct buf *to);
/* A JSON object: who checks, and each endpoint. False: that service is not checked here. */
bool health_write_json(const struct health *h, struct str service, struct buf *to);
bool health_write_text(const struct health *h, struct str service, struct buf *to);
void health_write_list(const struct health *h, struct buf *json); /* of all, in short: an array */
void health_write_metrics(const struct health *h, struct buf *to);

#endif
