/* m_host_live.c -- modules switched on, changed, broken and switched off, while requests come without a
 * break: none is lost, of that tenant nor of others, and each goes by one version of the settings.
 *
 * Owns:    nothing.
 * Thread:  the test's, and one for each client.
 * Used by: make test.
 * Not here: what hooks do (m_host_hooks.c). */
#include "harness/probe.h"

#include <stdatomic.h>
#include <stdio.h>

#define CLIENTS 4
#define CHANGES 60

struct asker {
    pthread_t thread;
    const char *at, *host;
    atomic_uint answers, wrong;
    char first_wrong[400];
};

static atomic_bool stop;

/* `words` of a version are on the way there and back, or neither is. */
static bool is_right(const struct asker *a, const struct response *r)
{
    const char *there = response_field(r, "X-There"), *back = response_field(r, "X-Back");

    if (r->status != 200 || !has(r->text, "body") || !r->body.whole)
        return false;
    if (strcmp(a->host, "other.test") == 0)
        return there == NULL && back == NULL;
    return (there == NULL) == (back == NULL) && (there == NULL || strcmp(there, back) == 0);
}

static void *ask(void *owner)
{
    struct asker *a = owner;
    struct client *c = client_open(a->at);

    while (!atomic_load(&stop)) {
        struct response r;

        client_sendf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 4\r\n\r\nbody", a->host);
        r = client_read(c);
        if (!is_right(a, &r) && atomic_fetch_add(&a->wrong, 1) == 0)
            snprintf(a->first_wrong, sizeof(a->first_wrong), "%d %s%s%s", r.status, r.why, r.head,
                     r.text);
        atomic_fetch_add(&a->answers, 1);
        if (r.status == 0)
            break;
    }
    client_close(c);
    return NULL;
}

/* Says which X-There it has got, and sends the body back. */
static void tell(struct origin_conn *c, struct origin_request *r, void *arg)
{
    const char *there = message_field(r->head, "X-There");

    (void)arg;
    origin_read_body(c, r);
    origin_sendf(c, "HTTP/1.1 200 OK\r\n%s%s%sContent-Length: %zu\r\n\r\n%s",
                 there != NULL ? "X-There: " : "", there != NULL ? there : "",
                 there != NULL ? "\r\n" : "", strlen(r->text), r->text);
}

static void change(struct scene *s, unsigned n)
{
    static const char *const kinds[] = {
        "probe(request=\"q-set X-There=%u; q-take\" response=\"r-set X-Back=%u\" done=\"id\")",
        "second(request=\"timer 3; wait; q-set X-There=%u\" response=\"job 1; wait; r-set X-Back=%u\") probe",
        "probe(request=\"q-set X-There=%u\" response=\"r-set X-Back=%u; r-take\" body_r=\"hold\") second",
    };

    switch (n % 5) {
    case 3:
        scene_redis(s, "HDEL usher:tenant:acme modules");
        break;
    case 4: /* what was said before serves on */
        scene_redis(s, "HSET usher:tenant:acme modules 'probe(nonsense=1)'");
        break;
    default:
        scene_redis(s, "HSET usher:tenant:acme modules '%s'", kept_format(kinds[n % 5], n, n));
    }
}

SCENARIO(module_live, changes_under_load_lose_no_request)
{
    static struct scene s;
    static struct asker askers[CLIENTS];
    struct origin *o = probe_start(&s, "probe second", .workers = 2);
    unsigned before, asked = 0;

    origin_script(o, tell, NULL);
    scene_host(&s, "other.test", o);
    scene_live(&s);
    for (unsigned i = 0; i < CLIENTS; i++) {
        askers[i].at = s.edge.at;
        askers[i].host = i % 2 == 0 ? "a.test" : "other.test";
        await_thread(&askers[i].thread, ask, &askers[i]);
    }
    for (unsigned n = 0; n < CHANGES; n++) {
        before = atomic_load(&askers[0].answers);
        change(&s, n);
        await(atomic_load(&askers[0].answers) >= before + 5 || atomic_load(&askers[0].wrong) > 0);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < CLIENTS; i++) {
        pthread_join(askers[i].thread, NULL);
        cr_assert_eq(atomic_load(&askers[i].wrong), 0, "%s: %s", askers[i].host,
                     askers[i].first_wrong);
        asked += atomic_load(&askers[i].answers);
    }
    cr_assert_geq(asked, CHANGES * 5);
    expect_metric(&s, "usher_module_probe_open", 0);
    expect_metric(&s, "usher_module_second_open", 0);
    cr_assert_eq(scene_metric(&s, "usher_module_probe_dones_total"),
                 scene_metric(&s, "usher_module_probe_requests_total"));
    cr_assert_geq(scene_metric(&s, "usher_module_second_resumed_total"), 2);
    probe_say(&s, "probe(response=\"compiled; show\")");
    await(strcmp(probe_trail(&(struct response[]){ probe_get(&s, "/", "") }[0]),
                 "Q,U,R,compiled=1") == 0); /* the others are freed */
    scene_end(&s);
}
