/* topology.c -- which Redis to read from and which to write to, now.
 *
 * Owns:    what is known of Sentinels, primary and replicas; the conversation with Sentinel.
 * Thread:  control
 * Used by: store.c, redis_link.c.
 * Not here: speaking to Sentinel (sentinel.c); looking after what is read from (lookout.c); the view
 *           as text (topology_text.c). */
#include "store/topology.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "net/guard.h"
#include "store/store.h"
#include "store/topology_state.h"

/* --- where --- */

static const char *text_of(const struct redis_place *p, char to[REDIS_PLACE_TEXT_SIZE])
{
    return redis_place_text(p, to);
}

static bool is_avoided(const struct topology *t, const struct topology_node *n)
{
    return n->avoid_until > loop_now_ms(t->loop);
}

struct topology_node *topology_best_replica(struct topology *t, bool avoided_too)
{
    struct topology_node *best = NULL;

    for (unsigned i = 0; i < t->view.replica_count; i++) {
        struct topology_node *n = &t->view.replicas[i];

        if (n->healthy && (avoided_too || !is_avoided(t, n)) &&
            (best == NULL || n->latency_us < best->latency_us))
            best = n;
    }
    return best;
}

struct redis_place *topology_place_of(struct topology *t, enum link_use use)
{
    struct topology_view *v = &t->view;
    struct topology_node *replica;

    if (use == LINK_ASKS)
        return &v->sentinels[v->asked].at;
    if (t->sentinel == NULL)
        return &t->here;
    if (!v->primary_known)
        return NULL;
    if (use != LINK_READS || !v->reads_replicas)
        return &v->primary.at;
    if (!t->replicas_known)
        return NULL;
    replica = topology_best_replica(t, false);
    /* One that was left is better than a primary that is not there. */
    if (replica == NULL && !redis_link_is_up(t->links[LINK_WRITES]))
        replica = topology_best_replica(t, true);
    return replica != NULL ? &replica->at : &v->primary.at;
}

bool topology_place(struct topology *t, enum link_use use, struct redis_place *to, const char **why)
{
    const struct redis_place *place = topology_place_of(t, use);

    *why = NULL;
    if (place == NULL && t->silent >= t->view.sentinel_count) {
        snprintf(t->refusal, sizeof(t->refusal), "no Sentinel tells where %.40s is: %.70s",
                 t->url->primary_name, t->silence);
        *why = t->refusal;
    }
    if (place != NULL)
        *to = *place;
    return place != NULL;
}

/* Links that lead elsewhere than they should, and those that wait. */
static void move_links(struct topology *t, const char *reason)
{
    for (unsigned use = LINK_READS; use <= LINK_CALLS; use++) {
        const struct redis_place *place = topology_place_of(t, (enum link_use)use);
        struct redis_link *l = t->links[use];

        if (place == NULL || l == NULL ||
            (use == LINK_READS && t->view.reads_replicas && redis_link_is_up(l) &&
             redis_link_server(l)->replica))
            continue; /* a replica that is read from stays so, whoever its primary is */
        if (redis_place_equals(redis_link_place(l), place) || redis_link_place(l)->host[0] == '\0')
            redis_link_try_now(l);
        else
            redis_link_move(l, reason);
    }
}

/* --- switches --- */

static struct topology_switch *open_switch(struct topology *t)
{
    struct topology_view *v = &t->view;
    struct topology_switch *w;

    if (v->switch_count == 0)
        return NULL;
    w = &v->switches[(v->switch_count - 1) % TOPOLOGY_SWITCHES_MAX];
    return w->over ? NULL : w;
}

static void begin_switch(struct topology *t, const struct redis_place *to)
{
    struct topology_view *v = &t->view;
    struct topology_switch *w = &v->switches[v->switch_count++ % TOPOLOGY_SWITCHES_MAX];
    char from_text[REDIS_PLACE_TEXT_SIZE], to_text[REDIS_PLACE_TEXT_SIZE];

    *w = (struct topology_switch){ .from = v->primary.at, .to = *to };
    w->began_ms = t->lost_ms != 0 ? t->lost_ms : loop_now_ms(t->loop);
    clock_wall_text(clock_wall_ms(), w->at);
    t->status->switches++;
    log_line(LOG_WARN, "redis_switch", "from=%s to=%s", text_of(&w->from, from_text),
             text_of(to, to_text));
}

static void end_switch(struct topology *t)
{
    struct topology_switch *w = open_switch(t);
    char text[REDIS_PLACE_TEXT_SIZE];

    t->lost_ms = 0;
    if (w == NULL || !redis_place_equals(redis_link_place(t->links[LINK_WRITES]), &w->to))
        return;
    w->over = true;
    w->took_ms = loop_now_ms(t->loop) - w->began_ms;
    log_line(LOG_INFO, "redis_switched", "to=%s ms=%llu", text_of(&w->to, text),
             (unsigned long long)w->took_ms);
}

/* --- what Sentinel says --- */

