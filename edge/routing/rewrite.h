/* rewrite.h -- what a rule makes of a request: its path, where it is sent back to, which share of a
 * split its client has. Pure, so that an explanation says just what a request gets. */
#ifndef ROUTING_REWRITE_H
#define ROUTING_REWRITE_H

#include "routing/route.h"

/* Is `strip` a whole-segment prefix of the path, "//" taken as "/"? *len: how much of it. */
bool rewrite_strips(struct str strip, struct str path, size_t *len);

/* Writes the path that the endpoint gets: without route->strip, behind route->prepend. A path that
 * is none ("*") stays as it is. `to` holds route->prepend.len + path.len + 1. */
size_t rewrite_path(const struct route *route, struct str path, char *to);

/* What $host, $path, $query and $uri stand for. */
struct rewrite_request {
    struct str host, path;
    struct str query; /* ptr NULL: none; then $uri ends with the path */
};

/* Writes the URL of a redirect; `to` NULL: only counts its bytes. */
size_t rewrite_url(struct str url, const struct rewrite_request *q, char *to);

/* Of a client, for action_split: the same in every process, and for both forms of an address. */
uint64_t rewrite_client_hash(const struct address *client, struct str tenant, struct str rule);

#endif
