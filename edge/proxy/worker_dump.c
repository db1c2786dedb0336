/* worker_dump.c -- a worker's insides as JSON, for people and tests that look instead of guessing.
 *
 * Owns:    nothing.
 * Thread:  its worker.
 * Used by: worker.c.
 * Not here: the store's dumps (store/store.c). */
#include "proxy/worker_dump.h"

#include "base/clock.h"
#include "http/parser.h"
#include "proxy/session.h"
#include "proxy/upstream.h"
#include "proxy/worker_state.h"
#include "routing/endpoint.h"

#define MOST 1000 /* of anything: a dump must not hold the loop for long */

static void dump_worker(struct worker *w, struct buf *json)
{
    unsigned phases[SESSION_CLOSED + 1] = { 0 };

    LIST_EACH (node, after, &w->sessions)
        phases[LIST_ITEM(node, struct session, node)->phase]++;
    buf_printf(json, "{\"worker\":%u,\"draining\":%s,\"accept_paused\":%s,\"sessions\":{", w->index,
               w->draining ? "true" : "false", w->accept_paused ? "true" : "false");
    for (unsigned i = 0; i <= SESSION_CLOSED; i++)
        buf_printf(json, "%s\"%s\":%u", i ? "," : "", session_phase_name((enum session_phase)i),
                   phases[i]);
    buf_printf(json,
               "},\"hosts\":%zu,\"waiting_hosts\":%zu,\"retired\":%s,\"idle_upstreams\":%u,"
               "\"spare_exchanges\":%u,\"round\":%llu}",
               w->sites.hosts.count, w->sites.asked.count,
               list_is_empty(&w->sites.retired) ? "false" : "true", w->pool.idle_count,
               w->spare_count, (unsigned long long)counter_read(&w->counters->applied_round));
}

static void dump_exchange(const struct exchange *x, struct buf *json)
{
    char text[ENDPOINT_TEXT_SIZE];

    buf_printf(json, "{\"step\":\"%s\",\"age_ms\":%llu", exchange_step_name(x->step),
               (unsigned long long)((clock_now_ns() - x->begun_ns) / 1000000));
    if (x->step > STEP_READ) {
        buf_add_text(json, ",\"host\":");
        buf_add_json(json, str_slice(x->target.host, x->target.host_len));
        buf_add_text(json, ",\"method\":");
        buf_add_json(json, parser_method_name(x->request.method));
        buf_add_text(json, ",\"path\":");
        buf_add_json(json, x->path);
    }
    if (x->client->own)
        buf_add_text(json, ",\"subrequest\":true");
    if (x->tenant != NULL) {
        buf_add_text(json, ",\"tenant\":");
        buf_add_json(json, str_from(x->tenant->id));
    }
    if (x->route != NULL) {
        buf_add_text(json, ",\"route\":");
        buf_add_json(json, x->route->name);
    }
    if (x->endpoint != NULL) {
        buf_add_text(json, ",\"endpoint\":");
        buf_add_json(json, str_from(endpoint_text(x->endpoint, text)));
    }
    if (x->upstream != NULL)
        buf_printf(json, ",\"upstream\":\"%s\"", upstream_state_name(x->upstream->state));
    buf_printf(json, ",\"status\":%u,\"bytes_in\":%llu,\"bytes_out\":%llu}", x->status,
               (unsigned long long)x->request_body_bytes,
               (unsigned long long)x->response_body_bytes);
}

static void dump_exchanges(struct worker *w, struct buf *json)
{
    unsigned n = 0;

    buf_add_text(json, "[");
    LIST_EACH (node, after, &w->running) {
        if (n == MOST)
            break;
        if (n++ > 0)
            buf_add_text(json, ",");
        dump_exchange(LIST_ITEM(node, struct exchange, node), json);
    }
    buf_add_text(json, "]");
}

void worker_dump(struct worker *w, struct dump_mail *mail)
{
    switch (mail->what) {
    case DUMP_WORKER:
        dump_worker(w, &mail->json);
        break;
    case DUMP_HOSTS:
        sites_dump_hosts(&w->sites, MOST, &mail->json);
        break;
    case DUMP_SERVICES:
        sites_dump_services(&w->sites, MOST, &mail->json);
        break;
    case DUMP_UPSTREAMS:
        upstream_pool_dump(&w->pool, &mail->json);
        break;
    case DUMP_EXCHANGES:
        dump_exchanges(w, &mail->json);
        break;
    }
}
