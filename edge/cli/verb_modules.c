/* verb_modules.c -- verbs that judge what is said of modules.
 *
 * Owns:    the registry, while the verb runs.
 * Thread:  control
 * Used by: the verbs.
 * Not here: loading (module_host/); what `usher modules` prints (modules.c). */
#include "cli/verb_modules.h"

int verb_modules_open(struct verb_modules *m, const struct settings *s)
{
    m->registry = registry_new();
    m->host = (struct module_host){ .registry = m->registry, .prefix = str_from(s->prefix) };
    return 0;
}

void verb_modules_close(struct verb_modules *m)
{
    registry_free(m->registry);
    m->registry = NULL;
}
