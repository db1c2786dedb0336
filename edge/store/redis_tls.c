/* redis_tls.c -- hiredis reads and writes through a TLS session, by its table of functions.
 *
 * Owns:    the session, as the connection's privctx.
 * Thread:  control
 * Used by: redis_link.c, redis_client.c.
 * Not here: TLS itself (net/tls_client.c). */
#include "store/redis_tls.h"

#include <hiredis/async.h>
#include <hiredis/sds.h>
#include <unistd.h>

#include "net/tls_client.h"

static void close_socket(redisContext *redis)
{
    if (redis->fd >= 0)
        close(redis->fd);
    redis->fd = -1;
}

static void free_session(void *session)
{
    tls_client_free(session);
}

static ssize_t fail(redisContext *redis, const char *reason)
{
    redis->err = REDIS_ERR_IO;
    str_printable(str_from(reason), redis->errstr, sizeof(redis->errstr));
    return -1;
}

/* On a descriptor that blocks, "not now" is its time limit. */
static ssize_t result(redisContext *redis, ssize_t n)
{
    if (n < 0)
        return fail(redis, tls_client_error(redis->privctx));
    if (n == 0 && (redis->flags & REDIS_BLOCK) != 0)
        return fail(redis, "no answer in time");
    return n;
}

static ssize_t read_some(redisContext *redis, char *to, size_t size)
{
    return result(redis, tls_client_read(redis->privctx, to, size));
}

static ssize_t write_some(redisContext *redis)
{
    return result(redis, tls_client_write(redis->privctx, redis->obuf, sdslen(redis->obuf)));
}

static const redisContextFuncs functions = { .close = close_socket,
                                             .free_privctx = free_session,
                                             .async_read = redisAsyncRead,
                                             .async_write = redisAsyncWrite,
                                             .read = read_some,
                                             .write = write_some };

bool redis_tls_begin(redisContext *redis, const struct redis_url *url, const char *host)
{
    struct tls_client_options o = { .ca = url->files.ca,
                                    .cert = url->files.cert,
                                    .key = url->files.key,
                                    .verify = url->files.verify,
                                    .name = url->tls_name[0] != '\0' ? url->tls_name : host };
    char error[TLS_CLIENT_ERROR_SIZE];
    struct tls_client *t = tls_client_open(redis->fd, &o, error);

    if (t == NULL)
        return fail(redis, error) == 0;
    redis->privctx = t;
    redis->funcs = &functions;
    return true;
}

bool redis_tls_waits_to_read(const redisContext *redis)
{
    return redis->funcs == &functions && tls_client_waits_to_read(redis->privctx);
}

bool redis_tls_has_unread(const redisContext *redis)
{
    return redis->funcs == &functions && tls_client_has_unread(redis->privctx);
}
