/* record.h -- one Redis value, as read, turned into fields; or into the sentence that says what is
 * wrong with it. Every field is a row of a table in schema/. */
#ifndef ROUTING_RECORD_H
#define ROUTING_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"
#include "routing/service.h"
#include "routing/site.h"

#define RECORD_STRING_MAX (8u * 1024) /* bytes of a string */
#define RECORD_FIELDS_MAX 1024u       /* fields of a hash */
#define RECORD_HASH_MAX (256u * 1024) /* bytes of a hash, as Redis counts its memory */

enum family {
#define FAMILY(name, key, types, meaning) FAMILY_##name,
#include "schema/families.def"
#undef FAMILY
    FAMILIES
};

enum value_kind {
    VALUE_ABSENT,
    VALUE_STRING,
    VALUE_HASH,
    VALUE_OTHER,     /* a type that no record has: `type` names it */
    VALUE_TOO_LARGE, /* not fetched */
};

struct value_field {
    struct str name, value;
};

/* Borrows from what it was read from. */
struct value {
    enum value_kind kind;
    char type[16];
    struct str string;
    const struct value_field *fields;
    size_t count;
};

struct record_error {
    char field[32];     /* "" for the whole record: the value, or the key itself */
    char value[96];     /* quoted and shortened */
    char expected[224]; /* "a port from 1 to 65535" */
};

struct endpoint_list {
    struct endpoint *items; /* owned */
    uint32_t count, room;
};

enum record_to { RECORD_TO_NONE, RECORD_TO_SERVICE, RECORD_TO_ENDPOINTS };

/* What the record says, of whichever family: the fields it cannot have stay unset. */
struct record_fields {
    char tenant[NAME_MAX_BYTES + 1];
    char service[NAME_MAX_BYTES + 1];
    enum record_to to;
    enum tenant_status status;
    enum balance balance;
    struct endpoint_list endpoints; /* of `to`, or of usher:endpoints: */
};

/* False: *error says why. `value` is present (not VALUE_ABSENT). Free the fields in both cases. */
bool record_decode(enum family family, struct str name, const struct value *value,
                   struct record_fields *fields, struct record_error *error);
void record_fields_free(struct record_fields *fields);

/* Is `name` one that a key of this family may have? *expected says which are. */
bool record_name_is_right(enum family family, struct str name, const char **expected);

void record_error_set(struct record_error *error, const char *field, struct str value,
                      const char *expected, ...) __attribute__((format(printf, 4, 5)));
/* `field to: got "10.0.0.5:99999", expected a port from 1 to 65535` */
void record_error_say(const struct record_error *error, struct buf *sentence);

const char *family_word(enum family family); /* "host" */

#endif
