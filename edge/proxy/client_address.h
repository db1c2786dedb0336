/* client_address.h -- whose address a client's is, and what may be believed of it.
 *
 * Three questions, in this order: does the connection begin with a PROXY header (--proxy-protocol)?
 * Is whoever it comes from then trusted to speak for others (--trusted-forwarders)? Is the address
 * that is left banned? Who is trusted himself is never banned. */
#ifndef PROXY_CLIENT_ADDRESS_H
#define PROXY_CLIENT_ADDRESS_H

#include "base/cidr_set.h"

struct exchange;
struct settings;
struct worker;

/* Of those flags; a set is NULL when its flag says none. */
struct client_trust {
    struct cidr_set *proxies, *forwarders;
};

/* NULL: nobody is trusted. */
struct client_trust *client_trust_new(const struct settings *s);
void client_trust_free(struct client_trust *t); /* NULL: harmless */

/* What is believed of a connection; exchange.believed has the same bits. */
enum client_belief {
    BELIEVED_FORWARDER = 1, /* what it forwards: X-Forwarded-For and the like */
    BELIEVED_TLS = 2,       /* that its client came by TLS, as a PROXY header said */
};

bool client_sends_header(const struct client_trust *t, const struct address *a);
bool client_is_forwarder(const struct client_trust *t, const struct address *a);

/* Before the request is looked at further: whose it is, and how it came, by what is believed of its
 * connection. */
void client_believe(struct exchange *x);

#endif
