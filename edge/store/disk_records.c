/* disk_records.c -- one row after the other, decoded.
 *
 * Owns:    a connection to the copy; the value that was read last.
 * Thread:  control (the only one there is, in a verb)
 * Used by: cli/explain.c.
 * Not here: the file (disk.c); how an edge uses it (copy.c).  */
#include "store/disk_records.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "routing/value.h"
#include "store/disk.h"

struct disk_records {
    struct disk *disk;
    struct buf raw;
    struct value value;
};

struct disk_records *disk_records_open(const char *dir, struct str prefix,
                                       char error[DISK_RECORDS_ERROR_SIZE])
{
    struct disk_records *r;
    char path[4200];

    snprintf(path, sizeof(path), "%s/" DISK_FILE_NAME, dir);
    if (access(path, R_OK | W_OK) != 0) { /* opening it would make one */
        snprintf(error, DISK_RECORDS_ERROR_SIZE, "there is no copy to be read in %.200s", dir);
        return NULL;
    }
    r = check_alloc(sizeof(*r));
    r->disk = disk_open(dir, prefix);
    if (disk_prepare(r->disk) == DISK_DONE)
        return r;
    snprintf(error, DISK_RECORDS_ERROR_SIZE, "the copy in %.100s cannot be read: %.100s", dir,
             disk_reason(r->disk));
    disk_records_close(r);
    return NULL;
}

static void drop_value(struct disk_records *r)
{
    value_free(&r->value);
    r->value = (struct value){ .kind = VALUE_ABSENT };
    buf_clear(&r->raw);
}

void disk_records_close(struct disk_records *r)
{
    drop_value(r);
    buf_free(&r->raw);
    disk_close(r->disk);
    free(r);
}

static bool fetch(void *owner, enum family family, struct str name, struct value *value,
                  const char **why)
{
    struct disk_records *r = owner;
    uint64_t deadline_ms;

    drop_value(r);
    *value = r->value;
    *why = "";
    switch (disk_get(r->disk, family, name, &r->raw, &deadline_ms)) {
    case DISK_NONE:
        return true;
    case DISK_DONE:
        if (!value_decode(str_slice(r->raw.ptr, r->raw.len), &r->value)) {
            *why = "a row of the copy is damaged";
            return false;
        }
        *value = r->value;
        return true;
    case DISK_DAMAGED:
    case DISK_FAILED:
        break;
    }
    *why = disk_reason(r->disk);
    return false;
}

struct records disk_records_source(struct disk_records *r)
{
    return (struct records){ .owner = r, .fetch = fetch };
}
