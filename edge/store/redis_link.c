/* redis_link.c -- connecting, greeting, staying alive, coming back.
 *
 * Owns:    a redisAsyncContext at a time; it is freed by redisAsyncFree, which waits for the end of
 *          a callback it is called in.
 * Thread:  control
 * Used by: store.c (one link that reads and tracks, one that writes), flights.c (one for modules, one
 *          for what edges share), sentinel.c (one that asks).
 * Not here: what is asked (sync.c, errors.c, sentinel.c); where to connect to (topology.c); when its
 *           descriptor is ready (redis_watch.c). */
#include "store/redis_link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/random.h"
#include "net/guard.h"
#include "net/resolver.h"
#include "routing/record.h"
#include "store/calls.h"
#include "store/keys.h"
#include "store/redis_tls.h"
#include "store/redis_watch.h"
#include "store/topology.h"

#define TRACKED (FAMILIES + CALLS_FAMILIES + 1) /* prefixes: and the barrier */
#define CONNECT_LIMIT_MS 2000                   /* until everything of the greeting is answered */
#define ASK_LIMIT_MS 1000                       /* of a Sentinel: there are others */
#define LATER_MS 100                            /* where to connect to is being asked for */
#define BACK_OFF_LEAST_MS 50
#define BACK_OFF_MOST_MS 2000
#define TICK_MS 500
#define PING_EVERY_TICKS 2
#define SILENCE_LIMIT_MS 3000
#define STEADY_MS 3000 /* up for so long: the next back-off starts small again */
#define REPLY_ELEMENTS_MAX (1 << 20)
#define WORDS_MAX 64
#define REASON_SIZE 256

enum link_state { LINK_WAITING, LINK_RESOLVING, LINK_GREETING, LINK_UP, LINK_CLOSED };

struct redis_link {
    struct redis_link_options o;
    struct redis_link_events events;
    enum link_state state;
    redisAsyncContext *redis;
    struct resolving *resolving;
    struct timer retry, tick;
    struct random random;
    struct redis_place place;
    struct redis_server server;
    unsigned attempts, ticks, address_turn;
    unsigned greeting, greeting_size; /* replies to come until it is up, of how many */
    bool ping_sent;
    uint64_t heard_ms, up_ms, ups;
};

static void try_connect(struct redis_link *l);

/* --- the end of a connection --- */

static void retry_later(struct redis_link *l)
{
    uint64_t most = BACK_OFF_LEAST_MS;

    for (unsigned i = 0; i < l->attempts && most < BACK_OFF_MOST_MS; i++)
        most *= 2;
    if (most > BACK_OFF_MOST_MS)
        most = BACK_OFF_MOST_MS;
    l->attempts++;
    timer_set(l->o.loop, &l->retry, most / 2 + random_below(&l->random, most / 2 + 1));
}

/* The connection is gone, whoever ended it. */
static void ended(struct redis_link *l, const char *reason)
{
    enum link_state was = l->state;

    if (was == LINK_CLOSED || was == LINK_WAITING)
        return;
    l->state = LINK_WAITING;
    timer_stop(&l->tick);
    if (l->resolving != NULL)
        resolver_cancel(l->resolving);
    l->resolving = NULL;
    if (was == LINK_UP && loop_now_ms(l->o.loop) - l->up_ms >= STEADY_MS)
        l->attempts = 0;
    retry_later(l);
    if (was == LINK_UP)
        l->events.down(l->events.owner, reason);
    else
        l->events.failed(l->events.owner, reason);
    topology_lost(l->o.topology, l->o.use, was == LINK_UP, reason);
}

static void let_go(struct redis_link *l)
{
    redisAsyncContext *redis = l->redis;

    l->redis = NULL;
    if (redis == NULL)
        return;
    redis->data = NULL;
    redisAsyncFree(redis);
}

