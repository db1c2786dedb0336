/* presence.c -- what an edge says of itself every few seconds, and that it goes.
 *
 * Times that others compare are those of Redis, asked with each announcement: clocks of edges may be
 * wrong.
 *
 * Owns:    usher:edge:<id> while this edge runs.
 * Thread:  control
 * Used by: store.c (links, leaving), barrier.c (the applied token).
 * Not here: the figures of the workers (control/); reading it (cli/edge_list.c). */
#include "store/presence.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "store/state.h"

#define RENEW_MS 5000
#define FIRST_RENEW_MS 1000 /* behind the first announcement: now there are figures */
#define LIFE_MS "15000"
#define PRUNED_MS (24ull * 60 * 60 * 1000)
#define EDGES_MOST "1000"
#define LEAVE_MS 1000
#define RATE_LEAST_MS 1000
#define ALONE_AGAIN 3

static void on_renew(struct timer *t)
{
    presence_announce(LIST_ITEM(t, struct presence, renew)->store);
}

static void on_leave_limit(struct timer *t);

void presence_init(struct store *s)
{
    struct presence *p = &s->presence;
    struct random random;

    random_init(&random);
    snprintf(p->boot, sizeof(p->boot), "%016llx", (unsigned long long)random_next(&random));
    if (gethostname(p->host, sizeof(p->host) - 1) != 0)
        p->host[0] = '\0';
    p->store = s;
    p->started_ms = p->counted_ms = loop_now_ms(s->loop);
    p->started_wall_ms = clock_wall_ms();
    timer_init(&p->renew, on_renew);
    timer_init(&p->leave_limit, on_leave_limit);
}

void presence_free(struct store *s)
{
    timer_stop(&s->presence.renew);
    timer_stop(&s->presence.leave_limit);
}

/* --- keys and commands --- */

static struct str edge_key(const struct store *s, struct buf *to)
{
    buf_add_str(to, s->prefix);
    buf_printf(to, "edge:%s", s->settings->name);
    return str_slice(to->ptr, to->len);
}

static struct str edges_key(const struct store *s, struct buf *to)
{
    buf_add_str(to, s->prefix);
    buf_add_text(to, "edges");
    return str_slice(to->ptr, to->len);
}

static void on_written(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;
    const redisReply *r = reply;
    char text[200];

    if (r == NULL || redis->data == NULL || r->type != REDIS_REPLY_ERROR ||
        redis_link_refused(s->writer, r) || s->presence.refusal_logged)
        return;
    s->presence.refusal_logged = true;
    log_line(LOG_WARN, "presence_not_written", "reason=%s",
             log_quote(str_slice(r->str, r->len), text, sizeof(text)));
}

static void set_life(struct store *s, struct str key)
{
    redis_link_send(s->writer, on_written, 3, (struct str[]){ STR("PEXPIRE"), key, STR(LIFE_MS) });
}

static struct str flag(bool set)
{
    return set ? STR("1") : STR("0");
}

void presence_after_round(struct store *s)
{
    if (s->presence.announced && s->presence.said_regressed != s->status.regressed)
        presence_announce(s);
}

void presence_say_barrier(struct store *s)
{
    char id[STREAM_ID_TEXT_SIZE];
    struct buf key = { 0 };
    struct str k = edge_key(s, &key);

    if (!s->presence.leaving && !s->presence.silent) {
        stream_id_text(s->barrier.applied, id);
        s->presence.said_regressed = s->status.regressed;
        redis_link_send(s->writer, on_written, 8,
                        (struct str[]){ STR("HSET"), k, STR("barrier"), str_from(id),
                                        STR("suspect"), flag(s->status.suspect), STR("regressed"),
                                        flag(s->status.regressed) });
        set_life(s, k);
    }
    buf_free(&key);
}

/* --- how fast the reading link answers --- */

static void on_pong(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;

    if (reply == NULL || redis->data == NULL)
        return;
    s->presence.lag_us = (clock_now_ns() - s->presence.ping_sent_ns) / 1000;
    s->presence.lag_us += s->presence.lag_us == 0;
}

static void measure_lag(struct store *s)
{
    if (!redis_link_is_up(s->reader)) {
        s->presence.lag_us = 0;
        return;
    }
    s->presence.ping_sent_ns = clock_now_ns();
    redis_link_send(s->reader, on_pong, 1, (struct str[]){ STR("PING") });
}

/* --- facts --- */

static void count_rates(struct store *s, const struct store_facts *f)
{
    struct presence *p = &s->presence;
    uint64_t now = loop_now_ms(s->loop), passed = now - p->counted_ms;

    if (passed < RATE_LEAST_MS)
        return;
    p->requests_per_s = (double)(f->requests - p->counted_requests) * 1000 / (double)passed;
    p->faults_per_s = (double)(f->faults - p->counted_faults) * 1000 / (double)passed;
    p->counted_requests = f->requests;
    p->counted_faults = f->faults;
    p->counted_ms = now;
}

