/* scene.h -- what one test stands on: a Redis of its own, an edge, origins, and short words to ask
 * and to expect.
 *
 *   SCENARIO(routing, exact_host_beats_wildcard)
 *   {
 *       static struct scene s;
 *
 *       scene_start(&s);
 *       scene_host(&s, "a.test", origin_start("one"));
 *       expect_get(&s, "a.test", "/", 200, "one");
 *       scene_end(&s);
 *   }
 */
#ifndef HARNESS_SCENE_H
#define HARNESS_SCENE_H

#include <criterion/criterion.h>
#include <string.h>

#include "harness/await.h"
#include "harness/client.h"
#include "harness/edge.h"
#include "harness/origin.h"
#include "harness/redis.h"

/* A test that starts scenes: when it fails, the edge's log is shown and nothing is left running. */
#define SCENARIO(suite, name, ...)                                                                 \
    Test(suite, name, .fini = scene_leave, .timeout = 120, ##__VA_ARGS__)

struct scene {
    char dir[64];
    struct redis redis;
    struct edge edge;
    struct edge_options options; /* as the edge was started */
};

struct scene_options {
    const char *flags[40];
    const char *environment[12];
    unsigned workers, files;
    bool without_redis;  /* it is not started; scene_redis_start does */
    bool without_edge;   /* scene_edge_start starts it */
    bool tcp;            /* the edge reaches Redis by TCP */
    bool unready;        /* do not wait for /readyz */
    bool followed;       /* the edge may be followed by another, see edge.h */
    const char *program; /* of the edge; NULL: edge_program() */
    const char *password;
    unsigned db;
};

#define scene_start(s, ...) scene_start_with(s, &(struct scene_options){ __VA_ARGS__ })
void scene_start_with(struct scene *s, const struct scene_options *o);
void scene_edge_start(struct scene *s);
void scene_edge_start_unready(struct scene *s);
/* Another edge on the same Redis, with the same flags and `more` (up to a NULL). */
void scene_second_edge(struct scene *s, struct edge *e, ...) __attribute__((sentinel));
/* Ends everything; the edge by SIGTERM, which must give exit 0 and no report. */
void scene_end(struct scene *s);
void scene_leave(void); /* the test's last act, also after a failed assert */

/* To this scene's Redis; see redis.h for quoting. */
#define scene_redis(s, ...) redis_say(&(s)->redis, __VA_ARGS__)
/* SET usher:host:<host> to this origin (before: whatever it was). */
void scene_host(struct scene *s, const char *host, const struct origin *o);
/* So many hosts h0.test, h1.test, ... at this origin, each asked for once. */
void scene_hosts(struct scene *s, unsigned count, const struct origin *o);
/* HSET usher:endpoints:<service> <origin> 100 */
void scene_endpoint(struct scene *s, const char *service, const struct origin *o);

/* Returns when the edge has applied, on every worker, all that was written before: after the first
 * sync a host that it has not heard of yet is an unknown one. */
void scene_live(struct scene *s);

#define scene_open(s) client_open((s)->edge.at)
struct response scene_get(struct scene *s, const char *host, const char *path);
#define scene_exchange(s, bytes) client_exchange((s)->edge.at, bytes)

/* One GET on a new connection, now. body NULL: any. */
#define expect_get(s, host, path, status, body)                                                    \
    scene_expect_get(s, host, path, status, body, __FILE__, __LINE__)
/* One GET now that ends with this fault and its status. */
#define expect_fault(s, host, fault) scene_expect_fault(s, host, fault, __FILE__, __LINE__)
/* A response that was read: its status, or what came instead. */
#define expect_status(response, status) scene_expect_status(response, status, __FILE__, __LINE__)
/* Comes to be so on every worker (several new connections in a row). */
#define await_get(s, host, path, status, body)                                                     \
    scene_await_get(s, host, path, status, body, __FILE__, __LINE__)
#define await_fault(s, host, fault) scene_await_fault(s, host, fault, __FILE__, __LINE__)

void scene_expect_status(struct response r, int status, const char *file, int line);
void scene_expect_get(struct scene *s, const char *host, const char *path, int status,
                      const char *body, const char *file, int line);
void scene_expect_fault(struct scene *s, const char *host, const char *fault, const char *file,
                        int line);
void scene_await_get(struct scene *s, const char *host, const char *path, int status,
                     const char *body, const char *file, int line);
void scene_await_fault(struct scene *s, const char *host, const char *fault, const char *file,
                       int line);
int scene_fault_status(const char *fault); /* the status that goes with it */

/* Admin pages: the text of a 200, or NULL. */
const char *scene_page(struct scene *s, const char *path);
int scene_ready(struct scene *s); /* status of /readyz, 0 = no answer */
/* The value of a metric as written, labels and all; 0 when there is no such line. */
double scene_metric(struct scene *s, const char *name);
#define scene_fault_count(s, fault) scene_metric(s, "usher_faults_total{fault=\"" fault "\"}")
/* A counter's value when what was asked is done: a client may have its answer before it is counted. */
#define expect_metric(s, name, value) scene_expect_metric(s, name, value, __FILE__, __LINE__)
#define expect_fault_count(s, fault, value)                                                        \
    expect_metric(s, "usher_faults_total{fault=\"" fault "\"}", value)
void scene_expect_metric(struct scene *s, const char *name, double value, const char *file,
                         int line);
/* What its standard output, such as an access log, holds so far. */
bool scene_out_has(struct scene *s, const char *text);
#define scene_logged(s, text) process_log_count(&(s)->edge.process, text)

#endif
