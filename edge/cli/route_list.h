/* route_list.h -- the rules of a tenant as a list. */
#ifndef CLI_ROUTE_LIST_H
#define CLI_ROUTE_LIST_H

#include "routing/records.h"

/* In the order in which they are tried, each line behind `indent`; those that edges refuse behind
 * them, with the reason. Nothing is added when there are none. False: *why they cannot be read. */
bool route_list(const struct module_host *modules, const struct records *from, struct str tenant,
                bool json, const char *indent, struct buf *to, const char **why);

#endif