void redis_link_fail(struct redis_link *l, const char *reason)
{
    char copy[REASON_SIZE];

    if (l->state == LINK_CLOSED || l->state == LINK_WAITING)
        return;
    snprintf(copy, sizeof(copy), "%s", reason); /* it may belong to the connection */
    let_go(l);
    ended(l, copy);
}

void redis_link_try_now(struct redis_link *l)
{
    if (l->state != LINK_WAITING)
        return;
    l->attempts = 0;
    timer_set(l->o.loop, &l->retry, 0);
}

void redis_link_move(struct redis_link *l, const char *reason)
{
    redis_link_fail(l, reason);
    redis_link_try_now(l);
}

bool redis_link_refused(struct redis_link *l, const redisReply *r)
{
    if (r == NULL || r->type != REDIS_REPLY_ERROR || redis_refusal_of(r->str) == REFUSAL_NONE)
        return false;
    redis_link_fail(l, r->str);
    return true;
}

/* hiredis frees the connection after this. */
static void on_disconnect(const redisAsyncContext *redis, int status)
{
    struct redis_link *l = redis->data;
    char reason[REASON_SIZE];

    if (l == NULL)
        return;
    (void)status;
    snprintf(reason, sizeof(reason), "%s", redis->errstr ? redis->errstr : "closed by Redis");
    l->redis = NULL;
    ended(l, reason);
}

static void on_connect(const redisAsyncContext *redis, int status)
{
    struct redis_link *l = redis->data;
    char reason[REASON_SIZE];

    if (l == NULL || status == REDIS_OK)
        return;
    snprintf(reason, sizeof(reason), "%s", redis->errstr ? redis->errstr : "cannot connect");
    l->redis = NULL;
    ended(l, reason);
}

/* --- reading --- */

static void on_heard(void *owner)
{
    struct redis_link *l = owner;

    l->heard_ms = loop_now_ms(l->o.loop);
}

static void on_was_read(void *owner)
{
    struct redis_link *l = owner;

    if (l->state == LINK_UP)
        l->events.was_read(l->events.owner);
}

static void on_push(redisAsyncContext *redis, void *reply)
{
    struct redis_link *l = redis->data;

    /* What changed before it is up is found by looking at everything then. */
    if (l != NULL && reply != NULL && l->state == LINK_UP)
        l->events.push(l->events.owner, reply);
}

static bool attach(struct redis_link *l)
{
    static const struct redis_watch_events events = { on_heard, on_was_read };
    redisAsyncContext *redis = l->redis;

    if (!redis_watch(redis, l->o.loop, &events, l))
        return false;
    redis->data = l;
    redis->c.reader->maxelements = REPLY_ELEMENTS_MAX;
    redisAsyncSetConnectCallback(redis, on_connect);
    redisAsyncSetDisconnectCallback(redis, on_disconnect);
    redisAsyncSetPushCallback(redis, on_push);
    return true;
}

/* --- greeting --- */

static void send_words(struct redis_link *l, redisCallbackFn *fn, void *owner, unsigned argc,
                       const struct str *words)
{
    const char *argv[WORDS_MAX];
    size_t lens[WORDS_MAX];

    CHECK(argc <= WORDS_MAX);
    if (l->redis == NULL)
        return;
    for (unsigned i = 0; i < argc; i++) {
        argv[i] = words[i].ptr;
        lens[i] = words[i].len;
    }
    if (redisAsyncCommandArgv(l->redis, fn, owner, (int)argc, argv, lens) != REDIS_OK)
        redis_link_fail(l, "Redis client: command not taken");
}

/* False: the link has failed for it. */
static bool take_server(struct redis_link *l, const redisReply *r)
{
    char reason[REASON_SIZE];
    const char *refusal;

    if (!redis_server_read(r, &l->server)) {
        redis_link_fail(l, "its answer to the greeting is not that of Redis 6.2 or newer");
        return false;
    }
    if (redis_server_is_too_old(&l->server)) {
        snprintf(reason, sizeof(reason), "it is Redis %s; 6.2 or newer is needed",
                 l->server.version);
        redis_link_fail(l, reason);
        return false;
    }
    refusal = topology_refuses(l->o.topology, l->o.use, &l->server);
    if (refusal != NULL)
        redis_link_fail(l, refusal);
    return refusal == NULL;
}

