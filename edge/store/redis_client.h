/* redis_client.h -- a connection to Redis that blocks, for the verbs of the command line.
 *
 * Never used by a running edge: its links are redis_link.h. */
#ifndef STORE_REDIS_CLIENT_H
#define STORE_REDIS_CLIENT_H

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "settings.h"
#include "store/redis_answers.h"

#define REDIS_CLIENT_ERROR_SIZE 256

struct redis_client;

/* Connects to where writes go (through Sentinel, TLS and all that the URL says), within
 * `timeout_ms`. NULL: `error` is one line that says why. */
struct redis_client *redis_client_open(const struct redis_url *url, unsigned timeout_ms,
                                       char error[REDIS_CLIENT_ERROR_SIZE]);
/* This one node or Sentinel, whatever it is; `url` for users, passwords and TLS. */
struct redis_client *redis_client_open_node(const struct redis_url *url,
                                            const struct redis_place *at, unsigned timeout_ms,
                                            char error[REDIS_CLIENT_ERROR_SIZE]);
struct redis_client *redis_client_open_sentinel(const struct redis_url *url,
                                                const struct redis_place *at, unsigned timeout_ms,
                                                char error[REDIS_CLIENT_ERROR_SIZE]);
const struct redis_server *redis_client_server(const struct redis_client *c);
void redis_client_close(struct redis_client *c);

/* One command. NULL: the connection is lost (redis_client_error says why). An error of Redis is a
 * reply (REDIS_REPLY_ERROR). Free with freeReplyObject. */
redisReply *redis_client_do(struct redis_client *c, unsigned argc, const struct str *words);
const char *redis_client_error(const struct redis_client *c);

/* Many at once: queue them, then take as many replies. */
void redis_client_queue(struct redis_client *c, unsigned argc, const struct str *words);
redisReply *redis_client_next(struct redis_client *c);

#endif
