/* session_proxy.h -- what a session does before its first request: part of it, apart for its size. */
#ifndef PROXY_SESSION_PROXY_H
#define PROXY_SESSION_PROXY_H

#include "proxy/session.h"

/* Just accepted, and somebody is trusted: is it one of them? */
void session_meet(struct session *s);

/* SESSION_PROXY: takes the header, and moves *bytes and *len behind it. False: it is not whole yet,
 * or the connection is closed. */
bool session_proxy_read(struct session *s, const char **bytes, size_t *len);
void session_proxy_ended(struct session *s);
void session_proxy_late(struct session *s); /* its time is over */

/* Who asks: for the connection, or for one request. */
void session_set_client(struct session *s, const struct address *client);

#endif
