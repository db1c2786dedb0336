/* settings_redis.h -- a Redis URL, read. */
#ifndef SETTINGS_REDIS_H
#define SETTINGS_REDIS_H

#include "settings.h"

/* redis://[USER:PASSWORD@]HOST[:PORT][/DB] or unix://[USER:PASSWORD@]/PATH[?db=N]; user, password
 * and path may be percent-encoded. On false, *expected says what would have been right. */
bool settings_redis_url(struct str url, struct redis_url *to, const char **expected);

#endif
