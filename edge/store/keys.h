/* keys.h -- the names of Redis keys: prefix, family, name. */
#ifndef STORE_KEYS_H
#define STORE_KEYS_H

#include "base/buf.h"
#include "routing/record.h"

#define KEYS_NAME_MAX 1024 /* bytes behind the family; keys with more are not looked at */

/* "usher:host:"; of a family of one key that key */
void keys_add_family(struct buf *to, struct str prefix, enum family family);
void keys_add(struct buf *to, struct str prefix, enum family family, struct str name);
/* false: not a configuration key of ours, or too long to be one. */
bool keys_split(struct str prefix, struct str key, enum family *family, struct str *name);

/* The names under which a host may be found, one after the other: itself, *.parent from the longest
 * parent up, "*". Start with *at = 0; the last one has been given when len is 0. */
struct str keys_candidate(struct str host, size_t *at, char to[HOST_MAX_BYTES + 1]);

#endif
