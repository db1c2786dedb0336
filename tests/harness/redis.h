/* redis.h -- a private redis-server of one scene, and a small client to it. */
#ifndef HARNESS_REDIS_H
#define HARNESS_REDIS_H

#include "harness/message.h"
#include "harness/process.h"

struct redis {
    struct process process;
    struct inbox in; /* our connection; fd -1: none */
    char dir[64];
    char socket[96];      /* its unix socket */
    unsigned port;        /* 0: no TCP */
    const char *password; /* NULL: none */
    char config[96];      /* its configuration file; "": none */
    bool sentinel;
    unsigned queued;
    bool may_end; /* it may close the connection instead of an answer, which is "-lost" then */
};

/* REDIS_SERVER and, for Sentinels, REDIS_SENTINEL; where neither is set, the redis-server of PATH. */
const char *redis_program(bool sentinel);
/* Starts it in `dir`; `tcp`: on a free port of 127.0.0.1 too. Again after redis_kill: same places,
 * empty. */
void redis_start(struct redis *r, const char *dir, bool tcp, const char *password);
/* The same, configured by `config` beside the places: lines of redis.conf, with a port that is free
 * unless `port` says one. `sentinel`: it is a Sentinel. Returns when it answers. */
void redis_start_configured(struct redis *r, const char *dir, unsigned port, bool sentinel,
                            const char *config);
unsigned redis_free_port(void);
/* Another connection to a server that runs, for another thread; redis_free closes it alone. */
void redis_join(struct redis *r, const struct redis *server);
void redis_reconnect(struct redis *r); /* when somebody has cut our connection */
void redis_restart(struct redis *r);   /* where it was before */
void redis_kill(struct redis *r);      /* SIGKILL */
void redis_stop(struct redis *r);      /* SIGSTOP: the link half-open */
void redis_continue(struct redis *r);
void redis_free(struct redis *r);

/* Says one command; words are parted by spaces, 'a word' may hold some. The answer as kept text: a
 * string, a number's digits, an array's elements on lines; NULL for nil. An error fails the test. */
char *redis_say(struct redis *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, but an error is an answer ("-ERR ..."). */
char *redis_try(struct redis *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Many commands: queued, sent, and their answers (which may not be errors) thrown away. */
void redis_queue(struct redis *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void redis_flush(struct redis *r);
/* A value of any bytes. */
void redis_set_bytes(struct redis *r, const char *key, const void *bytes, size_t len);
/* What it says of itself: "server" is redis or valkey, "version" 7.0.15. */
const char *redis_hello(struct redis *r, const char *field);
/* "cmdstat_get:calls=5" and the like: how often a command ran since the server started. */
unsigned long redis_calls(struct redis *r, const char *command);

#endif
