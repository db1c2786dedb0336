/* tunnel.c -- two connections tied together.
 *
 * Owns:    nothing: each side owns its connection.
 * Thread:  their worker.
 * Used by: upstream.c, session.c.
 * Not here: the handshake (it was an ordinary exchange up to its 101). */
#include "proxy/tunnel.h"

#include "proxy/session.h"
#include "proxy/upstream.h"
#include "proxy/worker_state.h"

#define KEEPALIVE_S 60 /* so that a client that vanished is noticed by the kernel */

void tunnel_cut(struct session *s)
{
    struct upstream *u = s->tunnel;

    s->tunnel = NULL;
    if (u != NULL)
        upstream_close(u);
    counter_sub(&s->w->counters->tunnels_open, 1);
    session_close(s);
}

/* Bytes from one side to the other; the reading side rests while the writing side is blocked. */
static bool pass(struct conn *from, struct conn *to, const char *bytes, size_t len)
{
    struct iovec piece = { (char *)bytes, len };

    if (len == 0)
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

    u->state = UPSTREAM_TUNNEL;
    timer_stop(&u->timer);
    x->upstream = NULL;
    u->exchange = NULL;
    counter_add(&u->w->counters->tunnels_open, 1);
    exchange_on_tunnel(x, u);
    u->tunnel = s;
    conn_keep_alive(&u->conn, KEEPALIVE_S);
    conn_keep_alive(&s->conn, KEEPALIVE_S);
    if (s->phase == SESSION_TUNNEL && !pass(&u->conn, &s->conn, bytes, len))
        tunnel_cut(s);
}

void tunnel_from_upstream(struct upstream *u, const char *bytes, size_t len)
{
    if (!pass(&u->conn, &u->tunnel->conn, bytes, len))
        tunnel_cut(u->tunnel);
}

void tunnel_from_client(struct session *s, const char *bytes, size_t len)
{
    if (!pass(&s->conn, &s->tunnel->conn, bytes, len))
        tunnel_cut(s);
}

/* One side sends no more: the other is told, and may still send; broken, or both ended: over. */
static bool is_over(const struct session *s)
{
    return s->conn.ended && s->tunnel->conn.ended && !conn_is_blocked(&s->conn) &&
           !conn_is_blocked(&s->tunnel->conn);
}

static void ended(struct session *s, struct conn *to, int error)
{
    conn_shutdown(to);
    if (error != 0 || is_over(s))
        tunnel_cut(s);
}

void tunnel_upstream_ended(struct upstream *u, int error)
{
    ended(u->tunnel, &u->tunnel->conn, error);
}

void tunnel_client_ended(struct session *s, int error)
{
    ended(s, &s->tunnel->conn, error);
}

static void drained(struct session *s, struct conn *to, struct conn *from)
{
    if (to->write_failed || is_over(s))
        tunnel_cut(s);
    else
        conn_read(from, true);
}

void tunnel_upstream_drained(struct upstream *u)
{
    drained(u->tunnel, &u->conn, &u->tunnel->conn);
}

void tunnel_client_drained(struct session *s)
{
    drained(s, &s->conn, &s->tunnel->conn);
}
