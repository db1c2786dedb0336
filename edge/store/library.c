/* library.c -- which hiredis this program was built with.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli/version.c.
 * Not here: speaking to Redis (redis_link.c). */
#include "store/library.h"

#include <hiredis/hiredis.h>

#define TEXT_OF(number) #number
#define TEXT(macro) TEXT_OF(macro)

const char *store_library_version(void)
{
    return TEXT(HIREDIS_MAJOR) "." TEXT(HIREDIS_MINOR) "." TEXT(HIREDIS_PATCH);
}
