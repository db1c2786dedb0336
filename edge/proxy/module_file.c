/* module_file.c -- files as bodies: refused until they can be sent.
 *
 * Owns:    nothing yet.
 * Thread:  its worker.
 * Used by: modules, through module_calls.c.
 * Not here: what else takes time (module_wait.c). */
#include <unistd.h>

#include "proxy/module_calls.h"

enum usher_result module_reply_file(struct usher_exchange *o, uint32_t status, int fd,
                                    uint64_t from, uint64_t bytes)
{
    (void)o;
    (void)status;
    (void)from;
    (void)bytes;
    close(fd);
    return USHER_FAULT;
}

bool modules_send_file(struct exchange *x)
{
    (void)x;
    return true;
}
