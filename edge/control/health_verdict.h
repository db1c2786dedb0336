/* health_verdict.h -- what checks of an endpoint come to: what one edge finds by itself, what two
 * checkers tell all, and which of both holds here. Nothing but arithmetic: times are given. */
#ifndef CONTROL_HEALTH_VERDICT_H
#define CONTROL_HEALTH_VERDICT_H

#include "base/buf.h"
#include "routing/health.h"

#define HEALTH_REASON_SIZE 160
#define HEALTH_EDGE_SIZE 80
#define HEALTH_VOTES 2

enum health_word { HEALTH_UNKNOWN, HEALTH_UP, HEALTH_DOWN };

/* --- one edge's own --- */

struct health_own {
    enum health_word word;
    uint32_t run;        /* results in a row that say otherwise */
    uint64_t since_ms;   /* the word is this one */
    uint64_t failing_ms; /* when those began that made it down, or may; 0: the last was good */
    bool checked;        /* since this edge took it up: else it is what others said before */
};

/* One more result. True: the word is another one now. The first result of all decides at once. */
bool health_own_result(struct health_own *own, const struct health_policy *p, bool good,
                       uint64_t now_ms);

/* From one check to the next. */
uint32_t health_own_wait_ms(const struct health_own *own, const struct health_policy *p);

/* --- what is shared --- */

/* What a checker says of an endpoint; times are of Redis's clock. */
struct health_vote {
    char edge[HEALTH_EDGE_SIZE];
    bool down;
    uint64_t since_ms, said_ms; /* down: since its checks failed */
    char reason[HEALTH_REASON_SIZE];
};

/* Of one endpoint, as it stands in usher:health:<service>. */
struct health_shared {
    unsigned count;
    struct health_vote votes[HEALTH_VOTES];
};

/* "down | edge-a down 1795510576625 1795510600000 connection refused | edge-b ...": what cannot be read is
 * left out. */
void health_shared_read(struct str text, struct health_shared *to);

/* {"edge":...}, for each: parted by commas. */
void health_votes_json(const struct health_shared *s, struct buf *to);

/* For people: "down: connection refused, for 12 s, says edge-a,edge-b", when at least one says so and none
 * says up; then it is true. "up, though edge-a finds: ..." when they differ. Else nothing. */
bool health_shared_say(const struct health_shared *s, uint64_t redis_now_ms, uint32_t keep_ms,
                       struct buf *to);

/* How long a vote counts, and what stands in Redis is kept. */
uint32_t health_keep_ms(const struct health_policy *p);
/* How long a checker keeps its place without a word. */
uint32_t health_lease_ms(const struct health_policy *p);

/* Down, when two checkers say so, both not too long ago; up when one says that; else unknown. */
enum health_word health_shared_word(const struct health_shared *s, uint64_t redis_now_ms,
                                    uint32_t keep_ms);

/* --- both --- */

struct health_standing {
    enum health_word word;
    /* Of one that is down: */
    uint64_t since_ms;  /* on this edge's clock */
    const char *reason; /* borrowed */
    bool shared;        /* the checkers say so; else it is this edge's own finding */
};

/* `checks`: this edge checks by itself. Else, and until it has found something, the others' word
 * counts, if `shared` is not NULL. `ahead_ms`: Redis's clock less this edge's. */
struct health_standing health_stand(bool checks, const struct health_own *own, const char *reason,
                                    const struct health_shared *shared, uint64_t now_ms,
                                    int64_t ahead_ms, uint32_t keep_ms);

/* What `edge` itself has said, not too long ago. */
struct health_standing health_stand_before(const struct health_shared *shared, const char *edge,
                                           uint64_t now_ms, int64_t ahead_ms, uint32_t keep_ms);

/* It was reached, and answered wrongly: requests that are answered do not speak against that. */
bool health_refuses(const char *reason);

#endif
