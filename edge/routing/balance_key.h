/* balance_key.h -- what of a request its endpoint depends on: the hash, and the cookie of those who
 * stick to one. */
#ifndef ROUTING_BALANCE_KEY_H
#define ROUTING_BALANCE_KEY_H

#include "routing/route.h"

#define STICKY_TEXT_SIZE 17

/* Of what the service hashes by (q->path is the path then); where there is no such header or cookie, of
 * the client's address. The same on every edge. */
uint64_t balance_hash_of(const struct service_policy *policy, const struct route_request *q);

/* The balance_sticky_id that the client's cookie says; 0: none. */
uint64_t balance_sticky_of(const struct service_policy *policy, const struct route_request *q);

/* What an endpoint is called in the cookie of those who stick to it; never 0. */
uint64_t balance_sticky_id(const struct service *service, const struct endpoint *e);
/* Who is called so there; NULL: nobody any more. */
const struct endpoint *balance_find_sticky(const struct service *service, uint64_t id);

/* As the cookie has it: 16 hex digits. */
struct str balance_sticky_text(uint64_t id, char to[STICKY_TEXT_SIZE]);

#endif
