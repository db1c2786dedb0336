/* redis_link.c -- connecting, greeting, staying alive, coming back.
 *
 * Owns:    a redisAsyncContext at a time; it is freed by redisAsyncFree, which waits for the end of
 *          a callback it is called in.
 * Thread:  control
 * Used by: store.c (one link that reads and tracks, one that writes).
 * Not here: what is asked (sync.c, errors.c). */
#include "store/redis_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/check.h"
#include "base/random.h"
#include "net/fd_watch.h"
#include "net/guard.h"
#include "net/resolver.h"
#include "routing/record.h"
#include "store/keys.h"

#define CONNECT_LIMIT_MS 2000 /* until everything of the greeting is answered */
#define BACK_OFF_LEAST_MS 50
#define BACK_OFF_MOST_MS 2000
#define TICK_MS 500
#define PING_EVERY_TICKS 2
#define SILENCE_LIMIT_MS 3000
#define STEADY_MS 3000 /* up for so long: the next back-off starts small again */
#define READS_PER_TURN 32
#define REPLY_ELEMENTS_MAX (1 << 20)
#define WORDS_MAX 64

enum link_state { LINK_WAITING, LINK_RESOLVING, LINK_GREETING, LINK_UP, LINK_CLOSED };

/* hiredis frees its side when it likes; libuv its own a turn later. */
struct link_watch {
    struct fd_watch watch;
    struct redis_link *link; /* NULL: no longer the link's */
    bool reading, writing;
};

struct redis_link {
    struct redis_link_options o;
    struct redis_link_events events;
    enum link_state state;
    redisAsyncContext *redis;
    struct link_watch *watch;
    struct resolving *resolving;
    struct timer retry, tick;
    struct random random;
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
    if (was == LINK_UP && loop_now_ms(l->o.loop) - l->up_ms >= STEADY_MS)
        l->attempts = 0;
    retry_later(l);
    if (was == LINK_UP)
        l->events.down(l->events.owner, reason);
    else
        l->events.failed(l->events.owner, reason);
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
    char copy[256];

    if (l->state == LINK_CLOSED || l->state == LINK_WAITING)
        return;
    snprintf(copy, sizeof(copy), "%s", reason); /* it may belong to the connection */
    let_go(l);
    ended(l, copy);
}

/* hiredis frees the connection after this. */
static void on_disconnect(const redisAsyncContext *redis, int status)
{
    struct redis_link *l = redis->data;
    char reason[256];

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
    char reason[256];

    if (l == NULL || status == REDIS_OK)
        return;
    snprintf(reason, sizeof(reason), "%s", redis->errstr ? redis->errstr : "cannot connect");
    l->redis = NULL;
    ended(l, reason);
}

/* --- hiredis on our loop --- */

static void on_ready(struct fd_watch *watch, bool readable, bool writable)
{
    struct link_watch *w = watch->owner;
    struct redis_link *l = w->link;

    if (l == NULL)
        return;
    if (writable && l->redis != NULL)
        redisAsyncHandleWrite(l->redis);
    if (!readable)
        return;
    l->heard_ms = loop_now_ms(l->o.loop);
    for (unsigned i = 0; i < READS_PER_TURN && l->redis != NULL && l->watch == w; i++) {
        if (i > 0 && !redis_link_has_unread(l))
            break;
        redisAsyncHandleRead(l->redis);
    }
    if (l->state == LINK_UP)
        l->events.was_read(l->events.owner);
}

static void watch_add_read(void *privdata)
{
    struct link_watch *w = privdata;

    w->reading = true;
    fd_watch_for(&w->watch, w->reading, w->writing);
}

static void watch_del_read(void *privdata)
{
    struct link_watch *w = privdata;

    w->reading = false;
    fd_watch_for(&w->watch, w->reading, w->writing);
}

static void watch_add_write(void *privdata)
{
    struct link_watch *w = privdata;

    w->writing = true;
    fd_watch_for(&w->watch, w->reading, w->writing);
}

static void watch_del_write(void *privdata)
{
    struct link_watch *w = privdata;

    w->writing = false;
    fd_watch_for(&w->watch, w->reading, w->writing);
}

static void on_watch_closed(struct fd_watch *watch)
{
    free(watch->owner);
}

