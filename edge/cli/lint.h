/* lint.h -- what is wrong, or looks wrong, with what stands under the prefix.
 *
 * Errors are what an edge would refuse, in its own words; warnings are what an edge takes and
 * somebody will be surprised by; notes are what may well be meant. */
#ifndef CLI_LINT_H
#define CLI_LINT_H

#include "base/map.h"
#include "net/guard.h"
#include "routing/records.h"

struct finding {
    bool warning, note; /* neither: an error */
    const char *kind;   /* "bad_record", "missing_name", "unknown_key", ... one word for programs */
    struct str key;
    unsigned line;             /* of the file, if it came from one; else 0 */
    struct record_error error; /* the field, the value, and what was expected (or what follows) */
    char hint[160];            /* "did you mean ...?"; or "" */
};

struct lint {
    struct str prefix;
    /* What records name is looked up there. NULL: every record of a tenant, service and rules goes
     * through lint_learn before the first lint_record. */
    const struct records *all;
    const struct guard *guard;         /* where endpoints may not be; NULL: not looked at */
    const struct module_host *modules; /* NULL: what is said of them is not looked at */
    void *owner;
    void (*found)(void *owner, const struct finding *f);
    unsigned line; /* of what is judged now */
    uint64_t keys, errors, warnings, notes;
    struct map targets; /* struct lint_target by family and name */
    struct buf key;
    const char *why; /* a record could not be read: all after it is void */
};

void lint_init(struct lint *l, struct str prefix, const struct records *all);
void lint_free(struct lint *l);

/* Judges a key as such; false: there is nothing in it to judge further. */
bool lint_key(struct lint *l, struct str key, const enum family *family, struct str name);
/* Remembers of a record what others need to know. */
void lint_learn(struct lint *l, enum family family, struct str name, const struct value *value);
/* Judges a present record. */
void lint_record(struct lint *l, enum family family, struct str name, const struct value *value);

/* When all records have been judged: notes what none of them names. */
void lint_unnamed(struct lint *l);

/* A finding that somebody else made. */
void lint_report(struct lint *l, struct finding *f);

#endif
