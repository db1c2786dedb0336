/* endpoints.h -- records that name an endpoint where none may be. */
#ifndef STORE_ENDPOINTS_H
#define STORE_ENDPOINTS_H

#include "net/guard.h"
#include "routing/record.h"

enum guard_verdict endpoint_verdict(const struct guard *guard, const struct endpoint *e);

/* Whatever of the record it is: a service's endpoints, its `to`, its rules'. True: *error says which
 * endpoint, and where none may be. */
bool endpoints_point_wrong(const struct guard *guard, const struct record_fields *fields,
                           struct record_error *error);

#endif
