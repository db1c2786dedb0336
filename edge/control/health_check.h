/* health_check.h -- one check of one endpoint: connect, perhaps ask, and look at the answer. */
#ifndef CONTROL_HEALTH_CHECK_H
#define CONTROL_HEALTH_CHECK_H

#include "control/health_verdict.h"
#include "net/conn.h"
#include "net/loop.h"
#include "net/proxy_header.h"

struct health_check;

/* `reason`: why it failed, a word or a few; "" when it was good. */
typedef void (*health_checked_fn)(void *owner, bool good, const char *reason);

/* What the checks of an edge have in common. */
struct health_checks {
    struct loop *loop;
    const char *edge;             /* its name */
    unsigned open;                /* under way, or their connections not yet closed */
    void (*on_room)(void *owner); /* one less is open */
    void *owner;
    struct conn_read_buffer read_buffer;
    char *read_bytes;
};

void health_checks_open(struct health_checks *c, struct loop *l, const char *edge,
                        void (*on_room)(void *owner), void *owner);
void health_checks_free(struct health_checks *c); /* none is open */

/* Where a check goes, and whether there is more to ask than a connection (FastCGI: there is not). */
struct health_place {
    struct address at;
    struct str unix_path; /* ptr NULL: the address says where */
    bool connects_only;
    struct str host; /* what an HTTP check says as Host, if its service does not say */
};

/* Calls fn once, later, within p->timeout_ms; never from within. `p` is borrowed until then, and
 * says all but the address. */
struct health_check *health_check_start(struct health_checks *c, const struct health_policy *p,
                                        const struct health_place *place,
                                        enum proxy_version send_proxy, health_checked_fn fn,
                                        void *owner);
void health_check_cancel(struct health_check *check); /* fn is not called */

#endif
