/* fastcgi.h -- FastCGI 1.0 records, as a web server writes and reads them: one request at a time on a
 * connection, a responder on the other side. */
#ifndef HTTP_FASTCGI_H
#define HTTP_FASTCGI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define FASTCGI_HEADER_BYTES 8
#define FASTCGI_CONTENT_MOST 65535 /* bytes of one record */

/* --- writing --- */

/* Records into a piece of memory; parameters run on over as many records as they need. */
struct fastcgi_writer {
    char *at, *end;
    char *record; /* the header of the one under way; NULL: none is */
    bool full;    /* something did not fit: what was written is of no use */
};

/* BEGIN_REQUEST of a responder. `keep`: it leaves the connection open afterwards. */
void fastcgi_begin(struct fastcgi_writer *w, bool keep);
/* One parameter: its lengths, then fastcgi_put with so many bytes in all. */
void fastcgi_param_open(struct fastcgi_writer *w, size_t name_len, size_t value_len);
void fastcgi_put(struct fastcgi_writer *w, struct str bytes);
void fastcgi_param(struct fastcgi_writer *w, struct str name, struct str value);
void fastcgi_params_pause(struct fastcgi_writer *w); /* more may follow, of another writer */
void fastcgi_params_end(struct fastcgi_writer *w);

/* The header of a record of the request's body; `len` 0: the body ends. */
void fastcgi_stdin(char header[FASTCGI_HEADER_BYTES], size_t len);

/* --- reading --- */

enum fastcgi_piece {
    FASTCGI_MORE,   /* all was taken, more is needed */
    FASTCGI_STDOUT, /* `piece` is of the response */
    FASTCGI_STDERR, /* `piece` is for the log */
    FASTCGI_END,    /* the response is over: `status`, `protocol_status` */
    FASTCGI_BAD,    /* no record of version 1, of a kind or a request that was not asked for */
};

enum fastcgi_protocol_status {
    FASTCGI_REQUEST_COMPLETE,
    FASTCGI_CANT_MPX_CONN,
    FASTCGI_OVERLOADED,
    FASTCGI_UNKNOWN_ROLE,
};

struct fastcgi_reader {
    unsigned char header[FASTCGI_HEADER_BYTES], end[FASTCGI_HEADER_BYTES];
    uint8_t header_len, end_len, padding_left, type, protocol_status;
    uint16_t content_left;
    uint32_t status; /* of the application */
};

void fastcgi_reader_start(struct fastcgi_reader *r);
/* Takes from *bytes until something is to be said; what is left is given again. */
enum fastcgi_piece fastcgi_read(struct fastcgi_reader *r, struct str *bytes, struct str *piece);

#endif
