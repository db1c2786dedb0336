/* explain_limits.c -- of each limit the first word on it, as proxy/limits.c takes it.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: explain.c.
 * Not here: how much of them is used now (tenants_page.c). */
#include "control/explain_limits.h"

#include "control/explain_records.h"

/* Where a limit stands in struct limits. */
struct row {
    const char *name;
    size_t at;
    bool bytes; /* uint64_t, else uint32_t */
};

static const struct row rows[] = {
    { "max_conns", offsetof(struct limits, max_conns), false },
    { "max_requests", offsetof(struct limits, max_requests), false },
    { "rps", offsetof(struct limits, rps), false },
    { "burst", offsetof(struct limits, burst), false },
    { "max_body", offsetof(struct limits, max_body), true },
    { "bandwidth", offsetof(struct limits, bandwidth), true },
};

static uint64_t value_of(const struct limits *l, const struct row *row)
{
    uint64_t bytes;
    uint32_t number;

    if (row->bytes) {
        memcpy(&bytes, (const char *)l + row->at, sizeof(bytes));
        return bytes;
    }
    memcpy(&number, (const char *)l + row->at, sizeof(number));
    return number == LIMIT_OFF ? LIMIT_OFF_BYTES : number;
}

static const struct limits *limits_of(const struct explained_ranks *ranks, unsigned i)
{
    return ranks->fields[i] != NULL ? ranks->fields[i]->limits : NULL;
}

static void add(struct explanation *e, const char *name, struct str value, struct str from)
{
    struct explained_field f = { name, value, from };

    explain_add(e, fields, f);
}

static void add_row(struct explanation *e, const struct explained_ranks *ranks,
                    const struct row *row)
{
    for (unsigned i = 0; i < EXPLAINED_RANKS; i++) {
        const struct limits *l = limits_of(ranks, i);
        uint64_t value = l != NULL ? value_of(l, row) : 0;

        if (value == 0)
            continue;
        add(e, row->name,
            value == LIMIT_OFF_BYTES ? STR("off")
                                     : explain_print(e, "%llu", (unsigned long long)value),
            ranks->keys[i]);
        return;
    }
}

/* Whose rate it is: one of several edges', or of each; a host's own, or its tenant's. */
static void add_rps_of(struct explanation *e, const struct explained_ranks *ranks)
{
    for (unsigned i = 0; i < EXPLAINED_RANKS; i++) {
        const struct limits *l = limits_of(ranks, i);

        if (l == NULL || l->rps_of == RPS_OF_UNSET)
            continue;
        add(e, "rps_of", l->rps_of == RPS_OF_CLUSTER ? STR("cluster") : STR("edge"),
            ranks->keys[i]);
        return;
    }
}

static const struct limit_ranges *add_ranges(struct explanation *e,
                                             const struct explained_ranks *ranks, bool deny)
{
    for (unsigned i = 0; i < EXPLAINED_RANKS; i++) {
        const struct limits *l = limits_of(ranks, i);
        const struct limit_ranges *said = l == NULL ? NULL : deny ? &l->deny : &l->allow;

        if (said == NULL || !said->said)
            continue;
        add(e, deny ? "deny" : "allow",
            said->count == 0 ? STR("off") : explain_print(e, "%u ranges", said->count),
            ranks->keys[i]);
        return said;
    }
    return NULL;
}

bool explain_limits(struct explanation *e, const struct explained_ranks *ranks,
                    const struct address *client)
{
    const struct limit_ranges *allow = add_ranges(e, ranks, false);
    const struct limit_ranges *deny = add_ranges(e, ranks, true);

    if (!limits_let_in(allow, deny, client))
        return false;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        add_row(e, ranks, &rows[i]);
    add_rps_of(e, ranks);
    return true;
}
