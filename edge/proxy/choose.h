/* choose.h -- which endpoint a request goes to, and goes to next when it is tried again. */
#ifndef PROXY_CHOOSE_H
#define PROXY_CHOOSE_H

#include "base/fault.h"

struct exchange;

/* An endpoint of x->balanced: begins an attempt at it. Else why there is none. */
enum fault choose_endpoint(struct exchange *x);

#endif
