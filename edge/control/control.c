/* control.c -- starts everything, carries mails between store and workers, takes everything down.
 *
 * Owns:    the control loop, the workers' threads, signals.
 * Thread:  control, which is the main thread.
 * Used by: cli/serve.c.
 * Not here: binding (listen.c), beginning to serve (takeover.c), ending gently (drain.c), the next edge
 *           (upgrade.c), what objects become of (publish.c), pages (admin_pages.c). */
#include "control/control.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/admin_pages.h"
#include "control/control_state.h"
#include "control/descriptors.h"
#include "control/listen.h"
#include "control/metrics.h"
#include "control/pid_file.h"
#include "module_host/chain.h"
#include "proxy/client_address.h"
#include "proxy/module_run.h"

#define EXIT_CANNOT_START 1
#define EXIT_CUT 1 /* a second signal */

static const int signal_numbers[CONTROL_SIGNALS] = { SIGTERM, SIGINT, SIGHUP, SIGUSR2 };

static void post_to_worker(void *owner, unsigned worker, struct mail *mail)
{
    struct control *c = owner;

    worker_post(c->workers[worker], mail);
}

static void tell_all(struct control *c, enum worker_mail kind)
{
    for (unsigned i = 0; i < c->worker_count; i++) {
        struct mail *mail = check_alloc(sizeof(*mail));

        mail->kind = kind;
        worker_post(c->workers[i], mail);
    }
}

static void on_lookup(struct control *c, struct lookup_mail *mail)
{
    if (c->workers != NULL)
        store_lookup(c->store, mail->worker, str_slice(mail->host, mail->host_len));
    free(mail);
}

static void on_confirmed(struct control *c, struct confirmation *confirmation)
{
    if (c->workers != NULL)
        store_confirmed(c->store, confirmation->number);
    free(confirmation);
}

static void free_ask(struct ask_mail *mail)
{
    ask_clear(&mail->ask);
    free(mail);
}

static void on_ask(struct control *c, struct ask_mail *mail)
{
    if (c->workers != NULL)
        store_ask(c->store, &mail->ask);
    else
        free_ask(mail);
}

static void on_asked(void *owner, struct ask *ask)
{
    struct control *c = owner;
    struct ask_mail *mail = LIST_ITEM(ask, struct ask_mail, ask);

    mail->mail.kind = WORKER_ASKED;
    if (c->workers != NULL)
        worker_post(c->workers[mail->worker], &mail->mail);
    else
        free_ask(mail);
}

static void on_mail(void *owner, struct mail *mail)
{
    struct control *c = owner;

    switch ((enum control_mail)mail->kind) {
    case CONTROL_LOOKUP:
        on_lookup(c, (struct lookup_mail *)mail);
        return;
    case CONTROL_RELEASED:
        publish_released(&c->publisher, (struct released_mail *)mail);
        return;
    case CONTROL_DRAINED:
        drain_worker_done(&c->drain);
        free(mail);
        return;
    case CONTROL_DUMPED:
        admin_pages_dumped((struct dump_mail *)mail);
        return;
    case CONTROL_CONFIRMED:
        on_confirmed(c, (struct confirmation *)mail);
        return;
    case CONTROL_ASK:
        on_ask(c, (struct ask_mail *)mail);
        return;
    case CONTROL_RATE:
        rates_ask(&c->rates, (struct rate_mail *)mail);
        return;
    }
    CHECK(!"a mail that control does not know");
}

static void on_changes(void *owner, struct changes *changes)
{
    struct control *c = owner;

    health_changes(c->health, changes);
    if (c->workers != NULL) {
        publish_changes(&c->publisher, changes);
        shares_changed(&c->shares);
    } else {
        publish_discard(&c->publisher, changes);
    }
}

/* A barrier is behind the bans that were written before it, too. */
static void on_confirm(void *owner, uint64_t number)
{
    struct control *c = owner;

    if (c->workers == NULL)
        return;
    if (bans_are_settled(&c->bans))
        publish_confirm(&c->publisher, number);
    else
        c->confirm_later = number;
}

static void on_bans_settled(void *owner)
{
    struct control *c = owner;

    if (c->confirm_later != 0 && c->workers != NULL)
        publish_confirm(&c->publisher, c->confirm_later);
    c->confirm_later = 0;
}

static void publish_banned(void *owner, struct banned *banned)
{
    struct control *c = owner;

    for (unsigned i = 0; i < c->worker_count; i++) {
        struct banned_mail *mail = check_alloc(sizeof(*mail));

        mail->mail.kind = WORKER_BANNED;
        mail->banned = banned;
        worker_post(c->workers[i], &mail->mail);
    }
}

