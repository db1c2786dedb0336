/* control.h -- the main thread of `usher serve`. */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "settings.h"

/* Starts everything, runs until a signal ends it, takes everything down. Returns the process's exit
 * code. Fills in what settings leave to the machine. */
int control_run(struct settings *s);

#endif
