/* verb_redis.c -- what verbs do alike with Redis: open, ask, complain.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: the verbs.
 * Not here: connecting (store/redis_client.c). */
#include "cli/verb_redis.h"

#include <stdio.h>

#define ANSWER_MS 5000

struct redis_client *verb_redis_open(const struct settings *s)
{
    char error[REDIS_CLIENT_ERROR_SIZE];
    struct redis_client *c = redis_client_open(&s->redis, ANSWER_MS, error);

    if (c == NULL)
        fprintf(stderr, "usher: Redis: %s\n", error);
    return c;
}

void verb_redis_guard(struct guard *guard, struct settings *s)
{
    s->listen_count = 0; /* a verb serves nobody: the defaults are no edge's */
    s->admin_on = false;
    guard_init(guard, s);
}

redisReply *verb_redis_do(struct redis_client *c, unsigned argc, const struct str *words)
{
    redisReply *r = redis_client_do(c, argc, words);

    if (r == NULL) {
        fprintf(stderr, "usher: Redis: %s\n", redis_client_error(c));
    } else if (r->type == REDIS_REPLY_ERROR) {
        fprintf(stderr, "usher: Redis: %s\n", r->str);
        freeReplyObject(r);
        r = NULL;
    }
    return r;
}

struct str verb_redis_key(const struct settings *s, struct buf *to, const char *name,
                          struct str rest)
{
    buf_clear(to);
    buf_add_text(to, s->prefix);
    buf_add_text(to, name);
    buf_add_str(to, rest);
    return str_slice(to->ptr, to->len);
}
