/* barrier_wait.c -- one token: written, awaited.
 *
 * Edges push their names to a list of the token's own, which is popped without polling. Once a
 * second the edges are looked at anew: one may have signed off, been forgotten, or have lost the
 * link on which it would have said so; its record tells then.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: wait.c, accept.c.
 * Not here: the edge's side (store/barrier.c). */
#include "cli/barrier_wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/verb_redis.h"

#define LOOK_MS 1000

bool barrier_wait_counts(const struct edge_entry *e)
{
    return e->alive || e->seen_ms < (int64_t)EDGE_COUNTS_MS;
}

bool barrier_wait_has(const struct barrier_wait *w, const char *id)
{
    for (unsigned i = 0; i < w->applied_count; i++)
        if (strcmp(w->applied[i], id) == 0)
            return true;
    return false;
}

static void add_applied(struct barrier_wait *w, struct str id)
{
    char *copy = check_alloc(id.len + 1);

    memcpy(copy, id.ptr, id.len);
    if (w->applied_count == BARRIER_EDGES_MAX || barrier_wait_has(w, copy))
        free(copy);
    else
        w->applied[w->applied_count++] = copy;
}

static bool write_token(struct redis_client *c, const struct settings *s, const char *word,
                        struct barrier_wait *w)
{
    struct buf key = { 0 };
    char host[65] = "", by[96];
    redisReply *r;
    bool good;

    gethostname(host, sizeof(host) - 1);
    snprintf(by, sizeof(by), "%s/%ld", host, (long)getpid());
    r = verb_redis_do(c, word != NULL ? 10 : 8,
                      (struct str[]){ STR("XADD"), verb_redis_key(s, &key, "barrier", STR("")),
                                      STR("MAXLEN"), STR("~"), STR("1000"), STR("*"), STR("by"),
                                      str_from(by), str_from(word != NULL ? word : ""), STR("1") });
    good = r != NULL && r->type == REDIS_REPLY_STRING &&
           stream_id_parse(str_slice(r->str, r->len), &w->token);
    if (r != NULL && !good)
        fputs("usher: Redis: its answer to XADD is no id\n", stderr);
    freeReplyObject(r);
    buf_free(&key);
    return good;
}

static bool look_at_edges(struct redis_client *c, const struct settings *s, struct barrier_wait *w)
{
    edge_list_free(&w->edges);
    if (!edge_list_read(c, s, &w->edges))
        return false;
    for (unsigned i = 0; i < w->edges.count; i++)
        if (stream_id_compare(w->edges.edges[i].applied, w->token) >= 0)
            add_applied(w, str_from(w->edges.edges[i].id));
    return true;
}

static bool is_complete(const struct barrier_wait *w, unsigned least)
{
    for (unsigned i = 0; i < w->edges.count; i++) {
        const struct edge_entry *e = &w->edges.edges[i];

        if (barrier_wait_counts(e) && (e->name_taken || !barrier_wait_has(w, e->id)))
            return false;
    }
    return w->applied_count >= least;
}

/* One more edge's word, within `ms`; false: the connection is lost. */
static bool await_word(struct redis_client *c, const struct settings *s, struct barrier_wait *w,
                       uint64_t ms, bool *came)
{
    char id[STREAM_ID_TEXT_SIZE], limit[32];
    struct buf key = { 0 };
    redisReply *r;

    snprintf(limit, sizeof(limit), "%.3f", (double)(ms > 0 ? ms : 1) / 1000);
    r = verb_redis_do(
        c, 3,
        (struct str[]){ STR("BLPOP"),
                        verb_redis_key(s, &key, "ack:", str_from(stream_id_text(w->token, id))),
                        str_from(limit) });
    buf_free(&key);
    *came = r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 2;
    if (*came)
        add_applied(w, str_slice(r->element[1]->str, r->element[1]->len));
    freeReplyObject(r);
    return r != NULL;
}

bool barrier_wait_run(struct redis_client *c, const struct settings *s, const char *word,
                      unsigned least, uint64_t timeout_ms, struct barrier_wait *w)
{
    uint64_t began = clock_now_ns(), until = clock_now_ms() + timeout_ms, now, look;
    bool came;

    *w = (struct barrier_wait){ 0 };
    if (!write_token(c, s, word, w) || !look_at_edges(c, s, w))
        return false;
    w->took_us = (clock_now_ns() - began) / 1000;
    look = clock_now_ms() + LOOK_MS;
    while (!(w->complete = is_complete(w, least)) && (now = clock_now_ms()) < until) {
        uint64_t next = look < until ? look : until;

        if (!await_word(c, s, w, next > now ? next - now : 0, &came))
            return false;
        if (came) {
            w->took_us = (clock_now_ns() - began) / 1000;
            continue;
        }
        if (!look_at_edges(c, s, w))
            return false;
        w->took_us = (clock_now_ns() - began) / 1000;
        look = clock_now_ms() + LOOK_MS;
    }
    return true;
}

void barrier_wait_free(struct barrier_wait *w)
{
    edge_list_free(&w->edges);
    for (unsigned i = 0; i < w->applied_count; i++)
        free(w->applied[i]);
}
