/* topology_text.c -- the topology as JSON, and as a drawing for a terminal.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: topology.c, cli/topology.c.
 * Not here: the facts (topology_view.c, topology.c). */
#include <stdio.h>

#include "store/topology_view.h"

static const char *word(bool yes)
{
    return yes ? "true" : "false";
}

static const char *place(const struct redis_place *p, char to[REDIS_PLACE_TEXT_SIZE])
{
    if (p->port != 0)
        return redis_place_text(p, to);
    snprintf(to, REDIS_PLACE_TEXT_SIZE, "%s", p->host); /* a unix socket */
    return to;
}

static const char *kind_of(const struct topology_view *v)
{
    if (v->url->sentinel_count > 0)
        return "sentinel";
    return strcmp(v->reads.server.mode, "cluster") == 0 ? "cluster" : "single";
}

static uint64_t behind(const struct topology_view *v, const struct topology_node *n)
{
    if (n->offset == TOPOLOGY_UNKNOWN || v->primary.offset == TOPOLOGY_UNKNOWN)
        return TOPOLOGY_UNKNOWN;
    return v->primary.offset > n->offset ? v->primary.offset - n->offset : 0;
}

static bool leads_to(const struct topology_link *l, const struct topology_node *n)
{
    return l->up && redis_place_equals(&l->at, &n->at);
}

static unsigned first_switch(const struct topology_view *v)
{
    return v->switch_count > TOPOLOGY_SWITCHES_MAX ? v->switch_count - TOPOLOGY_SWITCHES_MAX : 0;
}

/* --- JSON --- */

static void add_text(struct buf *to, const char *name, const char *text)
{
    buf_printf(to, "\"%s\":", name);
    buf_add_json(to, str_from(text));
}

static void add_number(struct buf *to, const char *name, uint64_t n)
{
    if (n == TOPOLOGY_UNKNOWN)
        buf_printf(to, ",\"%s\":null", name);
    else
        buf_printf(to, ",\"%s\":%llu", name, (unsigned long long)n);
}

static void add_node(struct buf *to, const struct topology_node *n)
{
    char text[REDIS_PLACE_TEXT_SIZE];

    add_text(to, "address", place(&n->at, text));
    buf_add_text(to, ",");
    add_text(to, "flags", n->flags);
    buf_printf(to, ",\"healthy\":%s", word(n->healthy));
}

static void add_link(struct buf *to, const char *name, const struct topology_link *l)
{
    char text[REDIS_PLACE_TEXT_SIZE];

    buf_printf(to, ",\"%s\":{\"up\":%s,", name, word(l->up));
    add_text(to, "address", place(&l->at, text));
    buf_add_text(to, ",");
    add_text(to, "server", l->server.name);
    buf_add_text(to, ",");
    add_text(to, "version", l->server.version);
    buf_printf(to, ",\"role\":\"%s\",", l->server.replica ? "replica" : "primary");
    add_text(to, "why", l->why);
    buf_add_text(to, "}");
}

static void add_switches(struct buf *to, const struct topology_view *v)
{
    char text[REDIS_PLACE_TEXT_SIZE];

    buf_add_text(to, ",\"switches\":[");
    for (unsigned i = first_switch(v); i < v->switch_count; i++) {
        const struct topology_switch *w = &v->switches[i % TOPOLOGY_SWITCHES_MAX];

        buf_add_text(to, i > first_switch(v) ? ",{" : "{");
        add_text(to, "at", w->at);
        buf_add_text(to, ",");
        add_text(to, "from", place(&w->from, text));
        buf_add_text(to, ",");
        add_text(to, "to", place(&w->to, text));
        buf_printf(to, ",\"over\":%s", word(w->over));
        add_number(to, "took_ms", w->over ? w->took_ms : TOPOLOGY_UNKNOWN);
        buf_add_text(to, "}");
    }
    buf_add_text(to, "]");
}

void topology_write_json(const struct topology_view *v, struct buf *to)
{
    buf_printf(to, "{\"kind\":\"%s\",", kind_of(v));
    add_text(to, "name", v->url->primary_name);
    buf_printf(to, ",\"read_from\":\"%s\",\"stale\":%s", v->reads_replicas ? "replica" : "primary",
               word(v->stale));
    buf_add_text(to, ",\"sentinels\":[");
    for (unsigned i = 0; i < v->sentinel_count; i++) {
        buf_add_text(to, i > 0 ? ",{" : "{");
        add_node(to, &v->sentinels[i]);
        buf_printf(to, ",\"asked\":%s}", word(v->asked_up && i == v->asked));
    }
    buf_add_text(to, "],\"primary\":");
    if (v->primary_known) {
        buf_add_text(to, "{");
        add_node(to, &v->primary);
        add_number(to, "offset", v->primary.offset);
        buf_add_text(to, "}");
    } else {
        buf_add_text(to, "null");
    }
    buf_add_text(to, ",\"replicas\":[");
    for (unsigned i = 0; i < v->replica_count; i++) {
        buf_add_text(to, i > 0 ? ",{" : "{");
        add_node(to, &v->replicas[i]);
        buf_add_text(to, ",");
        add_text(to, "link", v->replicas[i].link);
        add_number(to, "offset", v->replicas[i].offset);
        add_number(to, "behind_bytes", behind(v, &v->replicas[i]));
        add_number(to, "latency_us", v->replicas[i].latency_us);
        buf_add_text(to, "}");
    }
    buf_add_text(to, "]");
    add_link(to, "reads_from", &v->reads);
    add_link(to, "writes_to", &v->writes);
    add_number(to, "lag_ms", v->lag_ms);
    add_switches(to, v);
    buf_add_text(to, "}");
}

