/* tenants_page.h -- what tenants with limits take now, and what was refused them. */
#ifndef CONTROL_TENANTS_PAGE_H
#define CONTROL_TENANTS_PAGE_H

#include "base/buf.h"
#include "routing/endpoint_state.h"

/* Adds a JSON array: those of which most was refused first, then those that have most connections; at most `most`
 * of them, or the one of this id or host, when it is not "". */
void tenants_page_write(struct states *states, unsigned most, struct str only, struct buf *json);

#endif
