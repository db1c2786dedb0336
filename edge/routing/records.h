/* records.h -- where records are read from: Redis, the disk copy, a file of commands on top of
 * either. For those who look at what is written without being an edge. */
#ifndef ROUTING_RECORDS_H
#define ROUTING_RECORDS_H

#include "routing/record.h"

struct records {
    void *owner;
    /* What the key of this family and name holds; *value is borrowed until the next call. False: it
     * cannot be read now, and *why says why not. */
    bool (*fetch)(void *owner, enum family family, struct str name, struct value *value,
                  const char **why);
};

static inline bool records_fetch(const struct records *r, enum family family, struct str name,
                                 struct value *value, const char **why)
{
    return r->fetch(r->owner, family, name, value, why);
}

#endif