/* Whatever is Redis or Sentinel is no endpoint, connected to or not. */
static void keep_endpoints_off(struct topology *t, const struct redis_place *place)
{
    char text[REDIS_PLACE_TEXT_SIZE];
    const char *expected;
    struct address a;

    if (address_parse(str_from(redis_place_text(place, text)), 1, &a, &expected))
        guard_add_store(t->guard, &a);
}

/* A Sentinel that was cut off when the others elected another primary still names the old one. Where
 * the newest known is out of reach, and all have been asked, an older one must do. */
static bool is_outdated(struct topology *t, uint64_t epoch)
{
    bool all_asked = t->silent + 1 >= t->view.sentinel_count;

    if (epoch >= t->epoch || (all_asked && !redis_link_is_up(t->links[LINK_WRITES]))) {
        if (epoch != SENTINEL_ANNOUNCED)
            t->epoch = epoch;
        return false;
    }
    sentinel_leave(t->sentinel, "it has not heard of the last switch");
    return true;
}

static void on_primary(void *owner, const struct redis_place *at, uint64_t epoch)
{
    struct topology *t = owner;
    struct topology_view *v = &t->view;

    keep_endpoints_off(t, at);
    if (is_outdated(t, epoch))
        return;
    t->silent = 0;
    v->sentinels[v->asked].healthy = true;
    if (v->primary_known && redis_place_equals(&v->primary.at, at))
        return;
    if (epoch == SENTINEL_ANNOUNCED)
        t->epoch++; /* by at least so much */
    if (v->primary_known)
        begin_switch(t, at);
    v->primary_known = true;
    v->primary = (struct topology_node){ .at = *at, .healthy = true, .offset = TOPOLOGY_UNKNOWN };
    v->primary.latency_us = TOPOLOGY_UNKNOWN;
    snprintf(v->primary.flags, sizeof(v->primary.flags), "master");
    move_links(t, "Sentinel names another primary");
}

static void on_replicas(void *owner, const redisReply *list)
{
    struct topology *t = owner;

    t->replicas_known = true;
    topology_take_replicas(&t->view, list, loop_now_ms(t->loop));
    for (unsigned i = 0; i < t->view.replica_count; i++)
        keep_endpoints_off(t, &t->view.replicas[i].at);
    lookout_measure(t, false);
}

static void on_sentinels(void *owner, const redisReply *list)
{
    struct topology *t = owner;

    topology_take_sentinels(&t->view, list);
    for (unsigned i = 0; i < t->view.sentinel_count; i++)
        keep_endpoints_off(t, &t->view.sentinels[i].at);
}

/* On to the next; the link asks where it is. */
static void next_sentinel(struct topology *t)
{
    t->view.asked = (t->view.asked + 1) % t->view.sentinel_count;
}

static void on_sentinel_failed(void *owner, const char *reason)
{
    struct topology *t = owner;
    char text[REDIS_PLACE_TEXT_SIZE];

    t->view.sentinels[t->view.asked].healthy = false;
    snprintf(t->silence, sizeof(t->silence), "%.60s: %.100s",
             text_of(&t->view.sentinels[t->view.asked].at, text), reason);
    if (++t->silent == t->view.sentinel_count)
        log_line(LOG_WARN, "sentinels_silent", "last=%s",
                 log_quote(str_from(t->silence), text, 200));
    next_sentinel(t);
}

static void on_no_primary(void *owner)
{
    struct topology *t = owner;

    sentinel_leave(t->sentinel, "it knows no primary of that name");
}

/* --- links that went up or down --- */

const char *topology_refuses(struct topology *t, enum link_use use,
                             const struct redis_server *server)
{
    bool is_sentinel = strcmp(server->mode, "sentinel") == 0;
    const struct topology_view *v = &t->view;

    if (use == LINK_ASKS)
        return is_sentinel ? NULL : "it is no Sentinel";
    if (is_sentinel)
        return "it is a Sentinel: --redis sentinel://HOST:PORT/NAME leads to its primary";
    if (t->sentinel == NULL || !server->replica)
        return NULL;
    /* Where a primary should be; a replica that is to be read from is found in the list. */
    if (use == LINK_READS && v->reads_replicas &&
        topology_find(t->view.replicas, v->replica_count, redis_link_place(t->links[use])) != NULL)
        return NULL;
    return "READONLY it is a replica, where Sentinel said that a primary is";
}

static void log_server(struct topology *t)
{
    const struct redis_server *r = redis_link_server(t->links[LINK_READS]);
    char text[REDIS_PLACE_TEXT_SIZE];

    log_line(LOG_INFO, "redis", "address=%s server=%s version=%s mode=%s role=%s",
             redis_link_place(t->links[LINK_READS])->port != 0
                 ? text_of(redis_link_place(t->links[LINK_READS]), text)
                 : redis_link_place(t->links[LINK_READS])->host,
             r->name, r->version, r->mode, r->replica ? "replica" : "primary");
}

