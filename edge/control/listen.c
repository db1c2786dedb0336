/* listen.c -- binding, or inheriting: one socket for each worker and address, one for admin.
 *
 * Owns:    the sockets; workers have duplicates.
 * Thread:  control
 * Used by: control.c, takeover.c, upgrade.c.
 * Not here: accepting (net/listener.c); what was inherited (inherited.c). */
#include "control/listen.h"

#include <errno.h>
#include <fcntl.h>
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

static void add(struct listen_fds *l, int fd, unsigned address)
{
    l->sockets = check_realloc(l->sockets, (l->count + 1) * sizeof(*l->sockets));
    l->sockets[l->count++] = (struct listen_socket){ fd, address };
}

/* The place of this address among those that are listened at; SETTINGS_LISTEN_MAX: there is no room. */
static unsigned place_of(struct settings *s, const struct address *a)
{
    for (unsigned i = 0; i < s->listen_count; i++)
        if (str_equals(address_bytes(&s->listen[i]), address_bytes(a)))
            return i;
    if (s->listen_count == SETTINGS_LISTEN_MAX)
        return SETTINGS_LISTEN_MAX;
    s->listen[s->listen_count] = *a;
    return s->listen_count++;
}

static bool inherit(struct listen_fds *l, struct settings *s, const struct inherited *from)
{
    bool first = true;

    for (unsigned i = 0; i < from->count; i++) {
        const struct inherited_socket *socket = &from->sockets[i];
        unsigned place;

        if (socket->admin) {
            if (s->admin_on && l->admin < 0) {
                l->admin = socket->fd;
                s->admin = socket->address;
            } else {
                close(socket->fd);
            }
            continue;
        }
        if (first)
            s->listen_count = 0;
        first = false;
        place = place_of(s, &socket->address);
        add(l, socket->fd, place);
        if (place == SETTINGS_LISTEN_MAX) {
            log_line(LOG_ERROR, "cannot_start", "reason=\"more than %d addresses handed over\"",
                     SETTINGS_LISTEN_MAX);
            return false;
        }
    }
    return true;
}

static void say(const struct address *a, const char *what, bool inherited)
{
    char text[ADDRESS_TEXT_SIZE];

    log_line(LOG_INFO, "listening", "for=%s address=%s%s", what, address_text(a, text),
             inherited ? " inherited=yes" : "");
}

static bool give_up(struct listen_fds *l)
{
    if (l->admin >= 0)
        close(l->admin);
    listen_close(l);
    return false;
}

bool listen_open(struct listen_fds *l, struct settings *s, const struct inherited *from)
{
    bool http, admin;

    *l = (struct listen_fds){ .admin = -1 };
    if (!inherit(l, s, from))
        return give_up(l);
    http = l->count > 0;
    admin = l->admin >= 0;
    for (unsigned i = 0; i < s->listen_count && !http; i++) {
        int fd = bind_one(&s->listen[i], "http");

        if (fd < 0)
            return give_up(l);
        add(l, fd, i);
    }
    if (s->admin_on && !admin && (l->admin = bind_one(&s->admin, "admin")) < 0)
        return give_up(l);
    for (unsigned i = 0; i < s->listen_count; i++)
        say(&s->listen[i], "http", http);
    if (s->admin_on)
        say(&s->admin, "admin", admin);
    return true;
}

static unsigned count_of(const struct listen_fds *l, unsigned address)
{
    unsigned count = 0;

    for (unsigned i = 0; i < l->count; i++)
        count += l->sockets[i].address == address;
    return count;
}

void listen_widen(struct listen_fds *l, const struct settings *s)
{
    char text[ADDRESS_TEXT_SIZE];

    for (unsigned i = 0; i < s->listen_count; i++)
        for (unsigned n = count_of(l, i); n < s->workers; n++) {
            struct address a = s->listen[i];
            int fd = listener_bind(&a);

            if (fd < 0) { /* it was bound without SO_REUSEPORT, or by another user */
                log_line(LOG_INFO, "workers_share", "address=%s sockets=%u reason=\"%s\"",
                         address_text(&a, text), n, strerror(errno));
                break;
            }
            add(l, fd, i);
        }
}

/* The fd of the n-th socket of an address. */
static int nth(const struct listen_fds *l, unsigned address, unsigned n)
{
    for (unsigned i = 0; i < l->count; i++)
        if (l->sockets[i].address == address && n-- == 0)
            return l->sockets[i].fd;
    CHECK(!"there are fewer");
    return -1;
}

unsigned listen_for_worker(const struct listen_fds *l, const struct settings *s, unsigned worker,
                           int **fds)
{
    unsigned given = 0;

    *fds = check_alloc((l->count + s->listen_count) * sizeof(**fds));
    for (unsigned i = 0; i < s->listen_count; i++) {
        unsigned count = count_of(l, i), most = count > s->workers ? count : s->workers;

        for (unsigned n = worker; n < most; n += s->workers) {
            int fd = fcntl(nth(l, i, n % count), F_DUPFD_CLOEXEC, 0);

            if (fd >= 0)
                (*fds)[given++] = fd;
            else
                log_line(LOG_ERROR, "not_listening", "worker=%u reason=\"%s\"", worker,
                         strerror(errno));
        }
    }
    return given;
}

void listen_close(struct listen_fds *l)
{
    for (unsigned i = 0; i < l->count; i++)
        close(l->sockets[i].fd);
    free(l->sockets);
    l->sockets = NULL;
    l->count = 0;
}
