/* history.h -- usher:history:<tenant>: what a record was before it changed, once per cluster. */
#ifndef STORE_HISTORY_H
#define STORE_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct record;
struct store;

struct history {
    struct list waiting; /* struct change, for the writing link to come up */
    size_t waiting_count;
    double tokens; /* changes that may be recorded now */
    uint64_t filled_ms;
    bool refusal_logged, skip_logged;
};

void history_init(struct store *s);
void history_free(struct store *s);
/* A round has judged `r` anew; what it held before is still kept in it. */
void history_note(struct store *s, const struct record *r);
void history_writer_up(struct store *s);

#endif
