/* notify.h -- tells the service manager how it stands (sd_notify(3): one datagram to NOTIFY_SOCKET). */
#ifndef CONTROL_NOTIFY_H
#define CONTROL_NOTIFY_H

#include <stdbool.h>

#include "net/loop.h"

struct notify {
    struct timer watchdog; /* WATCHDOG_USEC: told so often that control's loop turns */
    uint64_t every_ms;     /* 0: nobody asks */
    struct loop *loop;
    bool on; /* there is a NOTIFY_SOCKET */
};

void notify_open(struct notify *n, struct loop *l);
void notify_close(struct notify *n);
/* Lines of NAME=VALUE; nothing happens where nobody listens. */
void notify_say(const struct notify *n, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void notify_reloading(const struct notify *n); /* until the next READY=1 */

#endif