void topology_up(struct topology *t, enum link_use use)
{
    t->failures = 0;
    if (use == LINK_ASKS) {
        t->view.asked_up = true;
        return;
    }
    if (use == LINK_WRITES)
        end_switch(t);
    if (use == LINK_READS) {
        log_server(t);
        lookout_begin(t);
    }
}

/* A MOVED names the node to be at; when that one cannot be reached, the URL holds again. */
static void follow(struct topology *t, bool was_up, const char *reason)
{
    struct redis_place to = t->here;

    if (to.port == 0) /* of a unix socket there is no host */
        snprintf(to.host, sizeof(to.host), "127.0.0.1");
    if (redis_refusal_of(reason) == REFUSAL_MOVED && redis_moved_to(reason, &to)) {
        t->here = to;
        t->moved = true;
        t->failures = 0;
        move_links(t, "the slot has moved");
    } else if (!was_up && ++t->failures >= 2 && t->moved) {
        t->moved = false;
        t->failures = 0;
        snprintf(t->here.host, sizeof(t->here.host), "%s", t->url->host);
        t->here.port = t->url->unix_socket ? 0 : t->url->port;
    }
}

void topology_lost(struct topology *t, enum link_use use, bool was_up, const char *reason)
{
    struct topology_link *l = use == LINK_READS    ? &t->view.reads
                              : use == LINK_WRITES ? &t->view.writes
                                                   : NULL;
    struct topology_node *n;

    if (use == LINK_ASKS) {
        t->view.asked_up = false;
        return;
    }
    if (l != NULL)
        snprintf(l->why, sizeof(l->why), "%.120s", reason);
    if (use == LINK_READS)
        t->view.stale = t->status->stale = false; /* and all is suspect until it was verified */
    if (use == LINK_WRITES && was_up && t->lost_ms == 0) /* it may be the beginning of a switch */
        t->lost_ms = loop_now_ms(t->loop);
    if (t->sentinel == NULL) {
        follow(t, was_up, reason);
        return;
    }
    n = use == LINK_READS ? topology_find(t->view.replicas, t->view.replica_count,
                                          redis_link_place(t->links[use]))
                          : NULL;
    if (n != NULL && !was_up)
        n->avoid_until = loop_now_ms(t->loop) + TOPOLOGY_AVOID_MS;
    /* A replica where a primary should be: this Sentinel may be behind the others. */
    if (redis_refusal_of(reason) == REFUSAL_READONLY && !was_up && sentinel_is_up(t->sentinel))
        sentinel_leave(t->sentinel, "what it calls a primary is a replica");
    else
        sentinel_ask(t->sentinel);
}

/* --- what others call --- */

struct topology *topology_open(struct loop *l, const struct settings *s, struct guard *guard,
                               struct store_status *status, const struct topology_events *e)
{
    static const struct sentinel_events sentinel = { .primary = on_primary,
                                                     .no_primary = on_no_primary,
                                                     .replicas = on_replicas,
                                                     .sentinels = on_sentinels,
                                                     .failed = on_sentinel_failed };
    struct sentinel_events events = sentinel;
    struct topology *t = check_alloc(sizeof(*t));
    const struct redis_url *url = &s->redis;

    t->loop = l;
    t->guard = guard;
    t->settings = s;
    t->url = url;
    t->events = *e;
    t->status = status;
    t->view = (struct topology_view){ .url = url,
                                      .reads_replicas = s->read_from_replica,
                                      .lag_ms = TOPOLOGY_UNKNOWN,
                                      .sentinel_count = url->sentinel_count };
    for (unsigned i = 0; i < url->sentinel_count; i++)
        t->view.sentinels[i] =
            (struct topology_node){ .at = url->sentinels[i], .latency_us = TOPOLOGY_UNKNOWN };
    t->view.primary.offset = TOPOLOGY_UNKNOWN;
    snprintf(t->here.host, sizeof(t->here.host), "%s", url->host);
    t->here.port = url->unix_socket ? 0 : url->port;
    lookout_open(t);
    events.owner = t;
    if (url->sentinel_count > 0)
        t->sentinel = sentinel_open(l, url, t, guard, &events);
    return t;
}

void topology_use(struct topology *t, enum link_use use, struct redis_link *link)
{
    t->links[use] = link;
}

static void see_link(struct topology_link *to, const struct redis_link *l)
{
    to->up = redis_link_is_up(l);
    to->at = *redis_link_place(l);
    to->server = *redis_link_server(l);
    if (to->up && !to->server.replica)
        to->why[0] = '\0';
}

const struct topology_view *topology_see(struct topology *t)
{
    see_link(&t->view.reads, t->links[LINK_READS]);
    see_link(&t->view.writes, t->links[LINK_WRITES]);
    if (!t->view.reads.server.replica)
        t->view.lag_ms = TOPOLOGY_UNKNOWN;
    return &t->view;
}

void topology_close(struct topology *t)
{
    lookout_close(t);
    if (t->sentinel != NULL)
        sentinel_close(t->sentinel);
}

void topology_free(struct topology *t)
{
    if (t->sentinel != NULL)
        sentinel_free(t->sentinel);
    lookout_free(t);
    free(t);
}
