/* exchange_steps.h -- what the files of the exchange ask of one another. */
#ifndef PROXY_EXCHANGE_STEPS_H
#define PROXY_EXCHANGE_STEPS_H

#include "proxy/exchange.h"

/* From the step at hand on, until somebody is waited for. It may have ended when this returns. */
void exchange_run(struct exchange *x);
/* Everything ends here. The session has let go, or lets go when told (finish, abort). */
void exchange_end(struct exchange *x);

#endif