static void add_word(struct buf *to, const char *name, const char *value)
{
    buf_printf(to, "%s%c%s%c", name, '\0', value, '\0');
}

static void add_number(struct buf *to, const char *name, uint64_t value)
{
    buf_printf(to, "%s%c%llu%c", name, '\0', (unsigned long long)value, '\0');
}

static void add_fraction(struct buf *to, const char *name, double value)
{
    buf_printf(to, "%s%c%.2f%c", name, '\0', value, '\0');
}

static void add_addresses(const struct store *s, struct buf *to)
{
    char text[ADDRESS_TEXT_SIZE];

    buf_printf(to, "listen%c", '\0');
    for (unsigned i = 0; i < s->settings->listen_count; i++)
        buf_printf(to, "%s%s", i ? " " : "", address_text(&s->settings->listen[i], text));
    buf_printf(to, "%c", '\0');
    add_word(to, "admin", s->settings->admin_on ? address_text(&s->settings->admin, text) : "off");
}

static void add_state(struct store *s, struct buf *to)
{
    const struct presence *p = &s->presence;
    char id[STREAM_ID_TEXT_SIZE];

    add_number(to, "store_up", s->status.up);
    if (p->lag_us > 0)
        add_fraction(to, "lag_ms", (double)p->lag_us / 1000);
    else
        add_word(to, "lag_ms", "");
    add_number(to, "silent_ms", redis_link_silent_ms(s->reader));
    add_word(to, "barrier", stream_id_text(s->barrier.applied, id));
    add_number(to, "records_bad", s->status.records_bad);
    add_number(to, "suspect", s->status.suspect);
    add_number(to, "regressed", s->status.regressed);
    s->presence.said_regressed = s->status.regressed;
    add_number(to, "name_taken", p->name_taken);
}

/* Words with a NUL behind each: names and values of the hash in turn. */
static void add_facts(struct store *s, struct buf *to)
{
    const struct presence *p = &s->presence;
    struct store_facts f = { 0 };
    char when[CLOCK_TEXT_SIZE];

    if (s->events.facts != NULL)
        s->events.facts(s->events.owner, &f);
    count_rates(s, &f);
    add_word(to, "id", s->settings->name);
    add_word(to, "version", USHER_VERSION);
    add_word(to, "boot", p->boot);
    add_word(to, "host", p->host);
    add_number(to, "pid", (uint64_t)getpid());
    add_word(to, "started", clock_wall_text(p->started_wall_ms, when));
    add_number(to, "uptime_ms", loop_now_ms(s->loop) - p->started_ms);
    add_addresses(s, to);
    add_number(to, "workers", s->settings->workers);
    add_number(to, "connections", f.connections);
    add_number(to, "requests", f.requests);
    add_fraction(to, "requests_per_s", p->requests_per_s);
    add_number(to, "faults", f.faults);
    add_fraction(to, "faults_per_s", p->faults_per_s);
    add_number(to, "draining", f.draining);
    add_state(s, to);
}

/* --- announcing --- */

#define WORDS_MOST 60

static void write_facts(struct store *s, struct str key)
{
    struct buf facts = { 0 };
    struct str words[WORDS_MOST] = { STR("HSET"), key };
    unsigned count = 2;

    add_facts(s, &facts);
    for (size_t at = 0; at < facts.len; at += words[count - 1].len + 1) {
        CHECK(count < WORDS_MOST);
        words[count++] = str_from(facts.ptr + at);
    }
    redis_link_send(s->writer, on_written, count, words);
    set_life(s, key);
    buf_free(&facts);
}

static void write_place(struct store *s, uint64_t redis_ms)
{
    struct buf key = { 0 };
    struct str k = edges_key(s, &key);
    char now[24], old[24];

    snprintf(now, sizeof(now), "%llu", (unsigned long long)redis_ms);
    snprintf(old, sizeof(old), "%llu",
             (unsigned long long)(redis_ms > PRUNED_MS ? redis_ms - PRUNED_MS : 0));
    redis_link_send(s->writer, on_written, 4,
                    (struct str[]){ STR("ZADD"), k, str_from(now), str_from(s->settings->name) });
    redis_link_send(s->writer, on_written, 4,
                    (struct str[]){ STR("ZREMRANGEBYSCORE"), k, STR("-inf"), str_from(old) });
    redis_link_send(s->writer, on_written, 4,
                    (struct str[]){ STR("ZREMRANGEBYRANK"), k, STR("0"), STR("-" EDGES_MOST "1") });
    buf_free(&key);
}

