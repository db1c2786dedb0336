/* chain.h -- what a field or modifier `modules` says, compiled: which modules, in which order, each
 * with its settings.
 *
 * Immutable; belongs to the compiled object (site, tenant, routes, defaults) whose record said it. */
#ifndef MODULE_HOST_CHAIN_H
#define MODULE_HOST_CHAIN_H

#include <stdint.h>

#include "module_host/registry.h"

#define CHAIN_MODULES_MAX 16 /* in one `modules` */

struct chain_link {
    const struct module_row *row;
    void *compiled;                /* what its `compile` made */
    const uint32_t *service_slots; /* handle n of usher_value.number is service_slots[n - 1] */
    uint32_t service_count;
};

struct chain {
    uint32_t count;  /* 0: said to be none */
    uint64_t has;    /* bit by row->index */
    size_t bytes;    /* of all that it holds, kept memory included */
    struct str text; /* as written, for those who explain */
    struct chain_link links[];
};

/* Calls each link's `drop`, frees its memory. NULL is fine. Any thread that is the last to hold it. */
void chain_free(struct chain *c);

#endif
