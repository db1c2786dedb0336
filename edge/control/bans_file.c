/* bans_file.c -- writes the bans down, whole or not at all, and reads them at the start.
 *
 * Owns:    the text that is being written.
 * Thread:  control; the writing itself: one of the loop's pool.
 * Used by: bans.c.
 * Not here: which bans there are (bans.c); the copy of records (store/disk.c). */
#include "control/bans_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

#define NAME "bans"
#define LINE_MOST 160

bool bans_file_init(struct bans_file *f, const char *dir)
{
    *f = (struct bans_file){ .path = "" };
    if (dir[0] == '\0')
        return false;
    snprintf(f->path, sizeof(f->path), "%s/" NAME, dir);
    snprintf(f->fresh, sizeof(f->fresh), "%s/" NAME ".new", dir);
    return true;
}

static void read_line(struct str line, void (*take)(void *, struct str, uint64_t), void *owner)
{
    struct str range;
    uint64_t ends;

    if (str_split(&line, ' ', &range) && line.ptr != NULL && str_to_u64(line, UINT64_MAX, &ends))
        take(owner, range, ends);
}

void bans_file_read(const struct bans_file *f,
                    void (*take)(void *owner, struct str range, uint64_t ends_wall_ms), void *owner)
{
    FILE *file = fopen(f->path, "re");
    char line[LINE_MOST];

    if (file == NULL)
        return;
    while (fgets(line, sizeof(line), file) != NULL) {
        size_t len = strlen(line);

        if (len > 0 && line[len - 1] == '\n')
            read_line(str_slice(line, len - 1), take, owner);
    }
    fclose(file);
}

/* 0, or an errno. */
static int write_whole(const struct bans_file *f)
{
    int fd = open(f->fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), error = 0;

    if (fd < 0)
        return errno;
    for (size_t at = 0; at < f->text.len && error == 0;) {
        ssize_t n = write(fd, f->text.ptr + at, f->text.len - at);

        if (n > 0)
            at += (size_t)n;
        else if (n < 0 && errno != EINTR)
            error = errno;
    }
    if (error == 0 && fdatasync(fd) != 0)
        error = errno;
    if (close(fd) != 0 && error == 0)
        error = errno;
    if (error == 0 && rename(f->fresh, f->path) != 0)
        error = errno;
    return error;
}

/* Once, until it works again. */
static void tell(struct bans_file *f)
{
    if (f->error != 0 && !f->failure_logged)
        log_line(LOG_WARN, "bans_not_kept", "file=%s reason=\"%s\"", f->path, strerror(f->error));
    f->failure_logged = f->error != 0;
}

static void work(struct job *j)
{
    struct bans_file *f = LIST_ITEM(j, struct bans_file, job);

    f->error = write_whole(f);
}

static void done(struct job *j)
{
    struct bans_file *f = LIST_ITEM(j, struct bans_file, job);

    f->writing = false;
    tell(f);
}

static void take_text(struct bans_file *f, struct buf *text)
{
    buf_free(&f->text);
    f->text = *text;
    *text = (struct buf){ 0 };
}

bool bans_file_write(struct bans_file *f, struct loop *l, struct buf *text)
{
    if (f->writing)
        return false;
    take_text(f, text);
    f->writing = true;
    job_start(l, &f->job, work, done);
    return true;
}

void bans_file_write_now(struct bans_file *f, struct buf *text)
{
    if (f->writing) /* that is younger than a moment, and its end is not waited for */
        return;
    take_text(f, text);
    f->error = write_whole(f);
    tell(f);
}

void bans_file_free(struct bans_file *f)
{
    buf_free(&f->text);
}
