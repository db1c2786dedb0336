/* conn.c -- a connection on libuv.
 *
 * Owns:    the socket; bytes that the kernel would not take at once.
 * Thread:  its loop's.
 * Used by: proxy/session.c, upstream.c, tunnel.c; control/admin_http.c, health_check.c; store/nearby.c.
 * Not here: what the bytes mean. */
#include "net/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "net/loop.h"

#define MAX_PIECES 64

struct queued_write {
    uv_write_t req;
    char bytes[];
};

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;

    c->events->closed(c);
}

void conn_close(struct conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

void conn_reset(struct conn *c)
{
    if (c->closing)
        return;
    if (uv_tcp_close_reset(&c->tcp, on_closed) == 0)
        c->closing = true;
    else /* a shutdown is under way */
        conn_close(c);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *to)
{
    struct conn *c = handle->data;
    char *ptr;
    size_t len;

    (void)suggested;
    if (c->events->place == NULL || !c->events->place(c, &ptr, &len)) {
        ptr = c->buffer->ptr;
        len = c->buffer->len;
    }
    to->base = ptr;
    to->len = len;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *into)
{
    struct conn *c = stream->data;

    if (n > 0) {
        c->events->read(c, into->base, (size_t)n);
    } else if (n < 0) {
        c->ended = true;
        conn_read(c, false);
        c->events->ended(c, n == UV_EOF ? 0 : (int)n);
    }
}

void conn_read(struct conn *c, bool on)
{
    if (on == c->reading || c->closing || (on && c->ended))
        return;
    c->reading = on;
    if (on)
        CHECK(uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) == 0);
    else
        uv_read_stop((uv_stream_t *)&c->tcp);
}

void conn_read_early(struct conn *c)
{
    uv_os_fd_t fd;
    ssize_t n;

    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) != 0)
        return;
    n = recv(fd, c->buffer->ptr, c->buffer->len, MSG_DONTWAIT);
    if (n > 0) /* an end or an error comes again when reading is on */
        c->events->read(c, c->buffer->ptr, (size_t)n);
}

static void prepare(struct conn *c, struct loop *l, const struct conn_events *events,
                    struct conn_read_buffer *buffer)
{
    CHECK(uv_tcp_init(&l->uv, &c->tcp) == 0);
    c->tcp.data = c;
    c->events = events;
    c->buffer = buffer;
    c->writes_pending = 0;
    c->reading = c->ended = c->write_failed = c->closing = false;
}

bool conn_accept(struct conn *c, struct loop *l, int fd, const struct conn_events *events,
                 struct conn_read_buffer *buffer)
{
    prepare(c, l, events, buffer);
    if (uv_tcp_open(&c->tcp, fd) != 0) {
        close(fd);
        return false;
    }
    return true;
}

static void on_connected(uv_connect_t *req, int status)
{
    struct conn *c = req->data;

    if (!c->closing)
        c->events->connected(c, status);
}

bool conn_connect(struct conn *c, struct loop *l, const struct address *to,
                  const struct conn_events *events, struct conn_read_buffer *buffer, int *error)
{
    int err;

    prepare(c, l, events, buffer);
    c->connecting.data = c;
    err = uv_tcp_connect(&c->connecting, &c->tcp, &to->any, on_connected);
    if (err == 0) {
        uv_tcp_nodelay(&c->tcp, 1);
        return true;
    }
    *error = err;
    return false;
}

/* Absolute, and within sun_path. A stream is a stream: libuv handles it as it does one of TCP. */
static int connect_unix(const char *path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error;

    CHECK(strlen(path) < sizeof(to.sun_path));
    if (fd < 0)
        return -errno;
    memcpy(to.sun_path, path, strlen(path) + 1);
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    error = errno;
    close(fd);
    return -error;
}

bool conn_connect_unix(struct conn *c, struct loop *l, const char *path,
                       const struct conn_events *events, struct conn_read_buffer *buffer,
                       int *error)
{
    int fd;

    prepare(c, l, events, buffer);
    fd = connect_unix(path);
    *error = fd < 0 ? fd : uv_tcp_open(&c->tcp, fd);
    if (fd >= 0 && *error != 0)
        close(fd);
    return *error == 0;
}

