/* descriptors.c -- the descriptor limit, raised as far as the system lets us.
 *
 * Owns:    RLIMIT_NOFILE of this process.
 * Thread:  control, before the workers start.
 * Used by: control.c.
 * Not here: what happens when they run out all the same (net/listener.c). */
#include "control/descriptors.h"

#include <sys/resource.h>

#include "base/log.h"

void descriptors_prepare(struct settings *s)
{
    struct rlimit limit;
    uint32_t fits;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        limit.rlim_cur = limit.rlim_max = 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = { .rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max };

        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit.rlim_cur = raised.rlim_cur;
    }
    fits = settings_connections_for(limit.rlim_cur, s->workers);
    if (s->max_connections == 0)
        s->max_connections = fits;
    else if (s->max_connections > fits)
        log_line(LOG_WARN, "few_descriptors", "limit=%llu max_connections=%u fit=%u",
                 (unsigned long long)limit.rlim_cur, s->max_connections, fits);
}
