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
#include "store/redis_answers.h"
#include "store/redis_tls.h"
#include "store/topology_view.h"

#define HOPS_MAX 4 /* MOVED, one after the other */

struct redis_client {
    redisContext *redis;
    struct redis_place at; /* port 0: a unix socket */
    struct redis_server server;
};

static struct timeval time_of(unsigned ms)
{
    return (struct timeval){ .tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000 };
}

/* --- greeting --- */

/* One command of the greeting, its reply; NULL: *error says what came instead. */
static redisReply *greet_with(struct redis_client *c, unsigned argc, const struct str *words,
                              char error[REDIS_CLIENT_ERROR_SIZE])
{
    redisReply *reply = redis_client_do(c, argc, words);

    if (reply != NULL && reply->type != REDIS_REPLY_ERROR)
        return reply;
    snprintf(error, REDIS_CLIENT_ERROR_SIZE, "%s",
             reply ? redis_hello_refusal(reply->str) : redis_client_error(c));
    freeReplyObject(reply);
    return NULL;
}

static bool greet_in_short(struct redis_client *c, unsigned argc, const struct str *words,
                           char error[REDIS_CLIENT_ERROR_SIZE])
{
    redisReply *reply = greet_with(c, argc, words, error);

    freeReplyObject(reply);
    return reply != NULL;
}

/* What it is: by HELLO with the protocol that replies of verbs are read in (Redis 6.0, which is to be
 * told that it is too old, takes no HELLO without one). */
static bool take_server(struct redis_client *c, char error[REDIS_CLIENT_ERROR_SIZE])
{
    redisReply *reply = greet_with(c, 2, (struct str[]){ STR("HELLO"), STR("2") }, error);

    if (reply == NULL)
        return false;
    if (reply->type == REDIS_REPLY_ARRAY) /* protocol 2 has no maps */
        reply->type = REDIS_REPLY_MAP;
    if (!redis_server_read(reply, &c->server))
        snprintf(error, REDIS_CLIENT_ERROR_SIZE, "its answer to HELLO is not that of Redis");
    else if (redis_server_is_too_old(&c->server))
        snprintf(error, REDIS_CLIENT_ERROR_SIZE, "it is Redis %s; 6.2 or newer is needed",
                 c->server.version);
    else
        error[0] = '\0';
    freeReplyObject(reply);
    return error[0] == '\0';
}

static bool greet(struct redis_client *c, const struct redis_url *url, bool sentinel,
                  char error[REDIS_CLIENT_ERROR_SIZE])
{
    const char *user = sentinel ? url->sentinel_user : url->user;
    const char *password = sentinel ? url->sentinel_password : url->password;
    char db[16];

    if (password[0] != '\0' &&
        !greet_in_short(
            c, 3,
            (struct str[]){ STR("AUTH"), str_from(user[0] ? user : "default"), str_from(password) },
            error))
        return false;
    if (!take_server(c, error))
        return false;
    snprintf(db, sizeof(db), "%u", url->db);
    return sentinel || url->db == 0 ||
           greet_in_short(c, 2, (struct str[]){ STR("SELECT"), str_from(db) }, error);
}

/* --- connecting --- */

static void put_place(char error[REDIS_CLIENT_ERROR_SIZE], const struct redis_place *at)
{
    char reason[REDIS_CLIENT_ERROR_SIZE], text[REDIS_PLACE_TEXT_SIZE];

    snprintf(reason, sizeof(reason), "%s", error);
    snprintf(error, REDIS_CLIENT_ERROR_SIZE, "%.80s: %.160s",
             at->port != 0 ? redis_place_text(at, text) : at->host, reason);
}

static struct redis_client *connect_to(const struct redis_url *url, const struct redis_place *at,
                                       bool sentinel, unsigned timeout_ms,
                                       char error[REDIS_CLIENT_ERROR_SIZE])
{
    struct redis_client *c = check_alloc(sizeof(*c));
    struct timeval limit = time_of(timeout_ms);
    redisOptions options = { .connect_timeout = &limit, .command_timeout = &limit };
    bool tls = at->port != 0 && (sentinel ? url->sentinel_tls : url->tls);

    if (at->port == 0)
        REDIS_OPTIONS_SET_UNIX(&options, at->host);
    else
        REDIS_OPTIONS_SET_TCP(&options, at->host, at->port);
    c->at = *at;
    c->redis = redisConnectWithOptions(&options);
    if (c->redis == NULL || c->redis->err != 0 ||
        (tls && !redis_tls_begin(c->redis, url, at->host)))
        snprintf(error, REDIS_CLIENT_ERROR_SIZE, "%s", c->redis ? c->redis->errstr : "no memory");
    else if (greet(c, url, sentinel, error))
        return c;
    put_place(error, at);
    redis_client_close(c);
    return NULL;
}

