/* test_listen.c -- one port for all workers, chosen by the kernel once; what cannot be bound. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/listen.h"

static struct settings two_workers(const char *listen, const char *admin)
{
    struct settings s = { .workers = 2, .listen_count = 1, .admin_on = admin != NULL };
    const char *expected;

    log_set_level(LOG_ERROR);
    cr_assert(address_parse(str_from(listen), 0, &s.listen[0], &expected));
    if (admin != NULL)
        cr_assert(address_parse(str_from(admin), 0, &s.admin, &expected));
    return s;
}

static unsigned port_of(int fd)
{
    struct address a;
    socklen_t len = sizeof(a);

    cr_assert_eq(getsockname(fd, &a.any, &len), 0);
    return ntohs(a.v4.sin_port);
}

static const struct inherited nothing = { .old_edge = -1 };

static void close_all(struct listen_fds *l)
{
    if (l->admin >= 0)
        close(l->admin);
    listen_close(l);
}

Test(listen, port_0_is_chosen_once_for_all_workers)
{
    struct settings s = two_workers("127.0.0.1:0", "127.0.0.1:0");
    struct listen_fds l;
    int *one, *two;

    cr_assert(listen_open(&l, &s, &nothing));
    listen_widen(&l, &s);
    cr_assert_eq(l.count, 2);
    cr_assert_eq(listen_for_worker(&l, &s, 0, &one), 1);
    cr_assert_eq(listen_for_worker(&l, &s, 1, &two), 1);
    cr_assert_neq(one[0], two[0]);
    cr_assert_neq(port_of(one[0]), 0);
    cr_assert_eq(port_of(one[0]), port_of(two[0]));
    cr_assert_eq(port_of(one[0]), ntohs(s.listen[0].v4.sin_port));
    cr_assert_eq(port_of(l.admin), ntohs(s.admin.v4.sin_port));
    cr_assert_neq(port_of(l.admin), ntohs(s.listen[0].v4.sin_port));
    close(one[0]);
    close(two[0]);
    free(one);
    free(two);
    close_all(&l);
}

Test(listen, admin_may_be_off)
{
    struct settings s = two_workers("127.0.0.1:0", NULL);
    struct listen_fds l;

    cr_assert(listen_open(&l, &s, &nothing));
    cr_assert_eq(l.admin, -1);
    close_all(&l);
}

static bool is_same_socket(int a, int b)
{
    struct stat one, two;

    return fstat(a, &one) == 0 && fstat(b, &two) == 0 && one.st_ino == two.st_ino;
}

/* As many as `before` workers had, handed over to `after` workers. */
static void hand_over(unsigned before, unsigned after)
{
    struct settings s = two_workers("127.0.0.1:0", NULL), next = two_workers("127.0.0.1:1", NULL);
    struct inherited from = { .old_edge = -1 };
    struct listen_fds l, m;
    unsigned given = 0, held = 0;

    s.workers = before;
    next.workers = after;
    cr_assert(listen_open(&l, &s, &nothing));
    listen_widen(&l, &s);
    from.sockets = calloc(l.count, sizeof(*from.sockets));
    for (unsigned i = 0; i < l.count; i++)
        from.sockets[from.count++] =
            (struct inherited_socket){ dup(l.sockets[i].fd), false, s.listen[0] };
    cr_assert(listen_open(&m, &next, &from));
    cr_assert_eq(m.count, before, "nothing is bound beside what is handed over");
    cr_assert_eq(port_of(m.sockets[0].fd), ntohs(next.listen[0].v4.sin_port));
    listen_widen(&m, &next);
    cr_assert_eq(m.count, before > after ? before : after);
    for (unsigned w = 0; w < after; w++) {
        int *fds;
        unsigned count = listen_for_worker(&m, &next, w, &fds);

        cr_assert_geq(count, 1, "worker %u has none", w);
        for (unsigned i = 0; i < count; i++)
            for (unsigned n = 0; n < l.count; n++)
                held += is_same_socket(fds[i], l.sockets[n].fd);
        given += count;
        while (count-- > 0)
            close(fds[count]);
        free(fds);
    }
    cr_assert_eq(given, m.count);
    cr_assert_eq(held, before, "each socket of before is somebody's");
    inherited_free(&from);
    close_all(&l);
    close_all(&m);
}

Test(listen, no_socket_that_is_handed_over_is_left_alone)
{
    hand_over(3, 3);
    hand_over(1, 3);
    hand_over(3, 2);
    hand_over(5, 1);
}

/* One socket that does not let others in: systemd's, or that of another user. */
Test(listen, workers_share_what_cannot_be_bound_again)
{
    struct settings s = two_workers("127.0.0.1:1", NULL);
    int holder = socket(AF_INET, SOCK_STREAM, 0);
    struct inherited from = { .old_edge = -1 };
    struct inherited_socket only = { .fd = holder };
    socklen_t len = sizeof(only.address);
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    struct listen_fds l;

    cr_assert_eq(bind(holder, (struct sockaddr *)&any, sizeof(any)), 0);
    cr_assert_eq(listen(holder, 1), 0);
    cr_assert_eq(getsockname(holder, &only.address.any, &len), 0);
    from.sockets = &only;
    from.count = 1;
    cr_assert(listen_open(&l, &s, &from));
    listen_widen(&l, &s);
    cr_assert_eq(l.count, 1);
    for (unsigned w = 0; w < 2; w++) {
        int *fds;

        cr_assert_eq(listen_for_worker(&l, &s, w, &fds), 1);
        cr_assert(is_same_socket(fds[0], holder));
        close(fds[0]);
        free(fds);
    }
    close_all(&l);
}

/* A socket without SO_REUSEPORT holds the port alone. */
Test(listen, a_taken_port_leaves_nothing_open)
{
    struct settings s = two_workers("127.0.0.1:0", "127.0.0.1:0");
    int holder = socket(AF_INET, SOCK_STREAM, 0), next;
    struct listen_fds l;

    cr_assert_eq(bind(holder, &s.admin.any, address_len(&s.admin)), 0);
    cr_assert_eq(listen(holder, 1), 0);
    s.admin.v4.sin_port = htons((uint16_t)port_of(holder));
    log_set_level(LOG_ERROR + 1);
    cr_assert_not(listen_open(&l, &s, &nothing));
    next = dup(holder);
    cr_assert_eq(next, holder + 1, "descriptors were left open");
    close(next);
    close(holder);
}
