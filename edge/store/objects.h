/* objects.h -- what judged records become. */
#ifndef STORE_OBJECTS_H
#define STORE_OBJECTS_H

#include "store/mirror.h"

struct store;

/* Compiles what the round changed, and adds the swaps to the store's open changes. */
void objects_publish(struct store *s, struct record **records, size_t count);

#endif