static void watch_cleanup(void *privdata)
{
    struct link_watch *w = privdata;

    if (w->link != NULL && w->link->watch == w)
        w->link->watch = NULL;
    w->link = NULL;
    fd_watch_close(&w->watch, on_watch_closed);
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
    redisAsyncContext *redis = l->redis;
    struct link_watch *w = check_alloc(sizeof(*w));

    w->link = l;
    if (!fd_watch_open(&w->watch, l->o.loop, redis->c.fd, on_ready, w)) {
        free(w);
        return false;
    }
    l->watch = w;
    redis->data = l;
    redis->ev.data = w;
    redis->ev.addRead = watch_add_read;
    redis->ev.delRead = watch_del_read;
    redis->ev.addWrite = watch_add_write;
    redis->ev.delWrite = watch_del_write;
    redis->ev.cleanup = watch_cleanup;
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

/* HELLO is answered by a map, and comes first; PING by PONG, and comes last; the others by OK. */
static bool is_greeting(const struct redis_link *l, const redisReply *r)
{
    if (l->greeting == l->greeting_size)
        return r->type == REDIS_REPLY_MAP && r->elements > 0;
    return r->type == REDIS_REPLY_STATUS && strcmp(r->str, l->greeting == 1 ? "PONG" : "OK") == 0;
}

static void on_greeted(redisAsyncContext *redis, void *reply, void *owner)
{
    struct redis_link *l = owner;
    const redisReply *r = reply;

    if (r == NULL || redis->data == NULL || l->state != LINK_GREETING)
        return;
    if (r->type == REDIS_REPLY_ERROR) {
        redis_link_fail(l, r->str);
        return;
    }
    if (!is_greeting(l, r)) {
        redis_link_fail(l, "its answer to the greeting is not that of Redis 6 or newer");
        return;
    }
    if (--l->greeting > 0)
        return;
    l->state = LINK_UP;
    l->up_ms = loop_now_ms(l->o.loop);
    l->ups++;
    l->events.up(l->events.owner);
}

static void greet_with(struct redis_link *l, unsigned argc, const struct str *words)
{
    l->greeting++;
    send_words(l, on_greeted, l, argc, words);
}

static void greet_tracking(struct redis_link *l)
{
    struct str words[4 + 2 * (FAMILIES + 1)] = { STR("CLIENT"), STR("TRACKING"), STR("ON"),
                                                 STR("BCAST") };
    struct buf prefixes[FAMILIES + 1] = { { 0 } };
    unsigned argc = 4;

    for (unsigned f = 0; f < FAMILIES; f++)
        keys_add_family(&prefixes[f], l->o.prefix, (enum family)f);
    buf_add_str(&prefixes[FAMILIES], l->o.prefix);
    buf_add_text(&prefixes[FAMILIES], "barrier");
    for (unsigned f = 0; f <= FAMILIES; f++) {
        words[argc++] = STR("PREFIX");
        words[argc++] = str_slice(prefixes[f].ptr, prefixes[f].len);
    }
    greet_with(l, argc, words);
    for (unsigned f = 0; f <= FAMILIES; f++)
        buf_free(&prefixes[f]);
}

static void greet(struct redis_link *l)
{
    const struct redis_url *url = l->o.url;
    struct str user = url->user[0] ? str_from(url->user) : STR("default");
    char db[16], name[80];

    l->greeting = 0;
    greet_with(
        l, url->password[0] ? 5 : 2,
        (struct str[]){ STR("HELLO"), STR("3"), STR("AUTH"), user, str_from(url->password) });
    snprintf(db, sizeof(db), "%u", url->db);
    if (url->db != 0)
        greet_with(l, 2, (struct str[]){ STR("SELECT"), str_from(db) });
    str_printable(str_from(l->o.client_name), name, sizeof(name));
    for (char *c = name; *c != '\0'; c++)
        if (*c == ' ')
            *c = '-';
    greet_with(l, 3, (struct str[]){ STR("CLIENT"), STR("SETNAME"), str_from(name) });
    if (l->o.tracking)
        greet_tracking(l);
    greet_with(l, 1, (struct str[]){ STR("PING") }); /* an error while it loads its data */
    l->greeting_size = l->greeting;
}

/* --- connecting --- */

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

    REDIS_OPTIONS_SET_TCP(&options, ip, l->o.url->port);
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

static bool is_literal(const struct redis_url *url, struct address *a)
{
    char text[ADDRESS_TEXT_SIZE + 256];
    const char *expected;

    snprintf(text, sizeof(text), strchr(url->host, ':') ? "[%s]:%u" : "%s:%u", url->host,
             url->port);
    return address_parse(str_from(text), 1, a, &expected);
}

static void try_connect(struct redis_link *l)
{
    const struct redis_url *url = l->o.url;
    redisOptions options = { 0 };
    struct address a;

    l->state = LINK_RESOLVING;
    if (url->unix_socket) {
        REDIS_OPTIONS_SET_UNIX(&options, url->host);
        connect_to(l, &options);
    } else if (is_literal(url, &a)) {
        guard_add_store(l->o.guard, &a);
        connect_tcp(l, url->host);
    } else {
        l->resolving = resolver_ask(l->o.loop, url->host, url->port, on_resolved, l);
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
}

static void on_tick(struct timer *t)
{
    struct redis_link *l = LIST_ITEM(t, struct redis_link, tick);
    uint64_t now = loop_now_ms(l->o.loop);

    if (l->state == LINK_GREETING && now - l->up_ms >= CONNECT_LIMIT_MS) {
        redis_link_fail(l, "no answer to the greeting within 2 s");
        return;
    }
    if (l->state == LINK_UP && l->ping_sent && now - l->heard_ms >= SILENCE_LIMIT_MS) {
        redis_link_fail(l, "no answer for 3 s");
        return;
    }
    timer_set(l->o.loop, &l->tick, TICK_MS);
    if (l->state == LINK_UP && ++l->ticks % PING_EVERY_TICKS == 0 && !l->ping_sent) {
        l->ping_sent = true;
        send_words(l, on_pong, l, 1, (struct str[]){ STR("PING") });
    }
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

void redis_link_send(struct redis_link *l, redisCallbackFn *fn, unsigned argc,
                     const struct str *words)
{
    if (l->state == LINK_UP)
        send_words(l, fn, l->events.owner, argc, words);
}

static void on_queued(redisAsyncContext *redis, void *reply, void *owner)
{
    const redisReply *r = reply;

    if (r != NULL && redis->data != NULL && r->type == REDIS_REPLY_ERROR)
        redis_link_fail(owner, r->str);
}

void redis_link_queue(struct redis_link *l, unsigned argc, const struct str *words)
{
    if (l->state == LINK_UP)
        send_words(l, on_queued, l, argc, words);
}

bool redis_link_has_unread(const struct redis_link *l)
{
    int unread = 0;

    return l->redis != NULL && ioctl(l->redis->c.fd, FIONREAD, &unread) == 0 && unread > 0;
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
