/* forwarded.h -- what trusted forwarders say of a request: whose it is, and how it came to them.
 *
 * X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host; where none of them is there, Forwarded
 * (RFC 7239). Only for requests of which the sender is trusted. */
#ifndef HTTP_FORWARDED_H
#define HTTP_FORWARDED_H

#include "base/cidr_set.h"
#include "http/head.h"

struct forwarded {
    struct address client; /* port 0: not said */
    bool https;
    struct str host; /* that the client asked for, in the head's bytes; len 0: not said */
};

/* f->client: in, who has sent the request; out, whose it is: the first address from the right that
 * is not `trusted`, or the last good one before something that is no address. */
void forwarded_read(const struct head *h, const struct cidr_set *trusted, struct forwarded *f);

#endif
