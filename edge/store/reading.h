/* reading.h -- one record's value as this round read it: the commands that fetch it within bounds,
 * and what their replies say. */
#ifndef STORE_READING_H
#define STORE_READING_H

#include <hiredis/hiredis.h>

#include "routing/record.h"
#include "store/redis_link.h"

struct record;

#define READING_COMMANDS 5      /* replies for each record, */
#define READING_HASH_COMMANDS 6 /* and for one that is known to be a hash of bearable size */

struct reading {
    bool absent;
    bool good; /* decoded into `fields`; else `error` says why not */
    uint64_t value_hash;
    uint64_t epoch; /* the mirror's, when it was read */
    int64_t ttl_ms; /* < 0: none */
    struct buf raw; /* the value, as value_encode writes it; when good */
    struct record_fields fields;
    struct record_error error;
    struct record **named; /* the records that `fields` name (naming.c) */
    uint32_t named_count;
};

enum reading_result {
    READING_DONE,
    READING_HASH,  /* it is a hash, not too large: now ask for it whole */
    READING_BROKEN /* no answer about a record, but about Redis: *reason */
};

void reading_ask(struct redis_link *link, struct str key, bool whole_hash);
enum reading_result reading_take(redisReply *const *replies, enum family family, struct str name,
                                 bool whole_hash, struct reading *to, const char **reason);
void reading_free(struct reading *r); /* NULL is fine */

#endif
