/* responder.h -- a scripted FastCGI responder: does what a test says, remembers what it was told.
 *
 * A second reader of records, simple and separate from the edge's own. */
#ifndef HARNESS_RESPONDER_H
#define HARNESS_RESPONDER_H

#include <stdbool.h>
#include <stddef.h>

struct responder;

struct responder_conn {
    struct responder *responder;
    int fd;
    unsigned number; /* 0: the first connection it saw */
    bool hung_up;
};

struct responder_request {
    char *params; /* "NAME=value\n" for each, in the order told */
    char *body;
    size_t body_len;
    unsigned connection;
    bool keep; /* FCGI_KEEP_CONN */
    struct responder_request *before;
};

/* Answers one request, read to the end of its body, on the connection's own thread. */
typedef void (*responder_script_fn)(struct responder_conn *c, const struct responder_request *r,
                                    void *arg);

/* At "127.0.0.1:0" or "unix:/path"; answers 200 with its parameters and its body. */
struct responder *responder_start(const char *at);
const char *responder_at(
    const struct responder *r); /* as an endpoint is written, without fcgi:// */
void responder_script(struct responder *r, responder_script_fn script, const void *arg);
/* Reads no bodies: a request is whole with its parameters. */
void responder_ignores_bodies(struct responder *r);

unsigned responder_connections(struct responder *r); /* ever accepted */
unsigned responder_open(struct responder *r);
unsigned responder_requests(struct responder *r);
const struct responder_request *responder_last(struct responder *r);
/* The value of a parameter of the last request; NULL: it was not told. */
const char *responder_param(struct responder *r, const char *name);

/* For scripts. false: the other side is gone. */
bool responder_say(struct responder_conn *c, const char *stdout_text);
bool responder_say_bytes(struct responder_conn *c, const char *bytes, size_t len);
bool responder_complain(struct responder_conn *c, const char *stderr_text);
bool responder_end(struct responder_conn *c, unsigned status, unsigned protocol_status);
bool responder_raw(struct responder_conn *c, const void *bytes, size_t len);

/* Ready scripts; `arg` is a text. Says it as STDOUT, and ends well; says it and hangs up. */
void responder_says(struct responder_conn *c, const struct responder_request *r, void *arg);
void responder_says_and_closes(struct responder_conn *c, const struct responder_request *r,
                               void *arg);

#endif
