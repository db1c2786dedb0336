/* spawn.c -- posix_spawn with descriptors laid out in a row.
 *
 * Not fork(): the pages of a large process are not marked and copied for a child that never looks at them.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: upgrade.c.
 * Not here: what is started and why. */
#include "control/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

#define FIRST_FD 3

/* Beyond the numbers they will have, so that none is overwritten before it is moved. */
static bool move_away(const int fds[], unsigned count, int *away)
{
    for (unsigned i = 0; i < count; i++) {
        away[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST_FD + (int)count);
        if (away[i] < 0) {
            while (i-- > 0)
                close(away[i]);
            return false;
        }
    }
    return true;
}

static int start(const char *program, char *const argv[], char *const environment[],
                 const int *away, unsigned count, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, ignored;
    int error;

    CHECK(posix_spawn_file_actions_init(&files) == 0 && posix_spawnattr_init(&how) == 0);
    sigemptyset(&none);
    sigemptyset(&ignored);
    sigaddset(&ignored, SIGPIPE); /* by us */
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setsigdefault(&how, &ignored);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    for (unsigned i = 0; i < count; i++)
        CHECK(posix_spawn_file_actions_adddup2(&files, away[i], FIRST_FD + (int)i) == 0);
    CHECK(posix_spawn_file_actions_addclosefrom_np(&files, FIRST_FD + (int)count) == 0);
    error = posix_spawn(pid, program, &files, &how, argv, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&how);
    return error;
}

pid_t spawn_program(const char *program, char *const argv[], char *const environment[],
                    const int fds[], unsigned count)
{
    int *away = check_alloc((count + 1) * sizeof(*away));
    pid_t pid = -1;
    int error = EMFILE;

    if (move_away(fds, count, away)) {
        error = start(program, argv, environment, away, count, &pid);
        for (unsigned i = 0; i < count; i++)
            close(away[i]);
    }
    free(away);
    errno = error;
    return error == 0 ? pid : -1;
}
