/* explain_text.c -- an explanation for people, and for programs.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: admin_pages.c, cli/explain.c.
 * Not here: finding out (explain.c).  */
#include <stdio.h>

#include "control/explain.h"
#include "http/serializer.h"

#define RULES_SHOWN 40 /* around the one that is met */

/* --- for people --- */

static void title(struct buf *to, const char *name)
{
    buf_printf(to, "%-10s ", name);
}

static void write_request(const struct explanation *e, struct buf *to)
{
    title(to, "request");
    buf_printf(to, STR_FMT " " STR_FMT "://" STR_FMT STR_FMT, STR_ARG(e->method),
               STR_ARG(e->scheme), STR_ARG(e->authority), STR_ARG(e->path));
    if (e->query.len > 0)
        buf_printf(to, "?" STR_FMT, STR_ARG(e->query));
    buf_printf(to, "  from " STR_FMT "\n", STR_ARG(e->client));
    if (e->normal_path.len > 0 && !str_equals(e->path, e->normal_path)) {
        title(to, "path");
        buf_printf(to, STR_FMT "  (normal form of " STR_FMT ")\n", STR_ARG(e->normal_path),
                   STR_ARG(e->path));
    }
    if (e->matched_path.len > 0 && !str_equals(e->matched_path, e->normal_path)) {
        title(to, "");
        buf_printf(to, STR_FMT "  (what rules are matched on)\n", STR_ARG(e->matched_path));
    }
}

static const char *state_word(enum explained_state state)
{
    switch (state) {
    case EXPLAINED_ABSENT:
        return "absent";
    case EXPLAINED_GOOD:
        return "good";
    case EXPLAINED_BAD:
        return "refused";
    case EXPLAINED_UNREAD:
        break;
    }
    return "unread";
}

static void write_records(const struct explanation *e, struct buf *to)
{
    size_t widest = 0;

    for (uint32_t i = 0; i < e->records_count; i++)
        if (e->records[i].key.len > widest && e->records[i].key.len < 60)
            widest = e->records[i].key.len;
    for (uint32_t i = 0; i < e->records_count; i++) {
        const struct explained_record *r = &e->records[i];

        title(to, i == 0 ? "records" : "");
        buf_printf(to, "%-*.*s  %s", (int)widest, STR_ARG(r->key),
                   r->state == EXPLAINED_GOOD     ? "found"
                   : r->state == EXPLAINED_ABSENT ? "-"
                                                  : state_word(r->state));
        if (r->says.len > 0)
            buf_printf(to, ": " STR_FMT, STR_ARG(r->says));
        buf_add_text(to, "\n");
    }
}

static void write_fields(const struct explanation *e, struct buf *to)
{
    for (uint32_t i = 0; i < e->fields_count; i++) {
        const struct explained_field *f = &e->fields[i];

        title(to, i == 0 ? "fields" : "");
        buf_printf(to, "%s %.*s  (%.*s)\n", f->name, STR_ARG(f->value), STR_ARG(f->from));
    }
}

/* All rules up to the one that is met, but not thousands. */
static void write_rules(const struct explanation *e, struct buf *to)
{
    uint32_t shown = 0;

    for (uint32_t i = 0; i < e->rules_count; i++) {
        const struct explained_rule *r = &e->rules[i];

        if (!r->holds && ++shown > RULES_SHOWN)
            continue;
        title(to, i == 0 ? "rules" : "");
        buf_printf(to, "%s %.*s: %.*s\n",
                   r->holds   ? ">"
                   : r->tried ? "x"
                              : " ",
                   STR_ARG(r->name), STR_ARG(r->text));
        if (r->why.len > 0) {
            title(to, "");
            buf_printf(to, "    %.*s\n", STR_ARG(r->why));
        }
    }
    if (shown > RULES_SHOWN) {
        title(to, "");
        buf_printf(to, "  (%u more rules do not hold, or are not reached; --json has them all)\n",
                   shown - RULES_SHOWN);
    }
}

static void write_modules(const struct explanation *e, struct buf *to)
{
    for (uint32_t i = 0; i < e->modules_count; i++) {
        title(to, i == 0 ? "modules" : "");
        buf_printf(to, STR_FMT "  (" STR_FMT ")\n", STR_ARG(e->modules[i].text),
                   STR_ARG(e->modules[i].from));
    }
}

static void write_parts(const struct explanation *e, struct buf *to)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < e->parts_count; i++)
        sum += e->parts[i].weight;
    for (uint32_t i = 0; i < e->parts_count; i++) {
        const struct explained_part *p = &e->parts[i];

        title(to, i == 0 ? "split" : "");
        buf_printf(to, "%s service:%.*s  %.4g%%%s\n", p->chosen ? ">" : " ", STR_ARG(p->service),
                   sum ? 100.0 * p->weight / (double)sum : 0, p->chosen ? "  (this client's)" : "");
    }
}

