/* access_line.c -- the JSON line of an exchange.
 *
 * Owns:    nothing; lines gather in the worker until its turn ends.
 * Thread:  its worker.
 * Used by: exchange.c, exchange_relay.c, tunnel.c, worker.c.
 * Not here: writing lines to a file (access_log.c). */
#include "proxy/access_line.h"

#include "base/check.h"
#include "base/clock.h"
#include "http/parser.h"
#include "proxy/access_log.h"
#include "proxy/retry.h"
#include "proxy/tunnel.h"
#include "proxy/worker_state.h"
#include "routing/endpoint.h"

#define FAULT_LINES_PER_SECOND 50
#define LONGEST_QUOTE 512

void access_line_fault(struct exchange *x)
{
    const struct fault_row *row = fault_row(x->fault);
    struct worker *w = x->w;
    char host[TARGET_HOST_MAX + 16], path[LONGEST_QUOTE];
    struct str client;
    uint64_t second;

    if (!log_wants(row->level))
        return;
    second = loop_now_ms(&w->loop) / 1000;
    if (second != w->log_second) {
        if (w->log_left_out > 0)
            log_line(LOG_WARN, "faults_not_logged", "worker=%u count=%u", w->index,
                     w->log_left_out);
        w->log_second = second;
        w->log_lines = w->log_left_out = 0;
    }
    if (++w->log_lines > FAULT_LINES_PER_SECOND) {
        w->log_left_out++;
        return;
    }
    client = x->session ? x->client->client_ip(x->session) : STR("");
    log_line(row->level, x->client->own ? "subrequest_fault" : "fault",
             "fault=%s blame=%s status=%u host=%s path=%s client=" STR_FMT, row->name,
             fault_blame_name(row->blame), row->status,
             log_quote(str_slice(x->target.host, x->target.host_len), host, sizeof(host)),
             log_quote(x->path.ptr ? x->path : STR(""), path, sizeof(path)), STR_ARG(client));
}

static void add_text(struct buf *b, const char *name, struct str value)
{
    buf_printf(b, ",\"%s\":", name);
    buf_add_json(b, value);
}

/* All but the time in front and the bytes behind. */
static void add_exchange(struct exchange *x, struct buf *b)
{
    char text[ENDPOINT_TEXT_SIZE];

    if (x->session != NULL)
        add_text(b, "client", x->client->client_ip(x->session));
    if (x->target.host_len > 0) {
        add_text(b, "host", str_slice(x->target.host, x->target.host_len));
        add_text(b, "method", parser_method_name(x->request.method));
        add_text(b, "path", x->target.path);
        if (x->target.query.ptr != NULL)
            add_text(b, "query", x->target.query);
    }
    buf_printf(b, ",\"status\":%u", x->status);
    if (x->fault != FAULT_NONE)
        add_text(b, "fault", str_from(fault_row(x->fault)->name));
    if (x->tenant != NULL)
        add_text(b, "tenant", str_from(x->tenant->id));
    if (x->route != NULL)
        add_text(b, "route", x->route->name);
    if (x->service != NULL)
        add_text(b, "service", str_from(x->service->name));
    if (x->endpoint != NULL)
        add_text(b, "endpoint", str_from(endpoint_text(x->endpoint, text)));
    if (retry_attempts(x) > 1)
        buf_printf(b, ",\"attempts\":%u", retry_attempts(x));
}

static void begin_line(struct buf *b)
{
    char text[CLOCK_TEXT_SIZE];

    buf_printf(b, "{\"time\":\"%s\"", clock_wall_text(clock_wall_ms(), text));
}

static void end_line(struct worker *w, uint64_t bytes_in, uint64_t bytes_out, uint64_t begun_ns)
{
    buf_printf(&w->access_lines, ",\"bytes_in\":%llu,\"bytes_out\":%llu,\"ms\":%.3f}\n",
               (unsigned long long)bytes_in, (unsigned long long)bytes_out,
               (double)(clock_now_ns() - begun_ns) / 1e6);
    loop_at_turn_end(&w->loop, &w->access_flush);
}

void access_line_write(struct exchange *x)
{
    struct worker *w = x->w;

    if (w->shared->access_log == NULL || x->logged_later)
        return;
    begin_line(&w->access_lines);
    add_exchange(x, &w->access_lines);
    end_line(w, x->request_body_bytes, x->response_body_bytes, x->begun_ns);
}

void access_line_keep(struct exchange *x, struct tunnel *t)
{
    struct buf line = { 0 };

    if (x->w->shared->access_log == NULL)
        return;
    add_exchange(x, &line);
    t->line = check_realloc(line.ptr, line.len);
    t->line_len = (uint32_t)line.len;
    x->logged_later = true;
}

void access_line_write_tunnel(struct worker *w, const struct tunnel *t)
{
    if (t->line == NULL)
        return;
    begin_line(&w->access_lines);
    buf_add(&w->access_lines, t->line, t->line_len);
    add_text(&w->access_lines, "tunnel", str_from(tunnel_end_name((enum tunnel_end)t->end)));
    end_line(w, t->bytes_in, t->bytes_out, t->begun_ns);
}

void access_line_flush(struct worker *w)
{
    if (w->access_lines.len > 0)
        access_log_write(w->shared->access_log, &w->access_lines);
}
