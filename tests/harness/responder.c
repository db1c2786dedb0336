/* responder.c -- scripted FastCGI responders: a thread that accepts, a thread per connection.
 *
 * Owns:    what it was told, to the end of the test's process.
 * Thread:  its own; what tests read is under the responder's lock.
 * Used by: tests.
 * Not here: asserts; they belong to the test's own thread. */
#include "harness/responder.h"

#include "harness/await.h"
#include "harness/message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HEADER 8
#define CONTENT_MOST 65535

enum { BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, STDERR = 7 };

struct text {
    char *bytes;
    size_t len;
};

struct responder {
    char at[128];
    int fd;
    pthread_mutex_t lock;
    pthread_t acceptor;
    responder_script_fn script;
    void *arg;
    bool ignores_bodies;
    unsigned connections, open, requests;
    struct responder_request *last;
    struct responder *next;
};

static struct responder *all; /* so that a leak checker sees what they keep */

static void add(struct text *t, const void *bytes, size_t len)
{
    t->bytes = realloc(t->bytes, t->len + len + 1);
    if (t->bytes == NULL)
        abort();
    memcpy(t->bytes + t->len, bytes, len);
    t->len += len;
    t->bytes[t->len] = '\0';
}

/* --- for scripts --- */

bool responder_raw(struct responder_conn *c, const void *bytes, size_t len)
{
    return !c->hung_up && send_all(c->fd, bytes, len, 30000);
}

static bool say_record(struct responder_conn *c, unsigned type, const char *bytes, size_t len)
{
    unsigned padding = (unsigned)(len % 7); /* as allowed as none is */
    unsigned char header[HEADER] = { 1,
                                     (unsigned char)type,
                                     0,
                                     1,
                                     (unsigned char)(len >> 8),
                                     (unsigned char)len,
                                     (unsigned char)padding,
                                     0 };

    return responder_raw(c, header, HEADER) && responder_raw(c, bytes, len) &&
           responder_raw(c, "\xee\xee\xee\xee\xee\xee\xee", padding);
}

bool responder_say_bytes(struct responder_conn *c, const char *bytes, size_t len)
{
    while (len > 0) {
        size_t part = len < CONTENT_MOST ? len : CONTENT_MOST;

        if (!say_record(c, STDOUT, bytes, part))
            return false;
        bytes += part;
        len -= part;
    }
    return true;
}

bool responder_say(struct responder_conn *c, const char *stdout_text)
{
    return responder_say_bytes(c, stdout_text, strlen(stdout_text));
}

bool responder_complain(struct responder_conn *c, const char *stderr_text)
{
    return say_record(c, STDERR, stderr_text, strlen(stderr_text));
}

bool responder_end(struct responder_conn *c, unsigned status, unsigned protocol_status)
{
    const char end[8] = { (char)(status >> 24), (char)(status >> 16), (char)(status >> 8),
                          (char)status, (char)protocol_status };

    return say_record(c, STDOUT, "", 0) && say_record(c, END, end, sizeof(end));
}

void responder_says(struct responder_conn *c, const struct responder_request *r, void *arg)
{
    (void)r;
    responder_say(c, arg);
    responder_end(c, 0, 0);
}

void responder_says_and_closes(struct responder_conn *c, const struct responder_request *r,
                               void *arg)
{
    (void)r;
    responder_say(c, arg);
    c->hung_up = true;
}

static void echo(struct responder_conn *c, const struct responder_request *r)
{
    responder_say(c, "Content-Type: text/plain\r\n\r\n");
    responder_say(c, r->params);
    responder_say_bytes(c, r->body, r->body_len);
    responder_end(c, 0, 0);
}

/* --- reading --- */

