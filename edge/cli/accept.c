/* accept.c -- `usher accept`: what is missing in Redis is gone for good; edges that hold back go on.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: holding back (store/verify.c); the way to all edges (barrier_wait.c). */
#include <stdio.h>

#include "cli/admin_client.h"
#include "cli/barrier_wait.h"
#include "cli/cli.h"
#include "cli/verb_flags.h"
#include "cli/verb_redis.h"

static const char says[] =
    "Tells edges that Redis is right as it is: what is missing there is gone for good. Edges that\n"
    "hold their last good set (store_regressed) then give up what Redis lacks. All edges, by way of\n"
    "Redis; with --admin just the one behind that address.\n";

/* Some text of an edge, without what a terminal would obey; lines stay. */
static void write_lines(FILE *to, struct str text)
{
    struct str line;
    char shown[512];

    while (str_split(&text, '\n', &line))
        if (line.len > 0)
            fprintf(to, "%s\n", str_printable(line, shown, sizeof(shown)));
}

static int accept_one(const char *address)
{
    char error[ADMIN_ERROR_SIZE];
    struct buf body = { 0 };
    unsigned status;
    int code = CLI_EXIT_FAILED;

    if (!admin_ask(address, "POST", "/accept", &status, &body, error)) {
        fprintf(stderr, "usher accept: %s\n", error);
    } else {
        code = status == 200 ? 0 : CLI_EXIT_FAILED;
        write_lines(code == 0 ? stdout : stderr, str_slice(body.ptr ? body.ptr : "", body.len));
    }
    buf_free(&body);
    return code;
}

static void write_who(const struct barrier_wait *w, const struct edge_list *before)
{
    struct buf why = { 0 };

    for (unsigned i = 0; i < w->edges.count; i++) {
        const char *id = w->edges.edges[i].id;
        const struct edge_entry *was = edge_list_find(before, id);

        if (!barrier_wait_counts(&w->edges.edges[i]))
            continue;
        if (barrier_wait_has(w, id)) {
            printf("%s: %s\n", id,
                   was != NULL && was->regressed ? "has accepted" : "held nothing back");
            continue;
        }
        edge_trouble(&w->edges.edges[i], &why);
        fprintf(stderr, "%s: has not answered%s" STR_FMT "\n", id, why.len > 0 ? "; " : "",
                (int)why.len, why.len > 0 ? why.ptr : "");
    }
    buf_free(&why);
}

static int accept_all(const struct settings *s, uint64_t timeout_ms)
{
    struct redis_client *c = verb_redis_open(s);
    struct edge_list before;
    struct barrier_wait w = { 0 };
    int code = CLI_EXIT_FAILED;

    if (c == NULL)
        return code;
    if (edge_list_read(c, s, &before) && barrier_wait_run(c, s, "accept", 1, timeout_ms, &w)) {
        write_who(&w, &before);
        if (w.applied_count == 0)
            fputs("usher accept: no edge has answered\n", stderr);
        code = w.complete ? 0 : CLI_EXIT_FAILED;
    }
    edge_list_free(&before);
    barrier_wait_free(&w);
    redis_client_close(c);
    return code;
}

int accept_verb(int argc, char **argv)
{
    const char *admin = NULL;
    uint64_t timeout_ms = 10000;
    const struct verb_flag flags[] = {
        { "admin", 0, "ADDR:PORT", VERB_FLAG_TEXT, &admin, "only the edge with this admin port" },
        { "timeout", 0, "TIME", VERB_FLAG_TIME, &timeout_ms, "wait no longer (default 10s)" },
        { 0 },
    };
    const struct verb_usage usage = { .line = "accept [FLAGS]", .says = says, .flags = flags };
    struct settings s;
    int code;

    if (!verb_flags_read(&usage, argc, argv, &s, NULL, &code))
        return code;
    return admin != NULL ? accept_one(admin) : accept_all(&s, timeout_ms);
}
