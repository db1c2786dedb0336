/* origin.h -- a scripted endpoint: an HTTP server that does what a test says and remembers what it
 * was asked. */
#ifndef HARNESS_ORIGIN_H
#define HARNESS_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/await.h"
#include "harness/message.h"

struct origin;

struct origin_conn {
    struct origin *origin;
    struct inbox in;
    int fd;
    unsigned number; /* 0 = the first connection this origin saw */
    bool hung_up;
};

struct origin_request {
    char *head; /* as it came */
    struct body body;
    const char *text; /* body.text, "" before it was read */
    unsigned connection;
    bool body_read;
    char method[24];
    char target[2048];
};

/* Answers one request on the connection's own thread. A body it leaves unread is read afterwards;
 * the connection is kept unless it hung up. */
typedef void (*origin_script_fn)(struct origin_conn *c, struct origin_request *r, void *arg);

/* On 127.0.0.1, a port of the kernel's choice; answers 200 with `name` as its body. */
struct origin *origin_start(const char *name);
struct origin *origin_start_at(const char *name,
                               const char *address); /* port 0: any; or "unix:/path" */
void origin_stop(struct origin *o);                  /* closes all; its port refuses afterwards */
void origin_stop_all(void);

const char *origin_at(const struct origin *o); /* "127.0.0.1:4711" */
void origin_script(struct origin *o, origin_script_fn script, void *arg);
void origin_answers(struct origin *o, const char *raw); /* these bytes to every request */
void origin_answers_and_closes(struct origin *o, const char *raw);

unsigned origin_connections(struct origin *o); /* ever accepted */
unsigned origin_open_connections(struct origin *o);
unsigned origin_requests(struct origin *o); /* heads read */
uint64_t origin_bytes(struct origin *o);    /* read, of anything */
struct origin_request *origin_request(struct origin *o, unsigned index);
struct origin_request *origin_last(struct origin *o);
/* Closes the connections that wait for a request, as an endpoint's keep-alive limit does. */
void origin_drop_connections(struct origin *o);

/* For scripts. */
bool origin_send(struct origin_conn *c, const char *text);
bool origin_sendf(struct origin_conn *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool origin_send_bytes(struct origin_conn *c, const void *bytes, size_t len);
bool origin_send_pattern(struct origin_conn *c, uint64_t len); /* false: the other side is gone */
bool origin_read_body(struct origin_conn *c, struct origin_request *r);
void origin_hang_up(struct origin_conn *c);
void origin_reset(struct origin_conn *c);
void origin_reply(struct origin_conn *c, struct origin_request *r, int status, const char *text);

/* Ready scripts. */
void origin_echo(struct origin_conn *c, struct origin_request *r, void *arg);    /* head and body */
void origin_at_gate(struct origin_conn *c, struct origin_request *r, void *arg); /* struct gate */
void origin_websocket(struct origin_conn *c, struct origin_request *r, void *arg); /* then echo */

/* An address nothing listens at (refused), and one that never accepts. */
const char *origin_refusing(void);
const char *origin_deaf(void);

#endif
