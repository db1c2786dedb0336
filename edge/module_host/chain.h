/* chain.h -- what a field or modifier `modules` says, compiled: which modules, in which order, each
 * with its settings.
 *
 * Immutable; belongs to the compiled objects (site, tenant, routes, defaults) whose record said it.
 * A record that changes elsewhere keeps the chain it has, and with it what its modules know. */
#ifndef MODULE_HOST_CHAIN_H
#define MODULE_HOST_CHAIN_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/arena.h"
#include "module_host/registry.h"

#define CHAIN_MODULES_MAX 16 /* in one `modules` */

struct chain_link {
    const struct module_row *row;
    struct str text;         /* this module's part of what is written */
    void *compiled;          /* what its `compile` made */
    uint32_t *service_slots; /* handle n of usher_value.number is service_slots[n - 1] */
    uint32_t service_count;
};

struct chain {
    uint32_t count;      /* 0: said to be none */
    uint64_t has;        /* bit by row->index */
    size_t bytes;        /* of all that it holds, kept memory included */
    struct str text;     /* as written, for those who explain */
    struct arena memory; /* of all but this struct */
    bool anew;           /* it holds more than its text says */
    atomic_uint holders;
    struct chain_pool *pool; /* NULL: it was never in one */
    bool pooled;             /* under the pool's lock */
    struct str place;        /* its key there */
    struct chain_link links[];
};

/* `base`: what `compile` hooks may call beside what compiling itself gives; NULL: nothing more. */
void module_host_init(struct module_host *m, const struct module_registry *registry,
                      struct str prefix, const struct usher_host *base);

/* Whose settings are compiled, and what else that needs. */
struct chain_scope {
    const struct module_host *modules;
    struct str tenant; /* ptr NULL: none, */
    struct str whose;  /* but these: "usher:defaults", "a host without a tenant" */
    unsigned family;   /* of the record that says it, */
    struct str name;   /* its name, */
    struct str rule;   /* and the rule's */
    void *owner;
    /* Remembers that this service is named; *index is what chain_settle is to know it by. False:
     * *expected says what a name is. NULL: none may be named here. */
    bool (*service)(void *owner, struct str name, uint32_t *index, const char **expected);
    /* Does this word end the list? NULL: the text's end alone does. */
    bool (*ends)(struct str word);
};

struct chain_error {
    struct str got; /* in the text given */
    uint32_t column;
    char expected[200];
};

/* Compiles what stands in `text` from *at on, and moves *at behind it. NULL: *error says why. */
struct chain *chain_compile(const struct chain_scope *scope, struct str text, size_t *at,
                            struct chain_error *error);
/* Where what stands in `text` from `at` on ends, without looking at what it says. */
size_t chain_skip(struct str text, size_t at, bool (*ends)(struct str word));
/* Once: in the place of each service's index comes its slot. */
void chain_settle(struct chain *c, const uint32_t *slots);
/* Lets go of it; the last one calls each link's `drop` and frees its memory. NULL is fine. Any thread. */
void chain_free(struct chain *c);

/* The chains that there are, by where they are said and by their text: one that is compiled again as it
 * was is the same one. Those that name services are not among them: their slots may be others. Nor are
 * those of a module that says so (usher_anew). Any thread; freed after its chains. */
struct chain_pool *chain_pool_new(void);
void chain_pool_free(struct chain_pool *pool); /* NULL is fine */

#endif