static void on_time(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;
    const redisReply *r = reply;
    uint64_t seconds, us;
    struct buf key = { 0 };

    s->presence.asking = false;
    if (r == NULL || redis->data == NULL || s->presence.leaving || s->presence.silent)
        return;
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
        r->element[0]->type != REDIS_REPLY_STRING || r->element[1]->type != REDIS_REPLY_STRING ||
        !str_to_u64(str_from(r->element[0]->str), UINT32_MAX, &seconds) ||
        !str_to_u64(str_from(r->element[1]->str), 999999, &us)) {
        on_written(redis, reply, owner);
        return;
    }
    write_facts(s, edge_key(s, &key));
    write_place(s, seconds * 1000 + us / 1000);
    s->presence.announced = true;
    buf_free(&key);
}

static const char *text_of(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING ? r->str : "";
}

/* One that died and left its record is not there any more: at the first announcement another's boot
 * means nothing yet. */
static void on_boot(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;
    struct presence *p = &s->presence;
    const redisReply *r = reply;
    char host[80], pid[24];
    const char *boot;

    if (r == NULL || redis->data == NULL || r->type != REDIS_REPLY_ARRAY || r->elements != 3)
        return;
    boot = text_of(r->element[0]);
    if (p->silent)
        return;
    if (boot[0] == '\0' || strcmp(boot, p->boot) == 0) {
        if (p->name_taken && ++p->alone >= ALONE_AGAIN)
            p->name_taken = false;
        return;
    }
    p->alone = 0;
    if (!p->announced || p->name_taken)
        return;
    p->name_taken = true;
    log_line(LOG_WARN, "name_taken", "name=%s other_host=%s other_pid=%s", s->settings->name,
             log_quote(str_from(text_of(r->element[1])), host, sizeof(host)),
             log_quote(str_from(text_of(r->element[2])), pid, sizeof(pid)));
}

void presence_announce(struct store *s)
{
    struct presence *p = &s->presence;
    struct buf key = { 0 };

    if (p->leaving || p->silent)
        return;
    timer_set(s->loop, &p->renew, p->announced ? RENEW_MS : FIRST_RENEW_MS);
    measure_lag(s);
    if (!redis_link_is_up(s->writer) || p->asking)
        return;
    p->asking = true;
    redis_link_send(
        s->writer, on_boot, 5,
        (struct str[]){ STR("HMGET"), edge_key(s, &key), STR("boot"), STR("host"), STR("pid") });
    redis_link_send(s->writer, on_time, 1, (struct str[]){ STR("TIME") });
    buf_free(&key);
}

void presence_silence(struct store *s, bool silent)
{
    struct presence *p = &s->presence;

    p->silent = silent;
    if (silent)
        timer_stop(&p->renew);
    else if (redis_link_is_up(s->writer))
        presence_announce(s);
}

/* --- signing off --- */

static void leave_now(struct store *s)
{
    struct presence *p = &s->presence;
    void (*left)(void *owner) = p->left;

    timer_stop(&p->leave_limit);
    p->left = NULL;
    if (left != NULL)
        left(p->left_owner);
}

static void on_leave_limit(struct timer *t)
{
    leave_now(LIST_ITEM(t, struct presence, leave_limit)->store);
}

static void on_signed_off(redisAsyncContext *redis, void *reply, void *owner)
{
    (void)reply;
    if (redis->data != NULL)
        leave_now(owner);
}

/* Is it still this edge that has the name? */
static void on_last_boot(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;
    const redisReply *r = reply;
    struct buf key = { 0 };

    if (r == NULL || redis->data == NULL)
        return;
    if (r->type == REDIS_REPLY_STRING && strcmp(r->str, s->presence.boot) != 0) {
        leave_now(s);
        return;
    }
    redis_link_send(s->writer, NULL, 3,
                    (struct str[]){ STR("ZREM"), edges_key(s, &key), str_from(s->settings->name) });
    buf_clear(&key);
    redis_link_send(s->writer, on_signed_off, 2, (struct str[]){ STR("DEL"), edge_key(s, &key) });
    buf_free(&key);
}

void presence_leave(struct store *s, void (*left)(void *owner), void *owner)
{
    struct presence *p = &s->presence;
    struct buf key = { 0 };

    p->leaving = true;
    p->left = left;
    p->left_owner = owner;
    timer_stop(&p->renew);
    if (!redis_link_is_up(s->writer) || p->name_taken || p->silent) {
        leave_now(s);
        return;
    }
    timer_set(s->loop, &p->leave_limit, LEAVE_MS);
    redis_link_send(s->writer, on_last_boot, 3,
                    (struct str[]){ STR("HGET"), edge_key(s, &key), STR("boot") });
    buf_free(&key);
}
