/* client_address.c -- who is trusted to say whose a connection or a request is.
 *
 * Owns:    nothing beside struct client_trust.
 * Thread:  control makes the sets; workers ask.
 * Used by: session.c, session_proxy.c, exchange.c, worker.c; control/ (control.c, bans.c, explain.c).
 * Not here: reading what they say (net/proxy_header.c, http/forwarded.c). */
#include "proxy/client_address.h"

#include <stdlib.h>

#include "base/check.h"
#include "http/forwarded.h"
#include "proxy/exchange.h"
#include "proxy/session.h"
#include "proxy/worker_state.h"

static struct cidr_set *set_of(const struct settings_ranges *ranges)
{
    return ranges->count > 0 ? cidr_set_new(ranges->at, ranges->count) : NULL;
}

struct client_trust *client_trust_new(const struct settings *s)
{
    struct client_trust *t;

    if (s->proxy_protocol.count + s->trusted_forwarders.count == 0)
        return NULL;
    t = check_alloc(sizeof(*t));
    t->proxies = set_of(&s->proxy_protocol);
    t->forwarders = set_of(&s->trusted_forwarders);
    return t;
}

void client_trust_free(struct client_trust *t)
{
    if (t == NULL)
        return;
    cidr_set_free(t->proxies);
    cidr_set_free(t->forwarders);
    free(t);
}

bool client_sends_header(const struct client_trust *t, const struct address *a)
{
    return t->proxies != NULL && cidr_set_holds(t->proxies, a);
}

bool client_is_forwarder(const struct client_trust *t, const struct address *a)
{
    return t->forwarders != NULL && cidr_set_holds(t->forwarders, a);
}

bool client_is_banned(const struct worker *w, const struct address *a)
{
    const struct client_trust *t = w->shared->trust;

    if (w->banned == NULL || !cidr_set_holds(w->banned->set, a))
        return false;
    return t == NULL || (!client_sends_header(t, a) && !client_is_forwarder(t, a));
}

bool client_believe(struct exchange *x)
{
    struct forwarded f = { .client = *x->client->client_address(x->session) };

    x->https = (x->believed & BELIEVED_TLS) != 0;
    if ((x->believed & BELIEVED_FORWARDER) == 0)
        return true;
    forwarded_read(&x->request, x->w->shared->trust->forwarders, &f);
    x->https |= f.https;
    x->forwarded_host = f.host;
    x->client->set_client(x->session, &f.client);
    return !client_is_banned(x->w, &f.client);
}

/* --- bans --- */

struct banned *banned_new(struct cidr_set *set, bool grew, unsigned holders)
{
    struct banned *b = check_alloc(sizeof(*b));

    b->set = set;
    b->grew = grew;
    atomic_init(&b->holders, holders);
    return b;
}

void banned_let_go(struct banned *b)
{
    if (b == NULL || atomic_fetch_sub_explicit(&b->holders, 1, memory_order_acq_rel) > 1)
        return;
    cidr_set_free(b->set);
    free(b);
}

void client_ban(struct worker *w, struct banned *banned)
{
    banned_let_go(w->banned);
    w->banned = banned;
    if (banned == NULL || !banned->grew)
        return;
    LIST_EACH (node, after, &w->sessions) {
        struct session *s = LIST_ITEM(node, struct session, node);

        if (client_is_banned(w, &s->connected))
            session_cut(s, FAULT_banned);
    }
}
