/* keyspace.h -- what the keys under the prefix will hold when commands have run, on top of what they
 * hold now; nothing is written anywhere. */
#ifndef CLI_KEYSPACE_H
#define CLI_KEYSPACE_H

#include "routing/records.h"

struct keyspace;

/* A key that a command has touched. */
struct keyspace_entry {
    struct str key;
    const struct value *value; /* VALUE_ABSENT: it is deleted */
    unsigned line;             /* of the last command that touched it */
};

/* What a command that will not do what it says is told. */
struct keyspace_complaint {
    bool warning; /* it is let through all the same */
    struct str key;
    struct str value;
    char expected[200];
};

/* `under` NULL: on top of nothing. Both arguments are borrowed. */
struct keyspace *keyspace_new(struct str prefix, const struct records *under);
void keyspace_free(struct keyspace *k);

/* One command, line by line; MULTI and EXEC are the caller's. False: *complaint says why it fails,
 * or (warning) that it was not followed. */
bool keyspace_apply(struct keyspace *k, unsigned line, unsigned count, const struct str *words,
                    struct keyspace_complaint *complaint);

/* The touched keys in the order in which they were first; false at the end. Start with *at = 0. */
bool keyspace_next(const struct keyspace *k, size_t *at, struct keyspace_entry *entry);

bool keyspace_touches(const struct keyspace *k, struct str key);

/* The whole as it will be: touched keys, and what stands under them. */
struct records keyspace_records(struct keyspace *k);
/* What a key under the commands holds is void: FLUSHDB was among them. */
bool keyspace_is_flushed(const struct keyspace *k);

#endif
