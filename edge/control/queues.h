/* queues.h -- what /metrics and /dump/queues say of services with a limit (max_conns). */
#ifndef CONTROL_QUEUES_H
#define CONTROL_QUEUES_H

#include "base/buf.h"
#include "routing/endpoint_state.h"

void queues_metrics(const struct states *s, struct buf *to);
void queues_dump(const struct states *s, struct buf *json); /* an array */

#endif
