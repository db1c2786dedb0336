/* fastcgi.c -- records, octet by octet as the specification has them.
 *
 * Owns:    nothing; writes where it is told.
 * Thread:  any.
 * Used by: http/cgi.c, proxy/upstream_fastcgi.c.
 * Not here: which parameters there are, and what a response says (cgi.c). */
#include "http/fastcgi.h"

#define VERSION 1
#define REQUEST_ID 1
#define ROLE_RESPONDER 1
#define KEEP_CONN 1
#define LONG_LENGTH 128 /* from here on a length has four octets, the first with its top bit set */

enum record_type {
    BEGIN_REQUEST = 1,
    END_REQUEST = 3,
    PARAMS = 4,
    STDIN = 5,
    STDOUT = 6,
    STDERR = 7,
};

/* --- writing --- */

static void write_header(char *to, enum record_type type, size_t len)
{
    to[0] = VERSION;
    to[1] = (char)type;
    to[2] = 0;
    to[3] = REQUEST_ID;
    to[4] = (char)(len >> 8);
    to[5] = (char)len;
    to[6] = to[7] = 0; /* no padding */
}

static bool take_room(struct fastcgi_writer *w, size_t bytes)
{
    if (w->full || bytes > (size_t)(w->end - w->at)) {
        w->full = true;
        return false;
    }
    w->at += bytes;
    return true;
}

void fastcgi_begin(struct fastcgi_writer *w, bool keep)
{
    char *record = w->at;

    if (!take_room(w, 2 * FASTCGI_HEADER_BYTES))
        return;
    write_header(record, BEGIN_REQUEST, FASTCGI_HEADER_BYTES);
    memset(record + FASTCGI_HEADER_BYTES, 0, FASTCGI_HEADER_BYTES);
    record[FASTCGI_HEADER_BYTES + 1] = ROLE_RESPONDER;
    record[FASTCGI_HEADER_BYTES + 2] = keep ? KEEP_CONN : 0;
}

static size_t content_of(const struct fastcgi_writer *w)
{
    return (size_t)(w->at - w->record) - FASTCGI_HEADER_BYTES;
}

void fastcgi_params_pause(struct fastcgi_writer *w)
{
    if (w->record == NULL)
        return;
    write_header(w->record, PARAMS, content_of(w));
    w->record = NULL;
}

void fastcgi_put(struct fastcgi_writer *w, struct str bytes)
{
    while (bytes.len > 0) {
        size_t room;

        if (w->record != NULL && content_of(w) == FASTCGI_CONTENT_MOST)
            fastcgi_params_pause(w);
        if (w->record == NULL) {
            char *record = w->at;

            if (!take_room(w, FASTCGI_HEADER_BYTES))
                return;
            w->record = record;
        }
        room = FASTCGI_CONTENT_MOST - content_of(w);
        if (room > bytes.len)
            room = bytes.len;
        if (!take_room(w, room))
            return;
        memcpy(w->at - room, bytes.ptr, room);
        bytes = str_slice(bytes.ptr + room, bytes.len - room);
    }
}

static void put_length(struct fastcgi_writer *w, size_t len)
{
    char octets[4] = { (char)(len >> 24 | 0x80), (char)(len >> 16), (char)(len >> 8), (char)len };

    if (len < LONG_LENGTH)
        fastcgi_put(w, str_slice(octets + 3, 1));
    else
        fastcgi_put(w, str_slice(octets, 4));
}

void fastcgi_param_open(struct fastcgi_writer *w, size_t name_len, size_t value_len)
{
    put_length(w, name_len);
    put_length(w, value_len);
}

void fastcgi_param(struct fastcgi_writer *w, struct str name, struct str value)
{
    fastcgi_param_open(w, name.len, value.len);
    fastcgi_put(w, name);
    fastcgi_put(w, value);
}

void fastcgi_params_end(struct fastcgi_writer *w)
{
    char *record;

    fastcgi_params_pause(w);
    record = w->at;
    if (take_room(w, FASTCGI_HEADER_BYTES))
        write_header(record, PARAMS, 0);
}

void fastcgi_stdin(char header[FASTCGI_HEADER_BYTES], size_t len)
{
    write_header(header, STDIN, len);
}

/* --- reading --- */

void fastcgi_reader_start(struct fastcgi_reader *r)
{
    *r = (struct fastcgi_reader){ 0 };
}

/* Up to `want` octets into `to`; true: they are all there. */
static bool gather_octets(unsigned char *to, uint8_t *have, size_t want, struct str *bytes)
{
    size_t n = want - *have;

    if (n > bytes->len)
        n = bytes->len;
    if (n > 0)
        memcpy(to + *have, bytes->ptr, n);
    *have = (uint8_t)(*have + n);
    *bytes = str_slice(bytes->ptr + n, bytes->len - n);
    return *have == want;
}

static bool take_header(struct fastcgi_reader *r)
{
    const unsigned char *h = r->header;

    r->type = h[1];
    r->content_left = (uint16_t)(h[4] << 8 | h[5]);
    r->padding_left = h[6];
    if (h[0] != VERSION || h[2] != 0 || h[3] != REQUEST_ID)
        return false;
    if (r->type == END_REQUEST)
        return r->content_left == FASTCGI_HEADER_BYTES;
    return r->type == STDOUT || r->type == STDERR;
}

static struct str take_some(struct str *bytes, size_t most)
{
    struct str some = str_slice(bytes->ptr, bytes->len < most ? bytes->len : most);

    *bytes = str_slice(bytes->ptr + some.len, bytes->len - some.len);
    return some;
}

static enum fastcgi_piece take_end(struct fastcgi_reader *r, struct str *bytes)
{
    const unsigned char *e = r->end;

    if (!gather_octets(r->end, &r->end_len, FASTCGI_HEADER_BYTES, bytes))
        return FASTCGI_MORE;
    r->content_left = 0;
    r->status = (uint32_t)e[0] << 24 | (uint32_t)e[1] << 16 | (uint32_t)e[2] << 8 | e[3];
    r->protocol_status = e[4];
    return FASTCGI_END; /* once its padding, if any, is here */
}

enum fastcgi_piece fastcgi_read(struct fastcgi_reader *r, struct str *bytes, struct str *piece)
{
    for (;;) {
        bool whole = r->header_len == FASTCGI_HEADER_BYTES;

        if (!whole) {
            if (!gather_octets(r->header, &r->header_len, FASTCGI_HEADER_BYTES, bytes))
                return FASTCGI_MORE;
            if (!take_header(r))
                return FASTCGI_BAD;
        }
        if (r->type == END_REQUEST && r->content_left > 0 && take_end(r, bytes) == FASTCGI_MORE)
            return FASTCGI_MORE;
        if (r->content_left > 0) {
            if (bytes->len == 0)
                return FASTCGI_MORE;
            *piece = take_some(bytes, r->content_left);
            r->content_left = (uint16_t)(r->content_left - piece->len);
            return r->type == STDOUT ? FASTCGI_STDOUT : FASTCGI_STDERR;
        }
        r->padding_left = (uint8_t)(r->padding_left - take_some(bytes, r->padding_left).len);
        if (r->padding_left > 0)
            return FASTCGI_MORE;
        r->header_len = 0;
        if (r->type == END_REQUEST)
            return FASTCGI_END;
    }
}
