/* tunnel.c -- two connections tied together, from the 101 until both have ended.
 *
 * Owns:    struct tunnel; each side owns its connection.
 * Thread:  their worker.
 * Used by: upstream.c, session.c; worker.c (changes, draining).
 * Not here: the handshake (it was an ordinary exchange up to its 101). */
#include "proxy/tunnel.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "proxy/access_line.h"
#include "proxy/attempt.h"
#include "proxy/match.h"
#include "proxy/session.h"
#include "proxy/upstream.h"
#include "proxy/worker_state.h"

#define KEEPALIVE_S 60 /* so that a client that vanished is noticed by the kernel */

/* The tunnels of one named service, of this worker. */
struct tunnel_group {
    uint64_t hash;
    struct list tunnels;
    char name[NAME_MAX_BYTES + 1];
};

/* --- by service --- */

static bool group_has_name(const void *value, struct str key)
{
    return str_equals(str_from(((const struct tunnel_group *)value)->name), key);
}

void tunnels_init(struct worker *w)
{
    map_init(&w->tunnel_groups, group_has_name);
}

void tunnels_free(struct worker *w)
{
    CHECK(w->tunnel_groups.count == 0);
    map_free(&w->tunnel_groups);
}

static void join_group(struct worker *w, struct tunnel *t, const struct service *service)
{
    struct str name = str_from(service->name);
    uint64_t hash = map_hash(name);
    struct tunnel_group *g = map_find(&w->tunnel_groups, hash, name);

    if (g == NULL) {
        g = check_alloc(sizeof(*g));
        g->hash = hash;
        list_init(&g->tunnels);
        memcpy(g->name, service->name, sizeof(g->name));
        map_add(&w->tunnel_groups, hash, g);
    }
    t->group = g;
    list_append(&g->tunnels, &t->node);
}

static void leave_group(struct worker *w, struct tunnel *t)
{
    struct tunnel_group *g = t->group;

    list_remove(&t->node);
    if (g == NULL || !list_is_empty(&g->tunnels))
        return;
    map_remove(&w->tunnel_groups, g->hash, g);
    free(g);
}

/* Endpoints of one service that are called the same have one state, whatever became of their record. */
static bool has_endpoint(const struct service *service, const struct endpoint_state *state)
{
    for (uint32_t i = 0; i < service->endpoint_count; i++)
        if (service->endpoints[i].state == state)
            return true;
    return false;
}

static void look_at_service(struct worker *w, const struct swap *swap)
{
    const struct service *now = (const struct service *)swap->now;
    const struct service *named = now != NULL ? now : (const struct service *)swap->before;
    struct tunnel_group *g;

    if (named == NULL || swap->evicted || (now != NULL && now->bad))
        return;
    g = map_find(&w->tunnel_groups, map_hash(str_from(named->name)), str_from(named->name));
    if (g == NULL || named->policy.tunnels != TUNNELS_CUT)
        return;
    LIST_EACH (node, after, &g->tunnels) {
        struct tunnel *t = LIST_ITEM(node, struct tunnel, node);

        if (now == NULL || !has_endpoint(now, t->endpoint->state))
            tunnel_finish(t, TUNNEL_ENDPOINT_REMOVED);
    }
}

void tunnels_look_at_changes(struct worker *w, const struct changes *changes)
{
    for (size_t i = 0; w->tunnel_groups.count > 0 && i < changes->swap_count; i++)
        if (changes->swaps[i].kind == OBJECT_SERVICE)
            look_at_service(w, &changes->swaps[i]);
}

void tunnels_finish_all(struct worker *w, enum tunnel_end why)
{
    LIST_EACH (node, after, &w->sessions) {
        struct session *s = LIST_ITEM(node, struct session, node);

        if (s->phase == SESSION_TUNNEL)
            tunnel_finish(s->tunnel, why);
    }
}

/* --- beginning and ending --- */

static uint64_t memory_of(const struct tunnel *t)
{
    return sizeof(*t) + sizeof(*t->session) + sizeof(*t->upstream) + t->line_len;
}

/* What of the exchange lives on. */
static void take_over(struct tunnel *t, struct exchange *x)
{
    struct worker *w = x->w;

    t->endpoint = x->endpoint;
    t->idle_ms = match_tunnel_timeout(x);
    t->begun_ns = x->begun_ns;
    t->active_ms = loop_now_ms(&w->loop);
    t->pinned = match_owner_of_endpoint(x, &t->pinned_slot);
    sites_pin_again(&w->sites, t->pinned_slot, t->pinned);
    if (x->service != NULL)
        join_group(w, t, x->service);
    attempt_to_tunnel(x, &t->attempt);
}

/* Its connections have ended, or are ended now. */
static void over(struct tunnel *t, enum tunnel_end why)
{
    struct session *s = t->session;
    struct worker *w = s->w;

    if (!t->ending)
        t->end = (uint8_t)why;
    counter_sub(&w->counters->tunnels_open, 1);
    counter_sub(&w->counters->tunnel_memory, memory_of(t));
    counter_add(&w->counters->tunnel_ends[t->end], 1);
    access_line_write_tunnel(w, t);
    attempt_tunnel_over(&t->attempt);
    leave_group(w, t);
    sites_unpin(&w->sites, t->pinned_slot, t->pinned);
    s->tunnel = NULL;
    upstream_close(t->upstream);
    free(t->line);
    free(t);
    session_close(s);
}

