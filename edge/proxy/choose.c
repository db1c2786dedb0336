/* choose.c -- which endpoint a request goes to: what balancing needs to know, gathered from the
 * exchange and its worker.
 *
 * Owns:    nothing.
 * Thread:  its worker.
 * Used by: exchange.c.
 * Not here: the choice itself (routing/balance.c). */
#include "proxy/choose.h"

#include "proxy/attempt.h"
#include "proxy/worker_state.h"
#include "routing/balance.h"

/* Where the round-robin position is kept: with the named service, or with whoever lists endpoints. */
static uint32_t *cursor(struct exchange *x)
{
    struct sites *s = &x->w->sites;

    if (x->service != NULL)
        return sites_cursor(s, OBJECT_SERVICE, x->service->object.ref.slot);
    if (x->route != NULL)
        return &x->w->rule_cursors[(x->routes->object.ref.slot * 31 +
                                    (uint32_t)(x->route - x->routes->items)) %
                                   WORKER_RULE_CURSORS];
    if (x->action == &x->site->fields.to)
        return sites_cursor(s, OBJECT_SITE, x->site_slot);
    if (x->tenant != NULL && x->action == &x->tenant->fields.to)
        return sites_cursor(s, OBJECT_TENANT, x->tenant->object.ref.slot);
    return sites_cursor(s, OBJECT_DEFAULTS, x->defaults->object.ref.slot);
}

enum fault choose_endpoint(struct exchange *x)
{
    const struct endpoint *e = balance_choose(x->balanced, cursor(x), &x->w->random);

    if (e == NULL)
        return FAULT_no_endpoint;
    attempt_begin(x, e);
    return FAULT_NONE;
}
