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
    bool recalled;  /* the disk copy was asked for its last good value, */
    bool stands_in; /* which is in `fields` and `raw`: the value itself is bad, `error` says why */
    bool from_copy; /* it comes from the disk copy alone: Redis has not been asked, */
    bool withheld;  /* or has no such key, which is not believed */
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

/* Inside MULTI with `fn` NULL; else each of READING_(HASH_)COMMANDS replies comes to fn. */
void reading_ask(struct redis_link *link, struct str key, bool whole_hash, redisCallbackFn *fn);
enum reading_result reading_take(const struct module_host *modules, redisReply *const *replies,
                                 enum family family, struct str name, bool whole_hash,
                                 struct reading *to, const char **reason);
/* What the disk copy holds. False: it cannot be read any more; `to` is as it was. */
bool reading_recall(const struct module_host *modules, struct str raw, enum family family,
                    struct str name, struct reading *to);
void reading_free(struct reading *r); /* NULL is fine */

#endif
