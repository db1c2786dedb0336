/* naming.c -- the names in a value, found in the mirror once per reading.
 *
 * Owns:    the list it hangs into the reading.
 * Thread:  control
 * Used by: sync.c (has them read), judge.c (judges by them).
 * Not here: whether what is named exists (judge.c).  */
#include "store/naming.h"

#include "base/check.h"
#include "store/reading.h"

void naming_resolve(struct mirror *m, struct record *r)
{
    struct reading *d = r->reading;
    const struct record_fields *f = &d->fields;

    if (d->absent || !d->good)
        return;
    d->named = check_alloc(2 * sizeof(*d->named));
    d->named_count = 0;
    if (r->family == FAMILY_host && f->tenant[0] != '\0')
        d->named[d->named_count++] = mirror_get(m, FAMILY_tenant, str_from(f->tenant));
    if (f->to == RECORD_TO_SERVICE)
        d->named[d->named_count++] = mirror_get(m, FAMILY_service, str_from(f->service));
}
