/* php.c -- starts php-fpm with a configuration of its own, as whoever runs the test.
 *
 * Owns:    its process.
 * Thread:  the test's.
 * Used by: tests.
 * Not here: what scripts do. */
#include "harness/php.h"

#include "harness/await.h"

#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* The newest that there is, whatever its version. */
static const char *program(void)
{
    glob_t found;
    const char *path;

    cr_assert_eq(glob("/usr/sbin/php-fpm*", 0, NULL, &found), 0,
                 "php-fpm is missing: setup/packages test installs it");
    path = kept_format("%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return path;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    cr_assert_not_null(f, "%s", path);
    fputs(text, f);
    cr_assert_eq(fclose(f), 0);
}

static bool accepts(const struct php *p)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good;

    snprintf(to.sun_path, sizeof(to.sun_path), "%s", p->at + 5);
    good = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
    close(fd);
    return good;
}

void php_start(struct php *p, const char *dir, unsigned children)
{
    char config[160], own[128];
    const char *argv[] = { program(), "-n", "-F", "-R", "-y", config, NULL };

    memset(p, 0, sizeof(*p));
    snprintf(own, sizeof(own), "%.90s/php", dir);
    snprintf(p->root, sizeof(p->root), "%.100s/app", own);
    snprintf(p->at, sizeof(p->at), "unix:%.100s/fpm.sock", own);
    snprintf(config, sizeof(config), "%s/fpm.conf", own);
    cr_assert_eq(mkdir(own, 0755), 0);
    cr_assert_eq(mkdir(p->root, 0755), 0);
    write_file(config, kept_format("[global]\nerror_log = /dev/stderr\ndaemonize = no\n"
                                   "[www]\nlisten = %s\nuser = %u\ngroup = %u\n"
                                   "listen.mode = 0600\npm = static\npm.max_children = %u\n"
                                   "catch_workers_output = no\n",
                                   p->at + 5, (unsigned)getuid(), (unsigned)getgid(), children));
    process_start(&p->process, argv, NULL, "/dev/null", 0);
    cr_assert(eventually(accepts(p), 30000), "php-fpm does not accept: %s",
              process_log(&p->process));
}

void php_script(struct php *p, const char *name, const char *text)
{
    const char *slash = strrchr(name, '/');

    if (slash != NULL)
        mkdir(kept_format("%s/%.*s", p->root, (int)(slash - name), name), 0755);
    write_file(kept_format("%s/%s", p->root, name), text);
}

void php_stop(struct php *p)
{
    process_signal(&p->process, SIGTERM);
    cr_assert_neq(process_wait(&p->process, AWAIT_MS), PROCESS_STILL_RUNS);
    process_free(&p->process);
}
