/* names.h -- which keys there are: a set of all of them, held or not, without the keys themselves.
 *
 * A name is 94 bits of a seeded hash: among ten million of them, that two are taken for one happens
 * once in 10^14 sets. Twelve octets a slot: 25 MB for a million.
 *
 * Each entry remembers whether it was seen since names_begin, so that a walk over all keys of Redis
 * ends by knowing what has gone. */
#ifndef STORE_NAMES_H
#define STORE_NAMES_H

#include "routing/record.h"

struct names {
    uint64_t *hashes;
    uint32_t *marks; /* 0: free */
    size_t mask, count;
    size_t hosts, unseen_hosts, unseen; /* of `count` */
    uint32_t turn;                      /* the mark of what was seen */
};

void names_init(struct names *n);
void names_free(struct names *n);
bool names_has(const struct names *n, enum family family, struct str name);
bool names_is_seen(const struct names *n, enum family family,
                   struct str name); /* it is there, and: */
void names_add(struct names *n, enum family family, struct str name, bool seen);
void names_remove(struct names *n, enum family family, struct str name);
void names_begin(struct names *n); /* nothing has been seen from here on */
void names_drop_unseen(struct names *n);
void names_merge(struct names *n, const struct names *other); /* what is new is unseen */
size_t names_bytes(const struct names *n);

#endif
