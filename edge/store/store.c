/* store.c -- puts the parts together: two links, the mirror, rounds, lookups.
 *
 * Owns:    all of them, and the open changes.
 * Thread:  control
 * Used by: control/publish.c, control/admin_pages.c, main.c.
 * Not here: what workers do with changes (proxy/sites.c). */
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/state.h"

struct changes *store_changes(struct store *s)
{
    if (s->open == NULL)
        s->open = changes_new(++s->round);
    loop_at_turn_end(s->loop, &s->flush);
    return s->open;
}

void store_flush(struct store *s)
{
    struct changes *c = s->open;

    if (c == NULL)
        return;
    s->open = NULL;
    if (changes_is_empty(c))
        changes_free(c);
    else
        s->events.on_changes(s->events.owner, c);
}

static void on_flush(struct turn_end *end)
{
    struct store *s = LIST_ITEM(end, struct store, flush);

    errors_flush(s);
    store_flush(s);
}

/* --- the reading link --- */

static const char *quoted(const char *text, char to[200])
{
    return log_quote(str_from(text), to, 200);
}

/* What every host is under: the defaults, in the first round, before any host is answered; and the
 * key that every unknown host asks for. When they have been read, the rest can be too. */
static void read_first(struct store *s)
{
    struct record *star = mirror_get(&s->mirror, FAMILY_host, STR("*"));

    sync_want(s, mirror_get(&s->mirror, FAMILY_defaults, STR("")), QUEUE_WANTED);
    star->wanted = true;
    sync_want(s, star, QUEUE_WANTED);
}

static void on_reader_up(void *owner)
{
    struct store *s = owner;

    s->status.up = true;
    if (redis_link_ups(s->reader) > 1)
        s->status.reconnects++;
    s->status.serves_copy = false;
    verify_begin(s);
    barrier_look_again(s);
    errors_look_again(s);
    read_first(s);
    lookups_start(s);
    calls_all_changed(s);
}

/* Said when something could be read: a Redis that greets and then refuses is not up. */
void store_has_read(struct store *s)
{
    s->status.ever_synced = true;
    if (s->up_logged)
        return;
    s->up_logged = true;
    s->failure_logged = false;
    log_line(LOG_INFO, "store_up", "reconnects=%llu", (unsigned long long)s->status.reconnects);
}

/* The first attempt has failed: those who ask are told so, or served from the disk copy, once it is
 * open, and Redis had a while to come. */
static void start_without_redis(struct store *s)
{
    if (!s->starting || !copy_is_settled(s->copy))
        return;
    if (copy_is_ready(s->copy)) {
        if (timer_is_set(&s->start_wait))
            return;
        log_line(LOG_WARN, "state_serves", "reason=\"Redis is not reached\"");
        s->status.serves_copy = true;
        read_first(s);
    } else if (!s->failed_once) {
        return;
    }
    lookups_start(s);
}

static void on_start_wait(struct timer *t)
{
    start_without_redis(LIST_ITEM(t, struct store, start_wait));
}

/* Once, not for each attempt. */
static void on_reader_failed(void *owner, const char *reason)
{
    struct store *s = owner;
    char text[200];

    if (!s->failure_logged)
        log_line(LOG_WARN, "store_down", "reason=%s", quoted(reason, text));
    s->failure_logged = true;
    s->up_logged = false;
    s->failed_once = true;
    start_without_redis(s);
}

static void on_reader_down(void *owner, const char *reason)
{
    struct store *s = owner;

    s->status.up = false;
    on_reader_failed(s, reason);
    verify_suspect_all(s);
    sync_abort(s);
    barrier_link_down(s);
}

static void on_reader_push(void *owner, const redisReply *push)
{
    sync_push(owner, push);
}

static void on_reader_read(void *owner)
{
    sync_was_read(owner);
}

/* --- the writing link --- */

static void on_writer_up(void *owner)
{
    struct store *s = owner;

    errors_link_up(s);
    barrier_writer_up(s);
    history_writer_up(s);
    flights_try_now(&s->asks.flights);
    flights_try_now(&s->calls);
    presence_announce(s);
}

