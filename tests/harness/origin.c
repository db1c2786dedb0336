/* origin.c -- scripted endpoints: a thread that accepts, a thread per connection.
 *
 * Owns:    the list of origins of this process.
 * Thread:  its own; what tests read is under the origin's lock.
 * Used by: scene.c, tests.
 * Not here: asserts; they belong to the test's own thread. */
#include "harness/origin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTIONS_MAX 4096

struct slot {
    struct origin_conn conn;
    pthread_t thread;
    bool done, waits; /* waits: between requests */
};

struct origin {
    char name[64], at[128];
    int fd;
    pthread_t acceptor;
    pthread_mutex_t lock;
    origin_script_fn script;
    void *arg;
    const char *raw;
    bool close_after, stopping;
    struct slot *slots[CONNECTIONS_MAX];
    unsigned connections, open, count, room;
    uint64_t bytes;
    struct origin_request **requests;
    struct origin *next;
};

static struct origin *all;

bool origin_send_bytes(struct origin_conn *c, const void *bytes, size_t len)
{
    return !c->hung_up && send_all(c->fd, bytes, len, 30000);
}

bool origin_send(struct origin_conn *c, const char *text)
{
    return origin_send_bytes(c, text, strlen(text));
}

bool origin_sendf(struct origin_conn *c, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    bool sent;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    sent = origin_send(c, text);
    free(text);
    return sent;
}

bool origin_send_pattern(struct origin_conn *c, uint64_t len)
{
    char piece[32768];

    for (uint64_t at = 0; at < len;) {
        size_t part = len - at < sizeof(piece) ? (size_t)(len - at) : sizeof(piece);

        pattern_fill(piece, part, at);
        if (!origin_send_bytes(c, piece, part))
            return false;
        at += part;
    }
    return true;
}

bool origin_read_body(struct origin_conn *c, struct origin_request *r)
{
    struct body body;

    if (r->body_read)
        return r->body.whole;
    message_body(&c->in, r->head, message_body_ends(r->head, false, false), 30000, &body);
    pthread_mutex_lock(&c->origin->lock);
    r->body_read = true;
    r->body = body;
    r->text = body.text;
    pthread_mutex_unlock(&c->origin->lock);
    return body.whole;
}

void origin_hang_up(struct origin_conn *c)
{
    c->hung_up = true;
}

void origin_reset(struct origin_conn *c)
{
    struct linger at_once = { 1, 0 };

    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    c->hung_up = true;
}

void origin_reply(struct origin_conn *c, struct origin_request *r, int status, const char *text)
{
    origin_read_body(c, r);
    origin_sendf(c, "HTTP/1.1 %d Said\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s",
                 status, strlen(text), strcmp(r->method, "HEAD") == 0 ? "" : text);
}

void origin_echo(struct origin_conn *c, struct origin_request *r, void *arg)
{
    char *text;

    (void)arg;
    origin_read_body(c, r);
    text = kept_format("%s%s", r->head, r->text);
    origin_reply(c, r, 200, text);
}

void origin_at_gate(struct origin_conn *c, struct origin_request *r, void *arg)
{
    origin_read_body(c, r);
    gate_wait(arg);
    origin_reply(c, r, 200, c->origin->name);
}

void origin_websocket(struct origin_conn *c, struct origin_request *r, void *arg)
{
    const char *key = message_field(r->head, "sec-websocket-key");

    (void)arg;
    origin_sendf(c,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: for-%s\r\n\r\n",
                 key != NULL ? key : "nobody");
    while (c->in.len > 0 || inbox_fill(&c->in, 30000) > 0) {
        if (!origin_send_bytes(c, c->in.bytes, c->in.len))
            break;
        inbox_take(&c->in, c->in.len);
    }
    c->hung_up = true;
}

static struct origin_request *remember(struct origin_conn *c, char *head)
{
    struct origin_request *r = kept_alloc(sizeof(*r));
    struct origin *o = c->origin;

    r->head = head;
    r->text = "";
    r->connection = c->number;
    sscanf(head, "%23s %2047s", r->method, r->target);
    pthread_mutex_lock(&o->lock);
    if (o->count == o->room) {
        o->room = o->room > 0 ? o->room * 2 : 64;
        o->requests = realloc(o->requests, o->room * sizeof(*o->requests));
        if (o->requests == NULL)
            abort();
    }
    o->requests[o->count++] = r;
    pthread_mutex_unlock(&o->lock);
    return r;
}

