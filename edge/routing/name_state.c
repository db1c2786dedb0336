/* name_state.c -- a board of addresses, read without a lock.
 *
 * Owns:    nothing; states are endpoint_state.c's.
 * Thread:  control writes, any thread reads.
 * Used by: control/names.c (writes), proxy/locate.c (reads).
 * Not here: asking for a name (control/names.c). */
#include "routing/name_state.h"

#include <string.h>

#include "base/cidr.h"

static void to_halves(const struct address *a, uint64_t half[2])
{
    uint8_t ip[16];

    cidr_ip(a, ip);
    memcpy(half, ip, sizeof(ip));
}

static void from_halves(const uint64_t half[2], uint16_t port, struct address *to)
{
    memset(to, 0, sizeof(*to));
    to->any.sa_family = AF_INET6;
    to->v6.sin6_port = port;
    memcpy(&to->v6.sin6_addr, half, 16);
    *to = address_plain(to);
}

bool name_pick(const struct name_state *n, unsigned at, uint16_t port, struct address *to)
{
    uint64_t half[2];
    unsigned turn, count;

    do {
        turn = atomic_load_explicit(&n->turn, memory_order_acquire);
        count = atomic_load_explicit(&n->count, memory_order_acquire);
        if (count == 0)
            return false;
        half[0] = atomic_load_explicit(&n->addresses[at % count].high, memory_order_acquire);
        half[1] = atomic_load_explicit(&n->addresses[at % count].low, memory_order_acquire);
    } while (turn % 2 != 0 || turn != atomic_load_explicit(&n->turn, memory_order_relaxed));
    from_halves(half, port, to);
    return true;
}

static bool holds(const struct name_state *n, unsigned count, const uint64_t half[2])
{
    for (unsigned i = 0; i < count; i++)
        if (atomic_load_explicit(&n->addresses[i].high, memory_order_relaxed) == half[0] &&
            atomic_load_explicit(&n->addresses[i].low, memory_order_relaxed) == half[1])
            return true;
    return false;
}

bool name_put(struct name_state *n, const struct address *addresses, unsigned count)
{
    unsigned before = atomic_load_explicit(&n->count, memory_order_relaxed);
    uint64_t half[NAME_ADDRESSES][2];
    bool same;

    if (count > NAME_ADDRESSES)
        count = NAME_ADDRESSES;
    same = before == count;
    for (unsigned i = 0; i < count; i++) {
        to_halves(&addresses[i], half[i]);
        same = same && holds(n, before, half[i]);
    }
    if (same)
        return false;
    atomic_fetch_add_explicit(&n->turn, 1, memory_order_acq_rel);
    for (unsigned i = 0; i < count; i++) {
        atomic_store_explicit(&n->addresses[i].high, half[i][0], memory_order_release);
        atomic_store_explicit(&n->addresses[i].low, half[i][1], memory_order_release);
    }
    atomic_store_explicit(&n->count, count, memory_order_release);
    atomic_fetch_add_explicit(&n->turn, 1, memory_order_release);
    return true;
}
