/* verb_tenant.h -- verbs about one tenant: its id looked at, Redis open, its records at hand. */
#ifndef CLI_VERB_TENANT_H
#define CLI_VERB_TENANT_H

#include "store/redis_records.h"

struct verb_tenant {
    struct redis_client *client;
    struct redis_records records;
    struct records source; /* of `records` */
};

/* 0; else the exit code: one line on standard error, by `verb` ("route"), says why, and there is
 * nothing to close. */
int verb_tenant_open(struct verb_tenant *t, const char *verb, const struct settings *s,
                     const char *id);
void verb_tenant_close(struct verb_tenant *t);

#endif
