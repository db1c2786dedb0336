/* dangling.h -- records that commands would leave behind without what they name. */
#ifndef CLI_DANGLING_H
#define CLI_DANGLING_H

#include "cli/keyspace.h"
#include "cli/lint.h"
#include "store/redis_records.h"

/* Warns of each record in Redis that no command touches and that names a tenant or a service which the
 * commands delete. Goes through all keys when they delete one. False: Redis fails, records->error says
 * how. */
bool dangling_find(struct keyspace *k, struct redis_records *records, struct lint *l);

#endif
