/* barrier_wait.h -- writes a barrier and waits until every edge has acknowledged it. */
#ifndef CLI_BARRIER_WAIT_H
#define CLI_BARRIER_WAIT_H

#include "base/clock.h"
#include "cli/edge_list.h"

#define BARRIER_EDGES_MAX 1024

struct barrier_wait {
    struct stream_id token;
    struct edge_list edges;           /* as read last */
    char *applied[BARRIER_EDGES_MAX]; /* ids that have acknowledged it */
    unsigned applied_count;
    uint64_t took_us; /* from the writing to the last one's word */
    bool complete;    /* all that count have, and at least as many as were asked for */
};

/* Writes the token, with one more field in its entry when `word` is not NULL. False: said on
 * standard error. Free in both cases. */
bool barrier_wait_run(struct redis_client *c, const struct settings *s, const char *word,
                      unsigned least, uint64_t timeout_ms, struct barrier_wait *w);
void barrier_wait_free(struct barrier_wait *w);
bool barrier_wait_has(const struct barrier_wait *w, const char *id);
/* It has not signed off, and was seen so lately that it may still serve. */
bool barrier_wait_counts(const struct edge_entry *e);

#endif
