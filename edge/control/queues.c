/* queues.c -- connections and queues of limited services, as text: the sums, and each service by name as
 * long as there are not too many.
 *
 * Owns:    nothing.
 * Thread:  control; the figures are the workers' atomics, a queue's groups are read with its lock.
 * Used by: metrics.c, admin_pages.c.
 * Not here: counting (proxy/places.c, proxy/queue.c); shares of the cluster (shares.c). */
#include "control/queues.h"

#define SERVICES_NAMED 100

/* Of one service. */
struct figures {
    uint64_t open, idle, limit;
    bool unlimited;
};

static struct figures figures_of(const struct service_state *service)
{
    struct figures f = { 0 };

    LIST_EACH (node, after, &service->places) {
        const struct places *p = LIST_ITEM(node, struct places, node);
        unsigned limit = places_limit(p);

        f.open += places_open(p);
        f.idle += atomic_load_explicit(&((struct places *)p)->idle, memory_order_relaxed);
        f.unlimited = f.unlimited || limit == PLACES_ANY;
        f.limit += limit;
    }
    return f;
}

static struct service_state *service_of(struct list *node)
{
    return LIST_ITEM(node, struct service_state, limited_node);
}

static struct str name_of(const struct service_state *service)
{
    return str_slice(service->state.key, service->state.key_len);
}

static unsigned waiting_of(const struct service_state *service)
{
    return atomic_load_explicit(&service->queue->waiting, memory_order_relaxed);
}

static void write_sums(const struct states *s, struct buf *to)
{
    uint64_t open = 0, idle = 0, services = 0;

    LIST_EACH (node, after, &s->limited) {
        struct figures f = figures_of(service_of(node));

        services++;
        open += f.open;
        idle += f.idle;
    }
    buf_printf(
        to,
        "# HELP usher_places Connections to endpoints with max_conns: open, and of these idle.\n"
        "# TYPE usher_places gauge\n"
        "usher_places{state=\"open\"} %llu\nusher_places{state=\"idle\"} %llu\n"
        "# HELP usher_places_services Services with max_conns.\n"
        "# TYPE usher_places_services gauge\nusher_places_services %llu\n",
        (unsigned long long)open, (unsigned long long)idle, (unsigned long long)services);
}

static uint64_t value_of(const struct service_state *service, unsigned which)
{
    struct figures f = figures_of(service);

    switch (which) {
    case 0:
        return f.open - (f.idle < f.open ? f.idle : f.open);
    case 1:
        return f.unlimited ? 0 : f.limit;
    default:
        return waiting_of(service);
    }
}

void queues_metrics(const struct states *s, struct buf *to)
{
    static const char *const names[][2] = {
        { "usher_service_busy", "Connections of a service with max_conns that serve a request." },
        { "usher_service_max_conns", "How many it may have on this edge; 0: any number." },
        { "usher_service_waiting", "Requests that wait for one." },
    };

    write_sums(s, to);
    for (unsigned i = 0; i < 3; i++) {
        unsigned named = 0;

        buf_printf(to, "# HELP %s %s\n# TYPE %s gauge\n", names[i][0], names[i][1], names[i][0]);
        LIST_EACH (node, after, &s->limited) {
            const struct service_state *service = service_of(node);

            if (named++ == SERVICES_NAMED)
                break;
            buf_printf(to, "%s{service=\"" STR_FMT "\"} %llu\n", names[i][0],
                       STR_ARG(name_of(service)), (unsigned long long)value_of(service, i));
        }
    }
}

/* --- the dump --- */

struct listing {
    struct buf *json;
    bool more;
};

static void add_tenant(void *owner, struct str group, unsigned waiting)
{
    struct listing *l = owner;

    buf_add_text(l->json, l->more ? ",{\"tenant\":" : "{\"tenant\":");
    buf_add_json(l->json, group);
    buf_printf(l->json, ",\"waiting\":%u}", waiting);
    l->more = true;
}

static void dump_endpoints(const struct service_state *service, struct buf *json)
{
    bool more = false;

    LIST_EACH (node, after, &service->places) {
        const struct places *p = LIST_ITEM(node, struct places, node);
        /* "service address" */
        struct str address = str_slice(p->state->key + service->state.key_len + 1,
                                       p->state->key_len - service->state.key_len - 1);

        buf_add_text(json, more ? ",{\"address\":" : "{\"address\":");
        buf_add_json(json, address);
        if (places_limit(p) != PLACES_ANY)
            buf_printf(json, ",\"max\":%u,\"limit\":%u", p->max, places_limit(p));
        buf_printf(json, ",\"of\":\"%s\",\"open\":%u,\"idle\":%u,\"ending\":%u}",
                   p->shared ? "cluster" : "edge", places_open(p),
                   atomic_load_explicit(&((struct places *)p)->idle, memory_order_relaxed),
                   atomic_load_explicit(&((struct places *)p)->ending, memory_order_relaxed));
        more = true;
    }
}

static void dump_service(const struct service_state *service, struct buf *json)
{
    struct wait_queue *q = service->queue;
    struct listing groups = { json, false };

    buf_add_text(json, "{\"service\":");
    buf_add_json(json, name_of(service));
    buf_printf(json,
               ",\"waiting\":%u,\"served\":%llu,\"waited_ms\":%llu,\"full\":%llu,"
               "\"timed_out\":%llu,\"tenants\":[",
               waiting_of(service), (unsigned long long)atomic_load(&q->served),
               (unsigned long long)atomic_load(&q->waited_us) / 1000,
               (unsigned long long)atomic_load(&q->full),
               (unsigned long long)atomic_load(&q->timed_out));
    pthread_mutex_lock(&q->lock);
    wait_queue_groups(q, add_tenant, &groups);
    pthread_mutex_unlock(&q->lock);
    buf_add_text(json, "],\"endpoints\":[");
    dump_endpoints(service, json);
    buf_add_text(json, "]}");
}

void queues_dump(const struct states *s, struct buf *json)
{
    unsigned named = 0;

    buf_add_text(json, "[");
    LIST_EACH (node, after, &s->limited) {
        if (named++ == SERVICES_NAMED * 10)
            break;
        if (named > 1)
            buf_add_text(json, ",\n");
        dump_service(service_of(node), json);
    }
    buf_add_text(json, "]");
}
