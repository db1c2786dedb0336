/* notify.c -- datagrams to the service manager, and its watchdog.
 *
 * Owns:    the watchdog's timer.
 * Thread:  control
 * Used by: takeover.c (ready), upgrade.c, control.c (stopping).
 * Not here: sockets that the manager hands over (inherited.c). */
#include "control/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#define SEND_S 1 /* a manager that does not read holds us up no longer */
#define TEXT_SIZE 512

/* A path, or @NAME in the abstract name space. 0: there is none that could be used. */
static socklen_t address_of(struct sockaddr_un *to)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t len = path != NULL ? strlen(path) : 0;

    if (len < 2 || len >= sizeof(to->sun_path) || (path[0] != '/' && path[0] != '@'))
        return 0;
    *to = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(to->sun_path, path, len);
    if (path[0] == '@')
        to->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static void send_text(const char *text)
{
    struct timeval limit = { SEND_S, 0 };
    struct sockaddr_un to;
    socklen_t len = address_of(&to);
    int fd = len > 0 ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;

    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to, len) < 0)
        log_line(LOG_WARN, "not_notified", "reason=\"the service manager does not listen\"");
    close(fd);
}

static void on_watchdog(struct timer *t)
{
    struct notify *n = LIST_ITEM(t, struct notify, watchdog);

    send_text("WATCHDOG=1");
    timer_set(n->loop, &n->watchdog, n->every_ms);
}

/* Half of what the manager waits. WATCHDOG_PID says whom it means; without it, whoever reads this. */
static uint64_t watchdog_ms(void)
{
    const char *us_text = getenv("WATCHDOG_USEC"), *pid_text = getenv("WATCHDOG_PID");
    uint64_t us, pid;

    if (us_text == NULL || !str_to_u64(str_from(us_text), UINT64_MAX, &us))
        return 0;
    if (pid_text != NULL &&
        (!str_to_u64(str_from(pid_text), INT32_MAX, &pid) || (pid_t)pid != getpid()))
        return 0;
    return us / 2000;
}

void notify_open(struct notify *n, struct loop *l)
{
    struct sockaddr_un to;

    *n = (struct notify){ .loop = l, .on = address_of(&to) > 0 };
    timer_init(&n->watchdog, on_watchdog);
    n->every_ms = n->on ? watchdog_ms() : 0;
    if (n->every_ms > 0)
        timer_set(l, &n->watchdog, n->every_ms);
}

void notify_close(struct notify *n)
{
    timer_stop(&n->watchdog);
}

void notify_say(const struct notify *n, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list args;

    if (!n->on)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    send_text(text);
}

void notify_reloading(const struct notify *n)
{
    notify_say(n, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_now_ns() / 1000);
}
