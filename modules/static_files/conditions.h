/* conditions.h -- what a request asks of a file: only if it has changed, only a part of it. */
#ifndef STATIC_FILES_CONDITIONS_H
#define STATIC_FILES_CONDITIONS_H

#include "usher_module.h"

/* "Sun, 06 Nov 1994 08:49:37 GMT" and its NUL. */
#define STATIC_FILES_DATE 30

void static_files_date(int64_t seconds, char to[STATIC_FILES_DATE]);
/* Any of the three forms of RFC 9110 5.6.7; -1: none of them. */
int64_t static_files_read_date(struct usher_text text);

/* Is `tag` ("..." with its quotes, strong) in an If-Match or If-None-Match list, or is the list "*"? `weak`:
 * by weak comparison. */
bool static_files_tag_in(struct usher_text list, struct usher_text tag, bool weak);

enum static_files_range {
    STATIC_FILES_WHOLE, /* no range, several, or one that is not well-formed: the whole file */
    STATIC_FILES_PART,
    STATIC_FILES_OUTSIDE,
};

/* Of a Range field, for a file of `size` bytes; PART: *from and *bytes. */
enum static_files_range static_files_read_range(struct usher_text range, uint64_t size,
                                                uint64_t *from, uint64_t *bytes);

/* If-Range: does it name this version of the file? */
bool static_files_same_version(struct usher_text if_range, struct usher_text tag, int64_t modified);

#endif
