/* settings_numbers.h -- numbers as flags have them: "100", "64k", "256/s", "10s". */
#ifndef SETTINGS_NUMBERS_H
#define SETTINGS_NUMBERS_H

#include "base/str.h"

enum number_kind {
    NUMBER_COUNT,
    NUMBER_SIZE, /* bytes */
    NUMBER_RATE, /* per second */
    NUMBER_TIME, /* milliseconds */
};

/* False: it is none, or not within the bounds. `expected`, of `size` bytes, says what would have been
 * right. */
bool settings_number(struct str text, enum number_kind kind, uint64_t least, uint64_t most,
                     uint64_t *value, char *expected, size_t size);

/* "500ms", "10s", "2m", "1h", "0"; false when it is something else, or more than `most_ms`. */
bool settings_time(struct str text, uint64_t most_ms, uint64_t *ms);

#endif
