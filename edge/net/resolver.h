/* resolver.h -- a name's addresses, asked of the system without stopping the loop. */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include <stdint.h>

#include "base/address.h"

#define RESOLVER_MOST 8

struct loop;
struct resolving;
/* count 0: the name has no address; `reason` says why. `resolving` is void from here on. */
typedef void (*resolver_fn)(void *owner, const struct address *addresses, unsigned count,
                            const char *reason);

/* NULL: it cannot even be asked. */
struct resolving *resolver_ask(struct loop *l, const char *name, uint16_t port, resolver_fn fn,
                               void *owner);
/* fn will not be called. The loop may go on waiting for the system's answer. */
void resolver_cancel(struct resolving *r);

#endif
