/* edge_list.h -- the edges that have announced themselves in Redis, for verbs that show or await
 * them. */
#ifndef CLI_EDGE_LIST_H
#define CLI_EDGE_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "settings.h"
#include "store/barrier.h"
#include "store/redis_client.h"

#define EDGE_COUNTS_MS (60ull * 60 * 1000) /* one seen so lately may still be serving */

/* Words of usher:edge:<id>; "" where it does not say. */
struct edge_entry {
    char *id;
    int64_t seen_ms; /* ago, by the clock of Redis */
    bool alive;      /* its record has not run out */
    char *version, *host, *pid, *listen, *admin, *started, *barrier, *lag_ms;
    char *requests_per_s, *faults_per_s;
    uint64_t uptime_ms, workers, connections, requests, faults, records_bad, silent_ms;
    bool store_up, suspect, regressed, draining, name_taken;
    struct stream_id applied;
};

struct edge_list {
    struct edge_entry *edges; /* by id */
    unsigned count;
};

/* False: said on standard error. Free in both cases. */
bool edge_list_read(struct redis_client *c, const struct settings *s, struct edge_list *list);
void edge_list_free(struct edge_list *list);
const struct edge_entry *edge_list_find(const struct edge_list *list, const char *id);

/* "850 ms", "12 s", "3 min", "5 h", "2 d" */
#define EDGE_AGE_SIZE 32
char *edge_age_text(uint64_t ms, char to[EDGE_AGE_SIZE]);
/* Sentences on what is out of order with it: "link to Redis down; ..."; nothing when all is well. */
void edge_trouble(const struct edge_entry *e, struct buf *to);

#endif
