/* listen.c -- binding: one socket per worker and address, one for admin.
 *
 * Owns:    the sockets until a worker or the admin server takes them.
 * Thread:  control, before the workers start.
 * Used by: control.c.
 * Not here: accepting (net/listener.c). */
#include "control/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "net/listener.h"

/* With SO_REUSEPORT a second program of the same user gets the port too, and half of the clients:
 * wanted when one edge takes over from another, a riddle when not. So it is said. */
static bool is_shared(const struct address *a)
{
    int yes = 1, fd;
    bool shared;

    if (a->v4.sin_port == 0) /* at the same place in both families */
        return false;
    fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (a->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
    shared = bind(fd, &a->any, address_len(a)) != 0 && errno == EADDRINUSE;
    close(fd);
    return shared;
}

static int bind_one(struct address *a, const char *what)
{
    char text[ADDRESS_TEXT_SIZE];
    bool shared = is_shared(a);
    int fd = listener_bind(a);

    if (fd < 0)
        log_line(LOG_ERROR, "cannot_start", "for=%s address=%s reason=\"%s\"", what,
                 address_text(a, text), strerror(errno));
    else if (shared)
        log_line(LOG_WARN, "address_shared", "for=%s address=%s with=\"another process\"", what,
                 address_text(a, text));
    return fd;
}

static void close_all(struct listen_fds *l, unsigned bound)
{
    for (unsigned i = 0; i < bound; i++)
        close(l->fds[i]);
    free(l->fds);
}

static void say(const struct address *a, const char *what)
{
    char text[ADDRESS_TEXT_SIZE];

    log_line(LOG_INFO, "listening", "for=%s address=%s", what, address_text(a, text));
}

bool listen_open(struct listen_fds *l, struct settings *s)
{
    char text[ADDRESS_TEXT_SIZE];
    unsigned bound = 0;

    *l = (struct listen_fds){ .admin = -1, .workers = s->workers, .count = s->listen_count };
    l->fds = check_alloc((size_t)l->workers * l->count * sizeof(*l->fds));
    for (unsigned w = 0; w < l->workers; w++)
        for (unsigned i = 0; i < l->count; i++) {
            int fd = w == 0 ? bind_one(&s->listen[i], "http") : listener_bind(&s->listen[i]);

            if (fd < 0) {
                if (w > 0)
                    log_line(LOG_ERROR, "cannot_start", "for=http address=%s reason=\"%s\"",
                             address_text(&s->listen[i], text), strerror(errno));
                close_all(l, bound);
                return false;
            }
            l->fds[bound++] = fd;
        }
    if (s->admin_on && (l->admin = bind_one(&s->admin, "admin")) < 0) {
        close_all(l, bound);
        return false;
    }
    for (unsigned i = 0; i < l->count; i++)
        say(&s->listen[i], "http");
    if (s->admin_on)
        say(&s->admin, "admin");
    return true;
}

void listen_free(struct listen_fds *l)
{
    free(l->fds);
}