/* HELLO is answered by a map, and comes first; PING by PONG, and comes last; the others by OK. */
static bool is_greeting(const struct redis_link *l, const redisReply *r)
{
    return r->type == REDIS_REPLY_STATUS && strcmp(r->str, l->greeting == 1 ? "PONG" : "OK") == 0;
}

static void on_greeted(redisAsyncContext *redis, void *reply, void *owner)
{
    struct redis_link *l = owner;
    const redisReply *r = reply;

    if (r == NULL || redis->data == NULL || l->state != LINK_GREETING)
        return;
    if (r->type == REDIS_REPLY_ERROR) {
        redis_link_fail(l, redis_hello_refusal(r->str));
        return;
    }
    if (l->greeting == l->greeting_size) {
        if (!take_server(l, r))
            return;
    } else if (!is_greeting(l, r)) {
        redis_link_fail(l, "its answer to the greeting is not that of Redis 6.2 or newer");
        return;
    }
    if (--l->greeting > 0)
        return;
    l->state = LINK_UP;
    l->up_ms = loop_now_ms(l->o.loop);
    l->ups++;
    topology_up(l->o.topology, l->o.use);
    l->events.up(l->events.owner);
}

static void greet_with(struct redis_link *l, unsigned argc, const struct str *words)
{
    l->greeting++;
    send_words(l, on_greeted, l, argc, words);
}

static void greet_tracking(struct redis_link *l)
{
    struct str words[4 + 2 * TRACKED] = { STR("CLIENT"), STR("TRACKING"), STR("ON"), STR("BCAST") };
    struct buf prefixes[TRACKED] = { { 0 } };
    unsigned argc = 4;

    for (unsigned f = 0; f < FAMILIES; f++)
        keys_add_family(&prefixes[f], l->o.prefix, (enum family)f);
    for (unsigned f = 0; f < CALLS_FAMILIES; f++)
        calls_add_prefix(&prefixes[FAMILIES + f], l->o.prefix, f);
    buf_add_str(&prefixes[TRACKED - 1], l->o.prefix);
    buf_add_text(&prefixes[TRACKED - 1], "barrier");
    for (unsigned f = 0; f < TRACKED; f++) {
        words[argc++] = STR("PREFIX");
        words[argc++] = str_slice(prefixes[f].ptr, prefixes[f].len);
    }
    greet_with(l, argc, words);
    for (unsigned f = 0; f < TRACKED; f++)
        buf_free(&prefixes[f]);
}

static void greet_by_name(struct redis_link *l)
{
    char name[80];

    str_printable(str_from(l->o.client_name), name, sizeof(name));
    for (char *c = name; *c != '\0'; c++)
        if (*c == ' ')
            *c = '-';
    greet_with(l, 3, (struct str[]){ STR("CLIENT"), STR("SETNAME"), str_from(name) });
}

static void greet(struct redis_link *l)
{
    const struct redis_url *url = l->o.url;
    bool asks = l->o.use == LINK_ASKS;
    const char *user = asks ? url->sentinel_user : url->user;
    const char *password = asks ? url->sentinel_password : url->password;
    char db[16];

    l->greeting = 0;
    greet_with(l, password[0] ? 5 : 2,
               (struct str[]){ STR("HELLO"), STR("3"), STR("AUTH"),
                               str_from(user[0] ? user : "default"), str_from(password) });
    snprintf(db, sizeof(db), "%u", url->db);
    if (!asks && url->db != 0)
        greet_with(l, 2, (struct str[]){ STR("SELECT"), str_from(db) });
    if (!asks)
        greet_by_name(l);
    if (l->o.tracking)
        greet_tracking(l);
    greet_with(l, 1, (struct str[]){ STR("PING") }); /* an error while it loads its data */
    l->greeting_size = l->greeting;
}

