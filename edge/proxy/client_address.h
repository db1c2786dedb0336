/* client_address.h -- whose address a client's is, and what may be believed of it.
 *
 * Three questions, in this order: does the connection begin with a PROXY header (--proxy-protocol)?
 * Is whoever it comes from then trusted to speak for others (--trusted-forwarders)? Is the address
 * that is left banned? Who is trusted himself is never banned. */
#ifndef PROXY_CLIENT_ADDRESS_H
#define PROXY_CLIENT_ADDRESS_H

#include <stdatomic.h>

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

/* The ranges that are banned now: one for all workers, freed when the last of them lets go. */
struct banned {
    struct cidr_set *set;
    bool grew; /* it holds more than the one before it */
    atomic_uint holders;
};

struct banned *banned_new(struct cidr_set *set, bool grew, unsigned holders); /* takes the set */
void banned_let_go(struct banned *b);                                         /* NULL: harmless */

bool client_sends_header(const struct client_trust *t, const struct address *a);
bool client_is_forwarder(const struct client_trust *t, const struct address *a);

/* Whoever is in one of the flags' ranges is not. */
bool client_is_banned(const struct worker *w, const struct address *a);

/* Before the request is looked at further: whose it is, and how it came, by what is believed of its
 * connection. False: its client is banned. */
bool client_believe(struct exchange *x);

/* From now on these are banned (NULL: nobody); takes it. Connections of those who were not before are cut. */
void client_ban(struct worker *w, struct banned *banned);

#endif
