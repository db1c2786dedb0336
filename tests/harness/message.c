/* message.c -- reads HTTP messages from a blocking socket.
 *
 * Owns:    the inbox's bytes.
 * Thread:  whoever has the inbox.
 * Used by: client.c, origin.c.
 * Not here: what is asked or answered. */
#include "harness/message.h"

#include "harness/await.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int inbox_fill(struct inbox *in, int ms)
{
    struct pollfd ready = { .fd = in->fd, .events = POLLIN };
    size_t want = in->piece > 0 ? in->piece : 65536;
    ssize_t n;

    if (in->ended)
        return 0;
    if (in->room - in->len < want) {
        in->room = (in->len + want) * 2;
        in->bytes = realloc(in->bytes, in->room);
        if (in->bytes == NULL)
            abort();
    }
    if (poll(&ready, 1, ms) <= 0)
        return -1;
    n = recv(in->fd, in->bytes + in->len, want, 0);
    if (n <= 0) {
        in->ended = true;
        in->reset = n < 0;
        return 0;
    }
    in->len += (size_t)n;
    in->total += (uint64_t)n;
    if (in->pause_us > 0) {
        struct timespec t = { 0, (long)in->pause_us * 1000 };

        nanosleep(&t, NULL);
    }
    return 1;
}

void inbox_take(struct inbox *in, size_t len)
{
    memmove(in->bytes, in->bytes + len, in->len - len);
    in->len -= len;
}

void inbox_free(struct inbox *in)
{
    free(in->bytes);
    in->bytes = NULL;
    in->len = in->room = 0;
}

char *message_head(struct inbox *in, int ms)
{
    size_t from = 0;

    for (;;) {
        char *end = in->len > from ? memmem(in->bytes + from, in->len - from, "\r\n\r\n", 4) : NULL;

        if (end != NULL) {
            size_t len = (size_t)(end - in->bytes) + 4;
            char *head = kept_text(in->bytes, len);

            inbox_take(in, len);
            return head;
        }
        from = in->len > 3 ? in->len - 3 : 0;
        if (inbox_fill(in, ms) <= 0)
            return NULL;
    }
}

static const char *next_line(const char *line)
{
    const char *end = strstr(line, "\r\n");

    return end != NULL && end[2] != '\0' ? end + 2 : NULL;
}

static bool names(const char *line, const char *name)
{
    return strncasecmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':';
}

char *message_field(const char *head, const char *name)
{
    for (const char *line = head; line != NULL; line = next_line(line))
        if (names(line, name)) {
            const char *value = line + strlen(name) + 1;
            size_t len;

            value += strspn(value, " \t");
            len = strcspn(value, "\r\n");
            while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
                len--;
            return kept_text(value, len);
        }
    return NULL;
}

unsigned message_field_count(const char *head, const char *name)
{
    unsigned count = 0;

    for (const char *line = head; line != NULL; line = next_line(line))
        count += names(line, name);
    return count;
}

enum body_ends message_body_ends(const char *head, bool response, bool to_head)
{
    int status = response ? atoi(head + strcspn(head, " ")) : 0;

    if (response && (to_head || status < 200 || status == 204 || status == 304))
        return BODY_ENDS_NOW;
    if (has(message_field(head, "transfer-encoding"), "chunked"))
        return BODY_ENDS_BY_CHUNK;
    if (message_field(head, "content-length") != NULL)
        return BODY_ENDS_BY_LENGTH;
    return response ? BODY_ENDS_BY_CLOSE : BODY_ENDS_NOW;
}

static void body_add(struct body *b, const char *bytes, size_t len)
{
    size_t held = b->bytes < BODY_KEPT ? (size_t)b->bytes : BODY_KEPT;
    size_t more = BODY_KEPT - held < len ? BODY_KEPT - held : len;

    if (more > 0 && held + more + 1 > b->room) {
        b->room = (held + more + 1) * 2;
        b->text = realloc(b->text, b->room);
        if (b->text == NULL)
            abort();
    }
    if (more > 0)
        memcpy(b->text + held, bytes, more);
    b->pattern = b->pattern && pattern_holds(bytes, len, b->bytes);
    b->bytes += len;
}

