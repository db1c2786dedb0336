/* module_subrequest.c -- sub-requests: refused until they can be sent.
 *
 * Owns:    nothing yet.
 * Thread:  its worker.
 * Used by: modules, through module_calls.c.
 * Not here: what else takes time (module_wait.c). */
#include "proxy/module_calls.h"

bool module_subrequest(struct usher_exchange *o, const struct usher_request *request,
                       struct usher_response *response, usher_resumed resumed, void *arg)
{
    (void)o;
    (void)request;
    (void)response;
    (void)resumed;
    (void)arg;
    return false;
}
