/* health_parts.h -- what the files of health share. */
#ifndef CONTROL_HEALTH_PARTS_H
#define CONTROL_HEALTH_PARTS_H

#include "base/map.h"
#include "base/random.h"
#include "control/health.h"
#include "control/health_check.h"
#include "control/health_verdict.h"
#include "routing/service.h"

/* One endpoint of a service that is checked; kept by its name. */
struct health_target {
    struct health_service *service;
    char *name;                      /* as written */
    const struct endpoint *endpoint; /* of service->now */
    bool seen;                       /* while versions are compared */

    struct health_own own;
    char reason[HEALTH_REASON_SIZE]; /* why its last check failed that did */
    struct health_shared shared;
    enum health_word sent; /* what Redis knows of us; HEALTH_UNKNOWN: nothing, or not for sure */
    enum health_word sending;

    bool down; /* what workers were told */
    bool told_shared;
    uint64_t since_ms;
    char told_reason[HEALTH_REASON_SIZE];

    struct timer due;
    struct list waiting; /* in health->waiting: its check is due */
    uint64_t began_ms;
    struct health_check *check; /* NULL: none is under way */
};

enum health_role {
    HEALTH_ASKS,   /* for a place, the first time: nobody checks here yet */
    HEALTH_ALONE,  /* Redis is away: checks for itself */
    HEALTH_CHECKS, /* has a place: checks for all */
    HEALTH_WAITS,  /* two others check */
};

/* What is to be said to Redis. */
#define SHARE_PLACE 1u /* ask for a place, or keep it, with the votes that are new */
#define SHARE_READ 2u  /* read what others say */

struct health_service {
    struct health *health;
    char name[NAME_MAX_BYTES + 1];
    const struct service *now;
    enum health_role role;
    struct health_target **targets;
    uint32_t count;
    struct map by_name; /* the same */

    unsigned wants;          /* SHARE_... */
    struct list asking;      /* in health->asking */
    struct store_call *call; /* under way */
    unsigned asked;          /* what it is for */
    struct timer place;      /* when to speak with Redis again */
    struct timer votes;      /* when to send votes that are in no hurry */
    struct timer reads;      /* when to read again what others say */
    uint64_t read_ms;        /* the last time */
    uint64_t all_ms;         /* since then all votes have been sent, or are to be */
    bool more, sweeps; /* votes are left for the next call; what has run out goes with the last */
    bool taken;        /* a place was given to us by Redis, and not given back */
    struct timer look; /* while something is down: what was said may run out */
    uint32_t down;     /* targets that workers were told are down */
    bool panics;       /* so few are up that workers take all for up */
};

struct health {
    struct loop *loop;
    const struct settings *settings;
    const struct guard *guard;
    struct store *store;
    struct map services;
    struct random random;
    bool closed;

    struct health_checks checks;
    struct list waiting; /* struct health_target, for room among the checks */
    uint64_t good, failed;

    struct list asking; /* struct health_service */
    unsigned calls;     /* under way */
    int64_t ahead_ms;   /* Redis's clock less ours */
    bool refused;       /* Redis does not let us: said once */
    struct timer watch; /* of the link */
    bool up;
    uint64_t shared_calls, shared_away;
};

#define HEALTH_LISTED 1000 /* services, in metrics and lists */

static inline const struct health_policy *health_policy_of(const struct health_service *sv)
{
    return sv->now->policy.health;
}

static inline bool health_does_check(const struct health_service *sv)
{
    return sv->role == HEALTH_CHECKS || sv->role == HEALTH_ALONE;
}

/* Up to a tenth of it more or less, so that edges do not go in step. */
static inline uint64_t health_about(struct health *h, uint64_t ms)
{
    return ms - ms / 10 + random_below(&h->random, ms / 5 + 1);
}

/* health.c */
void health_take_role(struct health_service *sv, enum health_role role);
void health_look_at(struct health_service *sv); /* tells workers what has changed */
struct health_standing health_stand_of(const struct health_target *t);
struct health_target *health_target_of(const struct health_service *sv, struct str name);
struct health_service *health_service_of(const struct health *h, struct str name);

/* Whose is the place then? */
enum health_leaving {
    LEAVING_FOR_GOOD, /* the service is not checked any more */
    LEAVING_TO_OTHERS,
    LEAVING_TO_SELF, /* another process of this edge goes on */
};

/* health_share.c */
void health_share_open(struct health_service *sv);
void health_share_close(struct health_service *sv, enum health_leaving how);
void health_share_want(struct health_service *sv, unsigned wants);
void health_share_pushed(struct health_service *sv); /* what others say has changed */
void health_share_vote(struct health_service *sv, bool at_once);
void health_share_watch(struct health *h);

#endif
