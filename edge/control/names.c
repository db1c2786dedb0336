/* names.c -- keeps asking for the names that endpoints have.
 *
 * Owns:    a struct resolving for each name in use; the resolver, from the first name on.
 * Thread:  control
 * Used by: control.c; admin_pages.c shows it.
 * Not here: asking (net/dns.c); which address a request goes to (proxy/locate.c). */
#include "control/names.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "base/random.h"
#include "net/dns.h"
#include "routing/name_state.h"

#define TTL_LEAST_S 1
#define TTL_MOST_S 3600
#define AGAIN_FIRST_MS 1000
#define AGAIN_MOST_MS 30000
#define ASKED_MOST 64 /* at one time: the rest wait their turn */

struct resolving {
    struct list node; /* of names->all, or of names->turn while it waits to be asked for */
    struct names *names;
    struct name_state *state;
    struct dns_question *question; /* NULL: none is under way */
    struct timer timer;            /* until it is asked for again */
    unsigned failures;             /* since it was resolved last */
};

struct names {
    struct loop *loop;
    const struct settings *settings;
    struct store *store;
    struct names_events events;
    struct dns *dns;       /* NULL: no name was asked for yet */
    struct list all, turn; /* turn: those to be asked for when another is done */
    unsigned asked;
    bool asking; /* inside ask_next: answers may come at once */
    struct random random;
    uint64_t questions, failures, changes;
};

static void ask_next(struct names *n);

static const char *name_of(const struct resolving *r)
{
    return r->state->state.key;
}

static void later(struct resolving *r, uint64_t ms)
{
    timer_set(r->names->loop, &r->timer, ms);
}

/* --- answers --- */

static void log_change(const struct resolving *r, const struct dns_answer *answer, uint32_t ttl_s)
{
    char first[ADDRESS_TEXT_SIZE];

    log_line(LOG_INFO, "name_resolved", "name=%s addresses=%u first=%s ttl_s=%u", name_of(r),
             answer->count, address_ip_text(&answer->addresses[0], first), ttl_s);
}

static void take_addresses(struct resolving *r, const struct dns_answer *answer)
{
    struct names *n = r->names;
    bool first = name_count(r->state) == 0;
    uint32_t ttl_s = answer->ttl_s;

    if (ttl_s < TTL_LEAST_S)
        ttl_s = TTL_LEAST_S;
    if (ttl_s > TTL_MOST_S)
        ttl_s = TTL_MOST_S;
    if (name_put(r->state, answer->addresses, answer->count)) {
        n->changes++;
        log_change(r, answer, ttl_s);
    } else if (r->failures > 0) {
        log_line(LOG_INFO, "name_resolved_again", "name=%s failures=%u", name_of(r), r->failures);
    }
    atomic_store_explicit(&r->state->failed, false, memory_order_release);
    r->failures = 0;
    later(r, (uint64_t)ttl_s * 1000);
    if (first)
        n->events.tell_workers(n->events.owner);
}

/* Twice as long each time, and not all at once: up to a quarter more. */
static uint64_t back_off_ms(struct resolving *r)
{
    uint64_t ms = AGAIN_FIRST_MS;

    for (unsigned i = 1; i < r->failures && ms < AGAIN_MOST_MS; i++)
        ms *= 2;
    if (ms > AGAIN_MOST_MS)
        ms = AGAIN_MOST_MS;
    return ms + random_below(&r->names->random, ms / 4 + 1);
}

static void take_failure(struct resolving *r, const char *reason)
{
    struct names *n = r->names;
    unsigned kept = name_count(r->state);

    n->failures++;
    if (++r->failures == 1)
        log_line(LOG_WARN, "name_failed", "name=%s reason=\"%s\" addresses_kept=%u", name_of(r),
                 reason, kept);
    later(r, back_off_ms(r));
    if (kept > 0)
        return;
    atomic_store_explicit(&r->state->failed, true, memory_order_release);
    n->events.tell_workers(n->events.owner);
}

static void on_answer(void *owner, const struct dns_answer *answer)
{
    struct resolving *r = owner;
    struct names *n = r->names;

    r->question = NULL;
    n->asked--;
    if (answer->count > 0)
        take_addresses(r, answer);
    else
        take_failure(r, answer->reason);
    ask_next(n);
}

/* --- questions --- */

static void ask(struct resolving *r)
{
    struct names *n = r->names;
    const char *reason = "";

    if (n->dns == NULL)
        n->dns =
            dns_open(n->loop, n->settings->resolver_given ? &n->settings->resolver : NULL, &reason);
    if (n->dns == NULL) {
        take_failure(r, reason);
        return;
    }
    n->questions++;
    n->asked++;
    r->question = dns_ask(n->dns, name_of(r), on_answer, r);
}

static void ask_in_turn(struct resolving *r)
{
    list_remove(&r->node);
    if (r->names->asked < ASKED_MOST) {
        list_append(&r->names->all, &r->node);
        ask(r);
    } else {
        list_append(&r->names->turn, &r->node);
    }
}

