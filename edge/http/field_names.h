/* field_names.h -- which field a name is. */
#ifndef HTTP_FIELD_NAMES_H
#define HTTP_FIELD_NAMES_H

#include "base/str.h"

enum field_id {
    FIELD_OTHER,
#define FIELD(id, name) FIELD_##id,
#include "http/field_names.def"
#undef FIELD
    FIELD_USHER, /* any usher-* */
    FIELD_COUNT
};

/* Names are compared without case (RFC 9110 5.1). `name` is a token, as the parser checked. */
enum field_id field_id_of(struct str name);

#endif
