/* verb_modules.c -- verbs that judge what is said of modules.
 *
 * Owns:    the registry, while the verb runs.
 * Thread:  control
 * Used by: the verbs.
 * Not here: loading (module_host/); what `usher modules` prints (modules.c). */
#include "cli/verb_modules.h"

#include <stdio.h>

#include "cli/cli.h"
#include "module_host/chain.h"
#include "proxy/module_run.h"

int verb_modules_open(struct verb_modules *m, const struct settings *s)
{
    struct buf why = { 0 };

    m->registry = registry_open(s, &why);
    if (m->registry == NULL)
        fprintf(stderr, "usher: %s\n", why.ptr);
    buf_free(&why);
    if (m->registry == NULL)
        return CLI_EXIT_USAGE;
    module_host_init(&m->host, m->registry, str_from(s->prefix), &modules_host);
    m->host.settings = s;
    return 0;
}

void verb_modules_close(struct verb_modules *m)
{
    registry_free(m->registry);
    m->registry = NULL;
}