static void write_target(const struct explanation *e, struct buf *to)
{
    if (e->action.len > 0) {
        title(to, "action");
        buf_printf(to, STR_FMT "  (" STR_FMT ")\n", STR_ARG(e->action), STR_ARG(e->action_from));
    }
    write_parts(e, to);
    if (e->endpoints_count > 0) {
        title(to, "service");
        if (e->service.len > 0)
            buf_printf(to, STR_FMT ", ", STR_ARG(e->service));
        buf_add_text(to, e->balance);
        if (e->hash_by.len > 0)
            buf_printf(to, " by " STR_FMT, STR_ARG(e->hash_by));
        if (e->sticky.len > 0)
            buf_printf(to, ", sticky by the cookie " STR_FMT, STR_ARG(e->sticky));
        if (e->send_proxy[0] != '\0')
            buf_printf(to, ", behind a PROXY header %s", e->send_proxy);
        buf_add_text(to, "\n");
    }
    for (uint32_t i = 0; i < e->endpoints_count; i++) {
        const struct explained_endpoint *p = &e->endpoints[i];

        title(to, i == 0 ? "endpoints" : "");
        buf_printf(to, STR_FMT "  weight %u, ", STR_ARG(p->address), p->weight);
        if (p->out.len > 0)
            buf_printf(to, "out: " STR_FMT, STR_ARG(p->out));
        else
            buf_printf(to, "%.4g%% of the requests%s", p->share * 100,
                       p->chosen ? "  (this one's)" : "");
        if (p->max_conns > 0)
            buf_printf(to, ", at most %u connections", p->max_conns);
        if (p->health.len > 0)
            buf_printf(to, "; " STR_FMT, STR_ARG(p->health));
        buf_add_text(to, "\n");
    }
    if (e->queue.len > 0) {
        title(to, "queue");
        buf_printf(to, STR_FMT "\n", STR_ARG(e->queue));
    }
}

static void write_sent(const struct explanation *e, struct buf *to)
{
    if (e->sent_target.len == 0)
        return;
    title(to, "sent");
    buf_printf(to, STR_FMT "\n", STR_ARG(e->sent_target));
    for (uint32_t i = 0; i < e->lines_count; i++) {
        title(to, "");
        buf_printf(to, "%c " STR_FMT "\n", e->lines[i].added ? '+' : '-',
                   STR_ARG(e->lines[i].text));
    }
}

static void write_end(const struct explanation *e, struct buf *to)
{
    title(to, "answer");
    if (e->unread)
        buf_add_text(to, "not known yet: a first request has this edge ask Redis\n");
    else if (e->fault != FAULT_NONE)
        buf_printf(to, "%u %s: " STR_FMT "\n", e->status, fault_row(e->fault)->name,
                   STR_ARG(e->ends));
    else if (e->status != 0)
        buf_printf(to, "%u " STR_FMT "%s" STR_FMT "\n", e->status,
                   STR_ARG(serializer_reason(e->status)), e->ends.len > 0 ? ": " : "",
                   STR_ARG(e->ends));
    else
        buf_add_text(to, "the endpoint's\n");
}

void explain_text(const struct explanation *e, struct buf *to)
{
    write_request(e, to);
    write_records(e, to);
    if (e->tenant.len > 0) {
        title(to, "tenant");
        buf_printf(to, STR_FMT "\n", STR_ARG(e->tenant));
    }
    write_fields(e, to);
    write_rules(e, to);
    write_modules(e, to);
    write_target(e, to);
    write_sent(e, to);
    write_end(e, to);
    for (uint32_t i = 0; i < e->remarks_count; i++) {
        title(to, "remark");
        buf_printf(to, STR_FMT "\n", STR_ARG(e->remarks[i].text));
    }
    title(to, "asked");
    buf_printf(to, STR_FMT "\n", STR_ARG(e->from));
}

/* --- for programs --- */

/* ,"name":"value" */
static void member(struct buf *to, const char *name, struct str value)
{
    buf_printf(to, ",\"%s\":", name);
    buf_add_json(to, value);
}

static void first_member(struct buf *to, const char *name, struct str value)
{
    buf_printf(to, "{\"%s\":", name);
    buf_add_json(to, value);
}

static const char *word(bool yes)
{
    return yes ? "true" : "false";
}

static const char *comma(uint32_t i)
{
    return i > 0 ? "," : "";
}

static void json_records(const struct explanation *e, struct buf *to)
{
    buf_add_text(to, ",\"records\":[");
    for (uint32_t i = 0; i < e->records_count; i++) {
        buf_add_text(to, comma(i));
        first_member(to, "key", e->records[i].key);
        member(to, "state", str_from(state_word(e->records[i].state)));
        if (e->records[i].says.len > 0)
            member(to, "says", e->records[i].says);
        buf_add_text(to, "}");
    }
    buf_add_text(to, "],\"fields\":[");
    for (uint32_t i = 0; i < e->fields_count; i++) {
        buf_add_text(to, comma(i));
        first_member(to, "name", str_from(e->fields[i].name));
        member(to, "value", e->fields[i].value);
        member(to, "from", e->fields[i].from);
        buf_add_text(to, "}");
    }
    buf_add_text(to, "]");
}

