/* header_edit.h -- one change to the header fields of a message. */
#ifndef BASE_HEADER_EDIT_H
#define BASE_HEADER_EDIT_H

#include "base/str.h"

struct header_edit {
    struct str name, value; /* value.ptr NULL: taken away */
};

#endif
