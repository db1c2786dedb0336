/* match.h -- one condition against one request. */
#ifndef ROUTING_MATCH_H
#define ROUTING_MATCH_H

#include "routing/regex.h"
#include "routing/route.h"

bool match_condition(const struct condition *c, const struct route_request *q,
                     struct route_scratch *scratch, bool deny);
bool match_path(const struct route *route, struct str path, struct route_scratch *scratch);

#endif
