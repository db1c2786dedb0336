/* path.h -- paths in the one form that everything is compared in. */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include "base/str.h"

/* Writes the normal form of RFC 3986 6.2.2 to `to`: unreserved octets decoded, hex in upper case,
 * dot segments removed, characters no path may hold encoded; "//" stays. `to` holds 3 * path.len
 * + 1. Returns its length; 0: the path holds something no path may (an encoded control octet, a bad
 * escape). *same: it is the path as it was. */
size_t path_normal(struct str path, char *to, bool *same);

/* Of what stands behind a first slash, or below a folder: is no segment empty, "." or ".."? */
bool path_is_plain(struct str path);

#endif