/* --- the drawing --- */

static void draw_sentinels(const struct topology_view *v, struct buf *to)
{
    char text[REDIS_PLACE_TEXT_SIZE];

    for (unsigned i = 0; i < v->sentinel_count; i++) {
        const struct topology_node *n = &v->sentinels[i];

        buf_printf(to, "  sentinel    %-24s %s%s\n", place(&n->at, text),
                   v->asked_up && i == v->asked ? "listened to"
                   : n->healthy                 ? "known"
                                                : "silent",
                   !n->healthy && n->flags[0] != '\0' ? " (s_down)" : "");
    }
}

static void draw_uses(const struct topology_view *v, const struct topology_node *n, struct buf *to)
{
    if (leads_to(&v->writes, n))
        buf_add_text(to, "  <- writes");
    if (leads_to(&v->reads, n))
        buf_add_text(to, v->stale ? "  <- reads (STALE)" : "  <- reads");
    buf_add_text(to, "\n");
}

static void draw_replica(const struct topology_view *v, const struct topology_node *n, bool last,
                         struct buf *to)
{
    char text[REDIS_PLACE_TEXT_SIZE];
    uint64_t bytes = behind(v, n);

    buf_printf(to, "  %s replica %-24s", last ? "`--" : "|--", place(&n->at, text));
    buf_add_text(to, n->healthy ? " healthy" : " out of use");
    if (!n->healthy && n->link[0] != '\0')
        buf_printf(to, " (%s, link to the primary: %s)", n->flags, n->link);
    if (bytes != TOPOLOGY_UNKNOWN)
        buf_printf(to, ", %llu bytes behind", (unsigned long long)bytes);
    if (leads_to(&v->reads, n) && v->lag_ms != TOPOLOGY_UNKNOWN)
        buf_printf(to, ", lag %llu ms", (unsigned long long)v->lag_ms);
    if (n->latency_us != TOPOLOGY_UNKNOWN)
        buf_printf(to, ", %llu.%03llu ms away", (unsigned long long)n->latency_us / 1000,
                   (unsigned long long)n->latency_us % 1000);
    draw_uses(v, n, to);
}

static void draw_link(const char *says, const struct topology_link *l, struct buf *to)
{
    char text[REDIS_PLACE_TEXT_SIZE];

    buf_printf(to, "  %s  ", says);
    if (l->at.host[0] == '\0')
        buf_add_text(to, "nowhere");
    else
        buf_printf(to, "%s", place(&l->at, text));
    if (l->up)
        buf_printf(to, ", %s %s, %s", l->server.name, l->server.version,
                   l->server.replica ? "a replica" : "a primary");
    else
        buf_add_text(to, ", not connected");
    if (l->why[0] != '\0')
        buf_printf(to, ": %s", l->why);
    buf_add_text(to, "\n");
}

static void draw_switches(const struct topology_view *v, struct buf *to)
{
    char from[REDIS_PLACE_TEXT_SIZE], at[REDIS_PLACE_TEXT_SIZE];

    for (unsigned i = first_switch(v); i < v->switch_count; i++) {
        const struct topology_switch *w = &v->switches[i % TOPOLOGY_SWITCHES_MAX];

        buf_printf(to, "  switch      %s  %s -> %s", w->at, place(&w->from, from),
                   place(&w->to, at));
        if (w->over)
            buf_printf(to, ", took %llu ms\n", (unsigned long long)w->took_ms);
        else
            buf_add_text(to, ", under way\n");
    }
}

void topology_draw(const struct topology_view *v, struct buf *to)
{
    char text[REDIS_PLACE_TEXT_SIZE];

    if (v->url->sentinel_count > 0)
        buf_printf(to, "%s, by Sentinel\n", v->url->primary_name);
    else
        buf_printf(to, "%s\n",
                   strcmp(kind_of(v), "cluster") == 0 ? "a node of a Cluster" : "one Redis");
    draw_sentinels(v, to);
    if (v->primary_known) {
        buf_printf(to, "  primary     %-24s", place(&v->primary.at, text));
        draw_uses(v, &v->primary, to);
    } else if (v->url->sentinel_count > 0) {
        buf_add_text(to, "  primary     not known\n");
    }
    for (unsigned i = 0; i < v->replica_count; i++)
        draw_replica(v, &v->replicas[i], i + 1 == v->replica_count, to);
    draw_link("reads from", &v->reads, to);
    draw_link("writes to ", &v->writes, to);
    draw_switches(v, to);
}
