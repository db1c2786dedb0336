/* session_proxy.c -- the PROXY header in front of a connection, where one must be.
 *
 * Owns:    nothing beside its session.
 * Thread:  its worker.
 * Used by: session.c.
 * Not here: what a header says (net/proxy_header.c); who must send one (client_address.c). */
#include "proxy/session_proxy.h"

#include "base/check.h"
#include "base/log.h"
#include "net/proxy_header.h"
#include "proxy/client_address.h"
#include "proxy/session_side.h"
#include "proxy/worker_state.h"

#define LINE_EVERY_MS 5000

void session_set_client(struct session *s, const struct address *client)
{
    char text[ADDRESS_TEXT_SIZE];

    s->client = *client;
    address_ip_text(client, text);
    s->client_ip_len = (uint8_t)strlen(text);
    memcpy(s->client_ip, text, s->client_ip_len);
}

static void meet_forwarder(struct session *s)
{
    if (client_is_forwarder(s->w->shared->trust, &s->connected))
        s->believed |= BELIEVED_FORWARDER;
}

void session_meet(struct session *s)
{
    if (client_sends_header(s->w->shared->trust, &s->connected))
        s->phase = SESSION_PROXY;
    else
        meet_forwarder(s);
}

/* A proxy that is set up wrong has every connection refused: one line in a while tells why. */
static void log_refusal(struct session *s, const char *why)
{
    struct worker *w = s->w;
    uint64_t now_ms = loop_now_ms(&w->loop);
    char text[ADDRESS_TEXT_SIZE];

    if (w->proxy_logged_ms != 0 && now_ms - w->proxy_logged_ms < LINE_EVERY_MS)
        return;
    w->proxy_logged_ms = now_ms;
    log_line(LOG_WARN, "proxy_header_refused", "from=%s reason=\"%s\"",
             address_ip_text(&s->connected, text), why);
}

static void refuse(struct session *s, enum client_refusal refusal, const char *why)
{
    counter_add(&s->w->counters->clients_refused[refusal], 1);
    log_refusal(s, why);
    session_close(s);
}

/* What came of the header goes behind what was kept of it: no more than the longest one has. */
static void keep(struct session *s, const char *bytes, size_t len)
{
    size_t room = PROXY_HEADER_MOST - s->kept_len;

    if (s->kept == NULL) {
        s->kept_room = PROXY_HEADER_MOST;
        s->kept = check_alloc(s->kept_room);
    }
    len = len < room ? len : room;
    memcpy(s->kept + s->kept_len, bytes, len);
    s->kept_len += len;
}

/* False: whom it names is banned, and the connection is closed. */
static bool take_header(struct session *s, const struct proxy_header *h)
{
    session_drop_kept(s);
    s->phase = SESSION_IDLE;
    if (h->known) {
        s->connected = h->source;
        s->reached = h->destination;
        session_set_client(s, &h->source);
        if (h->tls)
            s->believed |= BELIEVED_TLS;
        if (client_is_banned(s->w, &h->source)) {
            counter_add(&s->w->counters->clients_refused[CLIENT_BANNED], 1);
            conn_reset(&s->conn);
            session_close(s);
            return false;
        }
    }
    meet_forwarder(s);
    timer_set(&s->w->loop, &s->timer, s->w->settings->header_timeout_ms);
    return true;
}

bool session_proxy_read(struct session *s, const char **bytes, size_t *len)
{
    size_t before = s->kept_len, taken = 0;
    struct proxy_header h;
    const char *why = NULL;
    enum proxy_header_result result;

    if (before > 0)
        keep(s, *bytes, *len);
    result = before > 0 ? proxy_header_read(s->kept, s->kept_len, &h, &taken, &why)
                        : proxy_header_read(*bytes, *len, &h, &taken, &why);
    switch (result) {
    case PROXY_HEADER_MORE:
        if (before == 0)
            keep(s, *bytes, *len);
        return false;
    case PROXY_HEADER_BAD:
        refuse(s, CLIENT_PROXY_HEADER, why);
        return false;
    case PROXY_HEADER_DONE:
        break;
    }
    CHECK(taken > before && taken - before <= *len);
    *bytes += taken - before;
    *len -= taken - before;
    return take_header(s, &h);
}

/* Balancers connect and leave to see whether somebody listens: nothing is wrong with that. */
void session_proxy_ended(struct session *s)
{
    if (s->kept_len > 0)
        refuse(s, CLIENT_PROXY_HEADER, "it ended before the header was whole");
    else
        session_close(s);
}

void session_proxy_late(struct session *s)
{
    refuse(s, CLIENT_PROXY_TIMEOUT, "the header did not come within --header-timeout");
}
