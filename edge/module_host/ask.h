/* ask.h -- a question of a module to Redis, on its way from a worker to control and back.
 *
 * Belongs to one thread at a time: to whoever got it last. */
#ifndef MODULE_HOST_ASK_H
#define MODULE_HOST_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "modules/usher_module.h"

#define ASK_ARGS_MAX 16
#define ASK_BYTES_MAX (16u << 10)        /* of key and args */
#define ASK_ANSWER_BYTES_MAX (64u << 10) /* of all values together */

struct ask {
    enum usher_ask_kind kind;
    struct str key; /* whole; this and the args lie where the ask lies */
    struct str args[ASK_ARGS_MAX];
    uint32_t arg_count;
    int64_t amount;
    uint32_t ttl_ms;

    enum usher_answer_state state;
    int64_t number;
    uint32_t count;            /* of values; 0: none was taken */
    struct usher_text *values; /* owned, in one block */
};

/* How many values its answer has. */
uint32_t ask_value_count(const struct ask *a);
/* Is it well formed? `key` as it is written in the question. */
bool ask_is_right(const struct usher_question *q);
/* The key with the tenant's part in front, where that is left out: its length, written to `to` if
 * that is not NULL. 0: it is another tenant's, or of another kind, or nothing. */
size_t ask_key(struct str prefix, struct str tenant, struct str key, char *to);

/* Copies of these become its values: GOOD. */
void ask_give(struct ask *a, const struct usher_text *values, uint32_t count);
void ask_give_number(struct ask *a, int64_t number);
void ask_give_wrong(struct ask *a, struct str sentence);
void ask_give_away(struct ask *a);
void ask_clear(struct ask *a); /* frees its values */

#endif
