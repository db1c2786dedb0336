/* outlier.h -- an endpoint is told how an attempt at it went; what comes of it is logged and counted. */
#ifndef PROXY_OUTLIER_H
#define PROXY_OUTLIER_H

#include "base/fault.h"

struct exchange;

/* A response has begun: how long it took is noted, where somebody asks. */
void outlier_answered(struct exchange *x);
/* The attempt is over; as attempt_over. */
void outlier_judge(struct exchange *x, enum fault fault);

#endif
