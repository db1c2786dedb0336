/* m_host_random.c -- hooks that do anything, in any order, to requests of any kind: whatever comes of it,
 * each exchange ends, each module is told so once, and the next request is served.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: what should come of each (the other m_host files).
 *
 * CHAOS_SEED=N (it is printed) draws the same lots again. */
#include "harness/load.h"
#include "harness/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 60

static unsigned seed;

static unsigned lot(unsigned most)
{
    return (unsigned)rand_r(&seed) % most;
}

#define PICK(list) (list)[lot(sizeof(list) / sizeof((list)[0]))]

static const char *const steps[] = {
    "q-set X-A=1",
    "q-add X-B=2",
    "q-remove Accept",
    "r-set X-C=3",
    "r-add X-D=4",
    "r-remove Server",
    "q-take",
    "r-take",
    "path /new",
    "query -",
    "host b.test",
    "status 201",
    "replace other",
    "timer 1; wait",
    "timer 5; wait",
    "job 1; wait",
    "timer 0; job 2; wait; wait",
    "late 1",
    "most 20",
    "most 1; timer 500; wait",
    "alloc 3000",
    "alloc 600000",
    "reply 200 mine",
    "reply 304 none",
    "reply 205 reset",
    "result 0",
    "result 1",
    "result 2",
    "fault",
    "fault-denied",
    "redirect 302 /x",
    "other",
    "show",
    "r-get Date",
    "r-count",
    "param a",
    "cookie k",
    "get-status",
    "send x",
    "many 3; wait",
};
static const char *const bodies[] = { "upper",  "hold",    "drop",       "grow", "tail more",
                                      "head x", "fault 3", "fault 9000", "wait", "pass" };
static const char *const hooks[] = { "request", "upstream", "response", "done" };

/* The settings of one module: up to three steps in each hook. */
static void draw(char *to, size_t size, const char *name)
{
    size_t at = (size_t)snprintf(to, size, "%s(", name);

    for (unsigned h = 0; h < 4; h++) {
        at += (size_t)snprintf(to + at, size - at, "%s=\"note %s", hooks[h], hooks[h]);
        for (unsigned n = lot(4); n > 0; n--)
            at += (size_t)snprintf(to + at, size - at, "; %s", PICK(steps));
        at += (size_t)snprintf(to + at, size - at, "\" ");
    }
    snprintf(to + at, size - at, "body_q=\"%s\" body_r=\"%s\" other=beta) ", PICK(bodies),
             PICK(bodies));
}

static const char *const requests[] = {
    "GET /a?a=1 HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a.test\r\nAccept: x\r\nConnection: X-A\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nsome words",
    "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nsome ",
    "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5\r\nsome \r\n5\r\nwords\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
};

static char answers[][160] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome words",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsome \r\n5\r\nwords\r\n0\r\n\r\n",
    "HTTP/1.1 204 None\r\nConnection: X-C\r\n\r\n",
    "HTTP/1.1 304 Same\r\n\r\n",
    "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
    "HTTP/1.1 200 OK\r\n\r\nuntil close",
    "nonsense\r\n\r\n",
};

static void answer(struct origin_conn *c, struct origin_request *r, void *arg)
{
    (void)r;
    origin_send(c, arg);
    origin_hang_up(c);
}

/* Sends, takes what comes for a while or leaves at once. */
static void ask(struct scene *s)
{
    struct client *c = scene_open(s);
    unsigned patience = lot(4);

    client_send(c, PICK(requests));
    if (patience > 0)
        inbox_fill(&c->in, patience == 1 ? 5 : 40);
    if (patience == 2)
        client_reset(c);
    else
        client_close(c);
}

SCENARIO(module_random, whatever_hooks_do_each_exchange_ends)
{
    static struct scene s;
    static char probe[2000], second[2000];
    struct origin *o, *beta;
    unsigned begun = load_number("CHAOS_SEED", (unsigned)time(NULL) ^ (unsigned)getpid());

    seed = begun;
    o = probe_start(&s, "probe second", .flags = { "--header-timeout", "2s" });
    beta = origin_start("beta");
    scene_endpoint(&s, "beta", beta);
    for (unsigned round = 0; round < ROUNDS; round++) {
        draw(probe, sizeof(probe), "probe");
        draw(second, sizeof(second), "second");
        probe_say(&s, kept_format("%s%s", probe, lot(3) > 0 ? second : ""));
        origin_script(o, answer, answers[lot(sizeof(answers) / sizeof(answers[0]))]);
        for (unsigned k = 0; k < 4; k++)
            ask(&s);
        cr_assert(eventually(scene_metric(&s, "usher_exchanges") == 0, AWAIT_MS),
                  "CHAOS_SEED=%u, round %u: an exchange does not end: %s %s", begun, round, probe,
                  second);
        cr_assert_eq(scene_metric(&s, "usher_module_probe_open"), 0, "CHAOS_SEED=%u, round %u",
                     begun, round);
    }
    origin_script(o, NULL, NULL);
    probe_say(&s, "probe(response=\"compiled; show\") second");
    for (unsigned i = 0; i < 4; i++) {
        struct response r = probe_get(&s, "/", "");

        cr_assert(r.status == 200 && strcmp(probe_trail(&r), "Q,U,R,compiled=1") == 0,
                  "CHAOS_SEED=%u: %d %s%s", begun, r.status, r.head, r.why);
    }
    scene_end(&s);
}
