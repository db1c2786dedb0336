/* test_inherited.c -- what the environment may say of descriptors, and what it says wrongly. What it says rightly is
 * a scenario's (w_systemd.c): descriptor 3 of this process is not ours to take. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/inherited.h"

static void say(const char *fds, const char *names)
{
    char pid[20];

    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("LISTEN_FDS", fds, 1);
    setenv("LISTEN_PID", pid, 1);
    if (names != NULL)
        setenv("LISTEN_FDNAMES", names, 1);
}

Test(inherited, nothing_said_is_nothing)
{
    struct inherited i;
    char error[INHERITED_ERROR_SIZE];

    cr_assert(inherited_take(&i, error));
    cr_assert_eq(i.count, 0);
    cr_assert_eq(i.old_edge, -1);
    inherited_free(&i);
}

Test(inherited, what_is_anothers_is_left_alone)
{
    struct inherited i;
    char error[INHERITED_ERROR_SIZE];

    say("3", NULL);
    setenv("LISTEN_PID", "1", 1);
    cr_assert(inherited_take(&i, error));
    cr_assert_eq(i.count, 0);
    inherited_free(&i);
}

Test(inherited, what_cannot_be_is_said)
{
    struct inherited i;
    char error[INHERITED_ERROR_SIZE];

    say("many", NULL);
    cr_assert_not(inherited_take(&i, error));
    cr_assert_str_eq(error, "LISTEN_FDS: expected a number up to 8192");
    setenv(INHERITED_VARIABLE, "admin=2 http=1", 1);
    cr_assert_not(inherited_take(&i, error));
    cr_assert_not_null(strstr(error, "is not described by USHER_HANDOVER"));
    cr_assert_null(getenv(INHERITED_VARIABLE));
}
