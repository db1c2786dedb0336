/* redis_records.c -- values fetched in two looks: what it is and how large, then the whole of a hash.
 *
 * Owns:    the reply that the last value borrows from.
 * Thread:  control (the only one there is, in a verb)
 * Used by: cli/.
 * Not here: how an edge reads (reading.c, sync.c); what values mean (routing/record.c). */
#include "store/redis_records.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "store/keys.h"

#define SCAN_STEP "1000"
#define HASHES_AT_ONCE 32 /* their replies may be large */

enum { LOOK_TYPE, LOOK_STRING, LOOK_FIELDS, LOOK_MEMORY, LOOKS };

/* --- one record --- */

void redis_records_init(struct redis_records *r, struct redis_client *client, struct str prefix)
{
    *r = (struct redis_records){ .client = client, .prefix = prefix };
}

static void let_go(struct redis_records *r)
{
    if (r->held != NULL)
        freeReplyObject(r->held);
    r->held = NULL;
}

void redis_records_free(struct redis_records *r)
{
    let_go(r);
    free(r->fields);
    buf_free(&r->key);
}

static bool is_text(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS;
}

static bool is_wrong_type(const redisReply *r)
{
    return r->type == REDIS_REPLY_ERROR &&
           str_starts_with(str_slice(r->str, r->len), STR("WRONGTYPE"));
}

/* The next reply; NULL when the link broke or Redis refuses (a wrong type is an answer). */
static redisReply *next(struct redis_records *r)
{
    redisReply *reply = redis_client_next(r->client);

    if (reply == NULL) {
        snprintf(r->error, sizeof(r->error), "%s", redis_client_error(r->client));
    } else if (reply->type == REDIS_REPLY_ERROR && !is_wrong_type(reply)) {
        snprintf(r->error, sizeof(r->error), "%s", reply->str);
        freeReplyObject(reply);
        reply = NULL;
    }
    return reply;
}

static void queue_looks(struct redis_records *r, struct str key)
{
    redis_client_queue(r->client, 2, (struct str[]){ STR("TYPE"), key });
    /* One byte more than a string may have (RECORD_STRING_MAX): then it is too large. */
    redis_client_queue(r->client, 4, (struct str[]){ STR("GETRANGE"), key, STR("0"), STR("8192") });
    redis_client_queue(r->client, 2, (struct str[]){ STR("HLEN"), key });
    redis_client_queue(
        r->client, 5,
        (struct str[]){ STR("MEMORY"), STR("USAGE"), key, STR("SAMPLES"), STR("1024") });
}

static void queue_hash(struct redis_records *r, struct str key)
{
    redis_client_queue(r->client, 2, (struct str[]){ STR("HGETALL"), key });
}

static bool fits(enum family family, const redisReply *fields, const redisReply *memory)
{
    struct record_limits limits = family_limits(family);

    return fields->type == REDIS_REPLY_INTEGER && fields->integer <= limits.fields &&
           memory->type == REDIS_REPLY_INTEGER && memory->integer <= limits.bytes;
}

/* The four looks as a value; *hash: it is a hash that is worth fetching, and *value is not set. The
 * reply that the value borrows from is kept, the others are freed. */
static bool take_looks(struct redis_records *r, enum family family, struct value *value, bool *hash)
{
    redisReply *looks[LOOKS] = { NULL };
    bool good = true;
    const char *type;

    let_go(r);
    *hash = false;
    *value = (struct value){ .kind = VALUE_ABSENT };
    for (unsigned i = 0; i < LOOKS; i++) /* all of them, also behind a refusal */
        good = (looks[i] = next(r)) != NULL && good;
    if (good && is_text(looks[LOOK_TYPE])) {
        type = looks[LOOK_TYPE]->str;
        if (strcmp(type, "string") == 0 && is_text(looks[LOOK_STRING])) {
            value->kind =
                looks[LOOK_STRING]->len > RECORD_STRING_MAX ? VALUE_TOO_LARGE : VALUE_STRING;
            value->string = str_slice(looks[LOOK_STRING]->str, looks[LOOK_STRING]->len);
            r->held = looks[LOOK_STRING];
            looks[LOOK_STRING] = NULL;
        } else if (strcmp(type, "hash") == 0) {
            *hash = fits(family, looks[LOOK_FIELDS], looks[LOOK_MEMORY]);
            value->kind = VALUE_TOO_LARGE;
        } else if (strcmp(type, "none") != 0) {
            value->kind = VALUE_OTHER;
            str_printable(str_from(type), value->type, sizeof(value->type));
        }
    }
    for (unsigned i = 0; i < LOOKS; i++)
        if (looks[i] != NULL)
            freeReplyObject(looks[i]);
    return good;
}

