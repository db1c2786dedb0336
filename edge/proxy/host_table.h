/* host_table.h -- a worker's hosts by their print: one line of 32 bytes each, side by side.
 *
 * A lookup touches one line. Hosts are told apart by a 128-bit print of their name with a seed drawn
 * at start. What is seldom looked at stands beside the lines. */
#ifndef PROXY_HOST_TABLE_H
#define PROXY_HOST_TABLE_H

#include <stdbool.h>

#include "base/map.h"
#include "routing/object.h"

struct host_line {
    struct map_print print;
    struct slot_ref site;
    uint32_t born; /* sites.suffix_clock when it was last known to be right */
    uint8_t kind;  /* enum host_kind */
    bool taken, used;
    uint8_t tick; /* the last octet of the tick in which its key was said to be used last */
};

struct host_side {
    char *name; /* owned; for dumps alone */
    slot_tick *used;
};

struct host_table {
    struct host_line *lines; /* NULL: none yet */
    struct host_side *sides; /* line by line */
    size_t mask;             /* lines - 1 */
    size_t count;
};

void host_table_free(struct host_table *t);

/* NULL: not there. Good until the next add or remove. */
struct host_line *host_table_find(const struct host_table *t, struct map_print print);
/* It is going to be looked for: on its way from memory meanwhile. */
void host_table_fetch(const struct host_table *t, struct map_print print);
/* Must not be there. What is not of the table's own is zero. */
struct host_line *host_table_add(struct host_table *t, struct map_print print, struct str name);
void host_table_remove(struct host_table *t, struct host_line *line);

/* The next line from position *at on (start with 0); NULL at the end. */
struct host_line *host_table_next(const struct host_table *t, size_t *at);
struct host_side *host_table_side(const struct host_table *t, const struct host_line *line);

#endif
