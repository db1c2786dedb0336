/* presence.h -- an edge announces itself: usher:edge:<id>, and its place in usher:edges. */
#ifndef STORE_PRESENCE_H
#define STORE_PRESENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/timer.h"

struct store;

struct presence {
    struct timer renew, leave_limit;
    struct store *store;
    char boot[20]; /* drawn at start: two edges of one name differ in it */
    char host[65];
    uint64_t started_wall_ms, started_ms;
    uint64_t ping_sent_ns, lag_us; /* of the reading link; 0: not measured */
    uint64_t counted_requests, counted_faults, counted_ms;
    double requests_per_s, faults_per_s;
    bool asking;         /* an announcement is under way */
    bool said_regressed; /* in the last announcement */
    bool announced;      /* once at least */
    bool name_taken;     /* another edge that runs has this name */
    unsigned alone;      /* announcements in a row that found no other */
    bool refusal_logged;
    bool leaving;
    bool silent; /* another process of this edge speaks for it: it takes over, or has taken over */
    void (*left)(void *owner);
    void *left_owner;
};

void presence_init(struct store *s);
void presence_free(struct store *s);
void presence_announce(struct store *s);    /* now; the writing link has come up */
void presence_say_barrier(struct store *s); /* the newest token that is applied */
void presence_after_round(struct store *s); /* what others ask for may have changed */
/* Signs off, as well as it can within a second; then calls `left`. */
/* Says nothing in this edge's name any more; or begins to. */
void presence_silence(struct store *s, bool silent);
void presence_leave(struct store *s, void (*left)(void *owner), void *owner);

#endif
