/* scene.c -- a private redis-server on a socket in a folder of its own, and the store beside it. */
#include "scene.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

/* --- Redis --- */

static void connect_redis(struct scene *s)
{
    for (uint64_t until = clock_now_ms() + 10000;; usleep(2000)) {
        s->redis = redisConnectUnix(s->socket);
        if (s->redis != NULL && s->redis->err == 0) {
            redisReply *r = redisCommand(s->redis, "PING");
            bool ready = r != NULL && r->type == REDIS_REPLY_STATUS;

            freeReplyObject(r);
            if (ready)
                return;
        }
        if (s->redis != NULL)
            redisFree(s->redis);
        s->redis = NULL;
        cr_assert_lt(clock_now_ms(), until, "redis-server does not come up");
    }
}

void scene_start_redis(struct scene *s)
{
    const char *server = getenv("REDIS_SERVER") ? getenv("REDIS_SERVER") : "redis-server";

    unlink(s->socket);
    s->redis_pid = fork();
    cr_assert_geq(s->redis_pid, 0);
    if (s->redis_pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves nothing behind */
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execlp(server, server, "--port", s->port, "--bind", "127.0.0.1", "--unixsocket", s->socket,
               "--save", "", "--appendonly", "no", "--dir", s->folder, "--hz", "1",
               "--enable-debug-command", "yes", (char *)NULL);
        _exit(127);
    }
    connect_redis(s);
}

void scene_use_tcp(struct scene *s)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    scene_stop_redis(s);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, len), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    snprintf(s->port, sizeof(s->port), "%u", ntohs(a.sin_port));
    scene_start_redis(s);
    s->settings.redis.unix_socket = false;
    s->settings.redis.port = ntohs(a.sin_port);
    snprintf(s->settings.redis.host, sizeof(s->settings.redis.host), "127.0.0.1");
}

void scene_stop_redis(struct scene *s)
{
    int status;

    kill(s->redis_pid, SIGKILL);
    waitpid(s->redis_pid, &status, 0);
    s->redis_pid = 0;
    redisFree(s->redis);
    s->redis = NULL;
}

static redisReply *command(struct scene *s, const char *format, va_list args)
{
    redisReply *r = redisvCommand(s->redis, format, args);

    cr_assert_not_null(r, "no reply to %s", format);
    cr_assert_neq(r->type, REDIS_REPLY_ERROR, "%s: %s", format, r->str);
    return r;
}

void scene_do(struct scene *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    freeReplyObject(command(s, format, args));
    va_end(args);
}

char *scene_ask(struct scene *s, const char *format, ...)
{
    va_list args;
    redisReply *r;
    char *text;

    va_start(args, format);
    r = command(s, format, args);
    va_end(args);
    text = r->str != NULL ? strdup(r->str) : NULL;
    freeReplyObject(r);
    return text;
}

/* --- the pretended worker --- */

static struct scene_host *find_host(struct scene *s, const char *host)
{
    for (unsigned i = 0; i < s->host_count; i++)
        if (strcmp(s->hosts[i].answer.host, host) == 0)
            return &s->hosts[i];
    cr_assert_lt(s->host_count, SCENE_HOSTS);
    s->hosts[s->host_count].answered = false;
    snprintf(s->hosts[s->host_count].answer.host, sizeof(s->hosts[0].answer.host), "%s", host);
    return &s->hosts[s->host_count++];
}

static bool is_below(const char *host, const char *suffix)
{
    size_t a = strlen(host), b = strlen(suffix) - 1;

    return b == 0 || (a > b && strcmp(host + a - b, suffix + 1) == 0);
}

static void forget(struct scene *s, const struct forgotten *f)
{
    for (unsigned i = 0; i < s->host_count; i++) {
        struct scene_host *h = &s->hosts[i];

        if (f->suffix ? is_below(h->answer.host, f->host) &&
                            !(h->answer.kind == ANSWER_SITE && h->answer.exact)
                      : strcmp(h->answer.host, f->host) == 0)
            h->answered = false;
    }
}

static void move(struct scene *s, const struct moved *m)
{
    for (unsigned i = 0; i < s->host_count; i++) {
        struct scene_host *h = &s->hosts[i];
        struct map_print print = map_print_of(str_from(h->answer.host));

        if (memcmp(&print, &m->host, sizeof(print)) != 0 || h->answer.kind != ANSWER_SITE ||
            !h->answer.exact)
            continue;
        h->answered = h->answered && m->site.generation != 0;
        h->answer.site = m->site;
    }
}

