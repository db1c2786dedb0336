/* worker.c -- a worker thread: its loop, its listeners, its mails.
 *
 * Owns:    everything in struct worker.
 * Thread:  worker_start, worker_post, worker_counters, worker_join: control; the rest: its own.
 * Used by: control.c.
 * Not here: what a connection does (session.c); what its dumps look like (worker_dump.c). */
#include "proxy/worker.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "http/serializer.h"
#include "module_host/crash.h"
#include "proxy/access_line.h"
#include "proxy/client_address.h"
#include "proxy/module_run.h"
#include "proxy/places.h"
#include "proxy/queue.h"
#include "proxy/reply.h"
#include "proxy/session.h"
#include "proxy/tunnel.h"
#include "proxy/worker_dump.h"
#include "proxy/worker_state.h"

/* Just under four of loopback's largest segments (65,483 bytes): what is read at once is written at
 * once, and 256 KiB would leave as four large segments and a tiny one. 1 MiB bodies then cost a
 * quarter more CPU; elsewhere it makes no difference. */
#define READ_BUFFER_BYTES (252 * 1024)
/* A head of the largest size, a few interim ones before it, and what we add. */
#define HEAD_ROOM(limit) ((limit) * 2 + SERIALIZER_ROOM)
#define PAUSE_LINE_EVERY_MS 5000

struct str worker_date(struct worker *w)
{
    uint64_t second = loop_now_ms(&w->loop) / 1000;

    if (second != w->date_second || w->date[0] == '\0') {
        time_t now = time(NULL);
        struct tm utc;

        gmtime_r(&now, &utc);
        strftime(w->date, sizeof(w->date), "%a, %d %b %Y %H:%M:%S GMT", &utc);
        w->date_second = second;
    }
    return str_from(w->date);
}

static bool has_room(void *owner)
{
    struct worker *w = owner;

    return atomic_load_explicit(&w->shared->client_room, memory_order_relaxed) > 0;
}

static void on_accepted(void *owner, int fd, const struct address *client)
{
    struct worker *w = owner;

    if (w->banned != NULL && client_is_banned(w, client)) {
        listener_refuse(fd);
        counter_add(&w->counters->clients_refused[CLIENT_BANNED], 1);
        return;
    }
    if (w->pause_told) {
        w->pause_told = false;
        log_line(LOG_INFO, "accept_resumed", "worker=%u", w->index);
    }
    atomic_fetch_sub_explicit(&w->shared->client_room, 1, memory_order_relaxed);
    session_open(w, fd, client);
}

/* A full edge pauses and resumes at each connection: one line in a while tells it. */
static void on_accept_paused(void *owner, const char *reason)
{
    struct worker *w = owner;
    uint64_t now_ms = loop_now_ms(&w->loop);

    counter_add(&w->counters->accept_pauses, 1);
    w->accept_paused = true;
    if (w->pause_logged_ms != 0 && now_ms - w->pause_logged_ms < PAUSE_LINE_EVERY_MS)
        return;
    w->pause_logged_ms = now_ms;
    w->pause_told = true;
    log_line(LOG_WARN, "accept_paused", "worker=%u reason=%s", w->index, reason);
}

static const struct listener_events listener_events = {
    .room = has_room,
    .accepted = on_accepted,
    .paused = on_accept_paused,
};

static void resume_accepting(struct worker *w)
{
    if (!w->accept_paused)
        return;
    w->accept_paused = false;
    for (unsigned i = 0; i < w->listener_count; i++)
        listener_resume(&w->listeners[i]);
}

static void tell_drained(struct worker *w)
{
    struct drained_mail *mail;

    if (!w->draining || w->drained || w->session_count > 0 || w->subrequest_count.all > 0)
        return;
    w->drained = true;
    mail = check_alloc(sizeof(*mail));
    mail->mail.kind = CONTROL_DRAINED;
    mail->worker = w->index;
    mailbox_post(w->shared->control, &mail->mail);
}

void worker_session_gone(struct worker *w)
{
    w->session_count--;
    counter_sub(&w->counters->clients_open, 1);
    atomic_fetch_add_explicit(&w->shared->client_room, 1, memory_order_relaxed);
    resume_accepting(w);
    tell_drained(w);
}

void worker_subrequest_gone(struct worker *w)
{
    tell_drained(w);
}