static void ignore_reason(void *owner, const char *reason)
{
    (void)owner;
    (void)reason;
}

static void ignore_push(void *owner, const redisReply *push)
{
    (void)owner;
    (void)push;
}

static void ignore_read(void *owner)
{
    (void)owner;
}

/* --- the disk copy --- */

static void on_copy_opened(void *owner, struct names *names, const struct disk_facts *facts)
{
    scan_copy_opened(owner, names, facts);
    recall_copy_settled(owner);
    start_without_redis(owner);
}

static void on_copy_failed(void *owner)
{
    scan_copy_failed(owner);
    recall_copy_settled(owner);
    start_without_redis(owner);
}

static void on_copy_behind(void *owner)
{
    scan_copy_behind(owner);
}

static void on_copy_answered(void *owner, struct copy_request *r)
{
    recall_answered(owner, r);
}

static void on_copy_walked(void *owner, struct copy_walk *w)
{
    scan_walked(owner, w);
}

static void on_copy_let_go(void *owner)
{
    struct store *s = owner;

    s->events.let_go(s->events.owner);
}

static void open_copy(struct store *s)
{
    struct copy_events events = { s,
                                  on_copy_opened,
                                  on_copy_failed,
                                  on_copy_behind,
                                  on_copy_answered,
                                  on_copy_walked,
                                  on_copy_let_go };

    if (s->settings->state_dir[0] == '\0')
        return;
    s->copy = copy_open(s->loop, s->settings->state_dir, s->prefix, &events);
    timer_set(s->loop, &s->start_wait, s->settings->start_wait_ms);
}

/* --- what others call --- */

static void on_stale(void *owner, bool stale)
{
    struct store *s = owner;

    if (stale)
        verify_suspect_all(s);
    else if (s->status.up)
        verify_begin(s);
}

static void open_links(struct store *s)
{
    struct topology_events events = { s, on_stale };
    struct redis_link_options o = { .loop = s->loop,
                                    .url = &s->settings->redis,
                                    .guard = s->guard,
                                    .use = LINK_READS,
                                    .client_name = s->client_name,
                                    .tracking = true,
                                    .prefix = s->prefix };
    struct redis_link_events reader = {
        s, on_reader_up, on_reader_down, on_reader_failed, on_reader_push, on_reader_read
    };
    struct redis_link_events writer = { s,           on_writer_up, ignore_reason, ignore_reason,
                                        ignore_push, ignore_read };

    s->topology = o.topology = topology_open(s->loop, s->settings, s->guard, &s->status, &events);
    s->reader = redis_link_open(&o, &reader);
    o.tracking = false;
    o.use = LINK_WRITES;
    s->writer = redis_link_open(&o, &writer);
    topology_use(s->topology, LINK_READS, s->reader);
    topology_use(s->topology, LINK_WRITES, s->writer);
}

struct store *store_open(struct loop *l, const struct settings *settings, struct guard *guard,
                         const struct module_host *modules, const struct store_events *e)
{
    struct store *s = check_alloc(sizeof(*s));

    s->loop = l;
    s->settings = settings;
    s->guard = guard;
    s->modules = modules;
    s->events = *e;
    s->prefix = str_from(settings->prefix);
    snprintf(s->client_name, sizeof(s->client_name), "usher-%s", settings->name);
    turn_end_init(&s->flush, on_flush);
    states_init(&s->states);
    s->states.lane_count = settings->workers;
    mirror_init(&s->mirror, &s->status);
    sync_init(s);
    lookups_init(s);
    asks_init(s);
    calls_init(s);
    verify_init(s);
    errors_init(s);
    barrier_init(s);
    presence_init(s);
    scan_init(s);
    recall_init(s);
    timer_init(&s->start_wait, on_start_wait);
    history_init(s);
    s->starting = true;
    open_copy(s);
    open_links(s);
    return s;
}

void store_lookup(struct store *s, unsigned worker, struct str host)
{
    if (host.len > 0 && host.len <= HOST_MAX_BYTES)
        lookups_ask(s, worker, host);
}

