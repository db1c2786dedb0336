/* metrics_modules.h -- the figures of modules, and modules' own, as Prometheus reads them. */
#ifndef CONTROL_METRICS_MODULES_H
#define CONTROL_METRICS_MODULES_H

#include "base/buf.h"
#include "module_host/registry.h"
#include "proxy/module_watch.h"

/* `watches`: one of each worker. */
void metrics_modules_write(const struct module_registry *registry,
                           const struct module_watch *const *watches, unsigned workers,
                           struct buf *to);

#endif
