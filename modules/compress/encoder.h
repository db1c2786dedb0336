/* encoder.h -- one body being compressed, by whichever of three libraries. */
#ifndef COMPRESS_ENCODER_H
#define COMPRESS_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum compress_coding { COMPRESS_NONE, COMPRESS_GZIP, COMPRESS_BR, COMPRESS_ZSTD, COMPRESS_CODINGS };

/* What is to become of the bytes given: kept for better company, sent so that all of them can be read, or the last. */
enum compress_step { COMPRESS_MORE, COMPRESS_FLUSH, COMPRESS_END };

struct compress_encoder;

/* Where compressed bytes go; false: no more of it. */
typedef bool (*compress_out)(void *owner, const char *bytes, size_t len);

const char *compress_name(enum compress_coding coding); /* "gzip" */

/* `level` 1 to 9; `length`: of the body, SIZE_MAX when nobody knows, for it may need less memory then. NULL: no memory. */
struct compress_encoder *compress_open(enum compress_coding coding, unsigned level, size_t length);
void compress_close(struct compress_encoder *e); /* NULL is fine */
/* False: no memory, or `out` said so. */
bool compress_feed(struct compress_encoder *e, const char *bytes, size_t len,
                   enum compress_step step, compress_out out, void *owner);

/* The most that such an encoder ever holds. */
size_t compress_most_bytes(enum compress_coding coding, unsigned level, size_t length);
size_t compress_bytes(const struct compress_encoder *e); /* what it does hold */

#endif
