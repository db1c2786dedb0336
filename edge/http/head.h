/* head.h -- the head of a message as parsed: offsets into the bytes it was read from.
 *
 * Offsets, so that the bytes may be moved (base) without touching the fields. */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "http/field_names.h"

#define HEAD_FIELDS_INLINE 40

struct field {
    uint32_t name_at;
    uint32_t value_at;
    uint32_t value_len;
    uint16_t name_len;
    uint16_t id; /* enum field_id */
};

enum body_kind {
    BODY_NONE,
    BODY_LENGTH,
    BODY_CHUNKED,
    BODY_UNTIL_CLOSE, /* responses only */
};

struct head {
    const char *base; /* not owned; what every offset counts from */
    uint32_t bytes;   /* length of the head, with its empty line */
    uint8_t minor;    /* HTTP/1.x */
    bool keep_alive;  /* what the other side is ready for (RFC 9112 9.3) */
    bool upgrade;     /* Connection: upgrade and Upgrade: websocket, both there */
    bool expect_continue;
    bool te_trailers;
    bool connection_names_fields; /* Connection names fields that must be dropped */
    bool connection_close, connection_keep_alive, connection_upgrade;
    uint8_t method;     /* request: an llhttp_method number, see parser.h */
    uint16_t status;    /* response */
    uint32_t target_at; /* request: request-target; response: reason phrase */
    uint32_t target_len;
    enum body_kind body;
    uint64_t body_bytes; /* BODY_LENGTH */
    uint16_t count, room;
    uint16_t known[FIELD_COUNT]; /* 1 + index of the last field with this id; 0 = none */
    uint16_t host_count, length_count, coding_count;
    struct field *fields; /* `local`, or from the heap when there are more */
    struct field local[HEAD_FIELDS_INLINE];
};

static inline struct str head_name(const struct head *h, const struct field *f)
{
    return str_slice(h->base + f->name_at, f->name_len);
}

static inline struct str head_value(const struct head *h, const struct field *f)
{
    return str_slice(h->base + f->value_at, f->value_len);
}

static inline struct str head_target(const struct head *h)
{
    return str_slice(h->base + h->target_at, h->target_len);
}

/* The last field with this id; its value, or ptr NULL. */
struct str head_known(const struct head *h, enum field_id id);

void head_init(struct head *h);  /* before first use and after head_free */
void head_clear(struct head *h); /* for the next message; keeps the memory */
void head_free(struct head *h);
/* Room for one more; NULL: more than `most`, or no memory. */
struct field *head_add(struct head *h, unsigned most);

/* Is `wanted` an element of the field's list, in any of its lines and in any case? (RFC 9110 5.6.1) */
bool head_lists(const struct head *h, enum field_id id, struct str wanted);

#endif
