/* settings_places.h -- flags that say where things may be: the readers behind settings.c's table. */
#ifndef SETTINGS_PLACES_H
#define SETTINGS_PLACES_H

#include "settings.h"

/* Each: false: *expected says what would have been right. */
bool settings_unix_folders(struct settings *s, struct str text, const char **expected);
bool settings_resolver(struct settings *s, struct str text, const char **expected);

#endif
