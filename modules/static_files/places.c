/* places.c -- folders and files, found by openat2, which lets no path out of the folder it begins in. */
#include "places.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TENANT "$tenant"
#define AGAIN_MOST 8 /* when something on the way is renamed meanwhile */

static int open_beneath(int dir, const char *path, unsigned flags)
{
    struct open_how how = { .flags = flags | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    long fd = -1;

    for (unsigned i = 0; i < AGAIN_MOST; i++) {
        fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return (int)fd;
}

static bool append(char *to, size_t *at, const char *bytes, size_t len)
{
    if (len >= STATIC_FILES_PATH_MAX - *at)
        return false;
    memcpy(to + *at, bytes, len);
    *at += len;
    to[*at] = '\0';
    return true;
}

bool static_files_allowed(const char *option, struct usher_text tenant,
                          char to[STATIC_FILES_PATH_MAX])
{
    const char *mark;
    size_t at = 0;

    to[0] = '\0';
    while ((mark = strstr(option, TENANT)) != NULL) {
        if (tenant.len == 0 || tenant.ptr[0] == '.' || memchr(tenant.ptr, '/', tenant.len) != NULL)
            return false;
        if (!append(to, &at, option, (size_t)(mark - option)) ||
            !append(to, &at, tenant.ptr, tenant.len))
            return false;
        option = mark + strlen(TENANT);
    }
    return append(to, &at, option, strlen(option)) && at > 0;
}

int static_files_open_root(const char *allowed, const char *root)
{
    int above = open(allowed, O_PATH | O_DIRECTORY | O_CLOEXEC), dir, error;

    if (above < 0)
        return -1;
    dir = open_beneath(above, root, O_PATH | O_DIRECTORY);
    error = errno;
    close(above);
    errno = error;
    return dir;
}

static enum static_files_found why_not(void)
{
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EXDEV: /* it would have led out */
    case ENAMETOOLONG:
    case ENXIO: /* a socket */
    case EINVAL:
        return STATIC_FILES_NONE;
    case EACCES:
    case EPERM:
        return STATIC_FILES_FORBIDDEN;
    default:
        return STATIC_FILES_BROKEN;
    }
}

enum static_files_found static_files_open(int dir, const char *path, int *fd, struct stat *st)
{
    /* O_NONBLOCK: a pipe would wait for somebody to write to it. */
    *fd = open_beneath(dir, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return why_not();
    if (fstat(*fd, st) == 0 && S_ISREG(st->st_mode))
        return STATIC_FILES_FILE;
    close(*fd);
    *fd = -1;
    return S_ISDIR(st->st_mode) ? STATIC_FILES_FOLDER : STATIC_FILES_NONE;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The segment that begins at `at`: may it be asked for? */
static bool may_be(const char *at, bool first, bool dotfiles)
{
    size_t len = strcspn(at, "/");

    if (len == 0 || at[0] != '.')
        return true;
    if (len == 1 || (len == 2 && at[1] == '.'))
        return false;
    return dotfiles || (first && at[len] == '/' && len == 11 && memcmp(at, ".well-known", 11) == 0);
}

bool static_files_path(struct usher_text url, bool dotfiles, char to[STATIC_FILES_PATH_MAX])
{
    size_t len = 0, from = 0;

    while (from < url.len && url.ptr[from] == '/')
        from++;
    for (; from < url.len; from++) {
        int c = (unsigned char)url.ptr[from];

        if (c == '%') {
            int high = from + 2 < url.len ? hex_value(url.ptr[from + 1]) : -1;
            int low = from + 2 < url.len ? hex_value(url.ptr[from + 2]) : -1;

            c = high * 16 + low;
            if (high < 0 || low < 0 || c == '/')
                return false;
            from += 2;
        }
        if (c == '\0' || len + 2 > STATIC_FILES_PATH_MAX)
            return false;
        to[len++] = (char)c;
    }
    to[len] = '\0';
    for (size_t at = 0; at < len; at += strcspn(to + at, "/") + 1)
        if (!may_be(to + at, at == 0, dotfiles))
            return false;
    if (len == 0)
        memcpy(to, ".", 2);
    return true;
}
