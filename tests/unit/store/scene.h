/* scene.h -- a store on a loop, with a private Redis and one pretended worker, for tests. */
#ifndef TESTS_STORE_SCENE_H
#define TESTS_STORE_SCENE_H

#include <hiredis/hiredis.h>
#include <sys/types.h>

#include "base/buf.h"
#include "net/guard.h"
#include "net/loop.h"
#include "routing/changes.h"
#include "settings.h"
#include "store/store.h"

#define SCENE_SLOTS 65536
#define SCENE_HOSTS 16384

/* What the pretended worker remembers of a host. */
struct scene_host {
    bool answered;
    struct answer answer;
};

struct scene {
    char folder[64], socket[96];
    pid_t redis_pid;
    char port[8];        /* of 127.0.0.1, beside the socket; "0": none */
    redisContext *redis; /* to write with: blocks */
    struct loop loop;
    struct settings settings;
    struct guard guard;
    struct store *store;
    struct object *tables[OBJECT_KINDS][SCENE_SLOTS];
    uint32_t generations[OBJECT_KINDS][SCENE_SLOTS];
    struct scene_host hosts[SCENE_HOSTS];
    unsigned host_count;
    uint64_t changes_seen, swaps_seen;
    void (*after_changes)(struct scene *s, const struct changes *c);
    /* As in struct store_events, the owner being the scene; NULL: none. Set before scene_open. */
    void (*confirm)(void *scene, uint64_t number);
    void (*facts)(void *scene, struct store_facts *facts);
    void (*shared)(void *scene, struct str key);
    void *owner;
    uv_timer_t limit;
    bool limit_passed;
};

/* Redis runs; the store does not yet. Change scene->settings, then scene_open. */
struct scene *scene_new(void);
/* Another store on the same Redis, with a loop of its own. Ends before the first. */
struct scene *scene_beside(const struct scene *first);
void scene_open(struct scene *s); /* waits until the store is up */
void scene_open_down(struct scene *s);
void scene_close(struct scene *s); /* the store alone; scene_open begins anew, on the same Redis */
void scene_end(struct scene *s);

void scene_start_redis(struct scene *s);
void scene_use_tcp(struct scene *s);    /* started anew, with a port that was free */
void scene_stop_redis(struct scene *s); /* kills it: nothing is saved */

/* Sends one command, as redisCommand takes it; fails the test on an error reply. */
void scene_do(struct scene *s, const char *format, ...);
/* A text reply, to be freed; NULL for nil. */
char *scene_ask(struct scene *s, const char *format, ...);

/* Runs the loop until fn says yes; false after `ms`. */
bool scene_await(struct scene *s, bool (*fn)(struct scene *s, const void *with), const void *with,
                 unsigned ms);
void scene_run(struct scene *s, unsigned ms); /* that long */

/* What a request to this host gets, as text: "10.0.0.5:80 10.0.0.6:80", or a fault's name. Asks the
 * store when the pretended worker does not remember. The text holds until the next call. */
const char *scene_route(struct scene *s, const char *host);
/* The same from memory alone: "?" when the worker would have to ask. */
const char *scene_known(struct scene *s, const char *host);
/* Runs until scene_route says `wanted`; fails the test after 5 s. */
void scene_expect(struct scene *s, const char *host, const char *wanted);

#endif
