/* value.h -- a Redis value as bytes, to be kept: in the mirror, in the disk copy, in a history.
 *
 * Equal values have equal bytes: the fields of a hash are in the order of their names, whatever the
 * order in which they came. */
#ifndef ROUTING_VALUE_H
#define ROUTING_VALUE_H

#include "routing/record.h"

void value_encode(const struct value *v, struct buf *to); /* a string or a hash */

/* As words of redis-cli: the string, or names and values of a hash in turn. */
void value_say(const struct value *v, struct buf *to);

/* Borrows from `bytes`; end with value_free, also on false: they are not what value_encode writes. */
bool value_decode(struct str bytes, struct value *v);
void value_free(struct value *v);

#endif
