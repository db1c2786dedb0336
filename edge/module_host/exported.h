/* exported.h -- is what a module exports one that this edge can run? */
#ifndef MODULE_HOST_EXPORTED_H
#define MODULE_HOST_EXPORTED_H

#include <stdbool.h>

#include "base/buf.h"
#include "modules/usher_module.h"

/* False: *why is the sentence; it begins with `from`. */
bool exported_is_right(const struct usher_module *m, const char *from, struct buf *why);

#endif
