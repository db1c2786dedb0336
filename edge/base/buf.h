/* buf.h -- text or bytes that grow. Aborts when memory is out; so never sized by a client. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

#include "base/str.h"

struct buf {
    char *ptr; /* owned; always NUL-terminated once anything was added */
    size_t len;
    size_t room;
};

void buf_free(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory */
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_add_str(struct buf *b, struct str s);
void buf_add_text(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list args);

/* As a JSON string with its quotes; bytes that are not UTF-8 text become \u00xx of the byte. */
void buf_add_json(struct buf *b, struct str s);

#endif