/* --- connecting --- */

static bool begin_tls(struct redis_link *l)
{
    const struct redis_url *url = l->o.url;

    if (!(l->o.use == LINK_ASKS ? url->sentinel_tls : url->tls) || l->place.port == 0)
        return true;
    return redis_tls_begin(&l->redis->c, url, l->place.host);
}

static void connect_to(struct redis_link *l, const redisOptions *options)
{
    l->state = LINK_GREETING;
    l->heard_ms = l->up_ms = loop_now_ms(l->o.loop);
    l->ping_sent = false;
    l->ticks = 0;
    l->redis = redisAsyncConnectWithOptions(options);
    if (l->redis == NULL) {
        ended(l, "no memory");
    } else if (l->redis->err != 0) {
        redis_link_fail(l, l->redis->errstr);
    } else if (!begin_tls(l)) {
        redis_link_fail(l, l->redis->c.errstr);
    } else if (!attach(l)) {
        redis_link_fail(l, "its socket cannot be watched");
    } else {
        timer_set(l->o.loop, &l->tick, TICK_MS);
        greet(l);
    }
}

static void connect_tcp(struct redis_link *l, const char *ip)
{
    redisOptions options = { 0 };

    REDIS_OPTIONS_SET_TCP(&options, ip, l->place.port);
    connect_to(l, &options);
}

static void on_resolved(void *owner, const struct address *addresses, unsigned count,
                        const char *reason)
{
    struct redis_link *l = owner;
    char ip[ADDRESS_TEXT_SIZE];

    l->resolving = NULL;
    for (unsigned i = 0; i < count; i++)
        guard_add_store(l->o.guard, &addresses[i]);
    if (count == 0)
        ended(l, reason);
    else
        connect_tcp(l, address_ip_text(&addresses[l->address_turn++ % count], ip));
}

static bool is_literal(const struct redis_place *place, struct address *a)
{
    char text[REDIS_PLACE_TEXT_SIZE];
    const char *expected;

    return address_parse(str_from(redis_place_text(place, text)), 1, a, &expected);
}

static void try_connect(struct redis_link *l)
{
    const struct redis_place *place = &l->place;
    redisOptions options = { 0 };
    const char *reason = NULL;
    struct address a;

    if (!topology_place(l->o.topology, l->o.use, &l->place, &reason) && reason == NULL) {
        timer_set(l->o.loop, &l->retry, LATER_MS);
        return;
    }
    l->state = LINK_RESOLVING;
    if (reason != NULL) {
        ended(l, reason);
    } else if (place->port == 0) {
        REDIS_OPTIONS_SET_UNIX(&options, place->host);
        connect_to(l, &options);
    } else if (is_literal(place, &a)) {
        guard_add_store(l->o.guard, &a);
        connect_tcp(l, place->host);
    } else {
        l->resolving = resolver_ask(l->o.loop, place->host, place->port, on_resolved, l);
        if (l->resolving == NULL)
            ended(l, "the system's resolver does not take the name");
    }
}

static void on_retry(struct timer *t)
{
    try_connect(LIST_ITEM(t, struct redis_link, retry));
}

/* --- staying alive --- */

static void on_pong(redisAsyncContext *redis, void *reply, void *owner)
{
    struct redis_link *l = owner;
    const redisReply *r = reply;

    if (r == NULL || redis->data == NULL)
        return;
    l->ping_sent = false;
    if (r->type == REDIS_REPLY_ERROR)
        redis_link_fail(l, r->str);
    else if (l->o.use != LINK_ASKS)
        take_server(l, r); /* it may have become a replica */
}

/* In a Cluster: the slot may have moved, and where it was nothing tells so. */
static void on_probed(redisAsyncContext *redis, void *reply, void *owner)
{
    if (redis->data != NULL)
        redis_link_refused(owner, reply);
}

