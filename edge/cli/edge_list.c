/* edge_list.c -- usher:edges and usher:edge:<id>, read.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: wait.c, edges.c, accept.c.
 * Not here: who writes them (store/presence.c). */
#include "cli/edge_list.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "cli/verb_redis.h"

/* --- fields --- */

struct field {
    const char *name;
    size_t at;
    enum { FIELD_TEXT, FIELD_NUMBER, FIELD_SWITCH } kind;
};

#define AT(member) #member, offsetof(struct edge_entry, member)

static const struct field fields[] = {
    { AT(version), FIELD_TEXT },
    { AT(host), FIELD_TEXT },
    { AT(pid), FIELD_TEXT },
    { AT(listen), FIELD_TEXT },
    { AT(admin), FIELD_TEXT },
    { AT(started), FIELD_TEXT },
    { AT(barrier), FIELD_TEXT },
    { AT(lag_ms), FIELD_TEXT },
    { AT(requests_per_s), FIELD_TEXT },
    { AT(faults_per_s), FIELD_TEXT },
    { AT(uptime_ms), FIELD_NUMBER },
    { AT(workers), FIELD_NUMBER },
    { AT(connections), FIELD_NUMBER },
    { AT(requests), FIELD_NUMBER },
    { AT(faults), FIELD_NUMBER },
    { AT(records_bad), FIELD_NUMBER },
    { AT(silent_ms), FIELD_NUMBER },
    { AT(store_up), FIELD_SWITCH },
    { AT(suspect), FIELD_SWITCH },
    { AT(regressed), FIELD_SWITCH },
    { AT(draining), FIELD_SWITCH },
    { AT(name_taken), FIELD_SWITCH },
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* Anybody may have written them: nothing that a terminal would obey. */
static char *text_of(const redisReply *r)
{
    size_t size = r->type == REDIS_REPLY_STRING ? r->len + 1 : 1;
    char *text = check_alloc(size);

    if (r->type == REDIS_REPLY_STRING)
        str_printable(str_slice(r->str, r->len), text, size);
    return text;
}

static void take_field(struct edge_entry *e, const struct field *f, const redisReply *r)
{
    char *at = (char *)e + f->at;
    uint64_t number = 0;

    if (f->kind == FIELD_TEXT) {
        *(char **)(void *)at = text_of(r);
        return;
    }
    if (r->type == REDIS_REPLY_STRING)
        str_to_u64(str_slice(r->str, r->len), UINT64_MAX, &number);
    if (f->kind == FIELD_NUMBER)
        *(uint64_t *)(void *)at = number;
    else
        *(bool *)at = number != 0;
}

static void free_entry(struct edge_entry *e)
{
    free(e->id);
    for (size_t i = 0; i < FIELDS; i++)
        if (fields[i].kind == FIELD_TEXT)
            free(*(char **)(void *)((char *)e + fields[i].at));
}

void edge_list_free(struct edge_list *list)
{
    for (unsigned i = 0; i < list->count; i++)
        free_entry(&list->edges[i]);
    free(list->edges);
    *list = (struct edge_list){ 0 };
}

/* --- reading --- */

/* In ms; 0: it cannot be had, and that is said. */
static uint64_t redis_now(struct redis_client *c)
{
    redisReply *r = verb_redis_do(c, 1, (struct str[]){ STR("TIME") });
    uint64_t seconds = 0, us = 0;

    if (r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 2) {
        str_to_u64(str_from(r->element[0]->str), UINT32_MAX, &seconds);
        str_to_u64(str_from(r->element[1]->str), 999999, &us);
    }
    freeReplyObject(r);
    return seconds * 1000 + us / 1000;
}

static bool read_entry(struct redis_client *c, const struct settings *s, struct edge_entry *e)
{
    struct str words[2 + FIELDS] = { STR("HMGET") };
    struct buf key = { 0 };
    redisReply *r;
    bool good;

    words[1] = verb_redis_key(s, &key, "edge:", str_from(e->id));
    for (size_t i = 0; i < FIELDS; i++)
        words[2 + i] = str_from(fields[i].name);
    r = verb_redis_do(c, 2 + FIELDS, words);
    good = r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == FIELDS;
    for (size_t i = 0; good && i < FIELDS; i++)
        take_field(e, &fields[i], r->element[i]);
    if (good) {
        e->alive = e->version[0] != '\0';
        stream_id_parse(str_from(e->barrier), &e->applied);
    }
    freeReplyObject(r);
    buf_free(&key);
    return good;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct edge_entry *)a)->id, ((const struct edge_entry *)b)->id);
}

