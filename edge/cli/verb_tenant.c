/* verb_tenant.c -- opens and closes what a verb about one tenant reads from.
 *
 * Owns:    the connection and what was read through it, between the two.
 * Thread:  control
 * Used by: route.c, tenant.c.
 * Not here: judging and writing (record_write.c). */
#include "cli/verb_tenant.h"

#include <stdio.h>

#include "cli/cli.h"
#include "cli/verb_redis.h"

int verb_tenant_open(struct verb_tenant *t, const char *verb, const struct settings *s,
                     const char *id)
{
    const char *expected;

    if (!record_name_is_right(FAMILY_tenant, str_from(id), &expected)) {
        fprintf(stderr,
                "usher %s: \"%.80s\" is no tenant's id: a-z 0-9 . _ - with 1 to 63 "
                "characters\n",
                verb, id);
        return CLI_EXIT_USAGE;
    }
    t->client = verb_redis_open(s);
    if (t->client == NULL)
        return CLI_EXIT_FAILED;
    redis_records_init(&t->records, t->client, str_from(s->prefix));
    t->source = redis_records_source(&t->records);
    return 0;
}

void verb_tenant_close(struct verb_tenant *t)
{
    redis_records_free(&t->records);
    redis_client_close(t->client);
}
