/* redis_client.c -- one connection, one command after the other.
 *
 * Owns:    a redisContext.
 * Thread:  control (the only one there is, in a verb)
 * Used by: cli/.
 * Not here: links of a running edge (redis_link.c). */
#include "store/redis_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

#define WORDS_MAX 64

struct redis_client {
    redisContext *redis;
};

static struct timeval time_of(unsigned ms)
{
    return (struct timeval){ .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 };
}

/* One command of the greeting; false: *error says what came instead. */
static bool greet_with(struct redis_client *c, unsigned argc, const struct str *words,
                       char error[REDIS_CLIENT_ERROR_SIZE])
{
    redisReply *reply = redis_client_do(c, argc, words);
    bool good = reply != NULL && reply->type != REDIS_REPLY_ERROR;

    if (!good)
        snprintf(error, REDIS_CLIENT_ERROR_SIZE, "%s", reply ? reply->str : redis_client_error(c));
    freeReplyObject(reply);
    return good;
}

static bool greet(struct redis_client *c, const struct redis_url *url,
                  char error[REDIS_CLIENT_ERROR_SIZE])
{
    struct str user = url->user[0] ? str_from(url->user) : STR("default");
    char db[16];

    if (url->password[0] != '\0' &&
        !greet_with(c, 3, (struct str[]){ STR("AUTH"), user, str_from(url->password) }, error))
        return false;
    snprintf(db, sizeof(db), "%u", url->db);
    return url->db == 0 || greet_with(c, 2, (struct str[]){ STR("SELECT"), str_from(db) }, error);
}

struct redis_client *redis_client_open(const struct redis_url *url, unsigned timeout_ms,
                                       char error[REDIS_CLIENT_ERROR_SIZE])
{
    struct redis_client *c = check_alloc(sizeof(*c));
    struct timeval limit = time_of(timeout_ms);
    redisOptions options = { .connect_timeout = &limit, .command_timeout = &limit };

    if (url->unix_socket)
        REDIS_OPTIONS_SET_UNIX(&options, url->host);
    else
        REDIS_OPTIONS_SET_TCP(&options, url->host, url->port);
    c->redis = redisConnectWithOptions(&options);
    if (c->redis == NULL || c->redis->err != 0)
        snprintf(error, REDIS_CLIENT_ERROR_SIZE, "%s", c->redis ? c->redis->errstr : "no memory");
    else if (greet(c, url, error))
        return c;
    redis_client_close(c);
    return NULL;
}

void redis_client_close(struct redis_client *c)
{
    if (c->redis != NULL)
        redisFree(c->redis);
    free(c);
}

void redis_client_queue(struct redis_client *c, unsigned argc, const struct str *words)
{
    const char *argv[WORDS_MAX];
    size_t lens[WORDS_MAX];

    CHECK(argc <= WORDS_MAX);
    for (unsigned i = 0; i < argc; i++) {
        argv[i] = words[i].ptr;
        lens[i] = words[i].len;
    }
    redisAppendCommandArgv(c->redis, (int)argc, argv, lens);
}

redisReply *redis_client_next(struct redis_client *c)
{
    void *reply = NULL;

    if (c->redis->err != 0 || redisGetReply(c->redis, &reply) != REDIS_OK)
        return NULL;
    return reply;
}

redisReply *redis_client_do(struct redis_client *c, unsigned argc, const struct str *words)
{
    redis_client_queue(c, argc, words);
    return redis_client_next(c);
}

const char *redis_client_error(const struct redis_client *c)
{
    return c->redis->err != 0 ? c->redis->errstr : "closed by Redis";
}
