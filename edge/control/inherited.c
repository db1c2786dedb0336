/* inherited.c -- what the environment says of descriptors that were open at start.
 *
 * Owns:    the descriptors until listen.c takes them.
 * Thread:  control, before any other is started.
 * Used by: control.c.
 * Not here: which worker gets which (listen.c); speaking with the old edge (takeover.c). */
#include "control/inherited.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

#define SOCKETS_MAX 8192

static bool fail(struct inherited *i, char *error, int fd, const char *why)
{
    snprintf(error, INHERITED_ERROR_SIZE, "descriptor %d, which was handed over, %s", fd, why);
    for (unsigned n = 0; n < i->count; n++)
        close(i->sockets[n].fd);
    if (i->old_edge >= 0)
        close(i->old_edge);
    inherited_free(i);
    return false;
}

static bool option_is(int fd, int option, int value)
{
    int is = 0;
    socklen_t len = sizeof(is);

    return getsockopt(fd, SOL_SOCKET, option, &is, &len) == 0 && is == value;
}

/* NULL, or what is wrong with it. */
static const char *take_socket(struct inherited *i, int fd, bool admin)
{
    struct address a = { 0 };
    socklen_t len = sizeof(a);
    int yes = 1;

    if (!option_is(fd, SO_TYPE, SOCK_STREAM) || !option_is(fd, SO_ACCEPTCONN, 1))
        return "is no listening stream socket";
    if (getsockname(fd, &a.any, &len) != 0 ||
        (a.any.sa_family != AF_INET && a.any.sa_family != AF_INET6))
        return "is no socket of TCP";
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) != 0)
        return "cannot be used";
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    i->sockets[i->count++] = (struct inherited_socket){ fd, admin, a };
    return NULL;
}

static bool take_from_edge(struct inherited *i, const char *says, char *error)
{
    unsigned admin = 0, http = 0;
    int fd = INHERITED_FIRST_FD;
    const char *why;

    if (sscanf(says, "admin=%u http=%u", &admin, &http) != 2 || admin > 1 || http > SOCKETS_MAX)
        return fail(i, error, fd, "is not described by " INHERITED_VARIABLE " as an edge does it");
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return fail(i, error, fd, "is not open");
    i->old_edge = fd;
    i->sockets = check_alloc((admin + http + 1) * sizeof(*i->sockets));
    for (unsigned n = 0; n < admin + http; n++)
        if ((why = take_socket(i, ++fd, n < admin)) != NULL)
            return fail(i, error, fd, why);
    return true;
}

static bool take_from_systemd(struct inherited *i, const char *fds, const char *names, char *error)
{
    struct str rest = str_from(names), name = { NULL, 0 };
    uint64_t count = 0;
    const char *why;

    if (!str_to_u64(str_from(fds), SOCKETS_MAX, &count)) {
        snprintf(error, INHERITED_ERROR_SIZE, "LISTEN_FDS: expected a number up to %d",
                 SOCKETS_MAX);
        return false;
    }
    i->sockets = check_alloc((count + 1) * sizeof(*i->sockets));
    for (unsigned n = 0; n < count; n++) {
        int fd = INHERITED_FIRST_FD + (int)n;

        if (!str_split(&rest, ':', &name))
            name = STR("");
        if ((why = take_socket(i, fd, str_equals(name, STR("admin")))) != NULL)
            return fail(i, error, fd, why);
    }
    return true;
}

bool inherited_take(struct inherited *i, char error[INHERITED_ERROR_SIZE])
{
    const char *says = getenv(INHERITED_VARIABLE), *fds = getenv("LISTEN_FDS");
    const char *pid = getenv("LISTEN_PID"), *names = getenv("LISTEN_FDNAMES");
    bool good = true;
    uint64_t to = 0;

    *i = (struct inherited){ .old_edge = -1 };
    if (says != NULL)
        good = take_from_edge(i, says, error);
    else if (fds != NULL && pid != NULL && str_to_u64(str_from(pid), INT32_MAX, &to) &&
             (pid_t)to == getpid()) /* else they are another's, who passed its environment on */
        good = take_from_systemd(i, fds, names != NULL ? names : "", error);
    unsetenv(INHERITED_VARIABLE);
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDNAMES");
    return good;
}

void inherited_free(struct inherited *i)
{
    free(i->sockets);
    i->sockets = NULL;
    i->count = 0;
}
