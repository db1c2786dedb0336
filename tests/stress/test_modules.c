/* test_modules.c -- hooks of one module on several workers at once, with jobs that they wait for, while
 * control compiles settings and reads metrics; for ThreadSanitizer. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "control/metrics_modules.h"
#include "module_host/chain.h"
#include "proxy/module_run.h"
#include "proxy/worker_state.h"

#define WORKERS 3
#define ROUNDS 2000

struct player {
    pthread_t thread;
    struct worker w;
    struct exchange x;
};

enum { CALLS, OPEN };

static const struct usher_metric metrics[] = {
    [CALLS] = { "calls_total", USHER_COUNTER, "hooks called" },
    [OPEN] = { "open", USHER_GAUGE, "exchanges not done" },
};

static struct settings settings = { .module_stall_ms = 60000 };
static struct site site;
static struct player players[WORKERS];
static atomic_uint left = WORKERS;

/* --- the module: what it compiles is read by all workers, and by the threads of jobs --- */

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    int *number = usher_keep(c, sizeof(*number));

    (void)given;
    *number = 7;
    *compiled = number;
    return true;
}

static void work(void *arg)
{
    *(int *)arg *= 3;
}

static enum usher_result resumed(struct usher_exchange *x, const void *compiled, void *arg)
{
    void **state = usher_state(x);

    cr_assert_eq(*(int *)arg, 3 * *(const int *)compiled);
    cr_assert_not_null(*state);
    return USHER_GO_ON;
}

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    *usher_state(x) = usher_alloc(x, 1500);
    usher_count(x, CALLS, 1);
    usher_count(x, OPEN, 1);
    return usher_job(x, work, compiled, sizeof(int), resumed) ? USHER_WAIT : USHER_FAULT;
}

static void on_done(struct usher_exchange *x, const void *compiled)
{
    (void)compiled;
    usher_count(x, OPEN, -1);
}

static struct module_registry *make_registry(void)
{
    static const struct usher_module module = {
        USHER_MODULE_ABI,       .name = "stressed", .version = "1",           .summary = "waits",
        USHER_METRICS(metrics), .compile = compile, .on_request = on_request, .on_done = on_done,
    };
    struct module_registry *r = registry_new();
    struct buf why = { 0 };

    cr_assert(registry_add(r, &module, "the test", NULL, &why), "%s", why.ptr);
    return r;
}

static struct chain *make_chain(const struct module_host *modules)
{
    struct chain_scope scope = { .modules = modules, .tenant = STR("acme") };
    struct chain_error error;
    size_t at = 0;

    return chain_compile(&scope, STR("stressed request_id"), &at, &error);
}

/* --- workers --- */

static struct str client_ip(void *session)
{
    (void)session;
    return STR("127.0.0.1");
}

static const struct client_side client = { .client_ip = client_ip };

static void one_exchange(struct player *p)
{
    struct exchange *x = &p->x;

    x->step = STEP_READ; /* where the end of a wait does nothing by itself */
    cr_assert(modules_attach(x));
    cr_assert_eq(modules_on_request(x), MODULES_WAIT);
    while (!x->modules->resumed)
        uv_run(&p->w.loop.uv, UV_RUN_ONCE);
    cr_assert_eq(modules_on_request(x), MODULES_GO_ON);
    modules_done(x);
    modules_recycle(x);
}

static void *player_main(void *arg)
{
    struct player *p = arg;

    for (unsigned i = 0; i < ROUNDS; i++)
        one_exchange(p);
    modules_free_spare(&p->w);
    loop_close(&p->w.loop);
    atomic_fetch_sub(&left, 1);
    return NULL;
}

static void start(struct player *p, const struct module_registry *registry)
{
    struct worker *w = &p->w;

    w->settings = &settings;
    w->limits = (struct parser_limits){ 16384, 100, 8192 };
    loop_init(&w->loop);
    module_watch_init(&w->modules, registry);
    list_init(&w->spare_runs);
    random_init(&w->random);
    head_init(&p->x.request);
    head_init(&p->x.response);
    p->x.w = w;
    p->x.client = &client;
    p->x.site = &site;
    cr_assert_eq(pthread_create(&p->thread, NULL, player_main, p), 0);
}

Test(modules, hooks_run_on_all_workers_while_control_compiles_and_counts)
{
    struct module_registry *registry = make_registry();
    const struct module_watch *watches[WORKERS];
    struct module_host modules;
    struct chain *chain;
    struct buf page = { 0 };

    module_host_init(&modules, registry, STR("usher:"), &modules_host);
    chain = make_chain(&modules);
    cr_assert_not_null(chain);
    site.fields.modules = chain;
    for (unsigned i = 0; i < WORKERS; i++) {
        watches[i] = &players[i].w.modules;
        start(&players[i], registry);
    }
    while (atomic_load(&left) > 0) {
        chain_free(make_chain(&modules));
        buf_clear(&page);
        metrics_modules_write(registry, watches, WORKERS, &page);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(players[i].thread, NULL);
    buf_clear(&page);
    metrics_modules_write(registry, watches, WORKERS, &page);
    cr_assert_not_null(strstr(page.ptr, "usher_module_stressed_calls_total 6000\n"), "%s",
                       page.ptr);
    cr_assert_not_null(strstr(page.ptr, "usher_module_stressed_open 0\n"), "%s", page.ptr);
    buf_free(&page);
    chain_free(chain);
    for (unsigned i = 0; i < WORKERS; i++)
        module_watch_free(&players[i].w.modules);
    registry_free(registry);
}
