/* barrier.c -- tokens of usher:barrier, from the push to the acknowledgement.
 *
 * A push of the stream says only that there is a new entry; and pushes of one server turn come in
 * no order that could be relied on. So the entries are read, and then a PING is sent: its answer
 * comes behind every push for what was written before them (as in sync.c). What is owed at that
 * moment must be judged; then every worker confirms; then the token is acknowledged, at once. While
 * anything is suspect, or Redis has lost records, tokens wait.
 *
 * Owns:    the tokens under way; the count of records owed.
 * Thread:  control
 * Used by: sync.c, judge.c, verify.c (what is owed), store.c (links, the workers' word).
 * Not here: asking the workers (control/publish.c); waiting for edges (cli/wait.c). */
#include "store/barrier.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/presence.h"
#include "store/state.h"

#define READ_MOST "1000"
#define READ_MOST_COUNT 1000
#define TOKENS_MOST 1024
#define OLD_MS (60ull * 60 * 1000) /* nobody waits for an older one any more */
#define ACCEPT_MS 60000
#define ACK_MS "60000"

enum token_step {
    TOKEN_READ,       /* pushes for what was written before it may still come */
    TOKEN_FENCED,     /* none does */
    TOKEN_MARKED,     /* what is owed for it is counted on a side of its own */
    TOKEN_CONFIRMING, /* judged; the workers are asked */
    TOKEN_APPLIED,    /* to be acknowledged */
};

struct token {
    struct stream_id id;
    enum token_step step;
    bool accept; /* what is held back is to be given up (`usher accept`) */
};

/* --- ids --- */

int stream_id_compare(struct stream_id a, struct stream_id b)
{
    if (a.ms != b.ms)
        return a.ms < b.ms ? -1 : 1;
    return a.seq < b.seq ? -1 : a.seq > b.seq;
}

bool stream_id_parse(struct str text, struct stream_id *id)
{
    struct str ms;

    return str_split(&text, '-', &ms) && text.ptr != NULL && str_to_u64(ms, UINT64_MAX, &id->ms) &&
           str_to_u64(text, UINT64_MAX, &id->seq);
}

char *stream_id_text(struct stream_id id, char to[STREAM_ID_TEXT_SIZE])
{
    snprintf(to, STREAM_ID_TEXT_SIZE, "%llu-%llu", (unsigned long long)id.ms,
             (unsigned long long)id.seq);
    return to;
}

static void on_wake(struct turn_end *end)
{
    barrier_advance(LIST_ITEM(end, struct store, barrier.wake));
}

void barrier_init(struct store *s)
{
    turn_end_init(&s->barrier.wake, on_wake);
}

void barrier_free(struct store *s)
{
    turn_end_cancel(&s->barrier.wake);
    free(s->barrier.tokens);
}

void barrier_wake(struct store *s)
{
    if (s->barrier.count > 0)
        loop_at_turn_end(s->loop, &s->barrier.wake);
}

/* --- what is owed --- */

void barrier_owe(struct store *s, struct record *r)
{
    if (r->owed != 0)
        return;
    r->owed = (uint8_t)(s->barrier.side + 1);
    s->barrier.owed[s->barrier.side]++;
}

void barrier_owe_like(struct store *s, struct record *r, const struct record *cause)
{
    if (cause->owed == 0 || r->owed != 0)
        return;
    r->owed = cause->owed;
    s->barrier.owed[r->owed - 1]++;
}

void barrier_paid(struct store *s, struct record *r)
{
    if (r->owed == 0)
        return;
    CHECK(s->barrier.owed[r->owed - 1] > 0);
    s->barrier.owed[r->owed - 1]--;
    r->owed = 0;
}

/* --- tokens --- */

static bool has(const struct barrier *b, enum token_step step)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->tokens[i].step == step)
            return true;
    return false;
}

/* False: there was none. */
static bool move(struct barrier *b, enum token_step from, enum token_step to)
{
    bool any = false;

    for (size_t i = 0; i < b->count; i++)
        if (b->tokens[i].step == from) {
            b->tokens[i].step = to;
            any = true;
        }
    return any;
}

static void drop_first(struct barrier *b, size_t count)
{
    if (count == 0)
        return;
    b->count -= count;
    if (count > 0)
        memmove(b->tokens, b->tokens + count, b->count * sizeof(*b->tokens));
}

/* Whoever waits for one that found no room sees it in usher:edge:<id>, by a newer one's. */
static void add_token(struct barrier *b, struct stream_id id, bool accept)
{
    if (b->count == TOKENS_MOST)
        drop_first(b, 1);
    if (b->count == b->room) {
        b->room = b->room ? b->room * 2 : 16;
        b->tokens = check_realloc(b->tokens, b->room * sizeof(*b->tokens));
    }
    b->tokens[b->count++] = (struct token){ .id = id, .step = TOKEN_READ, .accept = accept };
}

