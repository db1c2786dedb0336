/* dns.c -- c-ares on this loop: its descriptors watched, its time limits kept.
 *
 * Owns:    the channel, its watches, questions under way.
 * Thread:  its loop's.
 * Used by: control/names.c.
 * Not here: remembering answers (control/names.c). */
#include "net/dns.h"

#include <ares.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "net/fd_watch.h"
#include "net/loop.h"

#define TRY_MS 2000
#define TRIES 2

struct watch {
    struct fd_watch fd_watch;
    struct list node;
    struct dns *dns;
    int fd;
};

struct dns {
    ares_channel channel;
    struct loop *loop;
    struct timer timer;
    struct list watches;
    bool closing;
};

struct dns_question {
    struct dns *dns;
    dns_fn fn; /* NULL: cancelled */
    void *owner;
    bool *answered; /* where dns_ask looks before it returns; NULL once it has */
};

/* --- the loop's side --- */

/* Whatever was done: when does c-ares want to look again? */
static void wait_on(struct dns *d)
{
    struct timeval room, *left = ares_timeout(d->channel, NULL, &room);

    if (left == NULL)
        timer_stop(&d->timer);
    else
        timer_set(d->loop, &d->timer,
                  (uint64_t)left->tv_sec * 1000 + (uint64_t)left->tv_usec / 1000 + 1);
}

static void process(struct dns *d, int readable, int writable)
{
    ares_process_fd(d->channel, readable, writable);
    wait_on(d);
}

