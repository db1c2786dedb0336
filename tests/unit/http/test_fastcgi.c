/* test_fastcgi.c -- records, written and read, in pieces of every size. */
#include <criterion/criterion.h>

#include "base/buf.h"
#include "http/fastcgi.h"

static void add_record(struct buf *to, unsigned type, const char *content, size_t len,
                       unsigned padding)
{
    const char header[FASTCGI_HEADER_BYTES] = { 1,         (char)type,    0, 1, (char)(len >> 8),
                                                (char)len, (char)padding, 0 };

    buf_add(to, header, sizeof(header));
    buf_add(to, content, len);
    for (unsigned i = 0; i < padding; i++)
        buf_add(to, "\xaa", 1);
}

/* What all pieces come to: 'o' and 'e' before what was said, 'E' at the end, '!' where it is wrong. */
static char *read_all(const struct buf *bytes, size_t step)
{
    struct fastcgi_reader r;
    struct buf said = { 0 };
    char last = 0;

    fastcgi_reader_start(&r);
    for (size_t at = 0; at < bytes->len; at += step) {
        size_t n = bytes->len - at < step ? bytes->len - at : step;
        struct str rest = { bytes->ptr + at, n }, piece;

        for (;;) {
            enum fastcgi_piece got = fastcgi_read(&r, &rest, &piece);
            char sign = got == FASTCGI_STDOUT ? 'o' : 'e';

            if (got == FASTCGI_MORE)
                break;
            if (got == FASTCGI_BAD) {
                buf_add_text(&said, "!");
                return said.ptr;
            }
            if (got == FASTCGI_END) {
                buf_printf(&said, "E%u/%u", r.status, r.protocol_status);
                last = 0;
                continue;
            }
            if (last != sign)
                buf_add(&said, &sign, 1);
            last = sign;
            buf_add_str(&said, piece);
        }
    }
    buf_add_text(&said, "");
    return said.ptr;
}

Test(fastcgi, a_response_is_the_same_in_pieces_of_any_size)
{
    struct buf bytes = { 0 };

    add_record(&bytes, 6, "one", 3, 5);
    add_record(&bytes, 7, "bad news", 8, 0);
    add_record(&bytes, 6, "two", 3, 255);
    add_record(&bytes, 7, "", 0, 0);
    add_record(&bytes, 6, "", 0, 7);
    add_record(&bytes, 3, "\0\0\1\2\0xyz", 8, 1);
    add_record(&bytes, 6, "next", 4, 0);
    for (size_t step = 1; step <= bytes.len; step++) {
        char *said = read_all(&bytes, step);

        cr_assert_str_eq(said,
                         "oonee"
                         "bad newsotwoE258/0onext",
                         "by %zu: %s", step, said);
        free(said);
    }
    buf_free(&bytes);
}

static void expect_bad(const char *header)
{
    struct buf bytes = { 0 };
    char *said;

    buf_add(&bytes, header, FASTCGI_HEADER_BYTES);
    said = read_all(&bytes, bytes.len);
    cr_expect_str_eq(said, "!");
    free(said);
    buf_free(&bytes);
}

Test(fastcgi, what_nobody_asked_for_is_no_record)
{
    expect_bad("\2\6\0\1\0\0\0"); /* version */
    expect_bad("\1\6\0\2\0\0\0"); /* another request */
    expect_bad("\1\6\1\1\0\0\0");
    expect_bad("\1\1\0\1\0\0\0");    /* BEGIN_REQUEST */
    expect_bad("\1\x0b\0\0\0\x8\0"); /* UNKNOWN_TYPE, of the connection */
    expect_bad("\1\3\0\1\0\7\0");    /* END_REQUEST that is too short */
    expect_bad("HTTP/1.1");
}

/* The content of all PARAMS records, put together. */
static size_t params_of(const char *bytes, size_t len, struct buf *to)
{
    size_t records = 0;

    for (size_t at = 0; at + FASTCGI_HEADER_BYTES <= len; records++) {
        const unsigned char *h = (const unsigned char *)bytes + at;
        size_t content = (size_t)h[4] << 8 | h[5];

        cr_assert_eq(h[0], 1);
        cr_assert_eq(h[1], 4);
        cr_assert_leq(at + FASTCGI_HEADER_BYTES + content, len);
        buf_add(to, h + FASTCGI_HEADER_BYTES, content);
        at += FASTCGI_HEADER_BYTES + content + h[6];
    }
    return records;
}

Test(fastcgi, parameters_run_on_over_records)
{
    static char room[300 * 1024], value[200 * 1024];
    struct fastcgi_writer w = { .at = room, .end = room + sizeof(room) };
    struct buf params = { 0 };
    const unsigned char *p;

    memset(value, 'v', sizeof(value));
    fastcgi_param(&w, STR("SHORT"), STR("s"));
    fastcgi_param(&w, STR("LONG"), str_slice(value, sizeof(value)));
    fastcgi_params_pause(&w);
    fastcgi_param(&w, STR("LAST"), STR(""));
    fastcgi_params_end(&w);
    cr_assert(!w.full);
    cr_expect_eq(params_of(room, (size_t)(w.at - room), &params), 6);
    cr_expect_eq(memcmp(params.ptr, "\5\1SHORTs\4", 9), 0);
    p = (const unsigned char *)params.ptr + 9;
    cr_expect_eq((size_t)(p[0] & 0x7f) << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3],
                 sizeof(value));
    cr_expect_eq(memcmp(p + 4, "LONG", 4), 0);
    cr_expect_eq(memcmp(p + 8, value, sizeof(value)), 0);
    cr_expect_eq(memcmp(p + 8 + sizeof(value), "\4\0LAST", 6), 0);
    cr_expect_eq(params.len, 9 + 8 + sizeof(value) + 6);
    buf_free(&params);
}

Test(fastcgi, what_does_not_fit_is_said)
{
    char room[64];

    for (size_t size = 0; size < sizeof(room); size++) {
        struct fastcgi_writer w = { .at = room, .end = room + size };

        fastcgi_begin(&w, true);
        fastcgi_param(&w, STR("NAME"), STR("value"));
        fastcgi_params_end(&w);
        cr_expect_eq(w.full, size < 16 + 8 + 2 + 9 + 8);
        cr_expect_leq((size_t)(w.at - room), size);
    }
}
