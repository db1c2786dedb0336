/* guard.c -- tells endpoints from what only looks like one.
 *
 * Owns:    the board of addresses that Redis was found at.
 * Thread:  control adds, any thread asks; no lock.
 * Used by: store/endpoints.c (when a record is written), proxy/upstream.c and control/health.c (when it
 *          is connected to).
 * Not here: what becomes of the record or the request. */
#include "net/guard.h"

#include <arpa/inet.h>
#include <unistd.h>

#include "base/check.h"

void guard_init(struct guard *g, const struct settings *settings)
{
    memset(g, 0, sizeof(*g));
    g->settings = settings;
}

static bool is_v4(const struct address *a)
{
    return a->any.sa_family == AF_INET;
}

static uint32_t v4_of(const struct address *a)
{
    return ntohl(a->v4.sin_addr.s_addr);
}

/* The unspecified address, too, is connected to: it means this machine. */
static bool is_unspecified(const struct address *a)
{
    return is_v4(a) ? v4_of(a) >> 24 == 0 : IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr) != 0;
}

static bool is_loopback(const struct address *a)
{
    return is_v4(a) ? v4_of(a) >> 24 == 127 : IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr) != 0;
}

static bool is_link_local(const struct address *a)
{
    return is_v4(a) ? v4_of(a) >> 16 == 0xa9fe : IN6_IS_ADDR_LINKLOCAL(&a->v6.sin6_addr) != 0;
}

static bool is_many(const struct address *a)
{
    return is_v4(a) ? v4_of(a) >> 28 == 14 || v4_of(a) == UINT32_MAX
                    : IN6_IS_ADDR_MULTICAST(&a->v6.sin6_addr) != 0;
}

static bool is_same_ip(const struct address *a, const struct address *b)
{
    uint8_t one[16], other[16];

    cidr_ip(a, one);
    cidr_ip(b, other);
    return memcmp(one, other, sizeof(one)) == 0;
}

/* Would a connection to it end on this machine? The kernel is asked: it would come from the very
 * address that it goes to. Only for addresses with a port of ours, so rarely. */
