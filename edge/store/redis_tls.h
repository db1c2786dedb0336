/* redis_tls.h -- TLS under a connection of hiredis. */
#ifndef STORE_REDIS_TLS_H
#define STORE_REDIS_TLS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>

#include "settings.h"

/* `redis` has a descriptor, and nothing was written to it yet. `host`: where it leads, as in the
 * URL or as Sentinel said. The session ends with `redis`. False: redis->errstr says why. */
bool redis_tls_begin(redisContext *redis, const struct redis_url *url, const char *host);
/* See tls_client.h; false without TLS. */
bool redis_tls_waits_to_read(const redisContext *redis);
bool redis_tls_has_unread(const redisContext *redis);

#endif
