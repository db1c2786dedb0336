/* match.h -- what is to be done with a request, once its site is known. */
#ifndef PROXY_MATCH_H
#define PROXY_MATCH_H

#include "base/fault.h"
#include "base/str.h"

struct exchange;

/* Pins what the site names and finds x->action, with all that goes with it: where to
 * (x->balanced), the path, how long it may take. Else the fault it comes to. */
enum fault match_request(struct exchange *x);

/* Of a maintenance: seconds for Retry-After; the page, ptr NULL when there is none. */
uint32_t match_retry_after(const struct exchange *x);
struct str match_page(const struct exchange *x);

/* The path and query as the request's own URL has them: $path and $query of a redirect. */
struct str match_own_path(const struct exchange *x);

#endif
