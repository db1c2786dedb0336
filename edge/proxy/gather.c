/* gather.c -- one writev per direction and turn.
 *
 * Owns:    the head text's memory.
 * Thread:  its worker.
 * Used by: session.c (to clients), upstream.c (to endpoints).
 * Not here: writing heads (http/serializer.c); what is left unsent (net/conn.c). */
#include "proxy/gather.h"

#include <stdlib.h>

#include "base/check.h"

void gather_init(struct gather *g, size_t text_room)
{
    *g = (struct gather){ .text = check_alloc(text_room), .text_room = text_room };
}

void gather_free(struct gather *g)
{
    free(g->text);
}

void gather_drop(struct gather *g)
{
    g->text_len = g->body_bytes = 0;
    g->count = 0;
}

/* "1a2b\r\n"; returns its start within `line`. */
static struct iovec chunk_line(size_t bytes, char line[20])
{
    static const char hex[] = "0123456789abcdef";
    size_t at = 18;

    line[18] = '\r';
    line[19] = '\n';
    do
        line[--at] = hex[bytes & 15];
    while ((bytes >>= 4) > 0);
    return (struct iovec){ line + at, 20 - at };
}

static void add(struct iovec *pieces, unsigned *n, const char *bytes, size_t len)
{
    if (len > 0)
        pieces[(*n)++] = (struct iovec){ (char *)bytes, len };
}

bool gather_flush(struct gather *g, struct conn *c, bool chunked, bool last, struct str trailers)
{
    struct iovec pieces[GATHER_PIECES + 6];
    char line[20];
    unsigned n = 0;
    bool sent;

    add(pieces, &n, g->text, g->text_len);
    if (chunked && g->body_bytes > 0)
        pieces[n++] = chunk_line(g->body_bytes, line);
    for (unsigned i = 0; i < g->count; i++)
        pieces[n++] = g->body[i];
    if (chunked && g->body_bytes > 0)
        add(pieces, &n, "\r\n", 2);
    if (chunked && last) {
        add(pieces, &n, "0\r\n", 3);
        add(pieces, &n, trailers.ptr, trailers.len);
        add(pieces, &n, "\r\n", 2);
    }
    sent = n == 0 || conn_write(c, pieces, n);
    gather_drop(g);
    return sent;
}
