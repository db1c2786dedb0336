/* gather.h -- what one turn sends in one direction, as one writev: head, chunk line, body pieces.
 *
 * Pieces are borrowed until gather_flush; so it is flushed before the read callback that added them
 * returns. A worker has one gather per direction. */
#ifndef PROXY_GATHER_H
#define PROXY_GATHER_H

#include "net/conn.h"

#define GATHER_PIECES 40

struct gather {
    char *text; /* head text, room for the largest */
    size_t text_len, text_room;
    struct iovec body[GATHER_PIECES];
    unsigned count;
    size_t body_bytes;
};

void gather_init(struct gather *g, size_t text_room);
void gather_free(struct gather *g);

static inline bool gather_is_full(const struct gather *g)
{
    return g->count == GATHER_PIECES;
}

static inline void gather_body(struct gather *g, const char *bytes, size_t len)
{
    g->body[g->count++] = (struct iovec){ (char *)bytes, len };
    g->body_bytes += len;
}

/* Sends what was gathered. `chunked`: the body goes as one chunk; `last`: and the body ends here,
 * with `trailers` ("name: value\r\n" lines). false: the connection is broken for writing. */
bool gather_flush(struct gather *g, struct conn *c, bool chunked, bool last, struct str trailers);
void gather_drop(struct gather *g);

#endif
