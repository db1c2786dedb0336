/* guard.h -- where no endpoint may point: at this edge itself, at its Redis, or at an address that
 * serves a machine and not its clients.
 *
 * Records are written by many, and an edge stands where others cannot reach. So each address is
 * looked at twice: when a record names it, and when a connection to it is to be opened. */
#ifndef NET_GUARD_H
#define NET_GUARD_H

#include <stdatomic.h>

#include "settings.h"

#define GUARD_STORES 64

enum guard_verdict {
    GUARD_ALLOWED,
    GUARD_SELF,     /* this edge's own port: whatever --allow-endpoints says */
    GUARD_OWN_PORT, /* a port this edge listens at, on another address of this machine */
    GUARD_STORE,    /* Redis, or a Sentinel */
    GUARD_LOCAL,    /* link-local */
    GUARD_NO_PLACE, /* unspecified */
    GUARD_MANY,     /* multicast or broadcast */
    GUARD_UNIX,     /* a unix socket, not below a folder of --unix-endpoints */
};

/* One address that Redis was found at. Written by control, read by everybody: `turn` is odd while
 * it is being written. */
struct guard_store {
    atomic_uint turn;
    _Atomic uint64_t high, low;
    atomic_uint port;
};

struct guard {
    const struct settings *settings; /* listen and admin as bound; --allow-endpoints */
    atomic_uint store_count;         /* ever added; the last GUARD_STORES are remembered */
    struct guard_store stores[GUARD_STORES];
};

/* `settings`: with the ports that the kernel gave. */
void guard_init(struct guard *g, const struct settings *settings);

/* Redis is, or was, at this address. Control only. */
void guard_add_store(struct guard *g, const struct address *a);

/* Any thread. IPv4-mapped forms are judged as the IPv4 that they are. */
enum guard_verdict guard_judge(const struct guard *g, const struct address *a);

/* Of a unix socket, by its path in normal form. Any thread. */
enum guard_verdict guard_judge_unix(const struct guard *g, struct str path);

/* "an endpoint that is not this edge itself"; what would let it is said where something would. */
const char *guard_expects(enum guard_verdict verdict);

#endif
