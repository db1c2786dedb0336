/* reading.c -- values are fetched only when their size is known to be bearable.
 *
 * A string is fetched by GETRANGE, which has its bound in itself; a hash in a second look, after
 * its number of fields and its memory are known.
 *
 * Owns:    nothing but what it decodes.
 * Thread:  control
 * Used by: sync.c.
 * Not here: what the fields mean (routing/record.c). */
#include "store/reading.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/map.h"
#include "routing/value.h"

enum { REPLY_TYPE, REPLY_TTL, REPLY_STRING, REPLY_FIELDS, REPLY_MEMORY, REPLY_HASH };

static void ask(struct redis_link *link, redisCallbackFn *fn, unsigned argc,
                const struct str *words)
{
    if (fn != NULL)
        redis_link_send(link, fn, argc, words);
    else
        redis_link_queue(link, argc, words);
}

void reading_ask(struct redis_link *link, struct str key, bool whole_hash, redisCallbackFn *fn)
{
    ask(link, fn, 2, (struct str[]){ STR("TYPE"), key });
    ask(link, fn, 2, (struct str[]){ STR("PTTL"), key });
    /* One byte more than a string may have (RECORD_STRING_MAX): then it is too large. */
    ask(link, fn, 4, (struct str[]){ STR("GETRANGE"), key, STR("0"), STR("8192") });
    ask(link, fn, 2, (struct str[]){ STR("HLEN"), key });
    redis_link_send(
        link, fn, 5,
        (struct str[]){ STR("MEMORY"), STR("USAGE"), key, STR("SAMPLES"), STR("1024") });
    if (whole_hash)
        ask(link, fn, 2, (struct str[]){ STR("HGETALL"), key });
}

static bool is_wrong_type(const redisReply *r)
{
    return r->type == REDIS_REPLY_ERROR &&
           str_starts_with(str_slice(r->str, r->len), STR("WRONGTYPE"));
}

/* An error that is not about this key's type is about Redis: it loads, lost its primary, refuses. */
static const char *find_failure(redisReply *const *replies, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const redisReply *r = replies[i];

        if (r == NULL)
            return "an answer is missing";
        if (r->type == REDIS_REPLY_ERROR && !is_wrong_type(r))
            return r->str;
    }
    if ((replies[REPLY_TYPE]->type != REDIS_REPLY_STATUS &&
         replies[REPLY_TYPE]->type != REDIS_REPLY_STRING) ||
        replies[REPLY_TTL]->type != REDIS_REPLY_INTEGER)
        return "an answer is not of the kind that was asked for";
    return NULL;
}

static bool is_small_hash(redisReply *const *replies, enum family family)
{
    struct record_limits most = family_limits(family);
    const redisReply *fields = replies[REPLY_FIELDS], *memory = replies[REPLY_MEMORY];

    return fields->type == REDIS_REPLY_INTEGER && fields->integer <= most.fields &&
           memory->type == REDIS_REPLY_INTEGER && memory->integer <= most.bytes;
}

static bool is_text(const redisReply *r)
{
    return r != NULL && (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS);
}

/* false: it is not a list of pairs of texts. */
static bool take_fields(const redisReply *hash, struct value_field *fields)
{
    if ((hash->type != REDIS_REPLY_MAP && hash->type != REDIS_REPLY_ARRAY) ||
        hash->elements % 2 != 0)
        return false;
    for (size_t i = 0; i < hash->elements; i += 2) {
        const redisReply *name = hash->element[i], *value = hash->element[i + 1];

        if (!is_text(name) || !is_text(value))
            return false;
        fields[i / 2].name = str_slice(name->str, name->len);
        fields[i / 2].value = str_slice(value->str, value->len);
    }
    return true;
}

