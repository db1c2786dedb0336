/* admin_client.c -- one HTTP request to the admin port, and its answer.
 *
 * The admin port closes behind each answer and gives its length, so the answer is read to its end
 * and is whole when as much came as was announced.
 *
 * Owns:    a socket, during the call.
 * Thread:  control (the only one there is, in a verb)
 * Used by: the verbs that ask a running edge.
 * Not here: what is asked; the server's side (control/admin_http.c). */
#include "cli/admin_client.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define TIMEOUT_S 30
#define ANSWER_MAX ((size_t)256 << 20)
#define READ_SIZE 65536

static bool fail(const char *address, const char *reason, char error[ADMIN_ERROR_SIZE])
{
    snprintf(error, ADMIN_ERROR_SIZE, "the edge at %.100s: %.120s", address, reason);
    return false;
}

/* "name:9090" or "[::1]:9090" in two; false when it is neither. */
static bool split_address(const char *address, char host[256], char port[8])
{
    const char *colon = strrchr(address, ':');
    struct str name = { address, colon != NULL ? (size_t)(colon - address) : 0 };

    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = str_slice(name.ptr + 1, name.len - 2);
    else if (name.len > 0 && memchr(name.ptr, ':', name.len) != NULL)
        return false;
    if (name.len == 0 || name.len >= 256 || strlen(colon + 1) == 0 || strlen(colon + 1) > 5)
        return false;
    memcpy(host, name.ptr, name.len);
    host[name.len] = '\0';
    snprintf(port, 8, "%s", colon + 1);
    return true;
}

static int connect_to(const struct addrinfo *a)
{
    struct timeval limit = { .tv_sec = TIMEOUT_S };
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    close(fd);
    return -1;
}

static int open_socket(const char *address, char error[ADMIN_ERROR_SIZE])
{
    struct addrinfo wanted = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    char host[256], port[8];
    int fd = -1, code;

    if (!split_address(address, host, port)) {
        fail(address, "expected HOST:PORT or [IPv6]:PORT", error);
        return -1;
    }
    code = getaddrinfo(host, port, &wanted, &found);
    if (code != 0) {
        fail(address, gai_strerror(code), error);
        return -1;
    }
    for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next)
        fd = connect_to(a);
    if (fd < 0)
        fail(address, errno == EINPROGRESS ? "no answer" : strerror(errno), error);
    freeaddrinfo(found);
    return fd;
}

static bool send_all(int fd, const struct buf *bytes)
{
    size_t sent = 0;

    while (sent < bytes->len) {
        ssize_t n = send(fd, bytes->ptr + sent, bytes->len - sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        sent += (size_t)n;
    }
    return true;
}

/* NULL: all of it was read, else why not. */
static const char *read_all(int fd, struct buf *to)
{
    for (;;) {
        ssize_t n;

        buf_reserve(to, READ_SIZE);
        n = recv(fd, to->ptr + to->len, READ_SIZE, 0);
        if (n == 0)
            return NULL;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? "no answer in time" : strerror(errno);
        to->len += (size_t)n;
        if (to->len > ANSWER_MAX)
            return "its answer does not end";
    }
}

/* Takes status and body out of what came; NULL, or what is wrong with it. */
static const char *take_answer(const struct buf *all, unsigned *status, struct buf *body)
{
    struct str rest = { all->ptr, all->len }, line;
    uint64_t code, length = 0;
    const char *end = all->len > 0 ? memmem(all->ptr, all->len, "\r\n\r\n", 4) : NULL;
    bool has_length = false;

    if (end == NULL || all->len < 12 || !str_starts_with(rest, STR("HTTP/1.1 ")) ||
        !str_to_u64(str_slice(all->ptr + 9, 3), 599, &code) || code < 100)
        return all->len > 0 ? "it does not speak HTTP" : "it closed without an answer";
    rest.len = (size_t)(end - rest.ptr) + 1;
    while (str_split(&rest, '\n', &line)) {
        struct str name = str_slice(line.ptr, line.len < 15 ? line.len : 15);

        if (str_equals_nocase(name, STR("content-length:"))) {
            struct str digits = str_slice(line.ptr + 15, line.len - 15);

            if (digits.len > 0 && digits.ptr[digits.len - 1] == '\r')
                digits.len--;
            has_length = str_to_u64(str_trim(digits), ANSWER_MAX, &length);
        }
    }
    end += 4;
    if (!has_length || (size_t)(all->ptr + all->len - end) < length)
        return "its answer was cut off";
    *status = (unsigned)code;
    buf_add(body, end, (size_t)length);
    return NULL;
}

bool admin_ask(const char *address, const char *method, const char *path, unsigned *status,
               struct buf *body, char error[ADMIN_ERROR_SIZE])
{
    struct buf request = { 0 }, answer = { 0 };
    const char *reason = "it takes no request";
    int fd = open_socket(address, error);

    buf_clear(body);
    *status = 0;
    if (fd < 0)
        return false;
    buf_printf(&request, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n", method, path,
               address);
    buf_add_text(&request, "Connection: close\r\n\r\n");
    if (send_all(fd, &request))
        reason = read_all(fd, &answer);
    if (reason == NULL)
        reason = take_answer(&answer, status, body);
    close(fd);
    buf_free(&request);
    buf_free(&answer);
    return reason == NULL || fail(address, reason, error);
}
