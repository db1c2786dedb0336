/* health_records.h -- what checkers say of endpoints, read from Redis for explanations. */
#ifndef CLI_HEALTH_RECORDS_H
#define CLI_HEALTH_RECORDS_H

#include "cli/verb_redis.h"
#include "control/explain.h"
#include "control/health_verdict.h"
#include "routing/endpoint_state.h"

struct health_records {
    struct redis_client *client;
    const struct settings *settings;
    struct states states;
    redisReply *said; /* of the service asked for last; NULL: nothing */
    uint64_t now_ms;  /* Redis's */
};

/* `source` asks it from now on, until the records are freed. */
void health_records_use(struct health_records *r, struct redis_client *client,
                        const struct settings *s, struct explain_source *source);
void health_records_free(struct health_records *r);

#endif
