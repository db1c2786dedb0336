/* errors.h -- usher:errors: what is wrong with which key, for whoever wrote it. */
#ifndef STORE_ERRORS_H
#define STORE_ERRORS_H

#include "base/list.h"
#include "base/map.h"
#include "net/timer.h"
#include "routing/record.h"

struct store;
struct record;

struct errors {
    struct map entries;    /* struct error_entry by key */
    struct list unwritten; /* beyond the bound: counted in "(more)" */
    size_t written_count, unwritten_count, foreign_count;
    bool more_changed, refusal_logged;
    struct timer again; /* Redis refused to write */
};

void errors_init(struct store *s);
void errors_free(struct store *s);

void errors_report(struct store *s, const struct record *r);
void errors_clear(struct store *s, const struct record *r); /* it is right now, or gone */
void errors_flush(struct store *s);                         /* at a turn's end */

/* The writing link is up: what this edge has to say is written anew, and what others have said is
 * fetched and looked at, for they may be no more. */
void errors_link_up(struct store *s);
/* The reading link is up: what others have said is looked at. */
void errors_look_again(struct store *s);

#endif
