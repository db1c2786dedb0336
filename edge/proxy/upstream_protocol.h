/* upstream_protocol.h -- what goes over an upstream: the seam between the life of a connection
 * (upstream.c: connecting, timers, the pool) and what an endpoint is spoken to in.
 *
 * An upstream has one protocol from its first byte on, that of its bucket in the pool. */
#ifndef PROXY_UPSTREAM_PROTOCOL_H
#define PROXY_UPSTREAM_PROTOCOL_H

#include "http/serializer.h"
#include "proxy/module_run.h"
#include "proxy/upstream.h"
#include "proxy/worker_state.h"

struct upstream_protocol {
    const char *name;
    /* A request begins, on a connection that is new or kept. */
    void (*begin)(struct upstream *u, struct exchange *x);
    /* Into the worker's gather, behind what stands there. A fault: it cannot be said in this protocol, nothing is sent. */
    enum fault (*send_head)(struct upstream *u, struct exchange *x);
    /* Sends what the gather has, framed. false: broken for writing, or u->refused says why not. */
    bool (*flush)(struct upstream *u, bool last, struct str trailers);
    /* In the states HEAD and BODY. It says exchange_on_*, at its end exchange_flush_response. */
    void (*read)(struct upstream *u, const char *bytes, size_t len);
    void (*ended)(struct upstream *u, int error); /* likewise: the endpoint sends no more */
    void (*closed)(struct upstream *u);           /* what the protocol keeps is freed */
};

extern const struct upstream_protocol upstream_http1, upstream_fastcgi;

/* The connection is of no more use to its exchange, which hears of it last. */
void upstream_lose(struct upstream *u, enum fault fault);

/* What the endpoint is to get as head, from the exchange, its rule and its modules. Each request pays for
 * it, so it stands where its callers do. */
static inline void upstream_shape_request(struct exchange *x, struct request_out *out)
{
    *out = (struct request_out){
        .method = parser_method_name(x->request.method),
        .path = x->path_sent,
        .query = x->target.query,
        .host = x->target.authority,
        .authority = x->forwarded_host.len > 0 ? x->forwarded_host : x->target.authority,
        .client_ip = x->client->client_ip(x->session),
        .scheme = x->https ? STR("https") : STR("http"),
        .id = str_from(x->w->settings->cdn_id),
        .forwarded = x->w->settings->forwarded,
    };
    if (x->route != NULL) {
        if (x->route->host.len > 0)
            out->host = x->route->host;
        out->edits = x->route->edits;
        out->edit_count = x->route->edit_count;
    }
    if (x->modules != NULL)
        modules_shape_request(x, out);
    if (x->host_sent.len > 0)
        out->host = x->host_sent;
}

#endif
