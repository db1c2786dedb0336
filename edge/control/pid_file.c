/* pid_file.c -- writing the number of this process where --pid-file says.
 *
 * Owns:    the file, while it names this process.
 * Thread:  control
 * Used by: takeover.c, control.c.
 * Not here: reading it (cli/upgrade.c). */
#include "control/pid_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static void say(const char *path, const char *why)
{
    char text[300];

    log_line(LOG_ERROR, "pid_file_not_written", "file=%s reason=\"%s\"",
             log_quote(str_from(path), text, sizeof(text)), why);
}

void pid_file_write(const char *path)
{
    char beside[1100];
    FILE *f;
    bool written;

    if (path[0] == '\0')
        return;
    snprintf(beside, sizeof(beside), "%s.%d", path, (int)getpid());
    f = fopen(beside, "we");
    if (f == NULL) {
        say(path, strerror(errno));
        return;
    }
    written = fprintf(f, "%d\n", (int)getpid()) > 0;
    written = fclose(f) == 0 && written;
    if (!written || rename(beside, path) != 0) {
        say(path, strerror(errno));
        unlink(beside);
    }
}

void pid_file_remove(const char *path)
{
    FILE *f = path[0] != '\0' ? fopen(path, "re") : NULL;
    int pid = 0;

    if (f == NULL)
        return;
    if (fscanf(f, "%d", &pid) != 1)
        pid = 0;
    fclose(f);
    if (pid == (int)getpid())
        unlink(path);
}
