/* log.c -- lines on standard error.
 *
 * Owns:    the level: rule zero, a global, set once before any thread starts.
 * Thread:  any; one write() per line.
 * Used by: every room.
 * Not here: the access log (proxy/access_log.c). */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_SIZE 2048

static enum log_level lowest = LOG_INFO;

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARN] = "warn",
    [LOG_ERROR] = "error",
};

void log_set_level(enum log_level level)
{
    lowest = level;
}

bool log_wants(enum log_level level)
{
    return level >= lowest;
}

bool log_level_from(struct str name, enum log_level *level)
{
    for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
        if (str_equals(name, str_from(level_names[i]))) {
            *level = (enum log_level)i;
            return true;
        }
    return false;
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
    char line[LINE_SIZE], time_text[CLOCK_TEXT_SIZE];
    va_list args;
    int head, body = 0;
    size_t len;
    ssize_t written;

    if (!log_wants(level))
        return;
    head = snprintf(line, sizeof(line) - 1, "%s %s %s", clock_wall_text(clock_wall_ms(), time_text),
                    level_names[level], event);
    if (format[0] != '\0') {
        line[head++] = ' ';
        va_start(args, format);
        body = vsnprintf(line + head, sizeof(line) - 1 - (size_t)head, format, args);
        va_end(args);
    }
    len = (size_t)head + (size_t)(body > 0 ? body : 0);
    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
    line[len++] = '\n';
    written = write(STDERR_FILENO, line, len);
    (void)written; /* nowhere is left to say that the log is full */
}

char *log_quote(struct str text, char *to, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;

    to[n++] = '"';
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (n + 4 + 5 > size) { /* the longest escape, then "...", a quote and a NUL */
            if (n + 5 <= size) {
                memcpy(to + n, "...", 3);
                n += 3;
            }
            break;
        }
        if (c == '"' || c == '\\') {
            to[n++] = '\\';
            to[n++] = (char)c;
        } else if (c < 0x20 || c >= 0x7f) {
            to[n++] = '\\';
            to[n++] = 'x';
            to[n++] = hex[c >> 4];
            to[n++] = hex[c & 15];
        } else {
            to[n++] = (char)c;
        }
    }
    to[n++] = '"';
    to[n] = '\0';
    return to;
}
