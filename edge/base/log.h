/* log.h -- one line per event on standard error: time, level, event, then key=value pairs.
 *
 *   log_line(LOG_INFO, "store_up", "address=%s", text);
 *
 * Values that may hold spaces or quotes, and anything a client or Redis sent, go through
 * log_quote. Any thread may log; a line is written whole. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level); /* once, before threads start */
bool log_wants(enum log_level level);
bool log_level_from(struct str name, enum log_level *level);
void log_line(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "text" with quotes, backslashes escaped, other control and 8-bit octets as \xNN, at most
 * `size` - 1 bytes, ending in "..." inside the quotes where cut. Returns `to`. size >= 8. */
char *log_quote(struct str text, char *to, size_t size);

#endif
