/* hooks.c -- what the modules of a request cost, beside what they do.
 *
 *   usage: hooks [-r ROUNDS] [-n REQUESTS]
 *
 * A request that has been read, and the response to it, go through the proxy's own steps for modules: from
 * the chain of its host to the end of the exchange. In each round every chain is measured in turn, the
 * order rotating: none, one module with an empty on_request and on_response, ten of these, and `headers`
 * setting two headers, for the endpoint and for the client. One line each:
 * modules=NAME ns=MEDIAN low=QUARTILE high=QUARTILE allocations=A, what it takes more than none, and how
 * often memory is asked of the heap for each request.
 *
 * Owns:    its exchange
 * Thread:  one
 * Used by: run
 * Not here: what a whole request costs (load.c)
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "http/framing.h"
#include "http/serializer.h"
#include "module_host/chain.h"
#include "proxy/module_run.h"
#include "proxy/worker_state.h"

#define ROUNDS_MOST 1000
#define EMPTY_MODULES 10

static const char *const chains[] = {
    "",
    "empty0",
    "empty0 empty1 empty2 empty3 empty4 empty5 empty6 empty7 empty8 empty9",
    "headers(set X-A=1 set X-B=2)",
    "headers(response_set X-A=1 response_set X-B=2)",
};
static const char *const names[] = { "none", "empty", "ten_empty", "headers_request",
                                     "headers_response" };
enum { CHAINS = sizeof(chains) / sizeof(chains[0]) };

static double ns[CHAINS][ROUNDS_MOST];
static uint64_t allocations[CHAINS];

/* --- the heap, counted: the linker puts these in the place of malloc and the like --- */

static uint64_t asked;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *ptr, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *ptr, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    asked++;
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    asked++;
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *ptr, size_t bytes)
{
    asked++;
    return __real_realloc(ptr, bytes);
}

/* --- modules --- */

static enum usher_result go_on(struct usher_exchange *x, const void *compiled)
{
    (void)x;
    (void)compiled;
    return USHER_GO_ON;
}

static struct module_registry *make_registry(void)
{
    static char empty_names[EMPTY_MODULES][16];
    struct module_registry *r = registry_new();
    struct buf why = { 0 };

    for (unsigned i = 0; i < EMPTY_MODULES; i++) {
        struct usher_module m = { USHER_MODULE_ABI, .name = empty_names[i], .version = "1",
                                  .summary = "does nothing" };

        snprintf(empty_names[i], sizeof(empty_names[i]), "empty%u", i);
        m.on_request = m.on_response = go_on;
        if (!registry_add(r, &m, "the bench", NULL, &why)) {
            fprintf(stderr, "hooks: %s\n", why.ptr);
            exit(1);
        }
    }
    return r;
}

static struct chain *make_chain(const struct module_host *modules, const char *text)
{
    struct chain_scope scope = { .modules = modules, .tenant = STR("bench") };
    struct chain_error error;
    struct chain *chain;
    size_t at = 0;

    if (text[0] == '\0')
        return NULL;
    chain = chain_compile(&scope, str_from(text), &at, &error);
    if (chain == NULL) {
        fprintf(stderr, "hooks: column %u: got " STR_FMT ", expected %s\n", error.column,
                STR_ARG(error.got), error.expected);
        exit(1);
    }
    return chain;
}

/* --- a client that takes everything --- */

static size_t sent;

static void send_head(void *session, const struct head *head, bool interim)
{
    (void)session;
    (void)interim;
    sent += head->count;
}

static void send_body(void *session, const char *bytes, size_t len)
{
    (void)session;
    (void)bytes;
    sent += len;
}

static struct str client_ip(void *session)
{
    (void)session;
    return STR("127.0.0.1");
}

static const struct client_side client = { .send_head = send_head,
                                           .send_body = send_body,
                                           .client_ip = client_ip };

/* --- one request --- */

struct bench {
    struct worker w;
    struct settings settings;
    struct site site;
    struct exchange x;
    struct head request, response; /* as they were read */
};

static const char request_bytes[] =
    "GET /small HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
