/* checksum.h -- a 64-bit check of bytes that go to a disk and come back. The same in every process,
 * so nothing that keeps attackers out: hashes for tables are map_hash. */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include <stdint.h>

#include "base/str.h"

uint64_t checksum(struct str bytes);

#endif
