/* explain_records.h -- the records that an explanation looks at, decoded and judged. */
#ifndef CONTROL_EXPLAIN_RECORDS_H
#define CONTROL_EXPLAIN_RECORDS_H

#include "control/explain.h"

/* One record as the explanation holds it; free with explain_record_free. */
struct explain_record {
    enum explained_state state;
    struct record_fields fields; /* when GOOD */
};

/* Looks at usher:FAMILY:NAME and notes it in the explanation. `tenant`: whose record it is, for what it
 * names ("": nobody's). Free in every case. */
void explain_load(struct explanation *e, const struct explain_source *source, enum family family,
                  struct str name, struct explain_record *record);
void explain_record_free(struct explain_record *record);

struct str explain_print(struct explanation *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct str explain_key(struct explanation *e, const struct explain_source *source,
                       enum family family, struct str name);

#define explain_add(e, list, item)                                                                 \
    do {                                                                                           \
        (e)->list = arena_grown(&(e)->arena, (e)->list, (e)->list##_count, &(e)->list##_room,      \
                                sizeof(*(e)->list));                                               \
        (e)->list[(e)->list##_count++] = (item);                                                   \
    } while (0)

#endif
