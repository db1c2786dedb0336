/* test_admin_client.c -- what the verbs make of the answers of an admin port. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/admin_client.h"

/* Takes one connection, reads a request, says `answer` in two pieces, closes. */
struct server {
    int fd;
    char address[32], request[1024];
    const char *answer;
    pthread_t thread;
};

static void *serve(void *arg)
{
    struct server *s = arg;
    int fd = accept(s->fd, NULL, NULL);
    size_t half = strlen(s->answer) / 2, got = 0;
    ssize_t n;

    while (strstr(s->request, "\r\n\r\n") == NULL &&
           (n = read(fd, s->request + got, sizeof(s->request) - 1 - got)) > 0)
        got += (size_t)n;
    cr_assert_eq(write(fd, s->answer, half), (ssize_t)half);
    cr_assert_geq(write(fd, s->answer + half, strlen(s->answer) - half), 0);
    close(fd);
    return NULL;
}

static void start(struct server *s, const char *answer)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(a);

    memset(s, 0, sizeof(*s));
    s->answer = answer;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(s->fd, (struct sockaddr *)&a, len), 0);
    cr_assert_eq(listen(s->fd, 1), 0);
    cr_assert_eq(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
    snprintf(s->address, sizeof(s->address), "127.0.0.1:%u", ntohs(a.sin_port));
    pthread_create(&s->thread, NULL, serve, s);
}

static void stop(struct server *s)
{
    pthread_join(s->thread, NULL);
    close(s->fd);
}

Test(admin_client, status_and_body_come_back)
{
    struct server s;
    struct buf body = { 0 };
    char error[ADMIN_ERROR_SIZE];
    unsigned status;

    start(&s, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n"
              "content-length: 9\r\nConnection: close\r\n\r\ndraining\nand what was not announced");
    buf_add_text(&body, "from before");
    cr_assert(admin_ask(s.address, "POST", "/accept?x=1", &status, &body, error), "%s", error);
    stop(&s);
    cr_assert_eq(status, 503);
    cr_assert_str_eq(body.ptr, "draining\n");
    cr_assert_not_null(strstr(s.request, "POST /accept?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"));
    buf_free(&body);
}

Test(admin_client, what_is_no_whole_answer_is_an_error)
{
    static const char *const rows[][2] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "its answer was cut off" },
        { "HTTP/1.1 200 OK\r\n\r\nhow long?", "its answer was cut off" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "it does not speak HTTP" },
        { "-ERR unknown command 'GET'\r\n\r\n", "it does not speak HTTP" },
        { "", "it closed without an answer" },
    };

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct server s;
        struct buf body = { 0 };
        char error[ADMIN_ERROR_SIZE];
        unsigned status;

        start(&s, rows[i][0]);
        cr_assert_not(admin_ask(s.address, "GET", "/", &status, &body, error));
        stop(&s);
        cr_assert_not_null(strstr(error, s.address), "%s", error);
        cr_assert_not_null(strstr(error, rows[i][1]), "%u: %s", i, error);
        buf_free(&body);
    }
}

Test(admin_client, an_address_that_is_none_or_refuses_is_named)
{
    static const char *const rows[] = { "nonsense", ":9090", "1.2.3.4:", "::1:9090", "[::1]" };
    struct server s;
    struct buf body = { 0 };
    char error[ADMIN_ERROR_SIZE];
    unsigned status;

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_assert_not(admin_ask(rows[i], "GET", "/", &status, &body, error));
        cr_assert_not_null(strstr(error, "expected HOST:PORT"), "%s: %s", rows[i], error);
    }
    start(&s, "");
    cr_assert_not(admin_ask(s.address, "GET", "/", &status, &body, error));
    stop(&s);
    cr_assert_not(admin_ask(s.address, "GET", "/", &status, &body, error)); /* closed by now */
    cr_assert_not_null(strstr(error, "refused"), "%s", error);
    buf_free(&body);
}