static void ask_next(struct names *n)
{
    struct list *node;

    if (n->asking)
        return;
    n->asking = true;
    while (n->asked < ASKED_MOST && (node = list_take_first(&n->turn)) != NULL)
        ask_in_turn(LIST_ITEM(node, struct resolving, node));
    n->asking = false;
}

static void on_timer(struct timer *t)
{
    ask_in_turn(LIST_ITEM(t, struct resolving, timer));
}

/* --- names come and go --- */

static void begin(struct names *n, struct name_state *state)
{
    struct resolving *r = check_alloc(sizeof(*r));

    r->names = n;
    r->state = state;
    list_init(&r->node);
    timer_init(&r->timer, on_timer);
    state->resolving = r;
    list_append(&n->all, &r->node);
    later(r, 1); /* not inside the round that names it */
}

static void end(struct resolving *r)
{
    if (r->question != NULL) {
        dns_cancel(r->question);
        r->names->asked--;
    }
    r->state->resolving = NULL;
    timer_stop(&r->timer);
    list_remove(&r->node);
    free(r);
}

static void on_name(void *owner, struct name_state *state, bool used)
{
    struct names *n = owner;

    if (used) {
        begin(n, state);
        return;
    }
    end(state->resolving);
    ask_next(n);
}

struct names *names_open(struct loop *l, const struct settings *settings, struct store *store,
                         const struct names_events *events)
{
    struct names *n = check_alloc(sizeof(*n));

    n->loop = l;
    n->settings = settings;
    n->store = store;
    n->events = *events;
    list_init(&n->all);
    list_init(&n->turn);
    random_init(&n->random);
    store_tell_names(store, on_name, n);
    return n;
}

void names_close(struct names *n)
{
    store_tell_names(n->store, NULL, NULL);
    list_move_all(&n->all, &n->turn);
    while (!list_is_empty(&n->all))
        end(LIST_ITEM(n->all.next, struct resolving, node));
    if (n->dns != NULL)
        dns_close(n->dns);
    free(n);
}

/* --- for those who look --- */

static void count(const struct list *of, unsigned *resolved, unsigned *unresolved,
                  unsigned *failing)
{
    for (const struct list *node = of->next; node != of; node = node->next) {
        const struct resolving *r = LIST_ITEM(node, struct resolving, node);

        *(name_count(r->state) > 0 ? resolved : unresolved) += 1;
        *failing += r->failures > 0;
    }
}

void names_metrics(const struct names *n, struct buf *to)
{
    unsigned resolved = 0, unresolved = 0, failing = 0;

    count(&n->all, &resolved, &unresolved, &failing);
    count(&n->turn, &resolved, &unresolved, &failing);
    buf_printf(to,
               "# HELP usher_names Names of endpoints, by whether an address is known.\n"
               "# TYPE usher_names gauge\n"
               "usher_names{state=\"resolved\"} %u\nusher_names{state=\"unresolved\"} %u\n",
               resolved, unresolved);
    buf_printf(to,
               "# HELP usher_names_failing Names that the last question had no answer for.\n"
               "# TYPE usher_names_failing gauge\nusher_names_failing %u\n",
               failing);
    buf_printf(to,
               "# HELP usher_name_questions_total Names asked for.\n"
               "# TYPE usher_name_questions_total counter\nusher_name_questions_total %llu\n",
               (unsigned long long)n->questions);
    buf_printf(to,
               "# HELP usher_name_failures_total Questions that had no answer.\n"
               "# TYPE usher_name_failures_total counter\nusher_name_failures_total %llu\n",
               (unsigned long long)n->failures);
    buf_printf(to,
               "# HELP usher_name_changes_total Times that a name got other addresses.\n"
               "# TYPE usher_name_changes_total counter\nusher_name_changes_total %llu\n",
               (unsigned long long)n->changes);
}

static void dump_one(const struct resolving *r, bool first, struct buf *json)
{
    char text[ADDRESS_TEXT_SIZE];
    struct address a;
    unsigned addresses = name_count(r->state);

    buf_add_text(json, first ? "{\"name\":" : ",{\"name\":");
    buf_add_json(json, str_from(name_of(r)));
    buf_printf(json, ",\"failures\":%u,\"addresses\":[", r->failures);
    for (unsigned i = 0; i < addresses && name_pick(r->state, i, 0, &a); i++)
        buf_printf(json, "%s\"%s\"", i ? "," : "", address_ip_text(&a, text));
    buf_add_text(json, "]}");
}

void names_dump(const struct names *n, struct buf *json)
{
    const struct list *lists[] = { &n->all, &n->turn };
    bool first = true;

    buf_add_text(json, "[");
    for (unsigned i = 0; i < 2; i++)
        for (const struct list *node = lists[i]->next; node != lists[i]; node = node->next) {
            dump_one(LIST_ITEM(node, struct resolving, node), first, json);
            first = false;
        }
    buf_add_text(json, "]\n");
}
