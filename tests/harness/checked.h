/* checked.h -- an origin whose health is checked: /healthz says what the test wants it to, to each edge
 * its own; everything else is answered with its name. It counts who checks. */
#ifndef HARNESS_CHECKED_H
#define HARNESS_CHECKED_H

#include "harness/origin.h"

#define CHECKED_EDGES 8

enum checked_answer {
    CHECKED_GOOD,   /* 200 "fine" */
    CHECKED_SICK,   /* 503 */
    CHECKED_CUT,    /* the connection is closed without a word */
    CHECKED_SILENT, /* no answer */
};

struct checked {
    struct origin *origin;
    const char *name;
    int answer;       /* enum checked_answer, by __atomic */
    int to_one;       /* the same, for the edge `one` alone */
    const char *one;  /* NULL: there is none */
    const char *body; /* of the 200; NULL: "fine" */
    pthread_mutex_t lock;
    struct {
        char edge[64];
        unsigned count;
    } seen[CHECKED_EDGES];
};

void checked_start(struct checked *c, const char *name);
void checked_set(struct checked *c, enum checked_answer answer);
void checked_set_one(struct checked *c, const char *edge, enum checked_answer answer);
unsigned checked_count(struct checked *c, const char *edge); /* checks by it; NULL: by all */
void checked_forget(struct checked *c);                      /* the counts begin anew */
unsigned checked_edges(struct checked *c);                   /* edges that have checked since */

#endif