static void begin_accepting(struct worker *w, struct accept_mail *mail)
{
    CHECK(w->listeners == NULL);
    if (!w->draining) {
        w->listener_count = mail->count;
        w->listeners = check_alloc((mail->count + 1) * sizeof(*w->listeners));
    }
    for (unsigned i = 0; i < mail->count; i++)
        if (w->draining)
            close(mail->fds[i]);
        else
            listener_open(&w->listeners[i], &w->loop, mail->fds[i], &listener_events, w);
    free(mail->fds);
    free(mail);
}

static void drain(struct worker *w, bool handed_over)
{
    w->draining = true;
    w->handed_over = handed_over;
    timer_set(&w->loop, &w->tunnel_limit, w->settings->tunnel_drain_ms);
    for (unsigned i = 0; i < w->listener_count; i++)
        listener_close(&w->listeners[i], !handed_over);
    LIST_EACH (node, after, &w->sessions)
        session_drain(LIST_ITEM(node, struct session, node));
    if (handed_over)
        places_trim(w, NULL);
    tell_drained(w);
}

static void on_tunnel_limit(struct timer *t)
{
    tunnels_finish_all(LIST_ITEM(t, struct worker, tunnel_limit), TUNNEL_DRAIN);
}

static void cut_requests(struct worker *w)
{
    LIST_EACH (node, after, &w->sessions) {
        struct session *s = LIST_ITEM(node, struct session, node);

        if (s->phase != SESSION_TUNNEL)
            session_cut(s, FAULT_drain_cut);
    }
    modules_cut_subrequests(w);
}

/* What still runs is cut; then the loop has nothing left and ends. */
static void stop(struct worker *w)
{
    w->draining = w->drained = true;
    for (unsigned i = 0; i < w->listener_count; i++)
        listener_close(&w->listeners[i], false);
    LIST_EACH (node, after, &w->sessions)
        session_cut(LIST_ITEM(node, struct session, node), FAULT_drain_cut);
    modules_cut_subrequests(w);
    timer_stop(&w->tunnel_limit);
    upstream_pool_close_all(&w->pool);
    places_close_all(w);
    w->stopping = true;
    loop_stop(&w->loop);
}

/* Mails come in order: what was posted before it is applied. */
static void confirm(struct worker *w, struct confirm_mail *mail)
{
    struct confirmation *c = mail->confirmation;

    free(mail);
    if (atomic_fetch_sub_explicit(&c->workers_left, 1, memory_order_acq_rel) > 1)
        return;
    c->mail.kind = CONTROL_CONFIRMED;
    mailbox_post(w->shared->control, &c->mail);
}

static void apply(struct worker *w, struct changes *changes)
{
    bool services = false;

    for (size_t i = 0; i < changes->swap_count && !services; i++)
        services = changes->swaps[i].kind == OBJECT_SERVICE;
    if (services)
        tunnels_look_at_changes(w, changes);
    sites_apply(&w->sites, changes);
    if (services)
        queue_services_changed(w);
}

static void on_mail(void *owner, struct mail *mail)
{
    struct worker *w = owner;
    struct changes_mail *changes;

    switch ((enum worker_mail)mail->kind) {
    case WORKER_CHANGES:
        changes = LIST_ITEM(mail, struct changes_mail, mail);
        apply(w, changes->changes);
        free(changes);
        break;
    case WORKER_ACCEPT:
        begin_accepting(w, LIST_ITEM(mail, struct accept_mail, mail));
        break;
    case WORKER_BANNED:
        client_ban(w, LIST_ITEM(mail, struct banned_mail, mail)->banned);
        free(mail);
        break;
    case WORKER_DRAIN:
    case WORKER_HAND_OVER:
        drain(w, mail->kind == WORKER_HAND_OVER);
        free(mail);
        break;
    case WORKER_CUT:
        cut_requests(w);
        free(mail);
        break;
    case WORKER_STOP:
        stop(w);
        free(mail);
        break;
    case WORKER_CONFIRM:
        confirm(w, LIST_ITEM(mail, struct confirm_mail, mail));
        break;
    case WORKER_DUMP:
        worker_dump(w, LIST_ITEM(mail, struct dump_mail, mail));
        mail->kind = CONTROL_DUMPED;
        mailbox_post(w->shared->control, mail);
        break;
    case WORKER_ASKED:
        module_ask_answered(w, LIST_ITEM(mail, struct ask_mail, mail));
        break;
    case WORKER_QUEUE:
        queue_mailed(w, LIST_ITEM(mail, struct queue_mail, mail));
        break;
    case WORKER_NAMES:
        locate_names_changed(w);
        free(mail);
        break;
    }
}