/* --- reading the stream --- */

static void on_fence(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;

    if (reply == NULL || redis->data == NULL)
        return;
    if (move(&s->barrier, TOKEN_READ, TOKEN_FENCED))
        barrier_wake(s);
}

static void say_failure(struct store *s, const redisReply *r)
{
    char text[200];

    if (s->barrier.failure_logged)
        return;
    s->barrier.failure_logged = true;
    log_line(LOG_WARN, "barrier_not_read", "reason=%s",
             log_quote(r->type == REDIS_REPLY_ERROR ? str_slice(r->str, r->len)
                                                    : STR("its answer is not that to XRANGE"),
                       text, sizeof(text)));
}

static bool take_id(const redisReply *entry, struct stream_id *id)
{
    return entry->type == REDIS_REPLY_ARRAY && entry->elements == 2 &&
           entry->element[0]->type == REDIS_REPLY_STRING &&
           stream_id_parse(str_slice(entry->element[0]->str, entry->element[0]->len), id);
}

/* One that stands there from before this edge looked may have been about another loss. */
static bool says_accept(const struct barrier *b, const redisReply *entry, struct stream_id id)
{
    const redisReply *fields = entry->element[1];

    if (b->from_start && id.ms + ACCEPT_MS < b->redis_ms)
        return false;
    for (size_t i = 0; fields->type == REDIS_REPLY_ARRAY && i + 1 < fields->elements; i += 2)
        if (fields->element[i]->type == REDIS_REPLY_STRING &&
            str_equals(str_from(fields->element[i]->str), STR("accept")))
            return true;
    return false;
}

/* A stream that was made anew by a Redis whose clock went back begins with smaller ids. */
static void begin_anew_if_older(struct barrier *b, const redisReply *r)
{
    struct stream_id newest;

    if (r->elements > 0 && r->elements < READ_MOST_COUNT &&
        /* else more comes behind */ take_id(r->element[r->elements - 1], &newest) &&
        stream_id_compare(newest, b->applied) < 0) {
        b->applied = (struct stream_id){ 0 };
        b->count = 0;
    }
}

static void take_entries(struct store *s, const redisReply *r)
{
    struct barrier *b = &s->barrier;

    begin_anew_if_older(b, r);
    for (size_t i = 0; i < r->elements; i++) {
        struct stream_id id;

        if (!take_id(r->element[i], &id))
            continue;
        b->last = id;
        if (stream_id_compare(id, b->applied) <= 0 ||
            (b->from_start && id.ms + OLD_MS < b->redis_ms))
            continue;
        if (b->count == 0 || stream_id_compare(id, b->tokens[b->count - 1].id) > 0)
            add_token(b, id, says_accept(b, r->element[i], id));
    }
    b->from_start = false;
}

static void read_stream(struct store *s);

static void on_entries(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;
    struct barrier *b = &s->barrier;
    const redisReply *r = reply;

    if (r == NULL || redis->data == NULL)
        return;
    b->reading = false;
    if (r->type != REDIS_REPLY_ARRAY) {
        say_failure(s, r);
        return;
    }
    b->failure_logged = false;
    take_entries(s, r);
    if (has(b, TOKEN_READ))
        redis_link_send(s->reader, on_fence, 1, (struct str[]){ STR("PING") });
    if (b->again || r->elements == READ_MOST_COUNT)
        read_stream(s);
}

static void read_stream(struct store *s)
{
    struct barrier *b = &s->barrier;
    char after[STREAM_ID_TEXT_SIZE + 1] = "(";
    struct buf key = { 0 };

    b->reading = true;
    b->again = false;
    stream_id_text(b->last, after + 1);
    buf_add_str(&key, s->prefix);
    buf_add_text(&key, "barrier");
    redis_link_send(s->reader, on_entries, 6,
                    (struct str[]){ STR("XRANGE"), str_slice(key.ptr, key.len), str_from(after),
                                    STR("+"), STR("COUNT"), STR(READ_MOST) });
    buf_free(&key);
}

