/* scan.h -- a walk over all keys of Redis: the first sync, and the look at everything after the link
 * was lost. In small steps, paced, behind pushes, lookups and what is held.
 *
 * With a disk copy every record is read, judged and put there; without one, names are enough. */
#ifndef STORE_SCAN_H
#define STORE_SCAN_H

#include "store/copy.h"
#include "store/mirror.h"

enum scan_state {
    SCAN_IDLE,
    SCAN_WAITING, /* for the disk copy to be opened */
    SCAN_RUNNING,
    SCAN_SETTLING, /* the last key has come; what came is being read */
    SCAN_OVER,
    SCAN_REFUSED, /* Redis does not let this edge */
};

struct scan {
    enum scan_state state;
    bool complete;     /* the set of names is: what is not in it does not exist */
    bool was_complete; /* at some time: what was not in it did not exist then */
    bool in_flight, again;
    struct buf cursor;
    uint64_t keys, of;  /* gone over, of how many (all keys of the data base) */
    size_t known_hosts; /* at its beginning */
    uint64_t began_ms, said_ms, paced_ms;
    double room; /* keys that may be gone over now */
    struct timer tick;
    bool expired_looked_for;
    int walking;    /* enum walk_for */
    bool sweep_due; /* the copy has rows that nothing stands for */
};

void scan_init(struct store *s);
void scan_free(struct store *s);
void scan_begin(struct store *s); /* the link is up; everything is looked at (again) */
void scan_stop(struct store *s);  /* the link is lost */
void scan_after_round(struct store *s);
bool scan_is_over(const struct store *s);
bool scan_counts(const struct store *s); /* what it has seen says how much is missing */

/* A record of this round has been judged: the set and the copy follow. */
void scan_judged(struct store *s, const struct record *r);

/* What has not been seen is believed gone: from the set at once, from the copy soon. */
void scan_obey(struct store *s);
/* Has what expired meanwhile counted as gone; true: that goes on, verify_after_round follows. */
bool scan_look_for_expired(struct store *s);

void scan_copy_opened(struct store *s, struct names *names, const struct disk_facts *facts);
void scan_copy_failed(struct store *s);
void scan_copy_behind(struct store *s);
void scan_walked(struct store *s, struct copy_walk *w); /* takes w */

#endif
