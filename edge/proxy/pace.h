/* pace.h -- a tenant's bandwidth: bodies wait until they are paid for, all connections together. */
#ifndef PROXY_PACE_H
#define PROXY_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"

struct exchange;

/* `bandwidth` in bytes a second; 0: none. The fault when too many already wait for it. */
enum fault pace_begin(struct exchange *x, uint64_t bandwidth);
/* Before anything is asked for: true when it must wait for its turn; `go` is called then. */
bool pace_holds(struct exchange *x, void (*go)(struct exchange *x));

/* After what came of a body has gone on: stops its side for as long as that is too fast. */
void pace_request(struct exchange *x);
void pace_response(struct exchange *x);
/* That side is stopped. Of any exchange. */
bool pace_stops_request(const struct exchange *x);
bool pace_stops_response(const struct exchange *x);

/* Bytes to be read at a time, so that it goes evenly; 0: as many as there are. Of any exchange. */
size_t pace_piece(const struct exchange *x);

/* Of any exchange: it ends; and, when no callback can be of it any more, what is left goes. */
void pace_end(struct exchange *x);
void pace_free(struct exchange *x);

#endif