struct redis_client *redis_client_open_sentinel(const struct redis_url *url,
                                                const struct redis_place *at, unsigned timeout_ms,
                                                char error[REDIS_CLIENT_ERROR_SIZE])
{
    return connect_to(url, at, true, timeout_ms, error);
}

struct redis_client *redis_client_open_node(const struct redis_url *url,
                                            const struct redis_place *at, unsigned timeout_ms,
                                            char error[REDIS_CLIENT_ERROR_SIZE])
{
    return connect_to(url, at, false, timeout_ms, error);
}

/* Where this Sentinel says that the primary is. */
static bool ask_sentinel(const struct redis_url *url, const struct redis_place *sentinel,
                         unsigned timeout_ms, struct redis_place *to,
                         char error[REDIS_CLIENT_ERROR_SIZE])
{
    struct redis_client *c = connect_to(url, sentinel, true, timeout_ms, error);
    redisReply *reply;
    bool found;

    if (c == NULL)
        return false;
    reply = redis_client_do(c, 3,
                            (struct str[]){ STR("SENTINEL"), STR("GET-MASTER-ADDR-BY-NAME"),
                                            str_from(url->primary_name) });
    found = topology_read_primary(reply, to);
    if (!found) {
        snprintf(error, REDIS_CLIENT_ERROR_SIZE, "%.120s",
                 reply == NULL ? redis_client_error(c)
                 : reply->type == REDIS_REPLY_ERROR
                     ? reply->str
                     : "this Sentinel knows no primary of that name");
        put_place(error, sentinel);
    }
    freeReplyObject(reply);
    redis_client_close(c);
    return found;
}

static struct redis_client *open_by_sentinel(const struct redis_url *url, unsigned timeout_ms,
                                             char error[REDIS_CLIENT_ERROR_SIZE])
{
    /* One that is deaf must not use up the time of all. */
    unsigned each_ms = timeout_ms / url->sentinel_count + 1;
    struct redis_client *c;
    struct redis_place at;

    for (unsigned i = 0; i < url->sentinel_count; i++) {
        if (!ask_sentinel(url, &url->sentinels[i], each_ms, &at, error))
            continue;
        c = connect_to(url, &at, false, timeout_ms, error);
        if (c == NULL || !c->server.replica)
            return c;
        snprintf(error, REDIS_CLIENT_ERROR_SIZE,
                 "it is a replica, where Sentinel said a primary is");
        put_place(error, &at);
        redis_client_close(c);
    }
    return NULL;
}

/* Of a Cluster: the node that owns the slot of our keys. */
static struct redis_client *follow(struct redis_client *c, const struct redis_url *url,
                                   unsigned timeout_ms, char error[REDIS_CLIENT_ERROR_SIZE])
{
    for (unsigned hops = 0; hops < HOPS_MAX && strcmp(c->server.mode, "cluster") == 0; hops++) {
        struct redis_place to = c->at;
        redisReply *reply =
            redis_client_do(c, 2, (struct str[]){ STR("EXISTS"), str_from(url->probe) });
        bool moved =
            reply != NULL && reply->type == REDIS_REPLY_ERROR && redis_moved_to(reply->str, &to);

        freeReplyObject(reply);
        if (!moved)
            return c;
        redis_client_close(c);
        c = connect_to(url, &to, false, timeout_ms, error);
        if (c == NULL)
            return NULL;
    }
    return c;
}

struct redis_client *redis_client_open(const struct redis_url *url, unsigned timeout_ms,
                                       char error[REDIS_CLIENT_ERROR_SIZE])
{
    struct redis_place at = { .port = url->unix_socket ? 0 : url->port };
    struct redis_client *c;

    if (url->sentinel_count > 0)
        return open_by_sentinel(url, timeout_ms, error);
    snprintf(at.host, sizeof(at.host), "%s", url->host);
    c = connect_to(url, &at, false, timeout_ms, error);
    return c != NULL && url->probe[0] != '\0' ? follow(c, url, timeout_ms, error) : c;
}

const struct redis_server *redis_client_server(const struct redis_client *c)
{
    return &c->server;
}

void redis_client_close(struct redis_client *c)
{
    if (c->redis != NULL)
        redisFree(c->redis);
    free(c);
}

void redis_client_queue(struct redis_client *c, unsigned argc, const struct str *words)
{
    const char **argv = check_alloc((argc + 1) * sizeof(*argv));
    size_t *lens = check_alloc((argc + 1) * sizeof(*lens));

    for (unsigned i = 0; i < argc; i++) {
        argv[i] = words[i].ptr;
        lens[i] = words[i].len;
    }
    redisAppendCommandArgv(c->redis, (int)argc, argv, lens);
    free(argv);
    free(lens);
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
