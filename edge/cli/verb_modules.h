/* verb_modules.h -- the modules that a verb knows: those of an edge with the same flags. */
#ifndef CLI_VERB_MODULES_H
#define CLI_VERB_MODULES_H

#include "module_host/registry.h"
#include "settings.h"

struct verb_modules {
    struct module_registry *registry;
    struct module_host host;
};

/* 0; else the exit code, and one line on standard error says why. Close in both cases. */
int verb_modules_open(struct verb_modules *m, const struct settings *s);
void verb_modules_close(struct verb_modules *m);

#endif
