/* regex.h -- patterns that tenants write (PCRE2), kept from costing more than a request may. */
#ifndef ROUTING_REGEX_H
#define ROUTING_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

#define REGEX_PATTERN_MAX 1024u /* bytes of a pattern */
#define REGEX_CODE_MAX 8192u    /* bytes it is compiled to: counted repeats are written out */
#define REGEX_SUBJECT_MAX 4096u /* bytes in which one is looked for; more is REGEX_LIMIT */
#define REGEX_BUDGET_US 5000    /* once the patterns of a request took so long, none is tried */

struct regex;
struct route_scratch;

enum regex_result {
    REGEX_NO,
    REGEX_YES,
    REGEX_LIMIT, /* not found out: it would have taken too many steps, too much time or memory */
};

/* False: `why` says what is wrong with it. */
bool regex_is_right(struct str pattern, char *why, size_t size);
struct regex *regex_new(struct str pattern); /* one that is right */
void regex_free(struct regex *r);
size_t regex_bytes(const struct regex *r);

/* Is it found anywhere in `subject`? */
enum regex_result regex_find(const struct regex *r, struct str subject, struct route_scratch *s);
void regex_begin_request(struct route_scratch *s); /* a new budget */
/* Has one been REGEX_LIMIT since then? */
bool regex_gave_up(const struct route_scratch *s);

#endif
