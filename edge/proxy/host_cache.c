/* host_cache.c -- host -> site, for the hosts this worker has seen; and who waits for the others.
 *
 * Owns:    the entries, three bounded clocks of them; the waiting lists.
 * Thread:  its worker.
 * Used by: sites.c, exchange.c (through sites_find).
 * Not here: the sites themselves (slots, in sites.c). */
#include "proxy/host_cache.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/check.h"
#include "net/loop.h"

#define UNKNOWN_MOST 65536
#define SUFFIXES_MOST 4096
#define ASKED_MOST 10000
#define ANSWER_GRACE_MS 500 /* control answers within --lookup-timeout; this is for a lost thread */

/* "*.shop.example" came or went when the clock stood at `changed`. */
struct suffix {
    uint64_t hash;
    uint32_t changed;
    uint8_t len;
    char text[];
};

struct asked_host {
    struct list waiters;
    struct timer timer;
    struct sites *sites;
    uint64_t hash;
    uint8_t host_len;
    char host[];
};

static bool suffix_has_text(const void *value, struct str key)
{
    const struct suffix *x = value;

    return x->len == key.len && memcmp(x->text, key.ptr, key.len) == 0;
}

static bool asked_has_host(const void *value, struct str key)
{
    const struct asked_host *a = value;

    return a->host_len == key.len && memcmp(a->host, key.ptr, key.len) == 0;
}

void host_cache_init(struct sites *s)
{
    map_init(&s->suffixes, suffix_has_text);
    map_init(&s->asked, asked_has_host);
    s->clocks[HOST_EXACT].most = s->shared->settings->worker_hosts;
    s->clocks[HOST_WILDCARD].most = s->shared->settings->worker_hosts;
    s->clocks[HOST_UNKNOWN].most = UNKNOWN_MOST;
}

static void free_values(struct map *m)
{
    void *value;

    for (size_t at = 0; (value = map_next(m, &at)) != NULL;)
        free(value);
    map_free(m);
}

void host_cache_free(struct sites *s)
{
    host_table_free(&s->hosts);
    free_values(&s->suffixes);
    free_values(&s->asked);
}

static void drop(struct sites *s, struct host_line *line)
{
    s->clocks[line->kind].count--;
    host_table_remove(&s->hosts, line);
    counter_sub(&s->counters->hosts_held, 1);
}

/* Second chance: who was used since the hand came by last stays for another round. */
static void make_room(struct sites *s, enum host_kind kind)
{
    struct host_clock *clock = &s->clocks[kind];

    while (clock->count >= clock->most) {
        struct host_line *line = host_table_next(&s->hosts, &clock->hand);

        if (line == NULL)
            clock->hand = 0; /* around */
        else if (line->kind == kind && line->used)
            line->used = false;
        else if (line->kind == kind)
            drop(s, line);
    }
}

/* Is the site that the line names still in its slot? */
static bool holds(const struct sites *s, struct slot_ref ref)
{
    const struct slot *slot;

    if (ref.slot >= s->rooms[OBJECT_SITE])
        return false;
    slot = &s->slots[OBJECT_SITE][ref.slot];
    return slot->object != NULL && slot->generation == ref.generation;
}

/* A host that is in use is looked at once per tick. */
static void touch(struct sites *s, struct host_line *line)
{
    unsigned tick = object_tick(loop_now_ms(s->loop));

    if (line->tick == (uint8_t)tick)
        return;
    line->tick = (uint8_t)tick;
    atomic_store_explicit(host_table_side(&s->hosts, line)->used, tick, memory_order_relaxed);
}

static void remember(struct sites *s, struct str host, enum host_kind kind, struct slot_ref site,
                     slot_tick *used)
{
    struct map_print print = map_print_of(host);
    struct host_line *line = host_table_find(&s->hosts, print);

    if (line != NULL)
        drop(s, line);
    make_room(s, kind);
    line = host_table_add(&s->hosts, print, host);
    line->site = site;
    host_table_side(&s->hosts, line)->used = used;
    line->born = s->suffix_clock;
    line->kind = (uint8_t)kind;
    line->tick = (uint8_t)(object_tick(loop_now_ms(s->loop)) - 1);
    if (kind != HOST_UNKNOWN)
        touch(s, line);
    s->clocks[kind].count++;
    counter_add(&s->counters->hosts_held, 1);
}