static void on_changes(void *owner, struct changes *c)
{
    struct scene *s = owner;

    s->changes_seen++;
    for (size_t i = 0; i < c->swap_count; i++) {
        const struct swap *w = &c->swaps[i];

        CHECK(w->ref.slot < SCENE_SLOTS);
        CHECK(s->tables[w->kind][w->ref.slot] == w->before);
        CHECK(w->used != NULL || w->kind == OBJECT_SITE);
        if (w->before != NULL)
            w->before->holders++;
        s->tables[w->kind][w->ref.slot] = w->now;
        s->generations[w->kind][w->ref.slot] = w->ref.generation;
        s->swaps_seen++;
    }
    for (size_t i = 0; i < c->swap_count; i++) {
        struct object *before = c->swaps[i].before;

        if (before != NULL && --before->holders == 0 && before->uses == 0)
            object_free(before);
    }
    for (unsigned i = 0; c->forget_unknown && i < s->host_count; i++)
        if (s->hosts[i].answer.kind == ANSWER_UNKNOWN)
            s->hosts[i].answered = false;
    for (size_t i = 0; i < c->forgotten_count; i++)
        forget(s, &c->forgotten[i]);
    for (size_t i = 0; i < c->answer_count; i++) {
        struct scene_host *h = find_host(s, c->answers[i].host);

        h->answer = c->answers[i];
        h->answered = true;
    }
    for (size_t i = 0; i < c->moved_count; i++)
        move(s, &c->moved[i]);
    s->swaps_seen += c->moved_count;
    if (s->after_changes != NULL)
        s->after_changes(s, c);
    changes_free(c);
    uv_stop(&s->loop.uv); /* whoever awaits something looks now */
}

static const struct object *object_at(struct scene *s, enum object_kind kind, uint32_t slot)
{
    return slot < SCENE_SLOTS ? s->tables[kind][slot] : NULL;
}

static const char *describe(const struct service *service, char *to, size_t size)
{
    char text[ADDRESS_TEXT_SIZE];
    size_t at = 0;

    if (service->bad)
        return "bad_record";
    if (service->schedule_count == 0)
        return "no_endpoint";
    to[0] = '\0';
    for (uint32_t i = 0; i < service->endpoint_count && at < size; i++)
        at += (size_t)snprintf(to + at, size - at, i ? " %s" : "%s",
                               address_text(&service->endpoints[i].address, text));
    return to;
}

/* "(r0 r3) ": the rules of the tenant, in their order. */
static void add_rules(struct scene *s, const struct tenant *tenant, struct buf *text)
{
    const struct routes *routes =
        (const struct routes *)object_at(s, OBJECT_ROUTES, tenant->routes_slot);

    if (routes == NULL)
        return;
    buf_add_text(text, routes->bad ? "(bad" : "(");
    for (uint32_t i = 0; i < routes->count; i++) {
        buf_add_text(text, i > 0 ? " " : "");
        route_text(routes, &routes->items[i], text);
    }
    buf_add_text(text, ") ");
}

static const char *follow(struct scene *s, const struct site *site)
{
    static char text[4096];
    const struct tenant *tenant = NULL;
    const struct defaults *defaults = (const struct defaults *)object_at(s, OBJECT_DEFAULTS, 0);
    const struct action *to = &site->fields.to;
    enum tenant_status status = site->fields.status;
    const struct object *service;
    struct buf rules = { 0 };
    const char *where;
    size_t len;

    if (site->bad)
        return "bad_record";
    if (site->has_tenant) {
        tenant = (const struct tenant *)object_at(s, OBJECT_TENANT, site->tenant_slot);
        if (tenant == NULL)
            return "tenant_gone";
        if (tenant->bad)
            return "bad_record";
        if (status == STATUS_UNSET)
            status = tenant->fields.status;
        if (to->kind == ACTION_UNSET)
            to = &tenant->fields.to;
        add_rules(s, tenant, &rules);
    }
    if (defaults != NULL && to->kind == ACTION_UNSET)
        to = &defaults->fields.to;
    len = rules.len < sizeof(text) / 2 ? rules.len : sizeof(text) / 2;
    if (len > 0)
        memcpy(text, rules.ptr, len);
    text[len] = '\0';
    buf_free(&rules);
    if (status == STATUS_MAINTENANCE || status == STATUS_SUSPENDED || to->kind == ACTION_UNSET) {
        where = status == STATUS_MAINTENANCE ? "maintenance"
                : status == STATUS_SUSPENDED ? "suspended"
                                             : "no_route";
        snprintf(text + len, sizeof(text) - len, "%s", where);
        return text;
    }
    service = to->kind == ACTION_ENDPOINTS ? &to->own->object
                                           : object_at(s, OBJECT_SERVICE, to->service_slot);
    where = service ? describe((const struct service *)service, text + len, sizeof(text) - len)
                    : "no_endpoint";
    if (where != text + len)
        snprintf(text + len, sizeof(text) - len, "%s", where);
    return text;
}

const char *scene_known(struct scene *s, const char *host)
{
    struct scene_host *h = find_host(s, host);
    const struct object *site;

    if (!h->answered)
        return "?";
    if (h->answer.kind == ANSWER_FAULT)
        return fault_row(h->answer.fault)->name;
    if (h->answer.kind == ANSWER_UNKNOWN)
        return "unknown_host";
    site = object_at(s, OBJECT_SITE, h->answer.site.slot);
    if (site == NULL ||
        s->generations[OBJECT_SITE][h->answer.site.slot] != h->answer.site.generation)
        return "?";
    return follow(s, (const struct site *)site);
}

static bool is_answered(struct scene *s, const void *host)
{
    return find_host(s, host)->answered;
}

