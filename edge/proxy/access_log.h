/* access_log.h -- one JSON line per request, written by a thread of its own so that neither a full
 * disk nor a slow pipe holds a worker. Lines that find the queue full are dropped and counted. */
#ifndef PROXY_ACCESS_LOG_H
#define PROXY_ACCESS_LOG_H

#include "base/buf.h"
#include "settings.h"

struct access_log;

/* NULL with *error set when the file cannot be opened; NULL with *error NULL when it is off. */
struct access_log *access_log_open(const struct settings *s, const char **error);
/* Takes whole lines from any thread; empties `lines`. */
void access_log_write(struct access_log *log, struct buf *lines);
uint64_t access_log_dropped(const struct access_log *log);
void access_log_reopen(struct access_log *log); /* after logrotate moved the file */
/* Writes what is queued; gives up after two seconds when nobody takes it. */
void access_log_close(struct access_log *log);

#endif
