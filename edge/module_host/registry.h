/* registry.h -- the modules that this edge knows: those linked in, and those loaded from files.
 *
 * Filled at start, then read-only and read by every thread. */
#ifndef MODULE_HOST_REGISTRY_H
#define MODULE_HOST_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"
#include "modules/usher_module.h"

#define MODULES_MAX 64        /* an index fits a bit of a uint64_t */
#define MODULE_METRICS_MAX 16 /* of one module */

struct module_row {
    struct usher_module
        module;       /* as exported; what its own version of the struct lacks is zero, and
                                 * its tables have rows of this edge's size */
    const char *from; /* "linked in", or the file's path */
    unsigned index;   /* from 0, in the order they came */
    void *library;    /* of dlopen; NULL: linked in */
};

struct module_registry;

struct settings;

struct module_registry *registry_new(void); /* with what is linked in */
/* And with what --module and --module-dir say. NULL: *why is the sentence. */
struct module_registry *registry_open(const struct settings *s, struct buf *why);
void registry_free(struct module_registry *r);

/* One file, or every *.so of a folder, in the order of their names. False: *why is the sentence
 * (names both sides), and nothing of that file is kept. */
bool registry_load(struct module_registry *r, const char *path, struct buf *why);
bool registry_load_folder(struct module_registry *r, const char *path, struct buf *why);

/* What a file exports, judged and taken in: then `library` is the registry's. False: as above. */
bool registry_add(struct module_registry *r, const struct usher_module *exported, const char *from,
                  void *library, struct buf *why);

size_t registry_count(const struct module_registry *r);
const struct module_row *registry_at(const struct module_registry *r, size_t index);
const struct module_row *registry_find(const struct module_registry *r, struct str name); /* NULL */

/* What decoding records needs to know of modules. */
struct module_host {
    const struct module_registry *registry;
    struct str prefix;               /* of this edge's keys */
    struct usher_host host;          /* what `compile` hooks are given */
    const struct settings *settings; /* for --module-option; NULL: there is none */
    struct chain_pool *pool;         /* NULL: each chain is a new one */
};

#endif
