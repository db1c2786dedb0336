/* naming.h -- which records a new value names. */
#ifndef STORE_NAMING_H
#define STORE_NAMING_H

#include "store/mirror.h"

/* Fills r->reading->named, one for each of the fields' names; nothing for a value that is absent or not
 * good. The records are made where they are not there yet; they stay while the round does. */
void naming_resolve(struct mirror *m, struct record *r);

#endif
