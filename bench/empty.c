/* empty.c -- a module that does nothing, for what it costs to be asked; -DNAME='"..."' for several.
 *
 * Owns:    nothing
 * Thread:  any
 * Used by: run
 * Not here: what hooks alone cost (hooks.c) */
#include "usher_module.h"

static enum usher_result go_on(struct usher_exchange *x, const void *compiled)
{
    (void)x;
    (void)compiled;
    return USHER_GO_ON;
}

USHER_MODULE(empty) = {
    USHER_MODULE_ABI,          .name = NAME,        .version = "1.0",
    .summary = "does nothing", .on_request = go_on, .on_response = go_on,
};
