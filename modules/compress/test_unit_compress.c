/* test_unit_compress.c -- what comes out can be read by the libraries; who accepts what; how much is held. */
#include "modules/compress/accept.h"
#include "modules/compress/encoder.h"
#include "modules/compress/test_decode.h"
#include "unit/modules/judged.h"

#define ROOM (4u << 20)

static struct usher_text t(const char *text)
{
    return usher_text(text);
}

struct taken {
    char *bytes;
    size_t len;
    size_t most; /* no more than that is taken */
};

static bool take(void *owner, const char *bytes, size_t len)
{
    struct taken *to = owner;

    if (to->len + len > to->most)
        return false;
    memcpy(to->bytes + to->len, bytes, len);
    to->len += len;
    return true;
}

/* Text that compresses as text does, a number in it here and there. */
static void write_text(char *to, size_t len)
{
    static const char words[] = "the edge serves on while what it knows is old, and tells so; ";
    unsigned seed = 7;

    for (size_t i = 0; i < len; i++) {
        if (i % 61 == 0)
            seed = seed * 1103515245 + 12345;
        to[i] = i % 61 == 9 ? (char)('0' + (seed >> 16) % 10) : words[(i + (seed >> 20)) % 61];
    }
}

/* In pieces of `piece` bytes, there and back; returns the compressed length. */
static size_t there_and_back(enum compress_coding coding, unsigned level, const char *text,
                             size_t len, size_t piece, size_t hint)
{
    struct compress_encoder *e = compress_open(coding, level, hint);
    struct taken to = { malloc(ROOM), 0, ROOM };
    char *back = malloc(ROOM);
    size_t at = 0, most = compress_most_bytes(coding, level, hint), got;

    cr_assert_not_null(e);
    while (at < len) {
        size_t part = len - at < piece ? len - at : piece;

        cr_assert(compress_feed(e, text + at, part, COMPRESS_MORE, take, &to));
        at += part;
        cr_assert_leq(compress_bytes(e), most, "%s, level %u, of %zu: holds %zu of %zu",
                      compress_name(coding), level, hint, compress_bytes(e), most);
    }
    cr_assert(compress_feed(e, "", 0, COMPRESS_END, take, &to));
    cr_assert_leq(compress_bytes(e), most);
    compress_close(e);
    got = decode(compress_name(coding), to.bytes, to.len, back, ROOM, false);
    cr_assert_eq(got, len, "%s, level %u, pieces of %zu: %zu of %zu came back",
                 compress_name(coding), level, piece, got, len);
    cr_assert(len == 0 || memcmp(back, text, len) == 0);
    free(to.bytes);
    free(back);
    return to.len;
}

Test(compress, what_is_compressed_comes_back_and_the_memory_is_bounded)
{
    static const size_t lengths[] = { 0, 1, 100, 5000, 70000, 1500000 };
    char *text = malloc(1500000);

    write_text(text, 1500000);
    for (unsigned coding = COMPRESS_GZIP; coding < COMPRESS_CODINGS; coding++)
        for (unsigned level = 1; level <= 9; level++)
            for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
                size_t len = lengths[i];
                size_t known = there_and_back(coding, level, text, len, 16384, len);
                size_t unknown = there_and_back(coding, level, text, len, 65536, SIZE_MAX);

                if (len > 1000) {
                    cr_expect_lt(known, len / 2, "%s %u", compress_name(coding), level);
                    cr_expect_lt(unknown, len / 2, "%s %u", compress_name(coding), level);
                }
            }
    free(text);
}

Test(compress, a_wrong_length_changes_nothing_but_the_size)
{
    char *text = malloc(300000);

    write_text(text, 300000);
    for (unsigned coding = COMPRESS_GZIP; coding < COMPRESS_CODINGS; coding++) {
        there_and_back(coding, 4, text, 300000, 777, 10);
        there_and_back(coding, 4, text, 300, 1, 300000);
    }
    free(text);
}

Test(compress, what_is_flushed_can_be_read_at_once)
{
    for (unsigned coding = COMPRESS_GZIP; coding < COMPRESS_CODINGS; coding++) {
        struct compress_encoder *e = compress_open(coding, 4, SIZE_MAX);
        struct taken to = { malloc(ROOM), 0, ROOM };
        char *back = malloc(ROOM), piece[64];
        size_t sent = 0;

        for (unsigned i = 0; i < 20; i++) {
            int len = snprintf(piece, sizeof(piece), "data: event %u\n\n", i);

            sent += (size_t)len;
            cr_assert(compress_feed(e, piece, (size_t)len, COMPRESS_FLUSH, take, &to));
            cr_assert_eq(decode(compress_name(coding), to.bytes, to.len, back, ROOM, true), sent,
                         "%s, event %u", compress_name(coding), i);
        }
        cr_assert(compress_feed(e, "", 0, COMPRESS_END, take, &to));
        cr_assert_eq(decode(compress_name(coding), to.bytes, to.len, back, ROOM, false), sent);
        compress_close(e);
        free(to.bytes);
        free(back);
    }
}

