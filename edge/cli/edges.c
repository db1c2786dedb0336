/* edges.c -- `usher edges`: who has announced itself, and how it does; `usher edges forget ID`.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: reading the records (edge_list.c). */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/edge_list.h"
#include "cli/verb_flags.h"
#include "cli/verb_redis.h"

static const char says[] =
    "Lists the edges that have announced themselves in Redis. One that has not signed off counts\n"
    "for `usher wait` for an hour after it was seen last; `usher edges forget ID` ends that.\n";

#define COLUMNS 9

static const char *const heads[COLUMNS] = { "EDGE",  "STATE", "VERSION", "ADDRESS", "UP",
                                            "CONNS", "REQ/S", "LAG ms",  "ERRORS" };

static const char *state_of(const struct edge_entry *e)
{
    if (!e->alive)
        return (uint64_t)e->seen_ms < EDGE_COUNTS_MS ? "silent" : "dead";
    if (e->name_taken)
        return "name taken";
    return !e->store_up   ? "no redis"
           : e->regressed ? "regressed"
           : e->suspect   ? "suspect"
           : e->draining  ? "ending"
                          : "up";
}

static void write_cells(const struct edge_entry *e, char cells[COLUMNS][80])
{
    char age[EDGE_AGE_SIZE];

    for (unsigned i = 0; i < COLUMNS; i++)
        snprintf(cells[i], 80, "-");
    snprintf(cells[0], 80, "%s", e->id);
    snprintf(cells[1], 80, "%s", state_of(e));
    if (!e->alive)
        return;
    snprintf(cells[2], 80, "%s", e->version);
    snprintf(cells[3], 80, "%s", e->listen);
    snprintf(cells[4], 80, "%s", edge_age_text(e->uptime_ms, age));
    snprintf(cells[5], 80, "%llu", (unsigned long long)e->connections);
    snprintf(cells[6], 80, "%s", e->requests_per_s);
    if (e->lag_ms[0] != '\0')
        snprintf(cells[7], 80, "%s", e->lag_ms);
    snprintf(cells[8], 80, "%llu bad, %s/s", (unsigned long long)e->records_bad, e->faults_per_s);
}

static void write_line(char cells[COLUMNS][80], const size_t *widths, const char *last)
{
    for (unsigned i = 0; i < COLUMNS; i++)
        printf("%-*s  ", (int)widths[i], cells[i]);
    printf("%s\n", last);
}

static void write_table(const struct edge_list *list)
{
    size_t widths[COLUMNS];
    char cells[COLUMNS][80];
    struct buf trouble = { 0 };

    for (unsigned i = 0; i < COLUMNS; i++)
        widths[i] = strlen(heads[i]);
    for (unsigned n = 0; n < list->count; n++) {
        write_cells(&list->edges[n], cells);
        for (unsigned i = 0; i < COLUMNS; i++)
            widths[i] = strlen(cells[i]) > widths[i] ? strlen(cells[i]) : widths[i];
    }
    for (unsigned i = 0; i < COLUMNS; i++)
        snprintf(cells[i], 80, "%s", heads[i]);
    write_line(cells, widths, "APPLIED");
    for (unsigned n = 0; n < list->count; n++) {
        const struct edge_entry *e = &list->edges[n];

        write_cells(e, cells);
        write_line(cells, widths, e->alive ? e->barrier : "-");
        edge_trouble(e, &trouble);
        if (trouble.len > 0)
            printf("  " STR_FMT "\n", (int)trouble.len, trouble.ptr);
    }
    buf_free(&trouble);
}

/* --- as JSON --- */

static void add_text(struct buf *json, const char *name, const char *value)
{
    buf_printf(json, ",\"%s\":", name);
    buf_add_json(json, str_from(value));
}

