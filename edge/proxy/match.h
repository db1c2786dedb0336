/* match.h -- what is to be done with a request, once its site is known. */
#ifndef PROXY_MATCH_H
#define PROXY_MATCH_H

#include "base/fault.h"
#include "routing/route.h"

struct chain;
struct exchange;
struct tenant_fields;

/* Pins what the site names and finds x->action, with all that goes with it: where to
 * (x->balanced), the path, how long it may take. Else the fault it comes to. */
enum fault match_request(struct exchange *x);

/* What says something of this request, the strongest first: the host, its tenant, the defaults. Of those that are
 * not there: a silent one. */
#define MATCH_LAYERS 3
const struct tenant_fields *match_fields(const struct exchange *x, unsigned layer);
bool match_has_limits(const struct exchange *x);

/* The modules of its site: the host's, the tenant's or the defaults'; NULL: none. Once it is matched. */
const struct chain *match_modules(const struct exchange *x);
/* False: it is sent to https:// before anything of the site's is looked at. */
bool match_is_sites(const struct exchange *x);
/* Goes to the service in this slot instead; else the fault it comes to, and nothing is changed. */
enum fault match_choose(struct exchange *x, uint32_t slot);

/* Pins, for a request of the edge's own, the tenant of the one at hand and the service in this slot. */
enum fault match_own(struct exchange *x, const struct exchange *parent, uint32_t slot);

/* How long its endpoint may be silent within the response's body; how long a tunnel may be silent. */
uint32_t match_stream_timeout(const struct exchange *x);
uint32_t match_tunnel_timeout(const struct exchange *x);
/* The pinned object, and its slot, that x->endpoint lies in: while that is pinned, the endpoint is there. */
struct object *match_owner_of_endpoint(const struct exchange *x, uint32_t *slot);
/* How often it may be tried again at another endpoint. */
uint32_t match_retries(const struct exchange *x);

/* Of a maintenance: seconds for Retry-After; the page, ptr NULL when there is none. */
uint32_t match_retry_after(const struct exchange *x);
struct str match_page(const struct exchange *x);
/* Of its tenant, where several wait for one service; 0: not said. */
uint32_t match_share(const struct exchange *x);

/* The request as rules look at it, but for its path. */
struct route_request match_question(const struct exchange *x);

/* The path and query as the request's own URL has them: $path and $query of a redirect. */
struct str match_own_path(const struct exchange *x);

#endif