static void on_shared(void *owner, struct str key)
{
    struct control *c = owner;

    bans_changed(&c->bans, key);
    if (key.len == 0)
        health_shared_changed(c->health, key);
    else if (str_starts_with(key, STR("health:")))
        health_shared_changed(c->health, str_slice(key.ptr + 7, key.len - 7));
}

static void on_facts(void *owner, struct store_facts *facts)
{
    struct control *c = owner;
    struct metrics m = { 0 };

    if (c->workers == NULL)
        return;
    for (unsigned i = 0; i < c->worker_count; i++)
        metrics_add(&m, worker_counters(c->workers[i]));
    metrics_facts(&m, facts);
    facts->draining = drain_is_on(&c->drain);
}

static void on_signal(void *owner, int number)
{
    struct control *c = owner;

    if (number == SIGHUP) {
        if (c->access_log != NULL)
            access_log_reopen(c->access_log);
        return;
    }
    if (number == SIGUSR2) {
        upgrade_begin(c);
        return;
    }
    if (drain_is_on(&c->drain)) {
        log_line(LOG_WARN, "cut", "reason=\"a second signal\"");
        _exit(EXIT_CUT);
    }
    upgrade_abort(c);
    notify_say(&c->notify, "STOPPING=1");
    drain_begin(&c->drain);
}

/* Our own hold on the sockets goes first: with the workers' the queues end, if nobody else has them. */
static void tell_workers_to_drain(void *owner, bool handed_over)
{
    struct control *c = owner;

    listen_close(&c->listen);
    health_leave(c->health, !handed_over);
    tell_all(c, handed_over ? WORKER_HAND_OVER : WORKER_DRAIN);
}

static void tell_workers_to_cut(void *owner)
{
    tell_all(owner, WORKER_CUT);
}

static void on_left(void *owner)
{
    loop_stop(&((struct control *)owner)->loop);
}

static void on_drain_over(void *owner, unsigned left)
{
    struct control *c = owner;

    (void)left;
    shares_leave(&c->shares);
    store_leave(c->store, on_left, c);
}

static void tell_workers_of_names(void *owner)
{
    struct control *c = owner;

    if (c->workers != NULL)
        tell_all(c, WORKER_NAMES);
}

static const struct drain_events drain_events = { .tell_workers = tell_workers_to_drain,
                                                  .cut_requests = tell_workers_to_cut,
                                                  .over = on_drain_over };

static void start_loop(struct control *c)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    sigaction(SIGPIPE, &ignore, NULL);
    loop_init(&c->loop);
    for (unsigned i = 0; i < CONTROL_SIGNALS; i++)
        signal_watch_open(&c->signals[i], &c->loop, signal_numbers[i], on_signal, c);
    mailbox_open(&c->box, &c->loop, on_mail, c);
    drain_init(&c->drain, &c->loop, c->settings, &drain_events, c);
    list_init(&c->gathers);
}

static void start_workers(struct control *c)
{
    guard_init(&c->guard, c->settings);
    c->shared.settings = c->settings;
    c->shared.guard = &c->guard;
    c->shared.trust = c->trust = client_trust_new(c->settings);
    c->shared.modules = c->registry;
    c->shared.control = &c->box;
    c->shared.access_log = c->access_log;
    atomic_init(&c->shared.client_room, (int)c->settings->max_connections);
    c->worker_count = c->settings->workers;
    c->workers = check_alloc(c->worker_count * sizeof(*c->workers));
    c->shared.workers = c->workers;
    pthread_barrier_init(&c->shared.stopped, NULL, c->worker_count);
    publish_open(&c->publisher, c->worker_count, post_to_worker, c);
    for (unsigned i = 0; i < c->worker_count; i++)
        c->workers[i] = worker_start(&c->shared, i);
}

static void stop_workers(struct control *c)
{
    tell_all(c, WORKER_STOP);
    c->rates.store = NULL;
    for (unsigned i = 0; i < c->worker_count; i++)
        worker_join(c->workers[i]);
    pthread_barrier_destroy(&c->shared.stopped);
    free(c->workers);
    c->workers = NULL;
    mailbox_close(&c->box); /* with what they still had to say */
}

static void stop_all(struct control *c)
{
    takeover_close(c);
    upgrade_abort(c);
    notify_close(&c->notify);
    admin_pages_close(c);
    if (c->admin != NULL)
        admin_http_close(c->admin);
    else if (c->listen.admin >= 0)
        close(c->listen.admin);
    listen_close(&c->listen);
    bans_close(&c->bans);
    health_close(c->health);
    names_close(c->names);
    shares_close(&c->shares);
    stop_workers(c);
    admin_pages_free(c);
    store_close(c->store);
    loop_run(&c->loop); /* until all that was closed has closed */
    publish_close(&c->publisher);
    bans_free(&c->bans);
    health_free(c->health);
    store_free(c->store);
    if (c->admin != NULL)
        admin_http_free(c->admin);
    for (unsigned i = 0; i < CONTROL_SIGNALS; i++)
        signal_watch_close(&c->signals[i]);
    loop_close(&c->loop);
    if (c->access_log != NULL)
        access_log_close(c->access_log);
    client_trust_free(c->trust);
}

