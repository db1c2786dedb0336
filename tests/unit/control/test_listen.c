/* test_listen.c -- one port for all workers, chosen by the kernel once; what cannot be bound. */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
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

static void close_all(struct listen_fds *l)
{
    for (unsigned i = 0; i < l->workers * l->count; i++)
        close(l->fds[i]);
    if (l->admin >= 0)
        close(l->admin);
    listen_free(l);
}

Test(listen, port_0_is_chosen_once_for_all_workers)
{
    struct settings s = two_workers("127.0.0.1:0", "127.0.0.1:0");
    struct listen_fds l;

    cr_assert(listen_open(&l, &s));
    cr_assert_neq(listen_of_worker(&l, 0)[0], listen_of_worker(&l, 1)[0]);
    cr_assert_neq(port_of(listen_of_worker(&l, 0)[0]), 0);
    cr_assert_eq(port_of(listen_of_worker(&l, 0)[0]), port_of(listen_of_worker(&l, 1)[0]));
    cr_assert_eq(port_of(listen_of_worker(&l, 0)[0]), ntohs(s.listen[0].v4.sin_port));
    cr_assert_eq(port_of(l.admin), ntohs(s.admin.v4.sin_port));
    cr_assert_neq(port_of(l.admin), ntohs(s.listen[0].v4.sin_port));
    close_all(&l);
}

Test(listen, admin_may_be_off)
{
    struct settings s = two_workers("127.0.0.1:0", NULL);
    struct listen_fds l;

    cr_assert(listen_open(&l, &s));
    cr_assert_eq(l.admin, -1);
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
    cr_assert_not(listen_open(&l, &s));
    next = dup(holder);
    cr_assert_eq(next, holder + 1, "descriptors were left open");
    close(next);
    close(holder);
}