/* HELLO is a PING that also says in which role Redis is now. */
static void ping(struct redis_link *l)
{
    l->ping_sent = true;
    send_words(l, on_pong, l, 1,
               l->o.use == LINK_ASKS ? (struct str[]){ STR("PING") }
                                     : (struct str[]){ STR("HELLO") });
    if (strcmp(l->server.mode, "cluster") == 0)
        send_words(l, on_probed, l, 2, (struct str[]){ STR("EXISTS"), str_from(l->o.url->probe) });
}

static void on_tick(struct timer *t)
{
    struct redis_link *l = LIST_ITEM(t, struct redis_link, tick);
    uint64_t now = loop_now_ms(l->o.loop);
    uint64_t limit = l->o.use == LINK_ASKS ? ASK_LIMIT_MS : CONNECT_LIMIT_MS;

    if (l->state == LINK_GREETING && now - l->up_ms >= limit) {
        redis_link_fail(l, l->redis != NULL && redis_tls_waits_to_read(&l->redis->c)
                               ? "TLS: no answer to the handshake (does that port speak TLS?)"
                           : limit == ASK_LIMIT_MS ? "no answer to the greeting within 1 s"
                                                   : "no answer to the greeting within 2 s");
        return;
    }
    if (l->state == LINK_UP && l->ping_sent && now - l->heard_ms >= SILENCE_LIMIT_MS) {
        redis_link_fail(l, "no answer for 3 s");
        return;
    }
    timer_set(l->o.loop, &l->tick, TICK_MS);
    if (l->state == LINK_UP && ++l->ticks % PING_EVERY_TICKS == 0 && !l->ping_sent)
        ping(l);
}

/* --- what others call --- */

struct redis_link *redis_link_open(const struct redis_link_options *o,
                                   const struct redis_link_events *e)
{
    struct redis_link *l = check_alloc(sizeof(*l));

    l->o = *o;
    l->events = *e;
    timer_init(&l->retry, on_retry);
    timer_init(&l->tick, on_tick);
    random_init(&l->random);
    timer_set(o->loop, &l->retry, 0);
    return l;
}

bool redis_link_is_up(const struct redis_link *l)
{
    return l->state == LINK_UP;
}

uint64_t redis_link_silent_ms(const struct redis_link *l)
{
    return loop_now_ms(l->o.loop) - l->heard_ms;
}

uint64_t redis_link_ups(const struct redis_link *l)
{
    return l->ups;
}

const struct redis_place *redis_link_place(const struct redis_link *l)
{
    return &l->place;
}

const struct redis_server *redis_link_server(const struct redis_link *l)
{
    return &l->server;
}

void redis_link_send_for(struct redis_link *l, redisCallbackFn *fn, void *owner, unsigned argc,
                         const struct str *words)
{
    if (l->state == LINK_UP)
        send_words(l, fn, owner, argc, words);
}

void redis_link_send(struct redis_link *l, redisCallbackFn *fn, unsigned argc,
                     const struct str *words)
{
    redis_link_send_for(l, fn, l->events.owner, argc, words);
}

static void on_queued(redisAsyncContext *redis, void *reply, void *owner)
{
    const redisReply *r = reply;

    if (r == NULL || redis->data == NULL || r->type != REDIS_REPLY_ERROR)
        return;
    if (!str_starts_with(str_slice(r->str, r->len), STR("OOM"))) /* EXEC will say so, too */
        redis_link_fail(owner, r->str);
}

void redis_link_queue(struct redis_link *l, unsigned argc, const struct str *words)
{
    if (l->state == LINK_UP)
        send_words(l, on_queued, l, argc, words);
}

bool redis_link_has_unread(const struct redis_link *l)
{
    return l->redis != NULL && redis_watch_has_unread(l->redis);
}

void redis_link_close(struct redis_link *l)
{
    l->state = LINK_CLOSED;
    timer_stop(&l->retry);
    timer_stop(&l->tick);
    if (l->resolving != NULL)
        resolver_cancel(l->resolving);
    l->resolving = NULL;
    let_go(l);
}

void redis_link_free(struct redis_link *l)
{
    free(l);
}
