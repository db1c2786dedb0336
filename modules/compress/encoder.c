/* encoder.c -- zlib, brotli and zstd behind one set of words.
 *
 * A level means about the same effort for each; windows are small enough for thousands of bodies at once. */
#include "encoder.h"

#include <brotli/encode.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define OUT_BYTES (16u << 10)
#define BR_LEVEL_MOST 6         /* above, its tables grow eightfold */
#define BR_HINT_MOST (1u << 20) /* from a body so long on, they do so too */

struct compress_encoder {
    enum compress_coding coding;
    size_t bytes; /* that the library holds; zstd counts its own */
    z_stream gzip;
    BrotliEncoderState *br;
    ZSTD_CCtx *zstd;
};

const char *compress_name(enum compress_coding coding)
{
    static const char *const names[] = { "identity", "gzip", "br", "zstd" };

    return names[coding];
}

/* --- memory --- */

static void *take(void *owner, size_t bytes)
{
    struct compress_encoder *e = owner;
    void *taken = malloc(bytes);

    e->bytes += taken != NULL ? malloc_usable_size(taken) : 0;
    return taken;
}

static void give_back(void *owner, void *taken)
{
    struct compress_encoder *e = owner;

    if (taken != NULL)
        e->bytes -= malloc_usable_size(taken);
    free(taken);
}

static void *take_items(void *owner, unsigned items, unsigned size)
{
    return take(owner, (size_t)items * size);
}

/* The window: no larger than the body, in bits. */
static int window_for(size_t length, int least, int most)
{
    int bits = least;

    while (bits < most && ((size_t)1 << bits) < length)
        bits++;
    return bits;
}

static int gzip_window(size_t length)
{
    return window_for(length, 9, 15);
}

static int gzip_memory(size_t length)
{
    int level = gzip_window(length) - 7;

    return level < 8 ? level : 8;
}

static int br_window(size_t length)
{
    return window_for(length, 12, 16);
}

static int zstd_window(size_t length)
{
    return window_for(length, 10, 18);
}

static int zstd_table(size_t length)
{
    int bits = zstd_window(length) + 1;

    return bits < 17 ? bits : 17;
}

static int br_quality(unsigned level)
{
    return level < BR_LEVEL_MOST ? (int)level : BR_LEVEL_MOST;
}

size_t compress_most_bytes(enum compress_coding coding, unsigned level, size_t length)
{
    switch (coding) {
    case COMPRESS_GZIP:
        return sizeof(struct compress_encoder) + ((size_t)1 << (gzip_window(length) + 2)) +
               ((size_t)1 << (gzip_memory(length) + 9)) + (16u << 10);
    case COMPRESS_BR:
        return sizeof(struct compress_encoder) + (level < 2   ? 768u << 10
                                                  : level < 4 ? 1024u << 10
                                                              : 2304u << 10);
    case COMPRESS_ZSTD:
        return sizeof(struct compress_encoder) + ((size_t)2 << zstd_window(length)) +
               ((size_t)8 << zstd_table(length)) + (768u << 10);
    default:
        return 0;
    }
}

size_t compress_bytes(const struct compress_encoder *e)
{
    return sizeof(*e) + e->bytes + (e->zstd != NULL ? ZSTD_sizeof_CCtx(e->zstd) : 0);
}

/* --- beginning and end --- */

static bool open_gzip(struct compress_encoder *e, unsigned level, size_t length)
{
    e->gzip.zalloc = take_items;
    e->gzip.zfree = give_back;
    e->gzip.opaque = e;
    return deflateInit2(&e->gzip, (int)level, Z_DEFLATED, gzip_window(length) + 16,
                        gzip_memory(length), Z_DEFAULT_STRATEGY) == Z_OK;
}

static bool open_br(struct compress_encoder *e, unsigned level, size_t length)
{
    e->br = BrotliEncoderCreateInstance(take, give_back, e);
    if (e->br == NULL)
        return false;
    if (length < BR_HINT_MOST)
        BrotliEncoderSetParameter(e->br, BROTLI_PARAM_SIZE_HINT, (uint32_t)length);
    return BrotliEncoderSetParameter(e->br, BROTLI_PARAM_QUALITY, (uint32_t)br_quality(level)) &&
           BrotliEncoderSetParameter(e->br, BROTLI_PARAM_LGWIN, (uint32_t)br_window(length));
}

