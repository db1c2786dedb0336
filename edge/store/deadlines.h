/* deadlines.h -- records with a time to live are read again at their moment. */
#ifndef STORE_DEADLINES_H
#define STORE_DEADLINES_H

#include <stdint.h>

struct record;
struct store;

/* ttl_ms < 0: it has none. */
void deadline_set(struct store *s, struct record *r, int64_t ttl_ms);
void deadline_free(struct record *r);

#endif
