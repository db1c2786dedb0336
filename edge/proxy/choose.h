/* choose.h -- which endpoint a request goes to, and goes to next when it is tried again. */
#ifndef PROXY_CHOOSE_H
#define PROXY_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "routing/balance_key.h"

struct endpoint;
struct exchange;
struct service;

/* An endpoint of x->balanced: begins an attempt at it. Else why there is none. */
enum fault choose_endpoint(struct exchange *x);

/* Of a service that is limited: an endpoint that is not full, or has an idle connection; no attempt is
 * begun. NULL: there is none; *full: one of them will have room. */
const struct endpoint *choose_with_room(struct exchange *x, bool *full);
/* It goes to this one, which its turn in the queue has brought. */
void choose_settled(struct exchange *x, const struct endpoint *e);

/* Who may get the requests that wait, be they full or not: as balancing has it, without regard to zones. */
enum choose_among {
    CHOOSE_NOBODY,
    CHOOSE_WELL,    /* those that are well and no backups */
    CHOOSE_BACKUPS, /* there is none of these, but backups are */
    CHOOSE_ANY      /* nobody is well: that is not believed */
};
enum choose_among choose_among(const struct service *s, uint64_t now_ms);
bool choose_may(const struct service *s, const struct endpoint *e, enum choose_among among,
                uint64_t now_ms);
/* What the cookie of x->balanced says of the endpoint that was chosen. */
struct str choose_cookie(const struct exchange *x, char to[STICKY_TEXT_SIZE]);

#endif