static void answer(struct origin_conn *c, struct origin_request *r)
{
    struct origin *o = c->origin;
    origin_script_fn script;
    const char *raw;
    void *arg;
    bool close_after;

    pthread_mutex_lock(&o->lock);
    script = o->script;
    arg = o->arg;
    raw = o->raw;
    close_after = o->close_after;
    pthread_mutex_unlock(&o->lock);
    if (script != NULL) {
        script(c, r, arg);
    } else if (raw != NULL) {
        origin_read_body(c, r);
        origin_send(c, raw);
        if (close_after)
            origin_hang_up(c);
    } else {
        origin_reply(c, r, 200, o->name);
    }
}

static void set_waits(struct slot *s, bool waits)
{
    struct origin *o = s->conn.origin;

    pthread_mutex_lock(&o->lock);
    s->waits = waits;
    pthread_mutex_unlock(&o->lock);
}

/* Bytes are counted when they come, before they make a head. */
static bool next_bytes(struct slot *s)
{
    struct origin *o = s->conn.origin;
    uint64_t before = s->conn.in.total;
    int came = s->conn.in.len > 0 ? 1 : inbox_fill(&s->conn.in, -1);

    pthread_mutex_lock(&o->lock);
    o->bytes += s->conn.in.total - before;
    pthread_mutex_unlock(&o->lock);
    return came > 0;
}

static void *serve(void *owner)
{
    struct slot *s = owner;
    struct origin_conn *c = &s->conn;
    struct origin *o = c->origin;

    while (!c->hung_up) {
        struct origin_request *r;
        char *head;

        set_waits(s, true);
        if (!next_bytes(s) || (head = message_head(&c->in, 30000)) == NULL)
            break;
        set_waits(s, false);
        r = remember(c, head);
        answer(c, r);
        if (!c->hung_up)
            origin_read_body(c, r);
    }
    pthread_mutex_lock(&o->lock);
    o->open--;
    s->done = true;
    close(c->fd);
    c->fd = -1;
    pthread_mutex_unlock(&o->lock);
    inbox_free(&c->in);
    return NULL;
}