bool edge_list_read(struct redis_client *c, const struct settings *s, struct edge_list *list)
{
    uint64_t now = redis_now(c);
    struct buf key = { 0 };
    redisReply *r;
    bool good;

    *list = (struct edge_list){ 0 };
    if (now == 0)
        return false;
    r = verb_redis_do(c, 5,
                      (struct str[]){ STR("ZRANGE"), verb_redis_key(s, &key, "edges", STR("")),
                                      STR("0"), STR("-1"), STR("WITHSCORES") });
    good = r != NULL && r->type == REDIS_REPLY_ARRAY;
    if (good)
        list->edges = check_alloc((r->elements / 2 + 1) * sizeof(*list->edges));
    for (size_t i = 0; good && i + 1 < r->elements; i += 2) {
        struct edge_entry *e = &list->edges[list->count++];

        e->id = check_alloc(r->element[i]->len + 1);
        memcpy(e->id, r->element[i]->str, r->element[i]->len);
        e->seen_ms = (int64_t)now - (int64_t)strtod(r->element[i + 1]->str, NULL);
        good = read_entry(c, s, e);
    }
    freeReplyObject(r);
    buf_free(&key);
    if (list->count > 0)
        qsort(list->edges, list->count, sizeof(*list->edges), by_id);
    return good;
}

const struct edge_entry *edge_list_find(const struct edge_list *list, const char *id)
{
    for (unsigned i = 0; i < list->count; i++)
        if (strcmp(list->edges[i].id, id) == 0)
            return &list->edges[i];
    return NULL;
}

/* --- as text --- */

char *edge_age_text(uint64_t ms, char to[EDGE_AGE_SIZE])
{
    static const struct {
        const char *unit;
        uint64_t ms, below;
    } units[] = {
        { "ms", 1, 1000 },
        { "s", 1000, 120 },
        { "min", 60 * 1000, 120 },
        { "h", 60 * 60 * 1000, 48 },
        { "d", 24 * 60 * 60 * 1000, UINT64_MAX },
    };
    unsigned i = 0;

    while (ms / units[i].ms >= units[i].below)
        i++;
    snprintf(to, EDGE_AGE_SIZE, "%llu %s", (unsigned long long)(ms / units[i].ms), units[i].unit);
    return to;
}

static void add(struct buf *to, const char *sentence)
{
    buf_printf(to, "%s%s", to->len > 0 ? "; " : "", sentence);
}

void edge_trouble(const struct edge_entry *e, struct buf *to)
{
    char age[EDGE_AGE_SIZE];

    buf_clear(to);
    if (!e->alive) {
        buf_printf(to,
                   "last seen %s ago, its record has run out: it may be dead, or serve without "
                   "Redis (usher edges forget %s)",
                   edge_age_text(e->seen_ms > 0 ? (uint64_t)e->seen_ms : 0, age), e->id);
        return;
    }
    if (e->name_taken)
        add(to, "two edges run under this name");
    if (!e->store_up)
        add(to, "its link to Redis is down");
    if (e->regressed)
        add(to, "Redis lacks much of what it knows, so it holds its last good set (usher accept)");
    else if (e->suspect)
        add(to, "it is verifying what it holds");
    if (e->draining)
        add(to, "it is ending");
}
