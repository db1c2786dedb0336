/* descriptors.h -- how many descriptors this process may have, and how many of them for clients. */
#ifndef CONTROL_DESCRIPTORS_H
#define CONTROL_DESCRIPTORS_H

#include "settings.h"

/* Raises the soft limit to the hard one; fills in max_connections where nobody said it. */
void descriptors_prepare(struct settings *s);

#endif
