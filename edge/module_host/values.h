/* values.h -- what one setting of a module may say, by its row. */
#ifndef MODULE_HOST_VALUES_H
#define MODULE_HOST_VALUES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "modules/usher_module.h"

#define SETTING_EXPECTED 160 /* bytes of the words below */

const char *setting_type_name(enum usher_type type); /* "text" */

/* What the row takes: "a number from 1 to 100". */
void setting_range(const struct usher_setting *row, char to[SETTING_EXPECTED]);

/* `text` as written, without quotes; what is read points into it. Of a key it is not yet whole, of a
 * service there is no handle yet: chain.c knows of these. False: `expected` says what would be right. */
bool setting_read(const struct usher_setting *row, struct str text, struct usher_value *value,
                  char expected[SETTING_EXPECTED]);

#endif