static void on_let_go(void *owner)
{
    upgrade_let_go(owner);
}

static void serve(struct control *c, int old_edge)
{
    struct store_events events = { .owner = c,
                                   .on_changes = on_changes,
                                   .confirm = on_confirm,
                                   .facts = on_facts,
                                   .on_asked = on_asked,
                                   .on_shared = on_shared,
                                   .let_go = on_let_go };
    struct bans_events bans = { c, publish_banned, on_bans_settled };
    struct names_events names_events = { .tell_workers = tell_workers_of_names, .owner = c };
    uint64_t began = clock_now_ms();

    start_loop(c);
    start_workers(c);
    bans_open(&c->bans, &c->loop, c->worker_count, &bans);
    c->rates.edge = str_from(c->settings->name);
    c->store = store_open(&c->loop, c->settings, &c->guard, &c->modules, &events);
    c->rates.store = c->store;
    bans_use(&c->bans, c->store, c->settings->state_dir);
    shares_open(&c->shares, &c->loop, c->store, &c->shared, c->worker_count,
                str_from(c->settings->name));
    c->health = health_open(&c->loop, c->settings, &c->guard, c->store);
    c->names = names_open(&c->loop, c->settings, c->store, &names_events);
    upgrade_init(c);
    notify_open(&c->notify, &c->loop);
    takeover_begin(c, old_edge);
    loop_run(&c->loop);
    stop_all(c);
    pid_file_remove(c->settings->pid_file);
    log_line(LOG_INFO, "ended", "seconds=%llu",
             (unsigned long long)(clock_now_ms() - began) / 1000);
}

/* NULL: one of them cannot be run; why is in the log. */
static struct module_registry *open_modules(const struct settings *s)
{
    struct buf why = { 0 };
    struct module_registry *r = registry_open(s, &why);
    char text[600];

    if (r == NULL)
        log_line(LOG_ERROR, "cannot_start", "module=%s",
                 log_quote(str_slice(why.ptr, why.len), text, sizeof(text)));
    for (size_t i = 0; r != NULL && i < registry_count(r); i++)
        if (registry_at(r, i)->library != NULL)
            log_line(LOG_INFO, "module_loaded", "module=%s version=%s from=%s",
                     registry_at(r, i)->module.name,
                     log_quote(str_from(registry_at(r, i)->module.version), text, 64),
                     registry_at(r, i)->from);
    buf_free(&why);
    return r;
}

/* What it is to listen at: handed over, or bound. False: it cannot start, which is logged. */
static bool open_sockets(struct settings *s, struct listen_fds *listen, int *old_edge)
{
    struct inherited from;
    char error[INHERITED_ERROR_SIZE];
    bool good;

    if (!inherited_take(&from, error)) {
        log_line(LOG_ERROR, "cannot_start", "reason=\"%s\"", error);
        return false;
    }
    *old_edge = from.old_edge;
    good = listen_open(listen, s, &from);
    inherited_free(&from);
    return good;
}

int control_run(struct settings *s)
{
    struct control *c;
    struct listen_fds listen;
    const char *error = NULL;
    struct access_log *access_log;
    struct module_registry *registry;
    int old_edge = -1;

    log_set_level(s->log_level);
    descriptors_prepare(s);
    registry = open_modules(s);
    if (registry == NULL)
        return EXIT_CANNOT_START;
    access_log = access_log_open(s, &error);
    if (error != NULL)
        log_line(LOG_ERROR, "cannot_start", "access_log=%s reason=\"%s\"", s->access_log_file,
                 error);
    if (error != NULL || !open_sockets(s, &listen, &old_edge)) {
        if (access_log != NULL)
            access_log_close(access_log);
        registry_free(registry);
        return EXIT_CANNOT_START;
    }
    c = check_alloc(sizeof(*c));
    c->settings = s;
    c->access_log = access_log;
    c->registry = registry;
    c->listen = listen;
    module_host_init(&c->modules, c->registry, str_from(s->prefix), &modules_host);
    c->modules.settings = s;
    c->modules.pool = chain_pool_new();
    serve(c, old_edge);
    chain_pool_free(c->modules.pool);
    registry_free(c->registry);
    free(c);
    return 0;
}