static void on_timer(struct timer *t)
{
    process(LIST_ITEM(t, struct dns, timer), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void on_ready(struct fd_watch *watched, bool readable, bool writable)
{
    struct watch *w = watched->owner;

    process(w->dns, readable ? w->fd : ARES_SOCKET_BAD, writable ? w->fd : ARES_SOCKET_BAD);
}

static void on_watch_closed(struct fd_watch *watched)
{
    free(watched->owner);
}

static struct watch *find_watch(struct dns *d, int fd)
{
    LIST_EACH (node, after, &d->watches)
        if (LIST_ITEM(node, struct watch, node)->fd == fd)
            return LIST_ITEM(node, struct watch, node);
    return NULL;
}

static void drop_watch(struct watch *w)
{
    list_remove(&w->node);
    fd_watch_close(&w->fd_watch, on_watch_closed);
}

/* c-ares wants to know of this socket, or closes it (neither). */
static void on_socket(void *owner, ares_socket_t fd, int readable, int writable)
{
    struct dns *d = owner;
    struct watch *w = find_watch(d, fd);

    if (!readable && !writable) {
        if (w != NULL)
            drop_watch(w);
        return;
    }
    if (w == NULL) {
        w = check_alloc(sizeof(*w));
        w->dns = d;
        w->fd = fd;
        if (!fd_watch_open(&w->fd_watch, d->loop, fd, on_ready, w)) {
            free(w); /* its question runs into its time limit */
            return;
        }
        list_append(&d->watches, &w->node);
    }
    fd_watch_for(&w->fd_watch, readable, writable);
}

/* --- answers --- */

static bool is_known(const struct dns_answer *a, const struct address *address)
{
    for (unsigned i = 0; i < a->count; i++)
        if (str_equals(address_bytes(&a->addresses[i]), address_bytes(address)))
            return true;
    return false;
}

static void add_address(struct dns_answer *a, const struct ares_addrinfo_node *node)
{
    struct address address = { 0 };

    if (a->count == DNS_ADDRESSES)
        return;
    if (node->ai_family == AF_INET && node->ai_addrlen >= sizeof(address.v4)) {
        address.v4.sin_addr = ((const struct sockaddr_in *)node->ai_addr)->sin_addr;
    } else if (node->ai_family == AF_INET6 && node->ai_addrlen >= sizeof(address.v6)) {
        address.v6.sin6_addr = ((const struct sockaddr_in6 *)node->ai_addr)->sin6_addr;
    } else {
        return;
    }
    address.any.sa_family = (sa_family_t)node->ai_family;
    if (!is_known(a, &address))
        a->addresses[a->count++] = address;
}

static uint32_t lesser_ttl(uint32_t least, int ttl)
{
    return ttl < 0 ? 0 : (uint32_t)ttl < least ? (uint32_t)ttl : least;
}

static void read_answer(struct dns_answer *a, const struct ares_addrinfo *found)
{
    a->ttl_s = UINT32_MAX;
    for (const struct ares_addrinfo_cname *c = found->cnames; c != NULL; c = c->next)
        a->ttl_s = lesser_ttl(a->ttl_s, c->ttl);
    for (const struct ares_addrinfo_node *n = found->nodes; n != NULL; n = n->ai_next) {
        a->ttl_s = lesser_ttl(a->ttl_s, n->ai_ttl);
        add_address(a, n);
    }
}

static void on_answer(void *owner, int status, int timeouts, struct ares_addrinfo *found)
{
    struct dns_question *q = owner;
    struct dns_answer answer = { .exists = status != ARES_ENOTFOUND && status != ARES_ENODATA,
                                 .reason = status == ARES_SUCCESS ? "it has no address"
                                                                  : ares_strerror(status) };

    (void)timeouts;
    if (found != NULL) {
        read_answer(&answer, found);
        ares_freeaddrinfo(found);
    }
    if (q->answered != NULL)
        *q->answered = true;
    if (q->fn != NULL && !q->dns->closing)
        q->fn(q->owner, &answer);
    free(q);
}

struct dns_question *dns_ask(struct dns *d, const char *name, dns_fn fn, void *owner)
{
    struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT,
                                         .ai_family = AF_UNSPEC,
                                         .ai_socktype = SOCK_STREAM };
    struct dns_question *q = check_alloc(sizeof(*q));
    bool answered = false;

    *q = (struct dns_question){ .dns = d, .fn = fn, .owner = owner, .answered = &answered };
    ares_getaddrinfo(d->channel, name, NULL, &hints, on_answer, q);
    wait_on(d);
    if (answered)
        return NULL;
    q->answered = NULL;
    return q;
}

void dns_cancel(struct dns_question *q)
{
    q->fn = NULL;
}

/* --- the channel --- */

static bool use_server(struct dns *d, const struct address *server, const char **reason)
{
    char text[ADDRESS_TEXT_SIZE];
    int status;

    if (server == NULL)
        return true;
    status = ares_set_servers_ports_csv(d->channel, address_text(server, text));
    *reason = ares_strerror(status);
    return status == ARES_SUCCESS;
}

struct dns *dns_open(struct loop *l, const struct address *server, const char **reason)
{
    struct dns *d = check_alloc(sizeof(*d));
    struct ares_options options = {
        .timeout = TRY_MS, .tries = TRIES, .sock_state_cb = on_socket, .sock_state_cb_data = d
    };
    int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB, status;

#ifdef ARES_OPT_QUERY_CACHE /* how long an answer holds is for names.c to keep */
    mask |= ARES_OPT_QUERY_CACHE;
#endif
    d->loop = l;
    list_init(&d->watches);
    timer_init(&d->timer, on_timer);
    status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status == ARES_SUCCESS)
        status = ares_init_options(&d->channel, &options, mask);
    if (status != ARES_SUCCESS) {
        *reason = ares_strerror(status);
        free(d);
        return NULL;
    }
    if (!use_server(d, server, reason)) {
        dns_close(d);
        return NULL;
    }
    return d;
}

void dns_close(struct dns *d)
{
    d->closing = true;
    ares_destroy(d->channel); /* ends what was asked, closes its sockets */
    while (!list_is_empty(&d->watches))
        drop_watch(LIST_ITEM(d->watches.next, struct watch, node));
    timer_stop(&d->timer);
    ares_library_cleanup();
    free(d);
}

const char *dns_library_version(void)
{
    return ares_version(NULL);
}