void tunnel_cut(struct session *s)
{
    over(s->tunnel, TUNNEL_CUT);
}

void tunnel_finish(struct tunnel *t, enum tunnel_end why)
{
    struct upstream *u = t->upstream;

    if (t->ending)
        return;
    t->ending = true;
    t->end = (uint8_t)why;
    conn_shutdown(&t->session->conn);
    conn_shutdown(&u->conn);
    conn_read(&t->session->conn, true); /* what it has sent unread would make the end a reset */
    conn_read(&u->conn, true);
    timer_set(&u->w->loop, &u->timer, TUNNEL_LINGER_MS);
}

void tunnel_on_timer(struct upstream *u)
{
    struct tunnel *t = u->tunnel;
    uint64_t quiet = loop_now_ms(&u->w->loop) - t->active_ms;

    if (t->ending)
        over(t, (enum tunnel_end)t->end);
    else if (quiet < t->idle_ms)
        timer_set(&u->w->loop, &u->timer, t->idle_ms - quiet);
    else
        tunnel_finish(t, TUNNEL_IDLE);
}

/* --- bytes --- */

/* Bytes from one side to the other; the reading side rests while the writing side is blocked. */
static bool pass(struct tunnel *t, struct conn *from, struct conn *to, const char *bytes,
                 size_t len)
{
    struct iovec piece = { (char *)bytes, len };

    t->active_ms = loop_now_ms(&t->upstream->w->loop);
    if (len == 0 || t->ending)
        return true;
    if (!conn_write(to, &piece, 1))
        return false;
    if (conn_is_blocked(to))
        conn_read(from, false);
    return true;
}

void tunnel_begin(struct upstream *u, const char *bytes, size_t len)
{
    struct exchange *x = u->exchange;
    struct session *s = x->session;
    struct worker *w = u->w;
    struct tunnel *t = check_alloc(sizeof(*t));

    u->state = UPSTREAM_TUNNEL;
    x->upstream = NULL;
    u->exchange = NULL;
    u->tunnel = t;
    t->session = s;
    t->upstream = u;
    list_init(&t->node);
    take_over(t, x);
    exchange_on_tunnel(x, t);
    counter_add(&w->counters->tunnels_open, 1);
    counter_add(&w->counters->tunnel_memory, memory_of(t));
    conn_keep_alive(&u->conn, KEEPALIVE_S);
    conn_keep_alive(&s->conn, KEEPALIVE_S);
    timer_set(&w->loop, &u->timer, t->idle_ms);
    tunnel_from_upstream(u, bytes, len);
}

void tunnel_from_upstream(struct upstream *u, const char *bytes, size_t len)
{
    struct tunnel *t = u->tunnel;

    t->bytes_out += len;
    counter_add(&u->w->counters->tunnel_bytes_out, len);
    if (!pass(t, &u->conn, &t->session->conn, bytes, len))
        over(t, TUNNEL_BROKEN);
}

void tunnel_from_client(struct session *s, const char *bytes, size_t len)
{
    struct tunnel *t = s->tunnel;

    t->bytes_in += len;
    counter_add(&s->w->counters->tunnel_bytes_in, len);
    if (!pass(t, &s->conn, &t->upstream->conn, bytes, len))
        over(t, TUNNEL_BROKEN);
}

/* One side sends no more: the other is told, and may still send; broken, or both ended: over. */
static bool is_over(const struct tunnel *t)
{
    const struct conn *client = &t->session->conn, *endpoint = &t->upstream->conn;

    return client->ended && endpoint->ended && !conn_is_blocked(client) &&
           !conn_is_blocked(endpoint);
}

static void ended(struct tunnel *t, struct conn *to, int error)
{
    conn_shutdown(to);
    if (error != 0 || is_over(t))
        over(t, error != 0 ? TUNNEL_BROKEN : TUNNEL_CLOSED);
}

void tunnel_upstream_ended(struct upstream *u, int error)
{
    ended(u->tunnel, &u->tunnel->session->conn, error);
}

void tunnel_client_ended(struct session *s, int error)
{
    ended(s->tunnel, &s->tunnel->upstream->conn, error);
}

static void drained(struct tunnel *t, struct conn *to, struct conn *from)
{
    if (to->write_failed || is_over(t))
        over(t, to->write_failed ? TUNNEL_BROKEN : TUNNEL_CLOSED);
    else
        conn_read(from, true);
}

void tunnel_upstream_drained(struct upstream *u)
{
    drained(u->tunnel, &u->conn, &u->tunnel->session->conn);
}

void tunnel_client_drained(struct session *s)
{
    drained(s->tunnel, &s->conn, &s->tunnel->upstream->conn);
}
