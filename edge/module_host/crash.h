/* crash.h -- who was at it when the process is killed by a fault of its own. */
#ifndef MODULE_HOST_CRASH_H
#define MODULE_HOST_CRASH_H

#include "module_host/registry.h"

/* From now on, a crash (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) writes one last line to standard
 * error that names the module whose hook this thread runs, if it does; then it takes its course. */
void crash_watch(void);
/* Each thread that runs modules, first: so that it can say so with its stack used up, too. */
void crash_watch_thread(void);

/* Of this thread: the module whose hook runs. NULL: none. */
extern _Thread_local const struct module_row *crash_module;

#endif