const char *scene_route(struct scene *s, const char *host)
{
    struct scene_host *h = find_host(s, host);
    const char *known = scene_known(s, host);

    if (strcmp(known, "?") != 0)
        return known;
    h->answered = false;
    store_lookup(s->store, 0, str_from(host));
    cr_assert(scene_await(s, is_answered, host, 5000), "no answer for %s", host);
    known = scene_known(s, host);
    if (h->answer.kind == ANSWER_FAULT)
        h->answered = false; /* nobody remembers a fault */
    return known;
}

void scene_expect(struct scene *s, const char *host, const char *wanted)
{
    uint64_t until = clock_now_ms() + 5000;
    const char *now;

    while (strcmp(now = scene_route(s, host), wanted) != 0) {
        cr_assert_lt(clock_now_ms(), until, "%s gets %s, not %s", host, now, wanted);
        scene_run(s, 5);
    }
}

/* --- the loop --- */

static void on_limit(uv_timer_t *t)
{
    ((struct scene *)t->data)->limit_passed = true;
    uv_stop(t->loop); /* or it would go on to wait */
}

bool scene_await(struct scene *s, bool (*fn)(struct scene *s, const void *with), const void *with,
                 unsigned ms)
{
    s->limit_passed = false;
    uv_update_time(&s->loop.uv);
    uv_timer_start(&s->limit, on_limit, ms, 0);
    while (!fn(s, with) && !s->limit_passed)
        uv_run(&s->loop.uv, UV_RUN_ONCE);
    uv_timer_stop(&s->limit);
    return fn(s, with);
}

static bool never(struct scene *s, const void *with)
{
    (void)s;
    (void)with;
    return false;
}

void scene_run(struct scene *s, unsigned ms)
{
    scene_await(s, never, NULL, ms);
}

static bool is_up(struct scene *s, const void *with)
{
    (void)with;
    return store_status(s->store)->up;
}

static void default_settings(struct scene *s)
{
    s->settings = (struct settings){ .workers = 1,
                                     .prefix = "usher:",
                                     .name = "edge-1",
                                     .lookup_timeout_ms = 2000,
                                     .cache_bytes = 256u << 20,
                                     .max_loss_percent = 10,
                                     .sync_rate = 1000000,
                                     .start_wait_ms = 300,
                                     .lookup_rate = 100000 };
    s->settings.redis.unix_socket = true;
    snprintf(s->settings.redis.host, sizeof(s->settings.redis.host), "%s", s->socket);
}

struct scene *scene_new(void)
{
    struct scene *s = check_alloc(sizeof(*s));

    log_set_level(getenv("SCENE_LOG") ? LOG_DEBUG : LOG_ERROR);
    signal(SIGPIPE, SIG_IGN);
    snprintf(s->folder, sizeof(s->folder), "/tmp/usher-store-XXXXXX");
    snprintf(s->port, sizeof(s->port), "0");
    cr_assert_not_null(mkdtemp(s->folder));
    snprintf(s->socket, sizeof(s->socket), "%s/redis", s->folder);
    scene_start_redis(s);
    default_settings(s);
    return s;
}

struct scene *scene_beside(const struct scene *first)
{
    struct scene *s = check_alloc(sizeof(*s));

    snprintf(s->socket, sizeof(s->socket), "%s", first->socket);
    default_settings(s);
    return s;
}

void scene_open_down(struct scene *s)
{
    struct store_events events = { .owner = s,
                                   .on_changes = on_changes,
                                   .confirm = s->confirm,
                                   .facts = s->facts,
                                   .on_shared = s->shared };

    loop_init(&s->loop);
    uv_timer_init(&s->loop.uv, &s->limit);
    s->limit.data = s;
    guard_init(&s->guard, &s->settings);
    s->store = store_open(&s->loop, &s->settings, &s->guard, NULL, &events);
}

void scene_open(struct scene *s)
{
    scene_open_down(s);
    cr_assert(scene_await(s, is_up, NULL, 10000), "the store does not come up");
}

/* The worker goes with the store: all that it held was the store's. */
void scene_close(struct scene *s)
{
    if (s->store == NULL)
        return;
    uv_close((uv_handle_t *)&s->limit, NULL);
    store_close(s->store);
    loop_run(&s->loop);
    store_free(s->store);
    loop_close(&s->loop);
    s->store = NULL;
    memset(s->tables, 0, sizeof(s->tables));
    memset(s->hosts, 0, sizeof(s->hosts));
    s->host_count = 0;
}

static void remove_state(const struct scene *s)
{
    static const char *const files[] = { "state.db", "state.db-wal", "state.db-shm", "lock", "" };
    char path[1200];

    if (s->folder[0] == '\0' || s->settings.state_dir[0] == '\0')
        return;
    for (unsigned i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), "%s/%s", s->settings.state_dir, files[i]);
        remove(path);
    }
}

void scene_end(struct scene *s)
{
    scene_close(s);
    if (s->redis_pid > 0)
        scene_stop_redis(s);
    remove_state(s);
    if (s->folder[0] != '\0') {
        unlink(s->socket);
        rmdir(s->folder);
    }
    free(s);
}