static bool take_hash(struct redis_records *r, struct value *value)
{
    const redisReply *h;

    let_go(r);
    r->held = next(r);
    h = r->held;
    *value = (struct value){ .kind = VALUE_ABSENT };
    if (h == NULL)
        return false;
    if ((h->type != REDIS_REPLY_ARRAY && h->type != REDIS_REPLY_MAP) || h->elements == 0)
        return true; /* it went in between, or is something else now */
    if (h->elements / 2 > r->field_room) {
        r->field_room = h->elements / 2;
        r->fields = check_realloc(r->fields, r->field_room * sizeof(*r->fields));
    }
    for (size_t i = 0; i + 1 < h->elements; i += 2)
        r->fields[i / 2] =
            (struct value_field){ str_slice(h->element[i]->str, h->element[i]->len),
                                  str_slice(h->element[i + 1]->str, h->element[i + 1]->len) };
    *value = (struct value){ .kind = VALUE_HASH, .fields = r->fields, .count = h->elements / 2 };
    return true;
}

static bool fetch(void *owner, enum family family, struct str name, struct value *value,
                  const char **why)
{
    struct redis_records *r = owner;
    struct str key;
    bool hash, good;

    buf_clear(&r->key);
    keys_add(&r->key, r->prefix, family, name);
    key = str_slice(r->key.ptr, r->key.len);
    queue_looks(r, key);
    good = take_looks(r, family, value, &hash);
    if (good && hash) {
        queue_hash(r, key);
        good = take_hash(r, value);
    }
    *why = r->error;
    return good;
}

struct records redis_records_source(struct redis_records *r)
{
    return (struct records){ .owner = r, .fetch = fetch };
}

/* --- the whole keyspace --- */

/* A key whose value is wanted; a large step is walked in three pipelines. */
struct wanted {
    struct str key, name;
    enum family family;
    bool looked, hash;
};

struct step {
    struct redis_records *r;
    const struct redis_walk *walk;
    struct map seen; /* SCAN may give a key twice */
    struct wanted *wanted;
    size_t count, room;
};

/* The 64 bits of the hash are the key: good enough to tell a repetition. */
static bool seen_is(const void *value, struct str key)
{
    (void)value;
    (void)key;
    return true;
}

static bool is_new(struct step *s, struct str key)
{
    uint64_t hash = map_hash(key);

    if (map_find(&s->seen, hash, key) != NULL)
        return false;
    map_add(&s->seen, hash, s);
    return true;
}

static void take_keys(struct step *s, const redisReply *keys)
{
    s->count = 0;
    if (keys->elements > s->room) {
        s->room = keys->elements;
        s->wanted = check_realloc(s->wanted, s->room * sizeof(*s->wanted));
    }
    for (size_t i = 0; i < keys->elements; i++) {
        struct str key = str_slice(keys->element[i]->str, keys->element[i]->len), name = STR("");
        enum family family;
        bool ours = keys_split(s->r->prefix, key, &family, &name);

        if (is_new(s, key) && s->walk->key(s->walk->owner, key, ours ? &family : NULL, name) &&
            ours)
            s->wanted[s->count++] = (struct wanted){ .key = key, .name = name, .family = family };
    }
}

static void give(struct step *s, const struct wanted *w, const struct value *value)
{
    if (value->kind != VALUE_ABSENT)
        s->walk->value(s->walk->owner, w->family, w->name, value);
}

