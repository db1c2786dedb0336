/* message.h -- HTTP messages as tests read them: bytes of a socket, heads as text, bodies counted.
 *
 * A second reader, simple and separate from the edge's own: it believes framing fields and checks
 * little, so that tests can look at the raw head. */
#ifndef HARNESS_MESSAGE_H
#define HARNESS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What has been read from a socket and not yet taken. */
struct inbox {
    int fd;
    char *bytes;
    size_t len, room;
    uint64_t total;    /* ever read */
    bool ended;        /* the other side closed */
    bool reset;        /* ... and not politely */
    unsigned pause_us; /* after each read: a slow reader */
    unsigned piece;    /* most bytes per read, 0 = many */
};

/* 1: there is more; 0: it ended; -1: nothing came within `ms`. */
int inbox_fill(struct inbox *in, int ms);
void inbox_take(struct inbox *in, size_t len);
void inbox_free(struct inbox *in);

#define BODY_KEPT (1u << 20)

struct body {
    char *text; /* its first BODY_KEPT bytes, kept, with a NUL */
    size_t room;
    uint64_t bytes; /* all */
    char *trailers; /* lines after the last chunk, kept; NULL = not chunked */
    unsigned chunks;
    bool whole;   /* ended as its framing says */
    bool pattern; /* every byte is the pattern's */
};

enum body_ends { BODY_ENDS_NOW, BODY_ENDS_BY_LENGTH, BODY_ENDS_BY_CHUNK, BODY_ENDS_BY_CLOSE };

/* A head with its empty line, kept; NULL: closed or nothing whole within `ms`. */
char *message_head(struct inbox *in, int ms);
enum body_ends message_body_ends(const char *head, bool response, bool to_head);
/* Reads a body; false when it did not come whole within `ms` of silence. */
bool message_body(struct inbox *in, const char *head, enum body_ends how, int ms,
                  struct body *body);
/* The value of the first field of that name, kept; NULL when there is none. */
char *message_field(const char *head, const char *name);
unsigned message_field_count(const char *head, const char *name);

/* Bytes of a made-up body that shows every loss, repetition and swap; `at` = offset in it. */
void pattern_fill(char *to, size_t len, uint64_t at);
bool pattern_holds(const char *bytes, size_t len, uint64_t at);

/* Sends all; false when the other side is gone, or takes nothing for `ms`. */
bool send_all(int fd, const void *bytes, size_t len, int ms);

#endif