static bool set(struct compress_encoder *e, ZSTD_cParameter name, int value)
{
    return !ZSTD_isError(ZSTD_CCtx_setParameter(e->zstd, name, value));
}

static bool open_zstd(struct compress_encoder *e, unsigned level, size_t length)
{
    e->zstd = ZSTD_createCCtx();
    return e->zstd != NULL && set(e, ZSTD_c_compressionLevel, (int)level) &&
           set(e, ZSTD_c_windowLog, zstd_window(length)) &&
           set(e, ZSTD_c_hashLog, zstd_table(length)) &&
           set(e, ZSTD_c_chainLog, zstd_table(length));
}

struct compress_encoder *compress_open(enum compress_coding coding, unsigned level, size_t length)
{
    struct compress_encoder *e = calloc(1, sizeof(*e));
    bool good;

    if (e == NULL)
        return NULL;
    e->coding = coding;
    good = coding == COMPRESS_GZIP ? open_gzip(e, level, length)
           : coding == COMPRESS_BR ? open_br(e, level, length)
                                   : open_zstd(e, level, length);
    if (good)
        return e;
    compress_close(e);
    return NULL;
}

void compress_close(struct compress_encoder *e)
{
    if (e == NULL)
        return;
    if (e->coding == COMPRESS_GZIP)
        deflateEnd(&e->gzip);
    if (e->br != NULL)
        BrotliEncoderDestroyInstance(e->br);
    ZSTD_freeCCtx(e->zstd);
    free(e);
}

/* --- bytes --- */

static bool feed_gzip(struct compress_encoder *e, const char *bytes, size_t len,
                      enum compress_step step, compress_out out, void *owner)
{
    static const int flushes[] = { Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH };
    unsigned char to[OUT_BYTES];

    do {
        unsigned piece = len < (1u << 30) ? (unsigned)len : 1u << 30;
        int said;

        e->gzip.next_in = (unsigned char *)bytes;
        e->gzip.avail_in = piece;
        len -= piece;
        bytes += piece;
        do {
            e->gzip.next_out = to;
            e->gzip.avail_out = sizeof(to);
            said = deflate(&e->gzip, len > 0 ? Z_NO_FLUSH : flushes[step]);
            if (said == Z_STREAM_ERROR || !out(owner, (char *)to, sizeof(to) - e->gzip.avail_out))
                return false;
        } while (e->gzip.avail_out == 0);
    } while (len > 0);
    return true;
}

static bool feed_br(struct compress_encoder *e, const char *bytes, size_t len,
                    enum compress_step step, compress_out out, void *owner)
{
    static const BrotliEncoderOperation operations[] = { BROTLI_OPERATION_PROCESS,
                                                         BROTLI_OPERATION_FLUSH,
                                                         BROTLI_OPERATION_FINISH };
    const uint8_t *next = (const uint8_t *)bytes;

    do {
        size_t none = 0, ready = 0;
        const uint8_t *from;

        if (!BrotliEncoderCompressStream(e->br, operations[step], &len, &next, &none, NULL, NULL))
            return false;
        from = BrotliEncoderTakeOutput(e->br, &ready);
        if (ready > 0 && !out(owner, (const char *)from, ready))
            return false;
    } while (len > 0 || BrotliEncoderHasMoreOutput(e->br));
    return true;
}

static bool feed_zstd(struct compress_encoder *e, const char *bytes, size_t len,
                      enum compress_step step, compress_out out, void *owner)
{
    static const ZSTD_EndDirective directives[] = { ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end };
    ZSTD_inBuffer in = { bytes, len, 0 };
    char to[OUT_BYTES];
    size_t left;

    do {
        ZSTD_outBuffer room = { to, sizeof(to), 0 };

        left = ZSTD_compressStream2(e->zstd, &room, &in, directives[step]);
        if (ZSTD_isError(left) || !out(owner, to, room.pos))
            return false;
    } while (step == COMPRESS_MORE ? in.pos < in.size : left > 0);
    return true;
}

bool compress_feed(struct compress_encoder *e, const char *bytes, size_t len,
                   enum compress_step step, compress_out out, void *owner)
{
    switch (e->coding) {
    case COMPRESS_GZIP:
        return feed_gzip(e, bytes, len, step, out, owner);
    case COMPRESS_BR:
        return feed_br(e, bytes, len, step, out, owner);
    default:
        return feed_zstd(e, bytes, len, step, out, owner);
    }
}
