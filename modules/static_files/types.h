/* types.h -- which media type a file's name stands for. */
#ifndef STATIC_FILES_TYPES_H
#define STATIC_FILES_TYPES_H

#include "usher_module.h"

/* What stands behind the last dot of the name; empty: nothing does. */
struct usher_text static_files_extension(struct usher_text path);
/* NULL: not one of the well-known. */
const char *static_files_type(struct usher_text extension);
bool static_files_same_extension(struct usher_text a, struct usher_text b);

#endif
