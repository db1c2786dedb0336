/* admin_pages.c -- health, metrics, dumps: the table of pages, and asking the workers for theirs.
 *
 * Owns:    dumps under way (struct gather): they live until every worker has given back its mail.
 * Thread:  control
 * Used by: admin_http.c (requests), control.c (the workers' mails).
 * Not here: HTTP (admin_http.c); the figures (metrics.c). */
#include "control/admin_pages.h"

#include <stdlib.h>

#include "base/check.h"
#include "control/control_state.h"
#include "control/explain_page.h"
#include "control/metrics.h"
#include "control/metrics_modules.h"
#include "control/queues.h"
#include "control/tenants_page.h"

#define TYPE_TEXT "text/plain; charset=utf-8"
#define TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"
#define TYPE_JSON "application/json"
#define GATHER_MS 5000
#define PREFIX_MAX 512
#define TENANTS_MOST 1000

/* One page that all workers are asked for. */
struct gather {
    struct list node;
    struct control *control;
    struct admin_exchange *exchange;      /* NULL: answered */
    void (*write)(struct gather *g);      /* when all parts are there */
    void (*write_late)(struct gather *g); /* when a worker has not answered in time */
    struct timer limit;
    unsigned missing;
    struct dump_mail parts[]; /* one for each worker */
};

#define PAGE_POST (-1) /* it changes something: POST alone */

struct page {
    const char *path;
    void (*write)(struct control *c, struct admin_exchange *x, struct str query);
    int dump; /* without `write`: enum dump_what, asked of the workers; with it: 0, or PAGE_POST */
    const char *says;
};

static void write_index(struct control *c, struct admin_exchange *x, struct str query);
static void write_metrics(struct control *c, struct admin_exchange *x, struct str query);

static void answer_text(struct admin_exchange *x, unsigned status, const char *text)
{
    struct buf body = { 0 };

    buf_printf(&body, "%s\n", text);
    admin_http_answer(x, status, TYPE_TEXT, &body);
}

static void write_healthz(struct control *c, struct admin_exchange *x, struct str query)
{
    (void)c;
    (void)query;
    answer_text(x, 200, "ok");
}

/* The state in a word, then a line for each thing that is not as it should be, or not yet. */
static void answer_store(struct control *c, struct admin_exchange *x)
{
    const struct store_status *s = store_status(c->store);
    bool ready = takeover_can_serve(c);
    struct copy_status copy;
    struct buf body = { 0 };

    store_copy_status(c->store, &copy);
    buf_add_text(&body, ready ? "ready\n" : "store not reached yet\n");
    if (ready && s->serves_copy)
        buf_add_text(&body, "serving from the disk copy: Redis has not been reached\n");
    else if (ready && !s->up)
        buf_add_text(&body, "serving from memory: Redis is away\n");
    if (s->regressed)
        buf_printf(
            &body,
            "held back: %llu of the known hosts are missing in Redis; \"usher accept\" (or POST /accept) "
            "believes that they are gone\n",
            (unsigned long long)s->missing_hosts);
    if (s->syncing)
        buf_printf(&body, "sync: %llu of about %llu keys\n", (unsigned long long)s->sync_keys,
                   (unsigned long long)s->sync_of);
    if (s->evicts)
        buf_add_text(&body, "note: Redis deletes records when its memory is full: its "
                            "maxmemory-policy should be noeviction\n");
    if (copy.failing)
        buf_printf(&body, "disk copy: %s\n", copy.reason);
    admin_http_answer(x, ready ? 200 : 503, TYPE_TEXT, &body);
}

static void write_readyz(struct control *c, struct admin_exchange *x, struct str query)
{
    (void)query;
    if (drain_is_on(&c->drain))
        answer_text(x, 503, "draining");
    else
        answer_store(c, x);
}

