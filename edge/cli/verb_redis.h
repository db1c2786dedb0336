/* verb_redis.h -- verbs that speak with Redis: the connection, and keys under --prefix. */
#ifndef CLI_VERB_REDIS_H
#define CLI_VERB_REDIS_H

#include "net/guard.h"
#include "settings.h"
#include "store/redis_client.h"

#define CLI_EXIT_FAILED 1

/* NULL: one line on standard error says why; return CLI_EXIT_FAILED. Close with
 * redis_client_close. */
struct redis_client *verb_redis_open(const struct settings *s);

/* Where no edge lets endpoints be: by --allow-endpoints, whatever an edge's own addresses are. */
void verb_redis_guard(struct guard *guard, struct settings *s);

/* One command; NULL when the connection is lost or Redis answers with an error, which is said on
 * standard error. Free with freeReplyObject. */
redisReply *verb_redis_do(struct redis_client *c, unsigned argc, const struct str *words);

/* The prefix and `name` (and `rest`, which may be empty), in place of what was in `to`. */
struct str verb_redis_key(const struct settings *s, struct buf *to, const char *name,
                          struct str rest);

#endif
