/* tunnel.h -- bytes both ways, after a 101 answer (RFC 9110 7.8): no parsing, back-pressure both ways.
 *
 * What was an exchange up to there is given back; what must live on stands here: its service's object, its
 * attempt, what its line in the access log says. */
#ifndef PROXY_TUNNEL_H
#define PROXY_TUNNEL_H

#include "proxy/counters.h"
#include "proxy/exchange.h"

struct changes;
struct session;
struct tunnel_group;
struct upstream;
struct worker;

struct tunnel {
    struct session *session;
    struct upstream *upstream; /* its timer is the tunnel's */
    struct list node;          /* of its service's tunnels */
    struct tunnel_group *group;
    struct object *pinned; /* that its endpoint lies in: a service, or what lists endpoints */
    uint32_t pinned_slot;
    uint32_t idle_ms; /* without a byte either way it is ended */
    const struct endpoint *endpoint;
    struct attempt attempt;
    uint64_t begun_ns; /* the request */
    uint64_t active_ms;
    uint64_t bytes_in, bytes_out; /* from the client, to the client */
    char *line;                   /* of the access log, up to its bytes; NULL: nothing is logged */
    uint32_t line_len;
    uint8_t end; /* enum tunnel_end, once `ending` */
    bool ending; /* both sides have been told; what still comes is thrown away */
};

/* The upstream's exchange got 101: tells the client, ties the two connections together and ends
 * the exchange. `bytes` came behind the head. */
void tunnel_begin(struct upstream *u, const char *bytes, size_t len);

void tunnel_from_upstream(struct upstream *u, const char *bytes, size_t len);
void tunnel_from_client(struct session *s, const char *bytes, size_t len);
void tunnel_upstream_ended(struct upstream *u, int error);
void tunnel_client_ended(struct session *s, int error);
void tunnel_upstream_drained(struct upstream *u);
void tunnel_client_drained(struct session *s);
void tunnel_on_timer(struct upstream *u);

/* Both sides are told that nothing more comes (FIN, no RST), and get TUNNEL_LINGER_MS to close. */
void tunnel_finish(struct tunnel *t, enum tunnel_end why);
void tunnel_cut(struct session *s); /* both connections, at once */

#define TUNNEL_LINGER_MS 2000

/* Before the worker applies them: tunnels to endpoints that go away end where their service says so. */
void tunnels_look_at_changes(struct worker *w, const struct changes *changes);
void tunnels_init(struct worker *w);
void tunnels_free(struct worker *w);
void tunnels_finish_all(struct worker *w, enum tunnel_end why);

#endif