static void answer_metrics(struct control *c, struct admin_exchange *x)
{
    struct metrics m = { .workers = c->worker_count,
                         .states = store_states(c->store),
                         .store = store_status(c->store),
                         .rounds = c->publisher.rounds,
                         .retired = c->publisher.retired.count,
                         .rates_asked = c->rates.asked,
                         .rates_away = c->rates.away + c->rates.refused,
                         .bans = c->bans.in_force,
                         .bans_wrong = c->bans.wrong,
                         .draining = drain_is_on(&c->drain) };
    struct buf body = { 0 };

    store_copy_status(c->store, &m.copy);
    if (c->access_log != NULL)
        m.log_dropped = access_log_dropped(c->access_log);
    for (unsigned i = 0; i < c->worker_count; i++)
        metrics_add(&m, worker_counters(c->workers[i]));
    metrics_write(&m, &body);
    health_write_metrics(c->health, &body);
    names_metrics(c->names, &body);
    if (c->shared.modules != NULL && registry_count(c->shared.modules) > 0) {
        const struct module_watch **watches = check_alloc(c->worker_count * sizeof(*watches));

        for (unsigned i = 0; i < c->worker_count; i++)
            watches[i] = worker_modules(c->workers[i]);
        metrics_modules_write(c->shared.modules, watches, c->worker_count, &body);
        free(watches);
    }
    admin_http_answer(x, 200, TYPE_METRICS, &body);
}

static void write_topology(struct control *c, struct admin_exchange *x, struct str query)
{
    bool drawn = str_equals(query, STR("as=text"));
    struct buf body = { 0 };

    store_topology(c->store, drawn, &body);
    if (!drawn)
        buf_add_text(&body, "\n");
    admin_http_answer(x, 200, drawn ? TYPE_TEXT : TYPE_JSON, &body);
}

static void write_explanation(struct control *c, struct admin_exchange *x, struct str query)
{
    struct buf body = { 0 };
    bool json = false;
    unsigned status = explain_page(c, query.ptr != NULL ? query : STR(""), &body, &json);

    admin_http_answer(x, status, json ? TYPE_JSON : TYPE_TEXT, &body);
}

static void write_store(struct control *c, struct admin_exchange *x, struct str query)
{
    struct buf body = { 0 };

    (void)query;
    store_dump(c->store, &body);
    buf_add_text(&body, "\n");
    admin_http_answer(x, 200, TYPE_JSON, &body);
}