static void on_written(uv_write_t *req, int status)
{
    struct conn *c = req->handle->data;

    free(LIST_ITEM(req, struct queued_write, req));
    c->writes_pending--;
    if (status != 0)
        c->write_failed = true;
    if (c->closing || c->writes_pending > 0)
        return;
    c->events->drained(c);
}

/* Copies what is left of the pieces behind the first `done` bytes and queues it. */
static bool queue_rest(struct conn *c, const struct iovec *pieces, unsigned count, size_t done)
{
    struct queued_write *w;
    size_t bytes = 0, at = 0;
    uv_buf_t buf;

    for (unsigned i = 0; i < count; i++)
        bytes += pieces[i].iov_len;
    bytes -= done;
    w = malloc(sizeof(*w) + bytes);
    if (w == NULL)
        return false;
    for (unsigned i = 0; i < count; i++) {
        size_t skip = done < pieces[i].iov_len ? done : pieces[i].iov_len;

        memcpy(w->bytes + at, (const char *)pieces[i].iov_base + skip, pieces[i].iov_len - skip);
        at += pieces[i].iov_len - skip;
        done -= skip;
    }
    buf = uv_buf_init(w->bytes, (unsigned)bytes);
    if (uv_write(&w->req, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0) {
        free(w);
        return false;
    }
    c->writes_pending++;
    return true;
}

bool conn_write(struct conn *c, const struct iovec *pieces, unsigned count)
{
    size_t total = 0;
    int n = 0;

    CHECK(count <= MAX_PIECES);
    if (c->closing || c->write_failed)
        return false;
    for (unsigned i = 0; i < count; i++)
        total += pieces[i].iov_len;
    if (c->writes_pending == 0) {
        /* uv_buf_t is laid out as struct iovec wherever libuv has writev. */
        n = uv_try_write((uv_stream_t *)&c->tcp, (const uv_buf_t *)pieces, count);
        if (n == UV_EAGAIN)
            n = 0;
    }
    if (n >= 0 && (size_t)n == total)
        return true;
    if (n < 0 || !queue_rest(c, pieces, count, (size_t)n)) {
        c->write_failed = true;
        return false;
    }
    return true;
}

size_t conn_send_file(struct conn *c, int file, uint64_t at, size_t bytes)
{
    off_t from = (off_t)at;
    uv_os_fd_t fd;
    ssize_t sent;

    if (c->closing || c->write_failed || c->writes_pending > 0 ||
        uv_fileno((uv_handle_t *)&c->tcp, &fd) != 0)
        return 0;
    sent = sendfile(fd, file, &from, bytes);
    return sent > 0 ? (size_t)sent : 0;
}

size_t conn_blocked_bytes(const struct conn *c)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
}

static void on_shut(uv_shutdown_t *req, int status)
{
    (void)status;
    free(req);
}

void conn_shutdown(struct conn *c)
{
    uv_shutdown_t *req;

    if (c->closing)
        return;
    req = check_alloc(sizeof(*req));
    if (uv_shutdown(req, (uv_stream_t *)&c->tcp, on_shut) != 0)
        free(req);
}

struct address conn_local_address(const struct conn *c)
{
    struct address a = { 0 };
    int len = sizeof(a);

    if (uv_tcp_getsockname(&c->tcp, &a.any, &len) != 0)
        memset(&a, 0, sizeof(a));
    return a;
}

int conn_take_socket(struct conn *c)
{
    uv_os_fd_t fd;

    if (c->closing || uv_fileno((uv_handle_t *)&c->tcp, &fd) != 0)
        return -1;
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

void conn_keep_alive(struct conn *c, unsigned seconds)
{
    uv_tcp_keepalive(&c->tcp, 1, seconds);
}

_Static_assert(sizeof(uv_buf_t) == sizeof(struct iovec), "conn_write hands iovecs to libuv");
_Static_assert(offsetof(uv_buf_t, len) == offsetof(struct iovec, iov_len), "same layout");