static void *accept_all(void *owner)
{
    struct origin *o = owner;
    int fd, on = 1;

    while ((fd = accept4(o->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == EINTR ||
           errno == ECONNABORTED) {
        struct slot *s;

        if (fd < 0)
            continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        s = kept_alloc(sizeof(*s));
        s->conn.origin = o;
        s->conn.fd = s->conn.in.fd = fd;
        pthread_mutex_lock(&o->lock);
        if (o->stopping || o->connections == CONNECTIONS_MAX) {
            pthread_mutex_unlock(&o->lock);
            close(fd);
            continue;
        }
        s->conn.number = o->connections;
        o->open++;
        o->slots[o->connections++] = s;
        await_thread(&s->thread, serve, s);
        pthread_mutex_unlock(&o->lock);
    }
    return NULL;
}

static int bound_unix(const char *path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_lt(strlen(path), sizeof(to.sun_path));
    strcpy(to.sun_path, path);
    unlink(path);
    cr_assert_eq(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0, "%s: %s", path, strerror(errno));
    return fd;
}

/* Bound, and with `backlog` >= 0 listening; its address as text. */
static int bound(const char *address, int backlog, char at[64])
{
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    bool is_v6 = address[0] == '[';
    char host[48];
    unsigned port = 0;
    struct sockaddr *sa = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t len = is_v6 ? sizeof(v6) : sizeof(v4);
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    sscanf(address, is_v6 ? "[%47[^]]]:%u" : "%47[^:]:%u", host, &port);
    inet_pton(AF_INET6, host, &v6.sin6_addr);
    inet_pton(AF_INET, host, &v4.sin_addr);
    v6.sin6_port = v4.sin_port = htons((uint16_t)port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    cr_assert_eq(bind(fd, sa, len), 0, "%s: %s", address, strerror(errno));
    if (backlog >= 0)
        cr_assert_eq(listen(fd, backlog), 0);
    getsockname(fd, sa, &len);
    snprintf(at, 64, is_v6 ? "[%s]:%u" : "%s:%u", host,
             (unsigned)ntohs(is_v6 ? v6.sin6_port : v4.sin_port));
    return fd;
}

struct origin *origin_start_at(const char *name, const char *address)
{
    struct origin *o = kept_alloc(sizeof(*o));

    snprintf(o->name, sizeof(o->name), "%s", name);
    pthread_mutex_init(&o->lock, NULL);
    if (starts(address, "unix:")) {
        snprintf(o->at, sizeof(o->at), "%s", address);
        o->fd = bound_unix(address + 5);
        cr_assert_eq(listen(o->fd, 1024), 0);
    } else {
        o->fd = bound(address, 1024, o->at);
    }
    await_thread(&o->acceptor, accept_all, o);
    o->next = all;
    all = o;
    return o;
}

struct origin *origin_start(const char *name)
{
    return origin_start_at(name, "127.0.0.1:0");
}

void origin_stop(struct origin *o)
{
    pthread_mutex_lock(&o->lock);
    if (o->stopping) {
        pthread_mutex_unlock(&o->lock);
        return;
    }
    o->stopping = true;
    pthread_mutex_unlock(&o->lock);
    shutdown(o->fd, SHUT_RDWR);
    pthread_join(o->acceptor, NULL);
    close(o->fd);
    pthread_mutex_lock(&o->lock);
    for (unsigned i = 0; i < o->connections; i++)
        if (o->slots[i]->conn.fd >= 0)
            shutdown(o->slots[i]->conn.fd, SHUT_RDWR);
    pthread_mutex_unlock(&o->lock);
    for (unsigned i = 0; i < o->connections; i++)
        pthread_join(o->slots[i]->thread, NULL);
}

void origin_stop_all(void)
{
    for (; all != NULL; all = all->next) {
        origin_stop(all);
        free(all->requests);
        all->requests = NULL;
        all->count = all->room = 0;
    }
}

const char *origin_at(const struct origin *o)
{
    return o->at;
}

void origin_script(struct origin *o, origin_script_fn script, void *arg)
{
    pthread_mutex_lock(&o->lock);
    o->script = script;
    o->arg = arg;
    pthread_mutex_unlock(&o->lock);
}

static void set_raw(struct origin *o, const char *raw, bool close_after)
{
    pthread_mutex_lock(&o->lock);
    o->script = NULL;
    o->raw = raw;
    o->close_after = close_after;
    pthread_mutex_unlock(&o->lock);
}

void origin_answers(struct origin *o, const char *raw)
{
    set_raw(o, raw, false);
}

void origin_answers_and_closes(struct origin *o, const char *raw)
{
    set_raw(o, raw, true);
}

#define READ_LOCKED(type, what)                                                                    \
    type value_;                                                                                   \
                                                                                                   \
    pthread_mutex_lock(&o->lock);                                                                  \
    value_ = (what);                                                                               \
    pthread_mutex_unlock(&o->lock);                                                                \
    return value_

unsigned origin_connections(struct origin *o)
{
    READ_LOCKED(unsigned, o->connections);
}

unsigned origin_open_connections(struct origin *o)
{
    READ_LOCKED(unsigned, o->open);
}

unsigned origin_requests(struct origin *o)
{
    READ_LOCKED(unsigned, o->count);
}

uint64_t origin_bytes(struct origin *o)
{
    READ_LOCKED(uint64_t, o->bytes);
}

struct origin_request *origin_request(struct origin *o, unsigned index)
{
    await(origin_requests(o) > index);
    READ_LOCKED(struct origin_request *, o->requests[index]);
}

struct origin_request *origin_last(struct origin *o)
{
    await(origin_requests(o) > 0);
    READ_LOCKED(struct origin_request *, o->requests[o->count - 1]);
}

/* A client may have its answer before the origin's thread waits again. */
static bool all_wait(struct origin *o)
{
    bool all_do = true;

    pthread_mutex_lock(&o->lock);
    for (unsigned i = 0; i < o->connections; i++)
        all_do = all_do && (o->slots[i]->done || o->slots[i]->waits);
    pthread_mutex_unlock(&o->lock);
    return all_do;
}

void origin_drop_connections(struct origin *o)
{
    (void)eventually(all_wait(o), 1000);
    pthread_mutex_lock(&o->lock);
    for (unsigned i = 0; i < o->connections; i++)
        if (!o->slots[i]->done && o->slots[i]->waits)
            shutdown(o->slots[i]->conn.fd, SHUT_RDWR);
    pthread_mutex_unlock(&o->lock);
}

const char *origin_refusing(void)
{
    char at[64];

    bound("127.0.0.1:0", -1, at); /* stays bound, so that nobody else gets the port */
    return kept_format("%s", at);
}

const char *origin_deaf(void)
{
    struct sockaddr_in to;
    socklen_t len = sizeof(to);
    char at[64];
    int fd = bound("127.0.0.1:0", 0, at);

    /* The accept queue is filled; further SYNs are dropped. */
    getsockname(fd, (struct sockaddr *)&to, &len);
    for (int i = 0; i < 3; i++) {
        int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (connect(client, (struct sockaddr *)&to, len) != 0 && errno != EINPROGRESS)
            abort();
    }
    return kept_format("%s", at);
}