static void write_queues(struct control *c, struct admin_exchange *x, struct str query)
{
    struct buf body = { 0 };

    (void)query;
    queues_dump(store_states(c->store), &body);
    buf_add_text(&body, "\n");
    admin_http_answer(x, 200, TYPE_JSON, &body);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = str_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The value of `name` in a query, percent-decoded; "" when it is not there. False: too long. */
static bool query_value(struct str query, struct str name, char *to, size_t size)
{
    struct str part;
    size_t n = 0;

    to[0] = '\0';
    while (str_split(&query, '&', &part)) {
        if (!str_starts_with(part, name) || part.len == name.len || part.ptr[name.len] != '=')
            continue;
        for (size_t i = name.len + 1; i < part.len; i++) {
            int high = part.ptr[i] == '%' && i + 2 < part.len ? hex_value(part.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex_value(part.ptr[i + 2]) : -1;

            if (n + 1 == size)
                return false;
            to[n++] = low >= 0 ? (char)(high * 16 + low) : part.ptr[i];
            i += low >= 0 ? 2 : 0;
        }
        to[n] = '\0';
        return true;
    }
    return true;
}

static void write_records(struct control *c, struct admin_exchange *x, struct str query)
{
    struct buf body = { 0 };
    char prefix[PREFIX_MAX];

    if (!query_value(query, STR("prefix"), prefix, sizeof(prefix))) {
        answer_text(x, 400, "prefix: too long");
        return;
    }
    store_dump_records(c->store, str_from(prefix), &body);
    buf_add_text(&body, "\n");
    admin_http_answer(x, 200, TYPE_JSON, &body);
}

static void write_tenants(struct control *c, struct admin_exchange *x, struct str query)
{
    struct buf body = { 0 };
    char only[PREFIX_MAX], top[16];
    uint64_t most = TENANTS_MOST;

    if (!query_value(query, STR("only"), only, sizeof(only)) ||
        !query_value(query, STR("top"), top, sizeof(top)) ||
        (top[0] != '\0' && !str_to_u64(str_from(top), TENANTS_MOST, &most))) {
        answer_text(x, 400, "only: a tenant or a host; top: a number up to 1000");
        return;
    }
    tenants_page_write(store_states(c->store), (unsigned)most, str_from(only), &body);
    admin_http_answer(x, 200, TYPE_JSON, &body);
}

static void write_upgrade(struct control *c, struct admin_exchange *x, struct str query)
{
    struct buf body = { 0 };

    (void)query;
    upgrade_state(c, &body);
    admin_http_answer(x, 200, TYPE_JSON, &body);
}

static void write_health(struct control *c, struct admin_exchange *x, struct str query)
{
    struct buf body = { 0 };
    char service[PREFIX_MAX], as[8];
    bool text, known = true;

    if (!query_value(query, STR("service"), service, sizeof(service)) ||
        !query_value(query, STR("as"), as, sizeof(as))) {
        answer_text(x, 400, "service=NAME is expected, and perhaps as=text");
        return;
    }
    text = strcmp(as, "text") == 0 && service[0] != '\0';
    if (service[0] == '\0')
        health_write_list(c->health, &body);
    else if (text)
        known = health_write_text(c->health, str_from(service), &body);
    else
        known = health_write_json(c->health, str_from(service), &body);
    if (!known) {
        answer_text(x, 404, "this edge checks no such service, nor has it others' word for it");
        return;
    }
    if (!text)
        buf_add_text(&body, "\n");
    admin_http_answer(x, 200, text ? TYPE_TEXT : TYPE_JSON, &body);
}

static void write_accept(struct control *c, struct admin_exchange *x, struct str query)
{
    unsigned long long missing = store_status(c->store)->missing_hosts;
    struct buf body = { 0 };

    (void)query;
    if (!store_status(c->store)->regressed) {
        answer_text(x, 409, "nothing is held back");
        return;
    }
    if (!store_accept(c->store)) {
        answer_text(x, 409, "Redis is away: what is missing is looked at when it is back");
        return;
    }
    buf_printf(&body, "accepted: %llu hosts are believed gone\n", missing);
    admin_http_answer(x, 200, TYPE_TEXT, &body);
}

static void write_names(struct control *c, struct admin_exchange *x, struct str query)
{
    struct buf body = { 0 };

    (void)query;
    names_dump(c->names, &body);
    admin_http_answer(x, 200, TYPE_JSON, &body);
}

static const struct page pages[] = {
    { "/", write_index, 0, "this list" },
    { "/healthz", write_healthz, 0, "200 while the process works" },
    { "/readyz", write_readyz, 0, "200 when clients may be sent here, else 503 and why not" },
    { "/metrics", write_metrics, 0, "counters, as Prometheus reads them" },
    { "/topology", write_topology, 0,
      "where Redis is: Sentinels, primary, replicas; ?as=text draws" },
    { "/explain", write_explanation, 0,
      "what becomes of a request; ?url=http://...&method=GET&header=...&from=IP&as=json" },
    { "/upgrade", write_upgrade, 0, "this process, and how its last upgrade went (SIGUSR2)" },
    { "/endpoints", write_health, 0,
      "services whose endpoints are checked; ?service=NAME: each endpoint, and who says what of it" },
    { "/dump/store", write_store, 0, "the link to Redis and what is known of its records" },
    { "/dump/records", write_records, 0, "the records themselves; ?prefix=usher:host: for some" },
    { "/dump/tenants", write_tenants, 0,
      "tenants with limits: what they take, what they were refused; ?top=20, ?only=acme" },
    { "/dump/queues", write_queues, 0,
      "services with max_conns: connections, who waits, and for how long others have" },
    { "/dump/names", write_names, 0, "names of endpoints, and the addresses they have" },
    { "/dump/workers", NULL, DUMP_WORKER, "each worker: sessions, tables, buffers" },
    { "/dump/hosts", NULL, DUMP_HOSTS, "each worker: the hosts it remembers" },
    { "/dump/services", NULL, DUMP_SERVICES, "each worker: services and their endpoints" },
    { "/dump/upstreams", NULL, DUMP_UPSTREAMS, "each worker: connections to endpoints" },
    { "/dump/exchanges", NULL, DUMP_EXCHANGES, "each worker: requests under way" },
    { "/accept", write_accept, PAGE_POST,
      "POST: what is missing in Redis since it came back is believed gone" },
};

#define PAGES (sizeof(pages) / sizeof(pages[0]))

static void write_index(struct control *c, struct admin_exchange *x, struct str query)
{
    struct buf body = { 0 };

    (void)c;
    (void)query;
    for (const struct page *p = pages; p < pages + PAGES; p++)
        buf_printf(&body, "%-16s %s\n", p->path, p->says);
    admin_http_answer(x, 200, TYPE_TEXT, &body);
}

/* --- dumps that only the workers can write --- */

static void gather_free(struct gather *g)
{
    for (unsigned i = 0; i < g->control->worker_count; i++)
        buf_free(&g->parts[i].json);
    timer_stop(&g->limit);
    list_remove(&g->node);
    free(g);
}

static void gather_answer(struct gather *g, void (*write)(struct gather *g))
{
    if (g->exchange != NULL)
        write(g);
    g->exchange = NULL;
}

static void on_gather_limit(struct timer *t)
{
    struct gather *g = LIST_ITEM(t, struct gather, limit);

    gather_answer(g, g->write_late);
}

static struct gather *gather_begin(struct control *c, struct admin_exchange *x, enum dump_what what)
{
    struct gather *g = check_alloc(sizeof(*g) + c->worker_count * sizeof(g->parts[0]));

    g->control = c;
    g->exchange = x;
    g->missing = c->worker_count;
    timer_init(&g->limit, on_gather_limit);
    timer_set(&c->loop, &g->limit, GATHER_MS);
    list_append(&c->gathers, &g->node);
    for (unsigned i = 0; i < c->worker_count; i++) {
        g->parts[i] = (struct dump_mail){
            .mail = { .kind = WORKER_DUMP }, .what = what, .worker = i, .owner = g
        };
        worker_post(c->workers[i], &g->parts[i].mail);
    }
    return g;
}

static void write_silence(struct gather *g)
{
    answer_text(g->exchange, 503, "a worker has not answered");
}

/* A JSON array with one element for each worker. */
static void write_parts(struct gather *g)
{
    struct buf body = { 0 };

    buf_add_text(&body, "[");
    for (unsigned i = 0; i < g->control->worker_count; i++) {
        buf_add_text(&body, i > 0 ? ",\n" : "\n");
        buf_add(&body, g->parts[i].json.ptr, g->parts[i].json.len);
    }
    buf_add_text(&body, "\n]\n");
    admin_http_answer(g->exchange, 200, TYPE_JSON, &body);
}

static void begin_dump(struct control *c, struct admin_exchange *x, enum dump_what what)
{
    struct gather *g = gather_begin(c, x, what);

    g->write = write_parts;
    g->write_late = write_silence;
}

static void write_gathered_metrics(struct gather *g)
{
    answer_metrics(g->control, g->exchange);
}

/* The workers' boards are there to be read; but a worker that has answered is done with the turn in
 * which its last responses left: what a client has seen is counted. */
static void write_metrics(struct control *c, struct admin_exchange *x, struct str query)
{
    struct gather *g = gather_begin(c, x, DUMP_WORKER);

    (void)query;
    g->write = g->write_late = write_gathered_metrics;
}

void admin_pages_dumped(struct dump_mail *mail)
{
    struct gather *g = mail->owner;

    CHECK(g->missing > 0);
    if (--g->missing > 0)
        return;
    gather_answer(g, g->write);
    gather_free(g);
}

void admin_pages_close(struct control *c)
{
    LIST_EACH (node, after, &c->gathers)
        gather_answer(LIST_ITEM(node, struct gather, node), write_silence);
}

void admin_pages_free(struct control *c)
{
    LIST_EACH (node, after, &c->gathers)
        gather_free(LIST_ITEM(node, struct gather, node));
}

void admin_pages_serve(void *owner, struct admin_exchange *x, struct str path, struct str query)
{
    struct control *c = owner;

    for (const struct page *p = pages; p < pages + PAGES; p++) {
        bool post = p->dump == PAGE_POST;

        if (!str_equals(path, str_from(p->path)))
            continue;
        if (post != admin_http_is_post(x))
            answer_text(x, 405, post ? "only POST" : "only GET and HEAD");
        else if (p->write != NULL)
            p->write(c, x, query);
        else
            begin_dump(c, x, (enum dump_what)p->dump);
        return;
    }
    answer_text(x, 404, "no such page; / lists them");
}
