/* redis.c -- starts redis-server and speaks RESP2 to it.
 *
 * Owns:    the server process and one connection.
 * Thread:  the test's; a thread of its own needs a struct redis of its own (redis_join).
 * Used by: scene.c, tests.
 * Not here: usher's keys. */
#include "harness/redis.h"

#include "harness/await.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WORDS_MAX 4096

unsigned redis_free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        abort();
    close(fd);
    return ntohs(a.sin_port);
}

const char *redis_program(bool sentinel)
{
    const char *server = getenv("REDIS_SERVER"), *other = getenv("REDIS_SENTINEL");

    if (sentinel && other != NULL)
        return other;
    return server != NULL ? server : "redis-server";
}

static bool connect_to(struct redis *r)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (r->in.bytes != NULL && r->in.fd >= 0)
        close(r->in.fd);
    inbox_free(&r->in);
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", r->socket);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        close(fd);
        return false;
    }
    r->in = (struct inbox){ .fd = fd };
    return true;
}

static void run_configured(struct redis *r)
{
    const char *argv[] = { redis_program(r->sentinel), r->config, r->sentinel ? "--sentinel" : NULL,
                           NULL };

    unlink(r->socket);
    process_start(&r->process, argv, NULL, NULL, 0);
    await(connect_to(r));
    await(!starts(redis_try(r, "EXISTS x"), "-LOADING")); /* what it kept is still being read */
}

void redis_start_configured(struct redis *r, const char *dir, unsigned port, bool sentinel,
                            const char *config)
{
    FILE *f;

    memset(r, 0, sizeof(*r));
    snprintf(r->dir, sizeof(r->dir), "%s", dir);
    snprintf(r->socket, sizeof(r->socket), "%s/redis", dir);
    snprintf(r->config, sizeof(r->config), "%s/conf", dir);
    r->port = port != 0 ? port : redis_free_port();
    r->sentinel = sentinel;
    cr_assert_not_null(f = fopen(r->config, "w"));
    fprintf(f, "port %u\nbind 127.0.0.1\nunixsocket %s\ndir %s\nloglevel warning\n", r->port,
            r->socket, r->dir);
    if (!sentinel)
        fprintf(f, "save \"\"\nappendonly no\nenable-debug-command local\n");
    fputs(config, f);
    fclose(f);
    run_configured(r);
}

static void run(struct redis *r)
{
    char port[12];
    const char *argv[] = { redis_program(false),
                           "--port",
                           port,
                           "--bind",
                           "127.0.0.1",
                           "--unixsocket",
                           r->socket,
                           "--save",
                           "",
                           "--appendonly",
                           "no",
                           "--dir",
                           r->dir,
                           "--loglevel",
                           "warning",
                           "--databases",
                           "4",
                           "--requirepass",
                           r->password != NULL ? r->password : "",
                           "--enable-debug-command",
                           "local",
                           NULL };

    snprintf(port, sizeof(port), "%u", r->port);
    unlink(r->socket);
    process_start(&r->process, argv, NULL, NULL, 0);
    await(connect_to(r));
    if (r->password != NULL)
        redis_say(r, "AUTH %s", r->password);
    cr_assert_str_eq(redis_say(r, "PING"), "PONG");
}

void redis_start(struct redis *r, const char *dir, bool tcp, const char *password)
{
    memset(r, 0, sizeof(*r));
    snprintf(r->dir, sizeof(r->dir), "%s", dir);
    snprintf(r->socket, sizeof(r->socket), "%s/redis", dir);
    r->port = tcp ? redis_free_port() : 0;
    r->password = password;
    run(r);
}

void redis_join(struct redis *r, const struct redis *server)
{
    memset(r, 0, sizeof(*r));
    snprintf(r->socket, sizeof(r->socket), "%s", server->socket);
    cr_assert(connect_to(r));
}

void redis_reconnect(struct redis *r)
{
    await(connect_to(r));
}

void redis_restart(struct redis *r)
{
    redis_kill(r);
    process_free(&r->process);
    if (r->config[0] != '\0')
        run_configured(r);
    else
        run(r);
}

void redis_kill(struct redis *r)
{
    process_kill(&r->process);
}

void redis_stop(struct redis *r)
{
    process_signal(&r->process, SIGSTOP);
}

void redis_continue(struct redis *r)
{
    process_signal(&r->process, SIGCONT);
}

void redis_free(struct redis *r)
{
    if (r->in.bytes != NULL && r->in.fd >= 0)
        close(r->in.fd);
    inbox_free(&r->in);
    if (r->process.pid == 0)
        return;
    process_free(&r->process);
    unlink(r->socket);
}