/* Takes `left` bytes into the body. */
static bool take_body(struct inbox *in, uint64_t left, int ms, struct body *b)
{
    while (left > 0) {
        size_t part;

        if (in->len == 0 && inbox_fill(in, ms) <= 0)
            return false;
        part = in->len < left ? in->len : (size_t)left;
        body_add(b, in->bytes, part);
        inbox_take(in, part);
        left -= part;
    }
    return true;
}

static char *take_line(struct inbox *in, int ms)
{
    char *end;

    while ((end = in->len > 0 ? memmem(in->bytes, in->len, "\r\n", 2) : NULL) == NULL)
        if (inbox_fill(in, ms) <= 0)
            return NULL;
    end[0] = '\0';
    char *line = kept_format("%s\r\n", in->bytes);
    inbox_take(in, (size_t)(end - in->bytes) + 2);
    return line;
}

static bool take_chunks(struct inbox *in, int ms, struct body *b)
{
    char *line;

    for (;;) {
        uint64_t size;

        if ((line = take_line(in, ms)) == NULL)
            return false;
        size = strtoull(line, NULL, 16);
        if (size == 0)
            break;
        b->chunks++;
        if (!take_body(in, size, ms, b) || (line = take_line(in, ms)) == NULL ||
            strcmp(line, "\r\n") != 0)
            return false;
    }
    b->trailers = kept_format("%s", "");
    while ((line = take_line(in, ms)) != NULL && strcmp(line, "\r\n") != 0)
        b->trailers = kept_format("%s%s", b->trailers, line);
    return line != NULL;
}

bool message_body(struct inbox *in, const char *head, enum body_ends how, int ms, struct body *b)
{
    *b = (struct body){ .pattern = true };
    switch (how) {
    case BODY_ENDS_NOW:
        b->whole = true;
        break;
    case BODY_ENDS_BY_LENGTH:
        b->whole = take_body(in, strtoull(message_field(head, "content-length"), NULL, 10), ms, b);
        break;
    case BODY_ENDS_BY_CHUNK:
        b->whole = take_chunks(in, ms, b);
        break;
    case BODY_ENDS_BY_CLOSE:
        while (take_body(in, UINT64_MAX, ms, b))
            continue;
        b->whole = in->ended && !in->reset;
        break;
    }
    if (b->text == NULL)
        b->text = kept_text("", 0);
    else
        ((char *)kept(b->text))[b->bytes < BODY_KEPT ? b->bytes : BODY_KEPT] = '\0';
    return b->whole;
}

/* A period that is no divisor of any buffer size. */
#define PERIOD 4093

static char pattern_byte(uint64_t at)
{
    uint64_t in_period = at % PERIOD;

    return (char)('a' + (in_period * 7 + in_period / 26) % 26);
}

static const char *pattern_block(void)
{
    static char block[PERIOD * 2];
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&lock);
    for (unsigned i = 0; block[0] == '\0' && i < sizeof(block); i++)
        block[sizeof(block) - 1 - i] = pattern_byte(sizeof(block) - 1 - i);
    if (block[0] == '\0')
        abort();
    pthread_mutex_unlock(&lock);
    return block;
}

void pattern_fill(char *to, size_t len, uint64_t at)
{
    const char *block = pattern_block();

    while (len > 0) {
        size_t part = len < PERIOD ? len : PERIOD;

        memcpy(to, block + at % PERIOD, part);
        to += part;
        at += part;
        len -= part;
    }
}

bool pattern_holds(const char *bytes, size_t len, uint64_t at)
{
    const char *block = pattern_block();

    while (len > 0) {
        size_t part = len < PERIOD ? len : PERIOD;

        if (memcmp(bytes, block + at % PERIOD, part) != 0)
            return false;
        bytes += part;
        at += part;
        len -= part;
    }
    return true;
}

bool send_all(int fd, const void *bytes, size_t len, int ms)
{
    const char *at = bytes;

    while (len > 0) {
        struct pollfd ready = { .fd = fd, .events = POLLOUT };
        ssize_t n;

        if (poll(&ready, 1, ms) <= 0)
            return false;
        n = send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
    return true;
}