static bool suffix_changed_since(struct sites *s, struct str suffix, uint32_t born)
{
    const struct suffix *x = map_find(&s->suffixes, map_hash(suffix), suffix);

    return x != NULL && x->changed > born;
}

/* Did "*.parent" of one of the host's parents, or "*", come or go since the line was right? */
static bool is_outdated(struct sites *s, struct host_line *line, struct str host)
{
    char star[HOST_MAX_BYTES + 2];

    if (line->kind == HOST_EXACT)
        return false;
    if (line->born < s->suffix_floor ||
        (line->kind == HOST_UNKNOWN && line->born < s->unknown_floor))
        return true;
    if (line->born == s->suffix_clock)
        return false;
    if (suffix_changed_since(s, STR("*"), line->born))
        return true;
    for (size_t i = 1; i < host.len; i++) {
        if (host.ptr[i] != '.')
            continue;
        star[0] = '*';
        memcpy(star + 1, host.ptr + i, host.len - i);
        if (suffix_changed_since(s, str_slice(star, 1 + host.len - i), line->born))
            return true;
    }
    line->born = s->suffix_clock;
    return false;
}

static void wake(struct sites *s, struct asked_host *asked, enum sites_result result,
                 struct slot_ref site, enum fault fault)
{
    struct list *node;

    map_remove(&s->asked, asked->hash, asked);
    timer_stop(&asked->timer);
    counter_sub(&s->counters->waiting_lookups, 1);
    while ((node = list_take_first(&asked->waiters)) != NULL) {
        struct sites_waiter *w = LIST_ITEM(node, struct sites_waiter, node);

        w->on_answer(w, result, site, fault);
    }
    free(asked);
}

static void on_no_answer(struct timer *t)
{
    struct asked_host *asked = LIST_ITEM(t, struct asked_host, timer);

    wake(asked->sites, asked, SITES_BUSY, (struct slot_ref){ 0 }, FAULT_store_timeout);
}

static enum sites_result ask(struct sites *s, struct str host, struct sites_waiter *waiter)
{
    uint64_t hash = map_hash(host);
    struct asked_host *asked = map_find(&s->asked, hash, host);
    struct lookup_mail *mail;

    if (asked == NULL) {
        if (s->asked.count >= ASKED_MOST)
            return SITES_BUSY;
        asked = check_alloc(sizeof(*asked) + host.len);
        list_init(&asked->waiters);
        timer_init(&asked->timer, on_no_answer);
        timer_set(s->loop, &asked->timer, s->shared->settings->lookup_timeout_ms + ANSWER_GRACE_MS);
        asked->sites = s;
        asked->hash = hash;
        asked->host_len = (uint8_t)host.len;
        memcpy(asked->host, host.ptr, host.len);
        map_add(&s->asked, hash, asked);
        counter_add(&s->counters->waiting_lookups, 1);
        mail = check_alloc(sizeof(*mail));
        mail->mail.kind = CONTROL_LOOKUP;
        mail->worker = s->worker;
        mail->host_len = (uint8_t)host.len;
        memcpy(mail->host, host.ptr, host.len);
        mailbox_post(s->shared->control, &mail->mail);
    }
    list_append(&asked->waiters, &waiter->node);
    return SITES_WAIT;
}

void sites_fetch_line(const struct sites *s, struct map_print print)
{
    host_table_fetch(&s->hosts, print);
}

void sites_fetch_slot(const struct sites *s, struct map_print print)
{
    const struct host_line *line = host_table_find(&s->hosts, print);

    if (line != NULL && line->site.slot < s->rooms[OBJECT_SITE])
        __builtin_prefetch(&s->slots[OBJECT_SITE][line->site.slot]);
}

