/* resolver.c -- getaddrinfo in libuv's pool of threads.
 *
 * Owns:    the question, until the system has answered it.
 * Thread:  the loop's; the system's resolver runs in the pool.
 * Used by: store/redis_link.c.
 * Not here: remembering answers; the system does. */
#include "net/resolver.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/check.h"
#include "net/loop.h"

struct resolving {
    uv_getaddrinfo_t request;
    resolver_fn fn; /* NULL once cancelled */
    void *owner;
};

static void on_answer(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct resolving *r = request->data;
    struct address addresses[RESOLVER_MOST];
    unsigned count = 0;

    memset(addresses, 0, sizeof(addresses));
    for (struct addrinfo *a = found; a != NULL && count < RESOLVER_MOST; a = a->ai_next)
        if ((a->ai_family == AF_INET || a->ai_family == AF_INET6) &&
            a->ai_addrlen <= sizeof(addresses[0]))
            memcpy(&addresses[count++], a->ai_addr, a->ai_addrlen);
    uv_freeaddrinfo(found);
    if (r->fn != NULL)
        r->fn(r->owner, addresses, count, status != 0 ? uv_strerror(status) : "no address");
    free(r);
}

struct resolving *resolver_ask(struct loop *l, const char *name, uint16_t port, resolver_fn fn,
                               void *owner)
{
    struct addrinfo wanted = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct resolving *r = check_alloc(sizeof(*r));
    char service[8];

    r->request.data = r;
    r->fn = fn;
    r->owner = owner;
    snprintf(service, sizeof(service), "%u", port);
    if (uv_getaddrinfo(&l->uv, &r->request, on_answer, name, service, &wanted) == 0)
        return r;
    free(r);
    return NULL;
}

void resolver_cancel(struct resolving *r)
{
    r->fn = NULL;
    uv_cancel((uv_req_t *)&r->request);
}
