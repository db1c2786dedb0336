/* explain_limits.h -- the limits that hold for a request, and which record says each. */
#ifndef CONTROL_EXPLAIN_LIMITS_H
#define CONTROL_EXPLAIN_LIMITS_H

#include "control/explain.h"
#include "routing/site.h"

#define EXPLAINED_RANKS 3

/* Whoever may say something, the strongest first. */
struct explained_ranks {
    const struct tenant_fields *fields[EXPLAINED_RANKS]; /* NULL: is not there */
    struct str keys[EXPLAINED_RANKS];
};

/* False: none of them lets this client in. */
bool explain_limits(struct explanation *e, const struct explained_ranks *ranks,
                    const struct address *client);

#endif