static void json_rules(const struct explanation *e, struct buf *to)
{
    buf_add_text(to, ",\"rules\":[");
    for (uint32_t i = 0; i < e->rules_count; i++) {
        const struct explained_rule *r = &e->rules[i];

        buf_add_text(to, comma(i));
        first_member(to, "name", r->name);
        member(to, "rule", r->text);
        buf_printf(to, ",\"tried\":%s,\"holds\":%s", word(r->tried), word(r->holds));
        if (r->why.len > 0)
            member(to, "why", r->why);
        buf_add_text(to, "}");
    }
    buf_add_text(to, "]");
}

static void json_modules(const struct explanation *e, struct buf *to)
{
    buf_add_text(to, ",\"modules\":[");
    for (uint32_t i = 0; i < e->modules_count; i++) {
        buf_add_text(to, comma(i));
        first_member(to, "name", e->modules[i].name);
        member(to, "says", e->modules[i].text);
        member(to, "from", e->modules[i].from);
        buf_add_text(to, "}");
    }
    buf_add_text(to, "]");
}

static void json_target(const struct explanation *e, struct buf *to)
{
    if (e->action.len > 0) {
        member(to, "action", e->action);
        member(to, "action_from", e->action_from);
    }
    buf_add_text(to, ",\"split\":[");
    for (uint32_t i = 0; i < e->parts_count; i++) {
        buf_add_text(to, comma(i));
        first_member(to, "service", e->parts[i].service);
        buf_printf(to, ",\"weight\":%u,\"chosen\":%s}", e->parts[i].weight,
                   word(e->parts[i].chosen));
    }
    buf_add_text(to, "]");
    if (e->service.len > 0)
        member(to, "service", e->service);
    if (e->balance[0] != '\0')
        member(to, "balance", str_from(e->balance));
    if (e->hash_by.len > 0)
        member(to, "hash_by", e->hash_by);
    if (e->sticky.len > 0)
        member(to, "sticky", e->sticky);
    if (e->send_proxy[0] != '\0')
        member(to, "send_proxy", str_from(e->send_proxy));
    buf_add_text(to, ",\"endpoints\":[");
    for (uint32_t i = 0; i < e->endpoints_count; i++) {
        const struct explained_endpoint *p = &e->endpoints[i];

        buf_add_text(to, comma(i));
        first_member(to, "address", p->address);
        buf_printf(to, ",\"weight\":%u,\"share\":%.6g", p->weight, p->share);
        if (p->max_conns > 0)
            buf_printf(to, ",\"max_conns\":%u", p->max_conns);
        if (p->out.len > 0)
            member(to, "out", p->out);
        if (p->health.len > 0)
            member(to, "health", p->health);
        if (p->chosen)
            buf_add_text(to, ",\"chosen\":true");
        buf_add_text(to, "}");
    }
    buf_add_text(to, "]");
    if (e->queue.len > 0)
        member(to, "queue", e->queue);
}

static void json_lines(const struct explanation *e, bool added, struct buf *to)
{
    const char *between = "";

    buf_printf(to, ",\"%s\":[", added ? "headers_added" : "headers_removed");
    for (uint32_t i = 0; i < e->lines_count; i++) {
        if (e->lines[i].added != added)
            continue;
        buf_add_text(to, between);
        buf_add_json(to, e->lines[i].text);
        between = ",";
    }
    buf_add_text(to, "]");
}

void explain_json(const struct explanation *e, struct buf *to)
{
    first_member(to, "method", e->method);
    member(to, "scheme", e->scheme);
    member(to, "host", e->host);
    member(to, "path", e->path);
    member(to, "normal_path", e->normal_path);
    member(to, "matched_path", e->matched_path);
    member(to, "query", e->query);
    member(to, "client", e->client);
    if (e->answered_by.len > 0)
        member(to, "answered_by", e->answered_by);
    if (e->tenant.len > 0)
        member(to, "tenant", e->tenant);
    json_records(e, to);
    json_rules(e, to);
    json_modules(e, to);
    json_target(e, to);
    if (e->sent_target.len > 0) {
        member(to, "sent", e->sent_target);
        json_lines(e, true, to);
        json_lines(e, false, to);
        buf_printf(to, ",\"timeout_ms\":%u", e->timeout_ms);
    }
    if (e->fault != FAULT_NONE)
        member(to, "fault", str_from(fault_row(e->fault)->name));
    if (e->status != 0)
        buf_printf(to, ",\"status\":%u", e->status);
    if (e->ends.len > 0)
        member(to, "says", e->ends);
    if (e->unread)
        buf_add_text(to, ",\"unread\":true");
    buf_add_text(to, ",\"remarks\":[");
    for (uint32_t i = 0; i < e->remarks_count; i++) {
        buf_add_text(to, comma(i));
        buf_add_json(to, e->remarks[i].text);
    }
    buf_add_text(to, "]");
    member(to, "asked", e->from);
    buf_add_text(to, "}\n");
}
