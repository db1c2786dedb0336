/* parser.h -- HTTP/1 messages, read strictly (RFC 9112), by llhttp.
 *
 * A head is parsed where it was read: the caller keeps all bytes of one head together, and may move
 * them between calls. A body is given on in pieces of what was read; nothing is copied but
 * trailers. */
#ifndef HTTP_PARSER_H
#define HTTP_PARSER_H

#include <llhttp.h>

#include "base/buf.h"
#include "base/fault.h"
#include "http/head.h"

struct parser_limits {
    uint32_t head_bytes, header_count, url_bytes;
};

enum parse_result {
    PARSE_MORE, /* all bytes were taken, more are needed */
    PARSE_DONE, /* the head, or the body, is whole */
    PARSE_BAD,  /* parser.fault says how */
};

struct parser;
typedef void (*parser_body_fn)(struct parser *p, const char *bytes, size_t len);

struct parser {
    llhttp_t http;
    const struct parser_limits *limits;
    struct head *head;
    parser_body_fn on_body;
    const char *base;    /* while parsing a head */
    struct field *field; /* being read */
    bool in_name, in_trailers;
    enum fault fault;
    size_t framing_bytes; /* BODY_CHUNKED: read since the last byte of body; an endless size or
                             extension of a chunk is refused at --max-head-bytes */
    uint64_t body_left;   /* BODY_LENGTH */
    struct buf trailers;  /* "name: value\r\n" lines, without those that may not be there */
};

void parser_init(struct parser *p, bool request, const struct parser_limits *limits);
void parser_free(struct parser *p);

/* Before each message; `head` is filled by parser_head. */
void parser_start(struct parser *p, struct head *head);

/* Parses base[from..len): what came before `from` was given in earlier calls. PARSE_DONE: head->bytes
 * says where the head ends; what follows is body or the next message. A response's body kind
 * depends on its request: framing.h, after this. */
enum parse_result parser_head(struct parser *p, const char *base, size_t from, size_t len);

/* Takes body bytes as head->body says; *taken of them belonged to this message. Calls on_body. */
enum parse_result parser_body(struct parser *p, const char *bytes, size_t len, size_t *taken);

/* "GET"; for head->method. */
struct str parser_method_name(uint8_t method);
/* The number of a method, but CONNECT; false: llhttp does not know it. */
bool parser_method_number(struct str name, uint8_t *method);
bool parser_method_is_idempotent(uint8_t method); /* RFC 9110 9.2.2 */

const char *parser_library_version(void);

#endif