static bool is_here(const struct address *a)
{
    struct address from;
    socklen_t len = sizeof(from);
    bool here;
    int fd;

    if (is_unspecified(a) || is_loopback(a))
        return true;
    fd = socket(a->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    here = connect(fd, &a->any, address_len(a)) == 0 && getsockname(fd, &from.any, &len) == 0 &&
           is_same_ip(&from, a);
    close(fd);
    return here;
}

/* What `a` is to one of this edge's own sockets. */
static enum guard_verdict against(const struct address *own, const struct address *a)
{
    struct address listening = address_plain(own);

    if (address_port(&listening) != address_port(a))
        return GUARD_ALLOWED;
    if (is_same_ip(&listening, a))
        return GUARD_SELF;
    if (!is_here(a))
        return GUARD_ALLOWED;
    if (is_v4(&listening) == is_v4(a) &&
        (is_unspecified(&listening) || (is_unspecified(a) && is_loopback(&listening))))
        return GUARD_SELF;
    return GUARD_OWN_PORT;
}

static enum guard_verdict against_own(const struct guard *g, const struct address *a)
{
    const struct settings *s = g->settings;
    enum guard_verdict worst = GUARD_ALLOWED, one;

    for (unsigned i = 0; i < s->listen_count + (s->admin_on ? 1 : 0); i++) {
        one = against(i < s->listen_count ? &s->listen[i] : &s->admin, a);
        if (one == GUARD_SELF)
            return one;
        if (one != GUARD_ALLOWED)
            worst = one;
    }
    return worst;
}

/* --- Redis's addresses --- */

static void halves(const struct address *a, uint64_t *high, uint64_t *low)
{
    uint8_t ip[16];

    cidr_ip(a, ip);
    memcpy(high, ip, 8);
    memcpy(low, ip + 8, 8);
}

static unsigned held(unsigned count)
{
    return count < GUARD_STORES ? count : GUARD_STORES;
}

/* False: it is being written. Whoever sees a new part sees an odd or a newer turn as well. */
static bool read_store(const struct guard_store *at, struct address *a)
{
    unsigned turn = atomic_load_explicit(&at->turn, memory_order_acquire);
    uint64_t high = atomic_load_explicit(&at->high, memory_order_acquire);
    uint64_t low = atomic_load_explicit(&at->low, memory_order_acquire);
    unsigned port = atomic_load_explicit(&at->port, memory_order_acquire);

    if (turn % 2 != 0 || turn != atomic_load_explicit(&at->turn, memory_order_relaxed))
        return false;
    memset(a, 0, sizeof(*a));
    a->v6.sin6_family = AF_INET6;
    a->v6.sin6_port = htons((uint16_t)port);
    memcpy(&a->v6.sin6_addr, &high, 8);
    memcpy((char *)&a->v6.sin6_addr + 8, &low, 8);
    *a = address_plain(a);
    return true;
}

static bool is_store(const struct guard *g, const struct address *a)
{
    unsigned count = atomic_load_explicit(&g->store_count, memory_order_acquire);
    struct address store;

    for (unsigned i = 0; i < held(count); i++) {
        if (atomic_load_explicit(&g->stores[i].port, memory_order_relaxed) != address_port(a))
            continue;
        while (!read_store(&g->stores[i], &store))
            continue;
        if (address_port(&store) == address_port(a) &&
            (is_same_ip(&store, a) || (is_here(&store) && is_here(a))))
            return true;
    }
    return false;
}

void guard_add_store(struct guard *g, const struct address *a)
{
    unsigned count = atomic_load_explicit(&g->store_count, memory_order_relaxed);
    struct guard_store *at = &g->stores[count % GUARD_STORES];
    struct address new = address_plain(a), known;
    uint64_t high, low;

    for (unsigned i = 0; i < held(count); i++)
        if (read_store(&g->stores[i], &known) && address_port(&known) == address_port(&new) &&
            is_same_ip(&known, &new))
            return;
    halves(&new, &high, &low);
    atomic_fetch_add_explicit(&at->turn, 1, memory_order_acq_rel);
    atomic_store_explicit(&at->high, high, memory_order_release);
    atomic_store_explicit(&at->low, low, memory_order_release);
    atomic_store_explicit(&at->port, address_port(&new), memory_order_release);
    atomic_fetch_add_explicit(&at->turn, 1, memory_order_release);
    atomic_store_explicit(&g->store_count, count + 1, memory_order_release);
}

/* --- judging --- */

static bool is_let(const struct settings *s, const struct address *a)
{
    for (unsigned i = 0; i < s->allow_endpoints.count; i++)
        if (cidr_holds(&s->allow_endpoints.at[i], a))
            return true;
    return false;
}

enum guard_verdict guard_judge(const struct guard *g, const struct address *address)
{
    struct address a = address_plain(address);
    enum guard_verdict own = against_own(g, &a);

    if (own == GUARD_SELF)
        return GUARD_SELF;
    if (is_let(g->settings, &a))
        return GUARD_ALLOWED;
    if (is_unspecified(&a))
        return GUARD_NO_PLACE;
    if (is_link_local(&a))
        return GUARD_LOCAL;
    if (is_many(&a))
        return GUARD_MANY;
    if (own != GUARD_ALLOWED)
        return own;
    return is_store(g, &a) ? GUARD_STORE : GUARD_ALLOWED;
}

/* Folders and paths have one form, so text is enough; links inside are those of whoever owns it. */
enum guard_verdict guard_judge_unix(const struct guard *g, struct str path)
{
    const struct settings *s = g->settings;

    if (s->redis.unix_socket && str_equals(path, str_from(s->redis.host)))
        return GUARD_STORE;
    for (unsigned i = 0; i < s->unix_folder_count; i++) {
        struct str folder = str_from(s->unix_folders[i]);

        if (str_starts_with(path, folder) && path.len > folder.len + 1 &&
            path.ptr[folder.len] == '/')
            return GUARD_ALLOWED;
    }
    return GUARD_UNIX;
}

const char *guard_expects(enum guard_verdict verdict)
{
    switch (verdict) {
    case GUARD_ALLOWED:
        break;
    case GUARD_SELF:
        return "an endpoint that is not this edge itself";
    case GUARD_OWN_PORT:
        return "an endpoint that has no port of this edge on this machine (--allow-endpoints lets "
               "it)";
    case GUARD_STORE:
        return "an endpoint that is not this edge's Redis (--allow-endpoints lets it)";
    case GUARD_LOCAL:
        return "an endpoint that is not link-local: 169.254.0.0/16, fe80::/10 (--allow-endpoints "
               "lets it)";
    case GUARD_NO_PLACE:
        return "an endpoint with an address: 0.0.0.0/8 and :: are none (--allow-endpoints lets it)";
    case GUARD_MANY:
        return "an endpoint that is one place: no multicast, no broadcast (--allow-endpoints lets "
               "it)";
    case GUARD_UNIX:
        return "a unix socket below a folder that --unix-endpoints names";
    }
    CHECK(!"an endpoint that is allowed is not explained");
    return "";
}
