/* test_decode.h -- for tests: what the libraries themselves make of compressed bytes. */
#ifndef COMPRESS_DECODE_H
#define COMPRESS_DECODE_H

#include <brotli/decode.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* How many bytes came to `to`; SIZE_MAX: it is no such text, or not whole. `part`: it need not be whole. */
static inline size_t decode_gzip(const char *bytes, size_t len, char *to, size_t room, bool part)
{
    z_stream z = { .next_in = (unsigned char *)bytes,
                   .avail_in = (unsigned)len,
                   .next_out = (unsigned char *)to,
                   .avail_out = (unsigned)room };
    int said;

    if (inflateInit2(&z, 31) != Z_OK)
        return SIZE_MAX;
    said = inflate(&z, Z_SYNC_FLUSH);
    inflateEnd(&z);
    if (said != Z_STREAM_END && (!part || (said != Z_OK && said != Z_BUF_ERROR)))
        return SIZE_MAX;
    return z.avail_in == 0 ? room - z.avail_out : SIZE_MAX;
}

static inline size_t decode_br(const char *bytes, size_t len, char *to, size_t room, bool part)
{
    BrotliDecoderState *s = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    const uint8_t *next = (const uint8_t *)bytes;
    uint8_t *out = (uint8_t *)to;
    size_t left = room;
    BrotliDecoderResult said = BrotliDecoderDecompressStream(s, &len, &next, &left, &out, NULL);

    BrotliDecoderDestroyInstance(s);
    if (said == BROTLI_DECODER_RESULT_SUCCESS ||
        (part && said == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT))
        return len == 0 ? room - left : SIZE_MAX;
    return SIZE_MAX;
}

static inline size_t decode_zstd(const char *bytes, size_t len, char *to, size_t room, bool part)
{
    ZSTD_DCtx *d = ZSTD_createDCtx();
    ZSTD_inBuffer in = { bytes, len, 0 };
    ZSTD_outBuffer out = { to, room, 0 };
    size_t said = 1;

    while (in.pos < in.size && !ZSTD_isError(said))
        said = ZSTD_decompressStream(d, &out, &in);
    ZSTD_freeDCtx(d);
    return ZSTD_isError(said) || (!part && said != 0) ? SIZE_MAX : out.pos;
}

/* By the coding's name. */
static inline size_t decode(const char *coding, const char *bytes, size_t len, char *to,
                            size_t room, bool part)
{
    return strcmp(coding, "gzip") == 0   ? decode_gzip(bytes, len, to, room, part)
           : strcmp(coding, "br") == 0   ? decode_br(bytes, len, to, room, part)
           : strcmp(coding, "zstd") == 0 ? decode_zstd(bytes, len, to, room, part)
                                         : SIZE_MAX;
}

#endif