enum sites_result sites_find(struct sites *s, struct str host, struct map_print print,
                             struct slot_ref *ref, struct sites_waiter *waiter)
{
    struct host_line *line = host_table_find(&s->hosts, print);

    if (line != NULL &&
        (is_outdated(s, line, host) || (line->kind != HOST_UNKNOWN && !holds(s, line->site)))) {
        drop(s, line);
        line = NULL;
    }
    if (line == NULL) {
        counter_add(&s->counters->host_misses, 1);
        return ask(s, host, waiter);
    }
    counter_add(&s->counters->host_hits, 1);
    if (!line->used)
        line->used = true;
    *ref = line->site;
    if (line->kind != HOST_UNKNOWN)
        touch(s, line);
    return line->kind == HOST_UNKNOWN ? SITES_UNKNOWN : SITES_FOUND;
}

void host_cache_forget(struct sites *s, const struct forgotten *f)
{
    struct str text = str_slice(f->host, f->host_len);
    uint64_t hash;
    struct suffix *x;

    if (!f->suffix) {
        struct host_line *line = host_table_find(&s->hosts, map_print_of(text));

        if (line != NULL)
            drop(s, line);
        return;
    }
    hash = map_hash(text);
    s->suffix_clock++;
    x = map_find(&s->suffixes, hash, text);
    if (x == NULL && s->suffixes.count >= SUFFIXES_MOST) {
        free_values(&s->suffixes);
        s->suffix_floor = s->suffix_clock;
    }
    if (x == NULL) {
        x = check_alloc(sizeof(*x) + text.len);
        x->hash = hash;
        x->len = (uint8_t)text.len;
        memcpy(x->text, text.ptr, text.len);
        map_add(&s->suffixes, hash, x);
    }
    x->changed = s->suffix_clock;
}

void host_cache_forget_unknown(struct sites *s)
{
    s->unknown_floor = ++s->suffix_clock;
}

void host_cache_move(struct sites *s, const struct moved *m)
{
    struct host_line *line = host_table_find(&s->hosts, m->host);

    if (line == NULL || line->kind != HOST_EXACT)
        return;
    if (m->site.generation == 0)
        drop(s, line);
    else
        line->site = m->site;
}

void host_cache_answer(struct sites *s, const struct answer *a)
{
    struct str host = str_slice(a->host, a->host_len);

    if (a->kind == ANSWER_SITE)
        remember(s, host, a->exact ? HOST_EXACT : HOST_WILDCARD, a->site, a->used);
    else if (a->kind == ANSWER_UNKNOWN)
        remember(s, host, HOST_UNKNOWN, (struct slot_ref){ 0 }, NULL);
}

void host_cache_wake(struct sites *s, const struct answer *a)
{
    static const enum sites_result results[] = {
        [ANSWER_SITE] = SITES_FOUND,
        [ANSWER_UNKNOWN] = SITES_UNKNOWN,
        [ANSWER_FAULT] = SITES_BUSY,
    };
    struct str host = str_slice(a->host, a->host_len);
    uint64_t hash = map_hash(host);
    struct asked_host *asked = map_find(&s->asked, hash, host);
    const struct host_line *line = host_table_find(&s->hosts, map_print_of(host));

    if (asked != NULL)
        wake(s, asked, results[a->kind],
             a->kind == ANSWER_SITE && line != NULL ? line->site : a->site, a->fault);
}

void sites_dump_hosts(const struct sites *s, size_t most, struct buf *json)
{
    static const char *const kinds[] = { "exact", "wildcard", "unknown" };
    const struct host_line *line;
    bool first = true;

    buf_add_text(json, "[");
    for (size_t at = 0; most > 0 && (line = host_table_next(&s->hosts, &at)) != NULL; most--) {
        buf_add_text(json, first ? "{\"host\":" : ",{\"host\":");
        buf_add_json(json, str_from(host_table_side(&s->hosts, line)->name));
        buf_printf(json, ",\"kind\":\"%s\",\"slot\":%u}", kinds[line->kind], line->site.slot);
        first = false;
    }
    buf_add_text(json, "]");
}
