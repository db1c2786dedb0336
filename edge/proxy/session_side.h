/* session_side.h -- HTTP/1's answers to an exchange: part of a session, apart for its size. */
#ifndef PROXY_SESSION_SIDE_H
#define PROXY_SESSION_SIDE_H

#include "proxy/exchange.h"
#include "proxy/session.h"

extern const struct client_side session_side;

/* Nothing is to be sent: limits how long the connection may stay idle, or linger. */
void session_rest(struct session *s);

/* Takes what comes next, as soon as the client has room for its response. */
void session_read_on(struct session *s);

/* What it has kept of bytes that came is taken, or of no use. */
void session_drop_kept(struct session *s);

/* Over how long --min-rate is looked at: long enough for an honest client's hiccup. */
uint64_t session_rate_window_ms(const struct session *s);

#endif