void store_ask(struct store *s, struct ask *ask)
{
    asks_ask(s, ask);
}

bool store_fetch(struct store *s, enum family family, struct str name, struct buf *value)
{
    const struct record *r = mirror_find(&s->mirror, family, name);
    struct str raw = r != NULL ? mirror_raw(r) : str_slice(NULL, 0);

    if (raw.ptr == NULL)
        return (r == NULL || !r->known) && copy_fetch(s->copy, family, name, value);
    buf_add_str(value, raw);
    return true;
}

/* Not held: what the set of all names says, and the copy on disk. */
static bool look_beside(struct store *s, enum family family, struct str name,
                        struct store_record *record)
{
    struct buf copied = { 0 };
    bool complete = redis_link_is_up(s->reader) ? s->scan.complete : s->scan.was_complete;

    *record = (struct store_record){ .present = false };
    if (complete && !names_has(&s->names, family, name))
        return true;
    record->present = record->good = copy_fetch(s->copy, family, name, &copied);
    buf_free(&copied);
    return record->good;
}

bool store_look(struct store *s, enum family family, struct str name, struct store_record *record)
{
    const struct record *r = mirror_find(&s->mirror, family, name);

    if (r == NULL || !r->known)
        return look_beside(s, family, name, record);
    *record = (struct store_record){ .present = r->present,
                                     .good = r->present && mirror_raw(r).ptr != NULL,
                                     .error = r->bad ? r->error : NULL };
    return true;
}

struct states *store_states(struct store *s)
{
    return &s->states;
}

struct str store_prefix(const struct store *s)
{
    return s->prefix;
}

void store_confirmed(struct store *s, uint64_t number)
{
    barrier_confirmed(s, number);
}

void store_silence(struct store *s, bool silent)
{
    presence_silence(s, silent);
    if (!silent)
        barrier_writer_up(s);
}

void store_let_go(struct store *s)
{
    if (s->copy != NULL)
        copy_let_go(s->copy);
    else
        s->events.let_go(s->events.owner);
}

void store_take_back(struct store *s)
{
    if (s->copy != NULL)
        copy_take_back(s->copy);
}

void store_leave(struct store *s, void (*left)(void *owner), void *owner)
{
    presence_leave(s, left, owner);
}

void store_tell_names(struct store *s,
                      void (*on_name)(void *owner, struct name_state *name, bool used), void *owner)
{
    states_tell_names(&s->states, on_name, owner);
}

const struct store_status *store_status(struct store *s)
{
    return &s->status;
}

void store_topology(struct store *s, bool drawn, struct buf *to)
{
    const struct topology_view *v = topology_see(s->topology);

    if (drawn)
        topology_draw(v, to);
    else
        topology_write_json(v, to);
}

bool store_accept(struct store *s)
{
    return verify_accept(s);
}

void store_copy_status(struct store *s, struct copy_status *to)
{
    copy_status(s->copy, to);
}

void store_close(struct store *s)
{
    topology_close(s->topology);
    s->closing = true;
    redis_link_close(s->reader);
    redis_link_close(s->writer);
    flights_close(&s->asks.flights);
    flights_close(&s->calls);
    sync_abort(s);
    verify_free(s);
    presence_free(s);
    timer_stop(&s->start_wait);
    timer_stop(&s->errors.again);
    timer_stop(&s->scan.tick);
    copy_close(s->copy);
    turn_end_cancel(&s->flush);
}

void store_free(struct store *s)
{
    if (s->open != NULL)
        changes_free(s->open);
    copy_free(s->copy);
    scan_free(s);
    recall_free(s);
    sync_free(s);
    lookups_free(s);
    errors_free(s);
    barrier_free(s);
    history_free(s);
    mirror_free(&s->mirror);
    states_free(&s->states);
    redis_link_free(s->reader);
    redis_link_free(s->writer);
    flights_free(&s->asks.flights);
    flights_free(&s->calls);
    topology_free(s->topology);
    free(s);
}
