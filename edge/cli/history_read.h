/* history_read.h -- usher:history: streams, read. schema/README.md has their form. */
#ifndef CLI_HISTORY_READ_H
#define CLI_HISTORY_READ_H

#include "settings.h"
#include "store/redis_client.h"

/* One entry; borrows from the reply it was read from. */
struct history_entry {
    struct str id; /* "1732435200000-0" */
    uint64_t wall_ms;
    struct str key, before_type, before, after_type, after, edge;
};

/* The newest entries of a tenant ("-": of records that are no tenant's) from `id` on back ("+": all).
 * NULL: said on standard error why. The entries are read with history_take. */
redisReply *history_fetch(struct redis_client *c, const struct settings *s, struct str tenant,
                          struct str id, uint64_t count);
/* The i-th of them; false: it is no entry. */
bool history_take(const redisReply *entries, size_t i, struct history_entry *entry);

/* The commands that make the key hold what `type` and `text` say: calls `add` for each. False: it
 * cannot be done (the value was too large to be kept). */
bool history_commands(struct str key, struct str type, struct str text,
                      void (*add)(void *owner, struct str line), void *owner);

#endif
