/* checked.c -- the script of an origin whose health is checked.
 *
 * Owns:    nothing; the test owns the struct, which must outlive the origin.
 * Thread:  the origin's.
 * Used by: scenarios of health.
 * Not here: what edges make of it. */
#include "harness/checked.h"

#include <stdio.h>
#include <string.h>

static const char *header_of(const char *head, const char *name)
{
    const char *at = strstr(head, name), *end;

    if (at == NULL)
        return "";
    at += strlen(name);
    end = strstr(at, "\r\n");
    return kept_text(at, end != NULL ? (size_t)(end - at) : strlen(at));
}

static void note(struct checked *c, const char *edge)
{
    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; i < CHECKED_EDGES; i++) {
        if (c->seen[i].edge[0] == '\0')
            snprintf(c->seen[i].edge, sizeof(c->seen[i].edge), "%s", edge);
        if (strcmp(c->seen[i].edge, edge) == 0) {
            c->seen[i].count++;
            break;
        }
    }
    pthread_mutex_unlock(&c->lock);
}

static int answer_to(struct checked *c, const char *edge)
{
    if (c->one != NULL && strcmp(c->one, edge) == 0)
        return __atomic_load_n(&c->to_one, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&c->answer, __ATOMIC_SEQ_CST);
}

static void script(struct origin_conn *conn, struct origin_request *r, void *arg)
{
    struct checked *c = arg;
    const char *edge = header_of(r->head, "Usher-Edge: ");

    if (strncmp(r->target, "/healthz", 8) != 0) {
        origin_reply(conn, r, 200, c->name);
        return;
    }
    note(c, edge);
    switch ((enum checked_answer)answer_to(c, edge)) {
    case CHECKED_GOOD:
        origin_reply(conn, r, 200, c->body != NULL ? c->body : "fine");
        break;
    case CHECKED_SICK:
        origin_reply(conn, r, 503, "sick");
        break;
    case CHECKED_CUT:
        origin_hang_up(conn);
        break;
    case CHECKED_SILENT:
        break;
    }
}

void checked_start(struct checked *c, const char *name)
{
    memset(c, 0, sizeof(*c));
    c->name = name;
    pthread_mutex_init(&c->lock, NULL);
    c->origin = origin_start(name);
    origin_script(c->origin, script, c);
}

void checked_set(struct checked *c, enum checked_answer answer)
{
    __atomic_store_n(&c->answer, (int)answer, __ATOMIC_SEQ_CST);
}

void checked_set_one(struct checked *c, const char *edge, enum checked_answer answer)
{
    __atomic_store_n(&c->to_one, (int)answer, __ATOMIC_SEQ_CST);
    __atomic_store_n(&c->one, edge, __ATOMIC_SEQ_CST);
}

unsigned checked_count(struct checked *c, const char *edge)
{
    unsigned count = 0;

    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; i < CHECKED_EDGES; i++)
        if (edge == NULL || strcmp(c->seen[i].edge, edge) == 0)
            count += c->seen[i].count;
    pthread_mutex_unlock(&c->lock);
    return count;
}

void checked_forget(struct checked *c)
{
    pthread_mutex_lock(&c->lock);
    memset(c->seen, 0, sizeof(c->seen));
    pthread_mutex_unlock(&c->lock);
}

unsigned checked_edges(struct checked *c)
{
    unsigned edges = 0;

    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; i < CHECKED_EDGES; i++)
        edges += c->seen[i].count > 0;
    pthread_mutex_unlock(&c->lock);
    return edges;
}