static const char response_bytes[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n";
static char body[100];

static void read_head(struct head *h, const char *bytes, bool is_request)
{
    static const struct parser_limits limits = { 16384, 100, 8192 };
    struct parser p;

    parser_init(&p, is_request, &limits);
    head_init(h);
    parser_start(&p, h);
    CHECK(parser_head(&p, bytes, 0, strlen(bytes)) == PARSE_DONE);
    CHECK((is_request ? framing_request(h) : framing_response(h, false, false)) == FAULT_NONE);
    parser_free(&p);
}

static void prepare(struct bench *b, const struct module_registry *registry)
{
    struct worker *w = &b->w;

    b->settings.module_stall_ms = 100;
    w->settings = &b->settings;
    w->limits = (struct parser_limits){ 16384, 100, 8192 };
    loop_init(&w->loop);
    module_watch_init(&w->modules, registry);
    list_init(&w->spare_runs);
    read_head(&b->request, request_bytes, true);
    read_head(&b->response, response_bytes, false);
    head_init(&b->x.request);
    head_init(&b->x.response);
    b->x.w = w;
    b->x.client = &client;
    b->x.site = &b->site;
    b->x.request_whole = true;
    b->x.path = b->x.path_sent = STR("/small");
}

/* The fields of a head that was read, into that of the exchange. */
static void put_head(struct head *to, const struct head *from)
{
    to->base = from->base;
    to->bytes = from->bytes;
    to->status = from->status;
    to->count = from->count;
    to->body = from->body;
    memcpy(to->known, from->known, sizeof(to->known));
    memcpy(to->fields, from->fields, from->count * sizeof(*to->fields));
}

static void one_request(struct bench *b)
{
    struct exchange *x = &b->x;

    put_head(&x->request, &b->request);
    put_head(&x->response, &b->response);
    x->status = 0;
    x->response_framing = FRAMED_AS_READ;
    if (modules_attach(x)) {
        CHECK(modules_on_request(x) == MODULES_GO_ON);
        CHECK(modules_on_upstream(x) == MODULES_GO_ON);
        modules_see_response(x);
        CHECK(modules_on_response(x) == MODULES_GO_ON);
        modules_begin_response(x);
        modules_response_body(x, body, sizeof(body));
        modules_response_end(x);
        modules_give_response(x);
        modules_done(x);
        modules_recycle(x);
    } else {
        send_head(NULL, &x->response, false);
        send_body(NULL, body, sizeof(body));
    }
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- many --- */

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double quantile(const double *numbers, unsigned count, double part)
{
    double sorted[ROUNDS_MOST];

    memcpy(sorted, numbers, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_number);
    return sorted[(unsigned)((count - 1) * part + 0.5)];
}

static void report(unsigned rounds, unsigned requests)
{
    for (unsigned c = 1; c < CHAINS; c++) {
        double more[ROUNDS_MOST];

        for (unsigned r = 0; r < rounds; r++)
            more[r] = ns[c][r] - ns[0][r];
        printf("modules=%s ns=%.1f low=%.1f high=%.1f allocations=%.2f\n", names[c],
               quantile(more, rounds, 0.5), quantile(more, rounds, 0.25),
               quantile(more, rounds, 0.75), (double)allocations[c] / rounds / requests);
    }
}

int main(int argc, char **argv)
{
    static struct bench b;
    struct chain *compiled[CHAINS];
    unsigned rounds = 21, requests = 100000;
    struct module_registry *registry = make_registry();
    struct module_host modules;

    for (int option; (option = getopt(argc, argv, "r:n:")) != -1;)
        if (option == 'r' && atoi(optarg) > 0 && atoi(optarg) <= ROUNDS_MOST)
            rounds = (unsigned)atoi(optarg);
        else if (option == 'n' && atoi(optarg) > 0)
            requests = (unsigned)atoi(optarg);
        else
            return fprintf(stderr, "usage: hooks [-r ROUNDS] [-n REQUESTS]\n"), 2;
    module_host_init(&modules, registry, STR("usher:"), &modules_host);
    for (unsigned c = 0; c < CHAINS; c++)
        compiled[c] = make_chain(&modules, chains[c]);
    prepare(&b, registry);
    for (unsigned r = 0; r < rounds; r++)
        for (unsigned i = 0; i < CHAINS; i++) {
            unsigned c = (i + r) % CHAINS;
            uint64_t began, asked_before;

            b.site.fields.modules = compiled[c];
            for (unsigned k = 0; k < 1000; k++)
                one_request(&b);
            asked_before = asked;
            began = now_ns();
            for (unsigned k = 0; k < requests; k++)
                one_request(&b);
            ns[c][r] = (double)(now_ns() - began) / requests;
            allocations[c] += asked - asked_before;
        }
    report(rounds, requests);
    return sent == 0;
}
