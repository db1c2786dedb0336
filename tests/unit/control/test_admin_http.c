/* test_admin_http.c -- requests right and wrong to the admin server, over a real socket. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/admin_http.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/mailbox.h"

#define BIG (4 * 1024 * 1024)

struct stage {
    struct loop loop;
    struct mailbox box;
    struct admin_http *http;
    struct address address;
    struct admin_exchange *held; /* by /later, until the client is gone or asks /release */
    char path[64], query[64];
    unsigned asked;
};

struct client {
    struct stage *stage;
    pthread_t thread;
    const char *request;
    size_t request_len;
    bool slow;  /* a byte at a time */
    bool leave; /* close without reading */
    struct buf got;
    struct mail done;
};

static void answer(struct admin_exchange *x, size_t bytes)
{
    struct buf body = { 0 };

    for (size_t i = 0; i < bytes; i++)
        buf_add(&body, "x", 1);
    admin_http_answer(x, 200, "text/plain", &body);
}

static void on_request(void *owner, struct admin_exchange *x, struct str path, struct str query)
{
    struct stage *s = owner;

    s->asked++;
    snprintf(s->path, sizeof(s->path), STR_FMT, STR_ARG(path));
    snprintf(s->query, sizeof(s->query), STR_FMT, STR_ARG(query));
    if (str_equals(path, STR("/later")))
        s->held = x;
    else
        answer(x, str_equals(path, STR("/big")) ? BIG : 3);
}

static void on_mail(void *owner, struct mail *mail)
{
    struct stage *s = owner;

    (void)mail;
    loop_stop(&s->loop);
}

static void stage_open(struct stage *s)
{
    const char *expected;

    memset(s, 0, sizeof(*s));
    loop_init(&s->loop);
    mailbox_open(&s->box, &s->loop, on_mail, s);
    cr_assert(address_parse(STR("127.0.0.1:0"), 0, &s->address, &expected));
    s->http = admin_http_open(&s->loop, listener_bind(&s->address), on_request, s);
}

static void stage_close(struct stage *s)
{
    admin_http_close(s->http);
    mailbox_close(&s->box);
    loop_run(&s->loop);
    admin_http_free(s->http);
    loop_close(&s->loop);
}

static void *client_run(void *argument)
{
    struct client *c = argument;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval limit = { .tv_sec = 20 };
    char bytes[65536];
    ssize_t n;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (connect(fd, &c->stage->address.any, address_len(&c->stage->address)) == 0) {
        for (size_t i = 0, step = c->slow ? 1 : c->request_len; i < c->request_len; i += step)
            if (send(fd, c->request + i, step, MSG_NOSIGNAL) < 0)
                break;
        while (!c->leave && (n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
            buf_add(&c->got, bytes, (size_t)n);
    }
    close(fd);
    mailbox_post(&c->stage->box, &c->done);
    return NULL;
}

static void exchange(struct stage *s, struct client *c)
{
    c->stage = s;
    if (c->request_len == 0)
        c->request_len = strlen(c->request);
    cr_assert_eq(pthread_create(&c->thread, NULL, client_run, c), 0);
    loop_run(&s->loop);
    pthread_join(c->thread, NULL);
}

/* What comes back for `request`; the caller frees it. */
static struct buf ask(struct stage *s, const char *request)
{
    struct client c = { .request = request };

    exchange(s, &c);
    return c.got;
}

static void expect_status(struct stage *s, const char *request, const char *status)
{
    struct buf got = ask(s, request);

    cr_expect(got.len > 12 && strncmp(got.ptr + 9, status, 3) == 0, "%s: %s", request,
              got.ptr ? got.ptr : "nothing");
    buf_free(&got);
}

Test(admin_http, answers_and_closes)
{
    struct stage s;
    struct buf got;

    stage_open(&s);
    got = ask(&s, "GET /dump/records?prefix=a%20b&x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_assert_eq(strncmp(got.ptr, "HTTP/1.1 200 OK\r\n", 17), 0);
    cr_assert_not_null(strstr(got.ptr, "\r\nContent-Length: 3\r\n"));
    cr_assert_not_null(strstr(got.ptr, "\r\nConnection: close\r\n"));
    cr_assert_not_null(strstr(got.ptr, "\r\n\r\nxxx"));
    cr_assert_str_eq(s.path, "/dump/records");
    cr_assert_str_eq(s.query, "prefix=a%20b&x=1");
    buf_free(&got);
    stage_close(&s);
}

Test(admin_http, head_has_no_body)
{
    struct stage s;
    struct buf got;

    stage_open(&s);
    got = ask(&s, "HEAD / HTTP/1.0\r\n\r\n");
    cr_assert_not_null(strstr(got.ptr, "\r\nContent-Length: 3\r\n"));
    cr_assert_str_eq(got.ptr + got.len - 4, "\r\n\r\n");
    buf_free(&got);
    stage_close(&s);
}

Test(admin_http, a_request_may_come_in_pieces)
{
    struct stage s;
    struct client c = { .request = "GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n", .slow = true };

    stage_open(&s);
    exchange(&s, &c);
    cr_assert_eq(strncmp(c.got.ptr, "HTTP/1.1 200 ", 13), 0);
    cr_assert_eq(s.asked, 1);
    buf_free(&c.got);
    stage_close(&s);
}

Test(admin_http, large_answers_arrive_whole)
{
    struct stage s;
    struct buf got;

    stage_open(&s);
    got = ask(&s, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    cr_assert_gt(got.len, (size_t)BIG);
    cr_assert_eq(got.ptr[got.len - 1], 'x');
    cr_assert_eq(strstr(got.ptr, "\r\n\r\n") + 4 + BIG, got.ptr + got.len);
    buf_free(&got);
    stage_close(&s);
}

Test(admin_http, what_is_not_allowed_is_refused)
{
    struct stage s;
    struct buf long_head = { 0 };

    stage_open(&s);
    expect_status(&s, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "405");
    expect_status(&s, "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505");
    expect_status(&s, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "501");
    expect_status(&s, "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400");
    expect_status(&s, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "405");
    expect_status(&s, "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400");
    buf_add_text(&long_head, "GET / HTTP/1.1\r\nX: ");
    for (unsigned i = 0; i < 10000; i++)
        buf_add_text(&long_head, "y");
    expect_status(&s, long_head.ptr, "431");
    buf_free(&long_head);
    cr_assert_eq(s.asked, 0);
    stage_close(&s);
}

Test(admin_http, a_client_may_leave_before_its_answer)
{
    struct stage s;
    struct client gone = { .request = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n", .leave = true };

    stage_open(&s);
    exchange(&s, &gone);
    while (s.held == NULL)
        expect_status(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "200");
    answer(s.held, 100);
    expect_status(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "200");
    stage_close(&s);
}

Test(admin_http, an_answer_may_come_when_all_is_closing)
{
    struct stage s;
    struct client gone = { .request = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n", .leave = true };

    stage_open(&s);
    exchange(&s, &gone);
    while (s.held == NULL)
        expect_status(&s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "200");
    admin_http_close(s.http);
    answer(s.held, 100);
    stage_close(&s);
}