static bool read_all(int fd, void *to, size_t len)
{
    char *at = to;

    while (len > 0) {
        ssize_t n = recv(fd, at, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static size_t length_at(const unsigned char *bytes, size_t *at)
{
    const unsigned char *b = bytes + *at;

    if (b[0] < 128) {
        *at += 1;
        return b[0];
    }
    *at += 4;
    return (size_t)(b[0] & 127) << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
}

static char *params_text(const struct text *from)
{
    struct text to = { 0 };

    add(&to, "", 0);
    for (size_t at = 0; at < from->len;) {
        size_t name = length_at((const unsigned char *)from->bytes, &at);
        size_t value = length_at((const unsigned char *)from->bytes, &at);

        if (at + name + value > from->len)
            abort();
        add(&to, from->bytes + at, name);
        add(&to, "=", 1);
        add(&to, from->bytes + at + name, value);
        add(&to, "\n", 1);
        at += name + value;
    }
    return to.bytes;
}

/* One record; its padding is read. false: the connection ended, or it is none. */
static bool read_record(int fd, unsigned char header[HEADER], char content[CONTENT_MOST])
{
    char padding[256];

    return read_all(fd, header, HEADER) && header[0] == 1 && header[3] == 1 &&
           read_all(fd, content, (size_t)header[4] << 8 | header[5]) &&
           read_all(fd, padding, header[6]);
}

/* BEGIN_REQUEST, parameters to their end, and the body to its own. */
static struct responder_request *read_request(struct responder_conn *c, bool with_body)
{
    struct text params = { 0 }, body = { 0 };
    struct responder_request *r;
    bool params_end = false, body_end = false, begun = false, keep = false;
    unsigned char header[HEADER];
    char *content = malloc(CONTENT_MOST);

    add(&body, "", 0);
    while (!params_end || (with_body && !body_end)) {
        size_t len;

        if (!read_record(c->fd, header, content) || (!begun && header[1] != BEGIN)) {
            free(params.bytes);
            free(body.bytes);
            free(content);
            return NULL;
        }
        len = (size_t)header[4] << 8 | header[5];
        begun = true;
        keep |= header[1] == BEGIN && (content[2] & 1) != 0;
        params_end |= header[1] == PARAMS && len == 0;
        body_end |= header[1] == STDIN && len == 0;
        if (header[1] == PARAMS || header[1] == STDIN)
            add(header[1] == PARAMS ? &params : &body, content, len);
    }
    r = calloc(1, sizeof(*r));
    r->params = params_text(&params);
    r->body = body.bytes;
    r->body_len = body.len;
    r->connection = c->number;
    r->keep = keep;
    free(params.bytes);
    free(content);
    return r;
}

static void *serve(void *owner)
{
    struct responder_conn *c = owner;
    struct responder *o = c->responder;
    struct responder_request *r;

    while (!c->hung_up && (r = read_request(c, !o->ignores_bodies)) != NULL) {
        responder_script_fn script;
        void *arg;

        pthread_mutex_lock(&o->lock);
        o->requests++;
        r->before = o->last; /* what tests may still hold */
        o->last = r;
        script = o->script;
        arg = o->arg;
        pthread_mutex_unlock(&o->lock);
        if (script != NULL)
            script(c, r, arg);
        else
            echo(c, r);
        if (!r->keep)
            break;
    }
    pthread_mutex_lock(&o->lock);
    o->open--;
    pthread_mutex_unlock(&o->lock);
    close(c->fd);
    free(c);
    return NULL;
}

static void *accept_all(void *owner)
{
    struct responder *o = owner;
    int fd;

    while ((fd = accept4(o->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == EINTR) {
        struct responder_conn *c = calloc(1, sizeof(*c));
        pthread_t thread;

        c->responder = o;
        c->fd = fd;
        pthread_mutex_lock(&o->lock);
        c->number = o->connections++;
        o->open++;
        pthread_mutex_unlock(&o->lock);
        await_thread(&thread, serve, c);
        pthread_detach(thread);
    }
    return NULL;
}

static void listen_unix(struct responder *r, const char *path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };

    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    snprintf(r->at, sizeof(r->at), "unix:%s", path);
    r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(r->fd, (struct sockaddr *)&to, sizeof(to)), 0, "%s", path);
}

static void listen_tcp(struct responder *r)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(to);

    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(r->fd, (struct sockaddr *)&to, len), 0);
    getsockname(r->fd, (struct sockaddr *)&to, &len);
    snprintf(r->at, sizeof(r->at), "127.0.0.1:%u", ntohs(to.sin_port));
}

struct responder *responder_start(const char *at)
{
    struct responder *r = calloc(1, sizeof(*r));

    pthread_mutex_init(&r->lock, NULL);
    if (starts(at, "unix:"))
        listen_unix(r, at + 5);
    else
        listen_tcp(r);
    cr_assert_eq(listen(r->fd, 1024), 0);
    await_thread(&r->acceptor, accept_all, r);
    r->next = all;
    all = r;
    return r;
}

const char *responder_at(const struct responder *r)
{
    return r->at;
}

void responder_script(struct responder *r, responder_script_fn script, const void *arg)
{
    pthread_mutex_lock(&r->lock);
    r->script = script;
    r->arg = (void *)(uintptr_t)arg; /* a text, or what the test shares with the script */
    pthread_mutex_unlock(&r->lock);
}

void responder_ignores_bodies(struct responder *r)
{
    r->ignores_bodies = true;
}

static unsigned read_number(struct responder *r, const unsigned *number)
{
    unsigned n;

    pthread_mutex_lock(&r->lock);
    n = *number;
    pthread_mutex_unlock(&r->lock);
    return n;
}

unsigned responder_connections(struct responder *r)
{
    return read_number(r, &r->connections);
}

unsigned responder_open(struct responder *r)
{
    return read_number(r, &r->open);
}

unsigned responder_requests(struct responder *r)
{
    return read_number(r, &r->requests);
}

const struct responder_request *responder_last(struct responder *r)
{
    const struct responder_request *last;

    pthread_mutex_lock(&r->lock);
    last = r->last;
    pthread_mutex_unlock(&r->lock);
    return last;
}

const char *responder_param(struct responder *r, const char *name)
{
    const struct responder_request *last = responder_last(r);
    const char *line = last != NULL ? last->params : "";
    size_t len = strlen(name);

    for (; *line != '\0'; line = strchr(line, '\n') + 1)
        if (strncmp(line, name, len) == 0 && line[len] == '=')
            return kept_text(line + len + 1, strcspn(line + len + 1, "\n"));
    return NULL;
}