static void on_time(redisAsyncContext *redis, void *reply, void *owner)
{
    struct store *s = owner;
    const redisReply *r = reply;
    uint64_t seconds;

    if (r == NULL || redis->data == NULL)
        return;
    s->barrier.redis_ms = 0; /* then none is too old */
    if (r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
        r->element[0]->type == REDIS_REPLY_STRING &&
        str_to_u64(str_slice(r->element[0]->str, r->element[0]->len), UINT32_MAX, &seconds))
        s->barrier.redis_ms = seconds * 1000;
    s->barrier.last = (struct stream_id){ 0 };
    s->barrier.from_start = true;
    if (s->barrier.reading)
        s->barrier.again = true;
    else
        read_stream(s);
}

bool barrier_is_key(const struct store *s, struct str key)
{
    return key.len == s->prefix.len + 7 && str_starts_with(key, s->prefix) &&
           memcmp(key.ptr + s->prefix.len, "barrier", 7) == 0;
}

void barrier_pushed(struct store *s)
{
    if (s->barrier.reading)
        s->barrier.again = true;
    else
        read_stream(s);
}

void barrier_look_again(struct store *s)
{
    redis_link_send(s->reader, on_time, 1, (struct str[]){ STR("TIME") });
}

void barrier_link_down(struct store *s)
{
    struct barrier *b = &s->barrier;

    b->reading = b->again = false;
    b->owed[0] = b->owed[1] = 0;
    /* Those that are not judged yet are read again where the link leads next. One that is not there
     * may have been lost, with what was written before it (a failover), or be still to come. */
    while (b->count > 0 && b->tokens[b->count - 1].step < TOKEN_CONFIRMING)
        b->count--;
    b->last = b->count > 0 ? b->tokens[b->count - 1].id : b->applied;
}

/* --- acknowledging --- */

static void acknowledge(struct store *s, struct stream_id id)
{
    char text[STREAM_ID_TEXT_SIZE];
    struct buf key = { 0 };
    struct str k;

    buf_add_str(&key, s->prefix);
    buf_printf(&key, "ack:%s", stream_id_text(id, text));
    k = str_slice(key.ptr, key.len);
    redis_link_send(s->writer, NULL, 3,
                    (struct str[]){ STR("RPUSH"), k, str_from(s->settings->name) });
    redis_link_send(s->writer, NULL, 3, (struct str[]){ STR("PEXPIRE"), k, STR(ACK_MS) });
    buf_free(&key);
}

static void acknowledge_applied(struct store *s)
{
    struct barrier *b = &s->barrier;
    size_t count = 0;

    if (!redis_link_is_up(s->writer) || s->presence.silent)
        return;
    while (count < b->count && b->tokens[count].step == TOKEN_APPLIED)
        acknowledge(s, b->tokens[count++].id);
    if (count > 0)
        presence_say_barrier(s);
    drop_first(b, count);
}

void barrier_writer_up(struct store *s)
{
    acknowledge_applied(s);
}

void barrier_confirmed(struct store *s, uint64_t number)
{
    struct barrier *b = &s->barrier;

    if (number != b->confirming)
        return;
    for (size_t i = 0; i < b->count; i++)
        if (b->tokens[i].step == TOKEN_CONFIRMING)
            b->applied = b->tokens[i].id;
    move(b, TOKEN_CONFIRMING, TOKEN_APPLIED);
    acknowledge_applied(s);
    barrier_wake(s);
}

/* --- going on --- */

static bool is_held_back(const struct store *s)
{
    return !redis_link_is_up(s->reader) || s->status.suspect || s->status.regressed ||
           s->sync.overflowed;
}

static void confirm(struct store *s)
{
    store_flush(s); /* what was judged is on its way to the workers before they are asked */
    s->barrier.confirming++;
    if (s->events.confirm != NULL)
        s->events.confirm(s->events.owner, s->barrier.confirming);
    else
        barrier_confirmed(s, s->barrier.confirming);
}

/* Redis is known to lack records, and somebody says that this is right. */
static void obey_accept(struct store *s)
{
    struct barrier *b = &s->barrier;
    bool said = false;

    if (!redis_link_is_up(s->reader))
        return;
    for (size_t i = 0; i < b->count; i++)
        if (b->tokens[i].accept && b->tokens[i].step == TOKEN_FENCED) {
            b->tokens[i].accept = false;
            said = true;
        }
    if (said)
        store_accept(s);
}

void barrier_advance(struct store *s)
{
    struct barrier *b = &s->barrier;

    if (s->status.regressed)
        obey_accept(s);
    if (b->count == 0 || is_held_back(s) || has(b, TOKEN_CONFIRMING))
        return;
    if (!has(b, TOKEN_MARKED) && move(b, TOKEN_FENCED, TOKEN_MARKED))
        b->side ^= 1;
    if (b->owed[b->side ^ 1] == 0 && move(b, TOKEN_MARKED, TOKEN_CONFIRMING))
        confirm(s);
}
