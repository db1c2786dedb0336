/* client.h -- a client that sends the bytes it is told to and reads what comes back. */
#ifndef HARNESS_CLIENT_H
#define HARNESS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/message.h"

struct client {
    struct inbox in;
    int fd;
};

struct response {
    int status;       /* 0: none came */
    const char *head; /* with status line and empty line; "" if none */
    struct body body;
    const char *text; /* body.text; "" if none */
    const char *why;  /* of status 0: closed, reset, silent */
};

/* `address`: "127.0.0.1:80" or "[::1]:80". Fails the test when it cannot; client_try: NULL. */
struct client *client_open(const char *address);
struct client *client_try(const char *address);
/* From this address of ours ("127.0.0.9"). */
struct client *client_open_from(const char *address, const char *source);
/* A small receive buffer: a reader that does not read soon holds the sender. */
struct client *client_open_narrow(const char *address);

void client_send(struct client *c, const char *text);
void client_sendf(struct client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool client_send_bytes(struct client *c, const void *bytes, size_t len); /* false: gone */
void client_send_pattern(struct client *c, uint64_t len);
void client_half_close(struct client *c);
void client_close(struct client *c);
void client_reset(struct client *c); /* RST */
void client_close_all(void);

/* The next response (1xx too); `to_head`: its body does not come. */
struct response client_read(struct client *c);
struct response client_read_to_head(struct client *c);
/* Only the head, the body is left unread. */
struct response client_read_head(struct client *c);
/* What came after a head, up to `len` bytes, kept; shorter when it ended or went silent. */
char *client_read_bytes(struct client *c, size_t len);
bool client_ended(struct client *c, int ms); /* closed by the edge, nothing unread before */
bool client_silent(struct client *c, int ms);

/* GET on this connection; the next response. */
struct response client_get(struct client *c, const char *host, const char *path);
/* A connection of its own, Connection: close. */
struct response client_get_once(const char *address, const char *host, const char *path);
/* Any bytes on a connection of its own, and what comes. */
struct response client_exchange(const char *address, const char *bytes);

char *response_field(const struct response *r, const char *name); /* NULL: none */
const char *response_fault(const struct response *r);             /* "" : none */

#endif
