/* places.h -- where files are: a tenant's folder below what the edge's operator allows, and paths in it. */
#ifndef STATIC_FILES_PLACES_H
#define STATIC_FILES_PLACES_H

#include <sys/stat.h>

#include "usher_module.h"

#define STATIC_FILES_PATH_MAX 4096

enum static_files_found {
    STATIC_FILES_FILE, /* *fd is open, *st is its */
    STATIC_FILES_FOLDER,
    STATIC_FILES_NONE,
    STATIC_FILES_FORBIDDEN, /* this process may not read it */
    STATIC_FILES_BROKEN,    /* errno says what */
};

/* --module-option static_files.root with `$tenant` in it replaced; false: there is no tenant, or its name is no
 * folder's, or it is too long. */
bool static_files_allowed(const char *option, struct usher_text tenant,
                          char to[STATIC_FILES_PATH_MAX]);
/* A folder below `allowed`: a handle for static_files_open; -1: errno. */
int static_files_open_root(const char *allowed, const char *root);

/* Opens a file below `dir`, whatever links there are on the way: none leads out. */
enum static_files_found static_files_open(int dir, const char *path, int *fd, struct stat *st);

/* The path of a URL, in its normal form, as one below a folder; "." for the folder itself. False: no file can be meant,
 * or one that begins with a dot, where these are not `dotfiles` (but /.well-known/ is let through). */
bool static_files_path(struct usher_text url, bool dotfiles, char to[STATIC_FILES_PATH_MAX]);

#endif
