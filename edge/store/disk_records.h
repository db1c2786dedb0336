/* disk_records.h -- records read from an edge's copy on disk (--state-dir), for the verbs of the command
 * line. The edge may be running, or dead. */
#ifndef STORE_DISK_RECORDS_H
#define STORE_DISK_RECORDS_H

#include "routing/records.h"

#define DISK_RECORDS_ERROR_SIZE 256

struct disk_records;

/* NULL: `error` is one line that says why. */
struct disk_records *disk_records_open(const char *dir, struct str prefix,
                                       char error[DISK_RECORDS_ERROR_SIZE]);
void disk_records_close(struct disk_records *r);
/* Versions that were in force; a record that is not in the copy counts as absent. */
struct records disk_records_source(struct disk_records *r);

#endif
