/* settings_redis.h -- a Redis URL, read. */
#ifndef SETTINGS_REDIS_H
#define SETTINGS_REDIS_H

#include "settings.h"

/* redis://[USER:PASSWORD@]HOST[:PORT][/DB][?tls_name=NAME], rediss:// alike, with TLS;
 * unix://[USER:PASSWORD@]/PATH[?db=N];
 * sentinel://[USER:PASSWORD@]HOST[:PORT],.../NAME[/DB][?...], sentinels:// alike, with TLS: user and
 * password are Redis's; Sentinel's are sentinel_user= and sentinel_password= behind the ?.
 * User, password, path and values may be percent-encoded. to->files is kept. On false, *expected
 * says what would have been right. */
bool settings_redis_url(struct str url, struct redis_url *to, const char **expected);

#endif