static void add_number(struct buf *json, const char *name, uint64_t value)
{
    buf_printf(json, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void add_switch(struct buf *json, const char *name, bool value)
{
    buf_printf(json, ",\"%s\":%s", name, value ? "true" : "false");
}

/* A number that came as text; null when it is none. */
static void add_fraction(struct buf *json, const char *name, const char *value)
{
    double number;
    char rest;

    if (sscanf(value, "%lf%c", &number, &rest) == 1)
        buf_printf(json, ",\"%s\":%.10g", name, number);
    else
        buf_printf(json, ",\"%s\":null", name);
}

static void add_edge(struct buf *json, const struct edge_entry *e)
{
    buf_add_text(json, "{\"id\":");
    buf_add_json(json, str_from(e->id));
    add_text(json, "state", state_of(e));
    add_switch(json, "alive", e->alive);
    buf_printf(json, ",\"seen_ms_ago\":%lld", (long long)e->seen_ms);
    if (e->alive) {
        add_text(json, "version", e->version);
        add_text(json, "host", e->host);
        add_fraction(json, "pid", e->pid);
        add_text(json, "listen", e->listen);
        add_text(json, "admin", e->admin);
        add_text(json, "started", e->started);
        add_number(json, "uptime_ms", e->uptime_ms);
        add_number(json, "workers", e->workers);
        add_number(json, "connections", e->connections);
        add_number(json, "requests", e->requests);
        add_fraction(json, "requests_per_s", e->requests_per_s);
        add_number(json, "faults", e->faults);
        add_fraction(json, "faults_per_s", e->faults_per_s);
        add_number(json, "records_bad", e->records_bad);
        add_fraction(json, "lag_ms", e->lag_ms);
        add_number(json, "silent_ms", e->silent_ms);
        add_text(json, "barrier", e->barrier);
        add_switch(json, "store_up", e->store_up);
        add_switch(json, "suspect", e->suspect);
        add_switch(json, "regressed", e->regressed);
        add_switch(json, "draining", e->draining);
        add_switch(json, "name_taken", e->name_taken);
    }
    buf_add_text(json, "}");
}

static void write_json(const struct edge_list *list)
{
    struct buf json = { 0 };

    buf_add_text(&json, "[");
    for (unsigned i = 0; i < list->count; i++) {
        buf_add_text(&json, i > 0 ? ",\n " : "");
        add_edge(&json, &list->edges[i]);
    }
    buf_add_text(&json, "]\n");
    fwrite(json.ptr, 1, json.len, stdout);
    buf_free(&json);
}

static int list_edges(struct redis_client *c, const struct settings *s, bool json)
{
    struct edge_list list;
    bool good = edge_list_read(c, s, &list);

    if (good && json)
        write_json(&list);
    else if (good && list.count == 0)
        puts("no edge has announced itself");
    else if (good)
        write_table(&list);
    edge_list_free(&list);
    return good ? 0 : CLI_EXIT_FAILED;
}

/* --- forgetting --- */

static bool remove_edge(struct redis_client *c, const struct settings *s, const char *id)
{
    struct buf key = { 0 };
    redisReply *place = verb_redis_do(
        c, 3,
        (struct str[]){ STR("ZREM"), verb_redis_key(s, &key, "edges", STR("")), str_from(id) });
    redisReply *facts =
        place == NULL
            ? NULL
            : verb_redis_do(
                  c, 2,
                  (struct str[]){ STR("DEL"), verb_redis_key(s, &key, "edge:", str_from(id)) });
    bool good = facts != NULL;

    freeReplyObject(place);
    freeReplyObject(facts);
    buf_free(&key);
    return good;
}

static int forget(struct redis_client *c, const struct settings *s, const char *id)
{
    struct edge_list list;
    const struct edge_entry *e;
    bool good = edge_list_read(c, s, &list);

    e = edge_list_find(&list, id);
    if (good && e == NULL) {
        fprintf(stderr, "usher edges: no edge is known as \"%s\"\n", id);
        good = false;
    } else if (good) {
        good = remove_edge(c, s, id);
        if (good)
            printf("%s is forgotten%s\n", id,
                   e->alive ? "; but it runs, and will be back within seconds" : "");
    }
    edge_list_free(&list);
    return good ? 0 : CLI_EXIT_FAILED;
}

int edges_verb(int argc, char **argv)
{
    bool json = false;
    const struct verb_flag flags[] = {
        { "json", 0, NULL, VERB_FLAG_SWITCH, &json, "as a JSON array" },
        { 0 },
    };
    const struct verb_usage usage = {
        .line = "edges [forget ID] [FLAGS]", .says = says, .flags = flags, .words_most = 2
    };
    struct settings s;
    struct verb_words words;
    struct redis_client *c;
    int code;

    if (!verb_flags_read(&usage, argc, argv, &s, &words, &code))
        return code;
    if (words.count > 0 && (strcmp(words.words[0], "forget") != 0 || words.count < 2)) {
        fputs("usher edges: expected no word, or: forget ID (see usher edges --help)\n", stderr);
        return CLI_EXIT_USAGE;
    }
    c = verb_redis_open(&s);
    if (c == NULL)
        return CLI_EXIT_FAILED;
    code = words.count > 0 ? forget(c, &s, words.words[1]) : list_edges(c, &s, json);
    redis_client_close(c);
    return code;
}
