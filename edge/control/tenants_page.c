/* tenants_page.c -- the counters that limits stand on, as JSON.
 *
 * Owns:    nothing.
 * Thread:  control; the counters are the workers'.
 * Used by: admin_pages.c.
 * Not here: counting (proxy/limits.c). */
#include "control/tenants_page.h"

#include <stdlib.h>

#include "base/clock.h"

#define HOST_KEY "host "

static const char *const kinds[LIMIT_KINDS] = { "address", "connections", "requests",
                                                "rate",    "body",        "bandwidth" };

struct line {
    struct tenant_state *state;
    uint64_t refused;
    unsigned conns;
};

struct lines {
    struct line *items;
    size_t count, room;
    struct str only;
};

static unsigned load(const atomic_uint *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static uint64_t load_refused(const struct tenant_state *t, unsigned kind)
{
    return atomic_load_explicit(&t->refused[kind], memory_order_relaxed);
}

static struct str name_of(const struct tenant_state *t, bool *is_host)
{
    struct str name = str_slice(t->state.key, t->state.key_len);

    *is_host = str_starts_with(name, STR(HOST_KEY));
    if (*is_host)
        name = str_slice(name.ptr + sizeof(HOST_KEY) - 1, name.len - (sizeof(HOST_KEY) - 1));
    return name;
}

static void add_line(void *owner, struct tenant_state *t)
{
    struct lines *all = owner;
    struct line line = { .state = t, .conns = load(&t->conns) };
    bool is_host;

    for (unsigned i = 0; i < LIMIT_KINDS; i++)
        line.refused += load_refused(t, i);
    if (all->only.len > 0 ? !str_equals(name_of(t, &is_host), all->only)
                          : line.refused == 0 && line.conns == 0)
        return;
    if (all->count == all->room) {
        all->room = all->room * 2 + 64;
        all->items = realloc(all->items, all->room * sizeof(*all->items));
        if (all->items == NULL)
            abort();
    }
    all->items[all->count++] = line;
}

static int worst_first(const void *a, const void *b)
{
    const struct line *one = a, *two = b;

    if (one->refused != two->refused)
        return one->refused < two->refused ? 1 : -1;
    return one->conns < two->conns ? 1 : one->conns > two->conns ? -1 : 0;
}

static void write_line(const struct line *line, uint64_t now_ns, struct buf *json)
{
    const struct tenant_state *t = line->state;
    bool is_host;
    struct str name = name_of(t, &is_host);

    buf_printf(json, "{\"%s\":", is_host ? "host" : "tenant");
    buf_add_json(json, name);
    buf_printf(json, ",\"connections\":%u,\"requests\":%u,\"refused\":{", line->conns,
               load(&t->requests));
    for (unsigned i = 0; i < LIMIT_KINDS; i++)
        buf_printf(json, "%s\"%s\":%llu", i > 0 ? "," : "", kinds[i],
                   (unsigned long long)load_refused(t, i));
    buf_printf(json,
               "},\"rate_ahead_ms\":%llu,\"bandwidth_ahead_ms\":%llu,\"tokens\":%lld,\"edges\":%u}",
               (unsigned long long)(token_bucket_debt(&t->rate, now_ns) / 1000000),
               (unsigned long long)(token_bucket_debt(&t->bytes, now_ns) / 1000000),
               (long long)atomic_load_explicit(&t->lease.tokens, memory_order_relaxed),
               atomic_load_explicit(&t->lease.edges, memory_order_relaxed));
}

void tenants_page_write(struct states *states, unsigned most, struct str only, struct buf *json)
{
    struct lines all = { .only = only };
    uint64_t now_ns = clock_now_ns();

    states_each_tenant(states, add_line, &all);
    if (all.count > 1)
        qsort(all.items, all.count, sizeof(*all.items), worst_first);
    buf_add_text(json, "[");
    for (size_t i = 0; i < all.count && i < most; i++) {
        buf_add_text(json, i > 0 ? ",\n" : "\n");
        write_line(&all.items[i], now_ns, json);
    }
    buf_add_text(json, "\n]\n");
    free(all.items);
}
