/* nearby.c -- connects, takes the time, closes.
 *
 * Owns:    its connections, until they have closed.
 * Thread:  control
 * Used by: topology.c.
 * Not here: what is chosen by it (topology.c). */
#include "store/nearby.h"

#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/conn.h"
#include "net/timer.h"

#define MOST_MS 1000

struct nearby {
    struct loop *loop;
    nearby_fn fn;
    void *owner;
    struct list probes;
};

struct probe {
    struct list node;
    struct nearby *nearby;
    struct conn conn;
    struct timer limit;
    struct redis_place at;
    uint64_t began_ns;
    bool told;
};

static bool is_here(const struct address *a)
{
    struct ifaddrs *all, *i;
    bool here = false;

    if (getifaddrs(&all) != 0)
        return false;
    for (i = all; i != NULL && !here; i = i->ifa_next) {
        const struct sockaddr *own = i->ifa_addr;

        if (own == NULL || own->sa_family != a->any.sa_family)
            continue;
        here = own->sa_family == AF_INET
                   ? ((const struct sockaddr_in *)(const void *)own)->sin_addr.s_addr ==
                         a->v4.sin_addr.s_addr
                   : own->sa_family == AF_INET6 &&
                         memcmp(&((const struct sockaddr_in6 *)(const void *)own)->sin6_addr,
                                &a->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
    }
    freeifaddrs(all);
    return here;
}

static void tell(struct probe *p, uint64_t latency_us)
{
    if (p->told)
        return;
    p->told = true;
    timer_stop(&p->limit);
    conn_close(&p->conn);
    p->nearby->fn(p->nearby->owner, &p->at, latency_us);
}

static void on_connected(struct conn *c, int error)
{
    struct probe *p = LIST_ITEM(c, struct probe, conn);

    tell(p, error == 0 ? (clock_now_ns() - p->began_ns) / 1000 : UINT64_MAX);
}

static void on_read(struct conn *c, const char *bytes, size_t len)
{
    (void)c;
    (void)bytes;
    (void)len;
}

static void on_ended(struct conn *c, int error)
{
    (void)error;
    conn_close(c);
}

static void on_drained(struct conn *c)
{
    (void)c;
}

static void on_closed(struct conn *c)
{
    struct probe *p = LIST_ITEM(c, struct probe, conn);

    timer_stop(&p->limit);
    list_remove(&p->node);
    free(p);
}

static void on_limit(struct timer *t)
{
    tell(LIST_ITEM(t, struct probe, limit), UINT64_MAX);
}

static const struct conn_events events = { .connected = on_connected,
                                           .read = on_read,
                                           .ended = on_ended,
                                           .drained = on_drained,
                                           .closed = on_closed };

void nearby_measure(struct nearby *n, const struct redis_place *at)
{
    struct probe *p;
    char text[sizeof(at->host) + 16];
    const char *expected;
    struct address a;
    int error;

    snprintf(text, sizeof(text), strchr(at->host, ':') != NULL ? "[%s]:%u" : "%s:%u", at->host,
             at->port);
    if (!address_parse(str_from(text), 1, &a, &expected))
        return;
    if (is_here(&a)) {
        n->fn(n->owner, at, 0);
        return;
    }
    p = check_alloc(sizeof(*p));
    p->nearby = n;
    p->at = *at;
    p->began_ns = clock_now_ns();
    timer_init(&p->limit, on_limit);
    list_append(&n->probes, &p->node);
    timer_set(n->loop, &p->limit, MOST_MS);
    if (!conn_connect(&p->conn, n->loop, &a, &events, NULL, &error))
        tell(p, UINT64_MAX); /* out of descriptors, mostly */
}

struct nearby *nearby_open(struct loop *l, nearby_fn fn, void *owner)
{
    struct nearby *n = check_alloc(sizeof(*n));

    n->loop = l;
    n->fn = fn;
    n->owner = owner;
    list_init(&n->probes);
    return n;
}

void nearby_close(struct nearby *n)
{
    LIST_EACH (node, after, &n->probes) {
        struct probe *p = LIST_ITEM(node, struct probe, node);

        p->told = true;
        timer_stop(&p->limit);
        conn_close(&p->conn);
    }
}

void nearby_free(struct nearby *n)
{
    CHECK(list_is_empty(&n->probes));
    free(n);
}
