/* checksum.c -- XXH3 without a seed.
 *
 * Owns:    nothing.
 * Thread:  any
 * Used by: store/disk.c.
 * Not here: hashes for tables (map.c). */
#include "base/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t checksum(struct str bytes)
{
    return XXH3_64bits(bytes.ptr, bytes.len);
}