static void on_reap(struct turn_end *end)
{
    exchange_reap(LIST_ITEM(end, struct worker, reap));
}

static void on_access_flush(struct turn_end *end)
{
    access_line_flush(LIST_ITEM(end, struct worker, access_flush));
}

static void free_exchanges(struct list *exchanges)
{
    struct list *node;

    while ((node = list_take_first(exchanges)) != NULL) {
        struct exchange *x = LIST_ITEM(node, struct exchange, node);

        head_free(&x->request);
        head_free(&x->response);
        free(x);
    }
}

static void *thread_main(void *arg)
{
    struct worker *w = arg;

    crash_watch_thread();
    loop_run(&w->loop);
    CHECK(w->stopping);
    pthread_barrier_wait(&w->shared->stopped);
    mailbox_close(&w->box);
    loop_close(&w->loop);
    exchange_reap(w);
    CHECK(list_is_empty(&w->running));
    free_exchanges(&w->spare);
    modules_free_spare(w);
    banned_let_go(w->banned);
    return NULL;
}

static void prepare(struct worker *w)
{
    const struct settings *s = w->settings;
    size_t head_room = (size_t)HEAD_ROOM(s->max_head_bytes);

    loop_init(&w->loop);
    mailbox_open(&w->box, &w->loop, on_mail, w);
    w->read_buffer = (struct conn_read_buffer){ check_alloc(READ_BUFFER_BYTES), READ_BUFFER_BYTES };
    gather_init(&w->to_client, head_room);
    gather_init(&w->to_upstream,
                head_room + 6 * (size_t)s->max_url_bytes); /* FastCGI says it again */
    locate_init(w);
    w->limits = (struct parser_limits){ .head_bytes = s->max_head_bytes,
                                        .header_count = s->max_header_count,
                                        .url_bytes = s->max_url_bytes };
    sites_init(&w->sites, &w->loop, w->shared, w->counters, w->index);
    upstream_pool_init(&w->pool);
    queue_init(w);
    module_watch_init(&w->modules, w->shared->modules);
    list_init(&w->spare_runs);
    list_init(&w->subrequests);
    module_asks_init(w);
    random_init(&w->random);
    w->route_scratch = route_scratch_new();
    w->path_form = check_alloc(4 * (size_t)s->max_url_bytes + 1);
    list_init(&w->sessions);
    tunnels_init(w);
    timer_init(&w->tunnel_limit, on_tunnel_limit);
    list_init(&w->running);
    list_init(&w->ended);
    list_init(&w->spare);
    turn_end_init(&w->reap, on_reap);
    turn_end_init(&w->access_flush, on_access_flush);
}

struct worker *worker_start(struct worker_shared *shared, unsigned index)
{
    struct worker *w = check_alloc(sizeof(*w));

    w->shared = shared;
    w->settings = shared->settings;
    w->index = index;
    w->counters = check_alloc(sizeof(*w->counters));
    prepare(w);
    CHECK(pthread_create(&w->thread, NULL, thread_main, w) == 0);
    return w;
}

void worker_post(struct worker *w, struct mail *mail)
{
    mailbox_post(&w->box, mail);
}

const struct counters *worker_counters(const struct worker *w)
{
    return w->counters;
}

const struct module_watch *worker_modules(const struct worker *w)
{
    return &w->modules;
}

void worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
    tunnels_free(w);
    sites_free(&w->sites);
    upstream_pool_free(&w->pool);
    gather_free(&w->to_client);
    gather_free(&w->to_upstream);
    free(w->read_buffer.ptr);
    route_scratch_free(w->route_scratch);
    free(w->path_form);
    free(w->listeners);
    free(w->file_room);
    replies_free(w);
    buf_free(&w->access_lines);
    module_watch_free(&w->modules);
    module_asks_free(w);
    free(w->counters);
    free(w);
}
