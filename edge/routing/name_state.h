/* name_state.h -- the addresses that an endpoint's name has now: written by control, read by all.
 *
 * One for each name, however many endpoints have it; it lives while one object names it. Nothing is
 * compiled anew when the addresses change. */
#ifndef ROUTING_NAME_STATE_H
#define ROUTING_NAME_STATE_H

#include "base/address.h"
#include "routing/endpoint_state.h"

#define NAME_ADDRESSES 16

struct name_state {
    struct state state; /* first; its key is the name, with a NUL */
    void *resolving;    /* control's own */
    atomic_uint turn;   /* odd while the addresses are being written */
    atomic_uint count;  /* of addresses; never less than 1 again once it was */
    atomic_bool failed; /* count 0: it was asked for and has none; requests need not wait */
    struct name_address {
        _Atomic uint64_t high, low; /* as IPv6; IPv4 is mapped */
    } addresses[NAME_ADDRESSES];
};

/* The address number `at`, round and round. False: there is none. Any thread. */
bool name_pick(const struct name_state *n, unsigned at, uint16_t port, struct address *to);
static inline unsigned name_count(const struct name_state *n)
{
    return atomic_load_explicit(&n->count, memory_order_acquire);
}

/* From now on these, at least one. False: it had the same ones, in whichever order. Control only. */
bool name_put(struct name_state *n, const struct address *addresses, unsigned count);

#endif
