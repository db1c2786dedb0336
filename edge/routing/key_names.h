/* key_names.h -- names: of tenants, services, rules, hosts. */
#ifndef ROUTING_KEY_NAMES_H
#define ROUTING_KEY_NAMES_H

#include "routing/record.h"

#define NAME_EXPECTED "a name of a-z 0-9 . _ - with 1 to 63 characters"

bool name_is_right(struct str name); /* [a-z0-9][a-z0-9._-]{0,62} */

#endif
