/* redis_answers.h -- what Redis and Sentinel say about themselves, read. Pure. */
#ifndef STORE_REDIS_ANSWERS_H
#define STORE_REDIS_ANSWERS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>

#include "settings.h"

/* The answer to HELLO. */
struct redis_server {
    char name[24], version[24]; /* "redis" or "valkey", "7.0.15" */
    char mode[16];              /* "standalone", "cluster", "sentinel" */
    bool replica;
};

/* False: it is no answer to HELLO 3. */
bool redis_server_read(const redisReply *r, struct redis_server *to);
/* The error that HELLO got, in a sentence where it tells that Redis is too old to have it. */
const char *redis_hello_refusal(const char *error);
/* Older than Redis 6.2. Valkey began later. */
bool redis_server_is_too_old(const struct redis_server *s);

/* Answers that mean: this is not the place to ask, or not now. */
enum redis_refusal {
    REFUSAL_NONE,       /* about the command, not about the place */
    REFUSAL_READONLY,   /* a replica, asked to write */
    REFUSAL_LOADING,    /* its data is still being read from disk or from its primary */
    REFUSAL_MASTERDOWN, /* a replica that has lost its primary and does not serve without */
    REFUSAL_MOVED,      /* another node of the Cluster owns the key's slot */
    REFUSAL_CLUSTER,    /* the slot is on its way, or the Cluster is down */
};

enum redis_refusal redis_refusal_of(const char *error);
/* Of "MOVED 3999 127.0.0.1:6381"; a node that does not know its own name leaves the host out: then
 * `to->host` stays as it was. */
bool redis_moved_to(const char *error, struct redis_place *to);

/* The value of `name` in the text of INFO ("name:value" lines); "" when it is not there. */
struct str redis_info_field(struct str text, const char *name);
uint64_t redis_info_number(struct str text, const char *name); /* 0 when it is not there */

/* The value of `name` in a map, or in an array of names and values; "" when it is not there. */
struct str redis_map_field(const redisReply *map, const char *name);
uint64_t redis_map_number(const redisReply *map, const char *name);

/* A copy that lives on when the callback it came to has ended: freeReplyObject. */
redisReply *redis_reply_copy(const redisReply *r);

/* "h:1" or "[::1]:1" */
#define REDIS_PLACE_TEXT_SIZE 272
char *redis_place_text(const struct redis_place *p, char to[REDIS_PLACE_TEXT_SIZE]);
bool redis_place_equals(const struct redis_place *a, const struct redis_place *b);
/* False: too long, or the port is none. */
bool redis_place_set(struct redis_place *p, struct str host, struct str port);

#endif