/* Most hosts are strings: one command each, and what it cannot tell is looked at again. */
static bool read_strings(struct step *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->wanted[i].family == FAMILY_host)
            redis_client_queue(
                s->r->client, 4,
                (struct str[]){ STR("GETRANGE"), s->wanted[i].key, STR("0"), STR("8192") });
    for (size_t i = 0; i < s->count; i++) {
        struct wanted *w = &s->wanted[i];
        redisReply *reply;

        if (w->family != FAMILY_host)
            continue;
        reply = next(s->r);
        if (reply == NULL)
            return false;
        w->looked = is_text(reply) && reply->len > 0 && reply->len <= RECORD_STRING_MAX;
        if (w->looked)
            give(s, w,
                 &(struct value){ .kind = VALUE_STRING,
                                  .string = str_slice(reply->str, reply->len) });
        freeReplyObject(reply);
    }
    return true;
}

static bool read_looks(struct step *s)
{
    struct value value;

    for (size_t i = 0; i < s->count; i++)
        if (!s->wanted[i].looked)
            queue_looks(s->r, s->wanted[i].key);
    for (size_t i = 0; i < s->count; i++) {
        struct wanted *w = &s->wanted[i];

        if (w->looked)
            continue;
        if (!take_looks(s->r, w->family, &value, &w->hash))
            return false;
        if (!w->hash)
            give(s, w, &value);
    }
    return true;
}

static bool read_hashes(struct step *s)
{
    struct value value;

    for (size_t from = 0, to; from < s->count; from = to) {
        size_t queued = 0;

        for (to = from; to < s->count && queued < HASHES_AT_ONCE; to++)
            if (s->wanted[to].hash) {
                queue_hash(s->r, s->wanted[to].key);
                queued++;
            }
        for (size_t i = from; i < to; i++) {
            if (!s->wanted[i].hash)
                continue;
            if (!take_hash(s->r, &value))
                return false;
            give(s, &s->wanted[i], &value);
        }
    }
    return true;
}

/* The prefix as a pattern that holds for itself alone, then `behind` and anything. */
static void add_pattern(struct buf *to, struct str prefix, const char *behind)
{
    for (size_t i = 0; i < prefix.len; i++) {
        if (memchr("*?[]\\^", prefix.ptr[i], 6) != NULL)
            buf_add_text(to, "\\");
        buf_add(to, &prefix.ptr[i], 1);
    }
    buf_add_text(to, behind);
    buf_add_text(to, "*");
}

static redisReply *scan(struct redis_records *r, struct str cursor, struct str pattern)
{
    redisReply *reply;

    redis_client_queue(
        r->client, 6,
        (struct str[]){ STR("SCAN"), cursor, STR("MATCH"), pattern, STR("COUNT"), STR(SCAN_STEP) });
    reply = next(r);
    if (reply != NULL && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)) {
        snprintf(r->error, sizeof(r->error), "SCAN was answered with something else");
        freeReplyObject(reply);
        reply = NULL;
    }
    return reply;
}

bool redis_records_walk(struct redis_records *r, const char *behind, const struct redis_walk *walk)
{
    struct step s = { .r = r, .walk = walk };
    char cursor[32] = "0";
    struct buf pattern = { 0 };
    redisReply *reply;
    bool good = true;

    map_init(&s.seen, seen_is);
    add_pattern(&pattern, r->prefix, behind);
    do {
        reply = scan(r, str_from(cursor), str_slice(pattern.ptr, pattern.len));
        good = reply != NULL;
        if (!good)
            break;
        snprintf(cursor, sizeof(cursor), "%s", reply->element[0]->str);
        take_keys(&s, reply->element[1]);
        good = read_strings(&s) && read_looks(&s) && read_hashes(&s);
        freeReplyObject(reply);
    } while (good && strcmp(cursor, "0") != 0);
    let_go(r);
    free(s.wanted);
    map_free(&s.seen);
    buf_free(&pattern);
    return good;
}
