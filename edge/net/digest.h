/* digest.h -- digests, signatures of bytes, base64: what modules may ask for. The numbers of kinds are
 * those of enum usher_digest and enum usher_signature (modules/usher_module.h). Any thread. */
#ifndef NET_DIGEST_H
#define NET_DIGEST_H

#include "base/str.h"

/* Its length; 0: no such kind. */
size_t digest_of(unsigned kind, struct str bytes, uint8_t to[64]);
bool digest_verify(unsigned kind, struct str key, struct str bytes, struct str signature);
bool digest_equal(struct str a, struct str b); /* in constant time, but for their lengths */
/* Base64 (RFC 4648): in the standard alphabet with its padding, or that of URLs without. The bytes
 * that came to `to`; SIZE_MAX: not the one way to write them, or more than `room`. */
size_t base64_decode(struct str text, bool url, uint8_t *to, size_t room);

#endif