/* The order in which a hash comes means nothing. */
static uint64_t hash_of(const struct value *v)
{
    uint64_t sum = v->kind + 1;

    if (v->kind == VALUE_STRING)
        return map_hash(v->string) ^ sum;
    if (v->kind == VALUE_OTHER)
        return map_hash(str_from(v->type)) ^ sum;
    for (size_t i = 0; i < v->count; i++) {
        uint64_t name = map_hash(v->fields[i].name);

        sum += (name ^ (map_hash(v->fields[i].value) * 0x9e3779b97f4a7c15u)) * 0xff51afd7ed558ccdu;
    }
    return sum;
}

static void decode(const struct module_host *modules, enum family family, struct str name,
                   const struct value *value, struct reading *to)
{
    to->value_hash = hash_of(value);
    to->good = record_decode(modules, family, name, value, &to->fields, &to->error);
    if (to->good)
        value_encode(value, &to->raw);
}

static enum reading_result take_hash(const struct module_host *modules, redisReply *const *replies,
                                     enum family family, struct str name, bool whole_hash,
                                     struct reading *to, const char **reason)
{
    struct value value = { .kind = VALUE_HASH, .type = "hash" };
    struct value_field *fields;

    if (!is_small_hash(replies, family)) {
        value.kind = VALUE_TOO_LARGE;
        decode(modules, family, name, &value, to);
        return READING_DONE;
    }
    if (!whole_hash)
        return READING_HASH;
    value.count = replies[REPLY_HASH]->elements / 2;
    fields = check_alloc((value.count + 1) * sizeof(*fields));
    value.fields = fields;
    if (!take_fields(replies[REPLY_HASH], fields)) {
        free(fields);
        *reason = "HGETALL was answered with something else";
        return READING_BROKEN;
    }
    decode(modules, family, name, &value, to);
    free(fields);
    return READING_DONE;
}

enum reading_result reading_take(const struct module_host *modules, redisReply *const *replies,
                                 enum family family, struct str name, bool whole_hash,
                                 struct reading *to, const char **reason)
{
    const redisReply *type, *string = replies[REPLY_STRING];
    struct value value = { .kind = VALUE_STRING };

    *to = (struct reading){ .ttl_ms = -1 };
    *reason = find_failure(replies, whole_hash ? READING_HASH_COMMANDS : READING_COMMANDS);
    if (*reason != NULL)
        return READING_BROKEN;
    type = replies[REPLY_TYPE];
    to->ttl_ms = replies[REPLY_TTL]->integer;
    to->absent = strcmp(type->str, "none") == 0;
    if (to->absent)
        return READING_DONE;
    if (strcmp(type->str, "hash") == 0)
        return take_hash(modules, replies, family, name, whole_hash, to, reason);
    str_printable(str_slice(type->str, type->len), value.type, sizeof(value.type));
    if (strcmp(type->str, "string") != 0) {
        value.kind = VALUE_OTHER;
    } else if (!is_text(string)) {
        *reason = "GETRANGE was answered with something else";
        return READING_BROKEN;
    } else if (string->len > RECORD_STRING_MAX) {
        value.kind = VALUE_TOO_LARGE;
    } else {
        value.string = str_slice(string->str, string->len);
    }
    decode(modules, family, name, &value, to);
    return READING_DONE;
}

bool reading_recall(const struct module_host *modules, struct str raw, enum family family,
                    struct str name, struct reading *to)
{
    struct record_fields fields;
    struct record_error error;
    struct value value;
    bool good = value_decode(raw, &value);
    uint64_t hash = good ? hash_of(&value) : 0;

    if (good) {
        good = record_decode(modules, family, name, &value, &fields, &error);
        if (!good)
            record_fields_free(&fields);
    }
    value_free(&value);
    if (!good)
        return false;
    record_fields_free(&to->fields);
    to->fields = fields;
    buf_clear(&to->raw);
    buf_add_str(&to->raw, raw);
    if (to->absent) {
        to->absent = false;
        to->good = to->from_copy = true;
        to->value_hash = hash;
    } else {
        to->stands_in = true;
    }
    return true;
}

void reading_free(struct reading *r)
{
    if (r == NULL)
        return;
    buf_free(&r->raw);
    record_fields_free(&r->fields);
    free(r->named);
    free(r);
}
