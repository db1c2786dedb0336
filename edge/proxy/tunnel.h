/* tunnel.h -- bytes both ways, after a 101 answer (RFC 9110 7.8): no parsing, back-pressure both ways. */
#ifndef PROXY_TUNNEL_H
#define PROXY_TUNNEL_H

#include <stddef.h>

struct upstream;
struct session;

/* The upstream's exchange got 101: tells the client, ties the two connections together and ends
 * the exchange. `bytes` came behind the head. */
void tunnel_begin(struct upstream *u, const char *bytes, size_t len);

void tunnel_from_upstream(struct upstream *u, const char *bytes, size_t len);
void tunnel_from_client(struct session *s, const char *bytes, size_t len);
void tunnel_upstream_ended(struct upstream *u, int error);
void tunnel_client_ended(struct session *s, int error);
void tunnel_upstream_drained(struct upstream *u);
void tunnel_client_drained(struct session *s);
void tunnel_cut(struct session *s); /* both connections, at once */

#endif
