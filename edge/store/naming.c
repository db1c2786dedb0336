/* naming.c -- the names in a value, found in the mirror once per reading.
 *
 * Owns:    the list it hangs into the reading.
 * Thread:  control
 * Used by: sync.c (has them read), judge.c (judges by them).
 * Not here: whether what is named exists (judge.c).  */
#include "store/naming.h"

#include <stdlib.h>

#include "base/check.h"
#include "store/reading.h"

void naming_resolve(struct mirror *m, struct record *r)
{
    struct reading *d = r->reading;
    const struct record_names *names = &d->fields.names;

    if (d->absent || (!d->good && !d->stands_in))
        return;
    free(d->named);
    d->named = check_alloc((names->count + 1) * sizeof(struct record *));
    d->named_count = names->count;
    for (uint32_t i = 0; i < names->count; i++)
        d->named[i] = mirror_get(m, names->items[i].family, names->items[i].name);
}