Test(compress, who_takes_no_more_ends_it)
{
    char *text = malloc(300000);

    for (size_t i = 0; i < 300000; i++)
        text[i] = (char)(i * i >> 3 ^ i >> 7);
    for (unsigned coding = COMPRESS_GZIP; coding < COMPRESS_CODINGS; coding++) {
        struct compress_encoder *e = compress_open(coding, 1, SIZE_MAX);
        struct taken to = { malloc(ROOM), 0, 10 };

        cr_expect_not(compress_feed(e, text, 300000, COMPRESS_END, take, &to));
        compress_close(e);
        free(to.bytes);
    }
    free(text);
}

static void expect_choice(const char *accepted, const char *ours, enum compress_coding expected)
{
    enum compress_coding codings[COMPRESS_CODINGS];
    unsigned count;
    struct usher_text none = { NULL, 0 };

    cr_assert(compress_read_codings(t(ours), codings, &count), "%s", ours);
    cr_expect_eq(compress_choose(accepted ? t(accepted) : none, codings, count), expected,
                 "%s of %s", accepted, ours);
}

Test(compress, the_client_chooses_and_of_its_equals_we_do)
{
    static const char all[] = "zstd,br,gzip";

    expect_choice(NULL, all, COMPRESS_NONE);
    expect_choice("", all, COMPRESS_NONE);
    expect_choice("gzip", all, COMPRESS_GZIP);
    expect_choice("x-gzip", all, COMPRESS_GZIP);
    expect_choice("gzip, deflate, br, zstd", all, COMPRESS_ZSTD);
    expect_choice("gzip, deflate, br", all, COMPRESS_BR);
    expect_choice("GZIP ; Q=1.0 , br;q=0.5", all, COMPRESS_GZIP);
    expect_choice("gzip;q=0.001", all, COMPRESS_GZIP);
    expect_choice("gzip;q=0", all, COMPRESS_NONE);
    expect_choice("gzip;q=0.000", all, COMPRESS_NONE);
    expect_choice("*", all, COMPRESS_ZSTD);
    expect_choice("*;q=0, br", all, COMPRESS_BR);
    expect_choice("zstd;q=0, *", all, COMPRESS_BR);
    expect_choice("identity", all, COMPRESS_NONE);
    expect_choice("identity, gzip;q=0.5", all, COMPRESS_NONE);
    expect_choice("identity;q=0.5, gzip;q=0.8", all, COMPRESS_GZIP);
    expect_choice("identity;q=0", all, COMPRESS_NONE);
    expect_choice("gzip;q=nonsense", all, COMPRESS_NONE);
    expect_choice("gzip;q=1.5", all, COMPRESS_NONE);
    expect_choice("gzip;q=0.5;x=y", all, COMPRESS_GZIP);
    expect_choice("gzip;x=y", all, COMPRESS_GZIP);
    expect_choice("gzipper, bro", all, COMPRESS_NONE);
    expect_choice(",,gzip,,", all, COMPRESS_GZIP);
    expect_choice("gzip, br", "gzip", COMPRESS_GZIP);
    expect_choice("br", "gzip", COMPRESS_NONE);
}

Test(compress, types_and_words_of_lists)
{
    struct usher_text list = t("text/*,application/json,application/*+xml");

    cr_expect(compress_type_in(list, t("text/html; charset=utf-8")));
    cr_expect(compress_type_in(list, t("Text/CSS")));
    cr_expect(compress_type_in(list, t("application/json")));
    cr_expect(compress_type_in(list, t("application/atom+xml;x=y")));
    cr_expect_not(compress_type_in(list, t("application/jsonx")));
    cr_expect_not(compress_type_in(list, t("application/xml")));
    cr_expect_not(compress_type_in(list, t("image/png")));
    cr_expect_not(compress_type_in(list, t("")));
    cr_expect_not(compress_type_in(list, (struct usher_text){ NULL, 0 }));
    cr_expect(compress_word_in(t("Origin, accept-encoding"), "Accept-Encoding"));
    cr_expect(compress_word_in(t("max-age=5,no-transform"), "no-transform"));
    cr_expect_not(compress_word_in(t("x-no-transform, no-transforms"), "no-transform"));
    cr_expect_not(compress_word_in(t(""), "no-transform"));
}

Test(compress, settings)
{
    expect_good("compress");
    expect_good("compress(level=9 min=0 codings=gzip flush types=text/html memory=1g)");
    expect_good("compress(types=text/*,application/*+json types=a/b)");
    expect_refused("compress(codings=deflate)", "some of zstd,br,gzip, each once");
    expect_refused("compress(codings=br,br)", "some of zstd,br,gzip, each once");
    expect_refused("compress(level=0)", "setting level: a number from 1 to 9");
    expect_refused("compress(level=10)", "setting level: a number from 1 to 9");
    expect_refused("compress(types=html)", "media types such as");
    expect_refused("compress(types=text/html,)", "media types such as");
    expect_refused("compress(types=*/*)", "media types such as");
    expect_refused("compress(types=\"text/html; charset=utf-8\")", "media types such as");
    expect_refused("compress(memory=1k)", "setting memory");
}