/* Splits `text` in place. */
static unsigned split(char *text, char *words[WORDS_MAX])
{
    unsigned n = 0;
    char *at = text;

    while (*(at += strspn(at, " ")) != '\0' && n < WORDS_MAX) {
        if (*at == '\'') {
            words[n++] = ++at;
            at += strcspn(at, "'");
        } else {
            words[n++] = at;
            at += strcspn(at, " ");
        }
        if (*at != '\0')
            *at++ = '\0';
    }
    return n;
}

static void send_words(struct redis *r, char *const words[], unsigned n)
{
    size_t room = 32, len;
    char *out;

    for (unsigned i = 0; i < n; i++)
        room += strlen(words[i]) + 32;
    out = malloc(room);
    len = (size_t)snprintf(out, room, "*%u\r\n", n);
    for (unsigned i = 0; i < n; i++)
        len +=
            (size_t)snprintf(out + len, room - len, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
    cr_assert(send_all(r->in.fd, out, len, AWAIT_MS), "redis takes no command");
    free(out);
}

static void send_text(struct redis *r, const char *format, va_list args)
{
    char *text = NULL, **words = malloc(WORDS_MAX * sizeof(*words));

    if (vasprintf(&text, format, args) < 0 || words == NULL)
        abort();
    send_words(r, words, split(text, words));
    free(text);
    free(words);
}

static bool fill(struct redis *r)
{
    bool filled = inbox_fill(&r->in, AWAIT_MS) == 1;

    cr_assert(filled || r->may_end, "redis does not answer");
    return filled;
}

/* Waits for a line and takes it. */
static char *reply_line(struct redis *r)
{
    char *end, *line;

    while ((end = r->in.len > 0 ? memmem(r->in.bytes, r->in.len, "\r\n", 2) : NULL) == NULL)
        if (!fill(r))
            return kept_format("-lost");
    line = kept_text(r->in.bytes, (size_t)(end - r->in.bytes));
    inbox_take(&r->in, strlen(line) + 2);
    return line;
}

static char *reply(struct redis *r)
{
    char *line = reply_line(r), *text;
    long n = strtol(line + 1, NULL, 10);

    switch (line[0]) {
    case '$':
        if (n < 0)
            return NULL;
        while (r->in.len < (size_t)n + 2)
            if (!fill(r))
                return kept_format("-lost");
        text = kept_text(r->in.bytes, (size_t)n);
        inbox_take(&r->in, (size_t)n + 2);
        return text;
    case '*':
        if (n < 0)
            return NULL;
        text = kept_format("%s", "");
        for (long i = 0; i < n; i++) {
            char *part = reply(r);

            text = kept_format("%s%s\n", text, part != NULL ? part : "(nil)");
        }
        return text;
    case '-':
        return line;
    default:
        return line + 1;
    }
}

char *redis_try(struct redis *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    send_text(r, format, args);
    va_end(args);
    return reply(r);
}

char *redis_say(struct redis *r, const char *format, ...)
{
    va_list args;
    char *answer;

    va_start(args, format);
    send_text(r, format, args);
    va_end(args);
    answer = reply(r);
    cr_assert(answer == NULL || answer[0] != '-', "redis: %s: %s", format, answer);
    return answer;
}

void redis_queue(struct redis *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    send_text(r, format, args);
    va_end(args);
    if (++r->queued >= 1000)
        redis_flush(r);
}

void redis_flush(struct redis *r)
{
    for (; r->queued > 0; r->queued--) {
        char *answer = reply(r);

        cr_assert(answer == NULL || answer[0] != '-', "redis: %s", answer);
    }
}

void redis_set_bytes(struct redis *r, const char *key, const void *bytes, size_t len)
{
    char *start = kept_format("*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(key), key, len);

    cr_assert(send_all(r->in.fd, start, strlen(start), AWAIT_MS) &&
              send_all(r->in.fd, bytes, len, AWAIT_MS) && send_all(r->in.fd, "\r\n", 2, AWAIT_MS));
    cr_assert_str_eq(reply(r), "OK");
}

const char *redis_hello(struct redis *r, const char *field)
{
    const char *at = redis_say(r, "HELLO");

    cr_assert_not_null(at = strstr(at, kept_format("%s\n", field)), "no %s in HELLO", field);
    at += strlen(field) + 1;
    return kept_text(at, strcspn(at, "\n"));
}

unsigned long redis_calls(struct redis *r, const char *command)
{
    char *all = redis_say(r, "INFO commandstats");
    char *line = strstr(all, kept_format("cmdstat_%s:calls=", command));

    return line != NULL ? strtoul(strchr(line, '=') + 1, NULL, 10) : 0;
}
