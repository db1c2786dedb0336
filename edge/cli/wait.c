/* wait.c -- `usher wait`: returns when every edge has applied all that was written before.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: the token and its acknowledgements (barrier_wait.c). */
#include <stdio.h>

#include "cli/barrier_wait.h"
#include "cli/cli.h"
#include "cli/verb_flags.h"
#include "cli/verb_redis.h"

static const char says[] =
    "Returns 0 when every edge has applied, on every worker, all that was written to Redis before.\n"
    "An edge that was seen within the hour and has not signed off counts, also when it is silent:\n"
    "it may still be serving. When the time is over: exit 1, and a line for each that is missing.\n";

static void write_missing(const struct barrier_wait *w)
{
    struct buf why = { 0 };

    for (unsigned i = 0; i < w->edges.count; i++) {
        const struct edge_entry *e = &w->edges.edges[i];
        char age[EDGE_AGE_SIZE];

        if (!barrier_wait_counts(e) || (!e->name_taken && barrier_wait_has(w, e->id)))
            continue;
        edge_trouble(e, &why);
        if (why.len == 0)
            buf_printf(&why, "last seen %s ago",
                       edge_age_text(e->seen_ms > 0 ? (uint64_t)e->seen_ms : 0, age));
        fprintf(stderr, "  %s: " STR_FMT "\n", e->id, (int)why.len, why.ptr);
    }
    buf_free(&why);
}

static void write_text(const struct barrier_wait *w, unsigned least)
{
    double ms = (double)w->took_us / 1000;

    if (w->complete) {
        printf("%u edge%s applied all that was written, in %.1f ms\n", w->applied_count,
               w->applied_count == 1 ? " has" : "s have", ms);
        return;
    }
    fprintf(stderr, "usher wait: not applied everywhere after %.1f ms; %u edge%s so far", ms,
            w->applied_count, w->applied_count == 1 ? " has" : "s have");
    fprintf(stderr, w->applied_count < least ? ", of at least %u\n" : "\n", least);
    write_missing(w);
}

static void add_ids(struct buf *json, const struct barrier_wait *w)
{
    for (unsigned i = 0; i < w->applied_count; i++) {
        buf_add_text(json, i > 0 ? "," : "");
        buf_add_json(json, str_from(w->applied[i]));
    }
}

static void add_missing(struct buf *json, const struct barrier_wait *w)
{
    struct buf why = { 0 };
    bool first = true;

    for (unsigned i = 0; i < w->edges.count; i++) {
        const struct edge_entry *e = &w->edges.edges[i];

        if (!barrier_wait_counts(e) || (!e->name_taken && barrier_wait_has(w, e->id)))
            continue;
        edge_trouble(e, &why);
        buf_add_text(json, first ? "{\"id\":" : ",{\"id\":");
        buf_add_json(json, str_from(e->id));
        buf_printf(json, ",\"alive\":%s,\"seen_ms_ago\":%lld,\"why\":", e->alive ? "true" : "false",
                   (long long)e->seen_ms);
        buf_add_json(json, str_slice(why.ptr, why.len));
        buf_add_text(json, "}");
        first = false;
    }
    buf_free(&why);
}

static void write_json(const struct barrier_wait *w)
{
    struct buf json = { 0 };
    char id[STREAM_ID_TEXT_SIZE];

    buf_printf(&json, "{\"complete\":%s,\"token\":\"%s\",\"ms\":%.3f,\"applied\":[",
               w->complete ? "true" : "false", stream_id_text(w->token, id),
               (double)w->took_us / 1000);
    add_ids(&json, w);
    buf_add_text(&json, "],\"missing\":[");
    add_missing(&json, w);
    buf_add_text(&json, "]}\n");
    fwrite(json.ptr, 1, json.len, stdout);
    buf_free(&json);
}

int wait_verb(int argc, char **argv)
{
    bool json = false;
    uint64_t least = 1, timeout_ms = 10000;
    const struct verb_flag flags[] = {
        { "timeout", 0, "TIME", VERB_FLAG_TIME, &timeout_ms, "wait no longer (default 10s)" },
        { "edges", 0, "N", VERB_FLAG_COUNT, &least, "at least so many must be there (default 1)" },
        { "json", 0, NULL, VERB_FLAG_SWITCH, &json, "one JSON object, whatever the outcome" },
        { 0 },
    };
    const struct verb_usage usage = { .line = "wait [FLAGS]", .says = says, .flags = flags };
    struct barrier_wait w;
    struct settings s;
    struct redis_client *c;
    int code;

    if (!verb_flags_read(&usage, argc, argv, &s, NULL, &code))
        return code;
    c = verb_redis_open(&s);
    if (c == NULL)
        return CLI_EXIT_FAILED;
    code = CLI_EXIT_FAILED;
    if (barrier_wait_run(c, &s, NULL, (unsigned)least, timeout_ms, &w)) {
        if (json)
            write_json(&w);
        else
            write_text(&w, (unsigned)least);
        code = w.complete ? 0 : CLI_EXIT_FAILED;
    }
    barrier_wait_free(&w);
    redis_client_close(c);
    return code;
}
