/* ban_list.c -- all bans there are: one SCAN, then each key's end and reason.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: ban.c.
 * Not here: writing bans (ban.c). */
#include "cli/ban_list.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "cli/edge_list.h"

static struct ban_entry *add(struct ban_list *list, struct str text)
{
    struct ban_entry *e;
    const char *expected;

    if (list->count == list->room) {
        list->room = list->room > 0 ? list->room * 2 : 64;
        list->bans = check_realloc(list->bans, list->room * sizeof(*list->bans));
    }
    e = &list->bans[list->count++];
    memset(e, 0, sizeof(*e));
    e->right = cidr_parse(text, &e->range, &expected);
    str_printable(text, e->text, sizeof(e->text));
    return e;
}

/* One step's keys: gone ones are left out. */
static bool read_keys(struct redis_client *c, const redisReply *keys, size_t front,
                      struct ban_list *list)
{
    for (size_t i = 0; i < keys->elements; i++) {
        struct str key = str_slice(keys->element[i]->str, keys->element[i]->len);

        redis_client_queue(c, 2, (struct str[]){ STR("PTTL"), key });
        redis_client_queue(c, 4, (struct str[]){ STR("GETRANGE"), key, STR("0"), STR("200") });
    }
    for (size_t i = 0; i < keys->elements; i++) {
        struct str key = str_slice(keys->element[i]->str, keys->element[i]->len);
        redisReply *end = redis_client_next(c), *reason = redis_client_next(c);
        bool good = end != NULL && reason != NULL;

        if (good && end->type == REDIS_REPLY_INTEGER && end->integer != -2 && key.len > front) {
            struct ban_entry *e = add(list, str_slice(key.ptr + front, key.len - front));

            e->left_ms = end->integer;
            if (reason->type == REDIS_REPLY_STRING)
                str_printable(str_slice(reason->str, reason->len), e->reason, sizeof(e->reason));
        }
        freeReplyObject(end);
        freeReplyObject(reason);
        if (!good) {
            fprintf(stderr, "usher: Redis: %s\n", redis_client_error(c));
            return false;
        }
    }
    return true;
}

static int by_address(const void *one, const void *other)
{
    const struct ban_entry *a = one, *b = other;
    int order = memcmp(a->range.ip, b->range.ip, sizeof(a->range.ip));

    if (a->right != b->right)
        return a->right ? -1 : 1;
    return order != 0 ? order : strcmp(a->text, b->text);
}

/* A key may come twice in one SCAN. */
static void sort(struct ban_list *list)
{
    size_t kept = 0;

    if (list->count == 0)
        return;
    qsort(list->bans, list->count, sizeof(*list->bans), by_address);
    for (size_t i = 0; i < list->count; i++)
        if (kept == 0 || strcmp(list->bans[kept - 1].text, list->bans[i].text) != 0)
            list->bans[kept++] = list->bans[i];
    list->count = kept;
}

bool ban_list_read(struct redis_client *c, const struct settings *s, struct ban_list *list)
{
    size_t front = strlen(s->prefix) + strlen("ban:");
    struct buf pattern = { 0 };
    char cursor[32] = "0";
    bool good;

    *list = (struct ban_list){ 0 };
    for (const char *p = s->prefix; *p != '\0'; p++)
        buf_printf(&pattern, strchr("*?[]\\^", *p) != NULL ? "\\%c" : "%c", *p);
    buf_add_text(&pattern, "ban:*");
    do {
        redisReply *r = verb_redis_do(c, 6,
                                      (struct str[]){ STR("SCAN"), str_from(cursor), STR("MATCH"),
                                                      str_slice(pattern.ptr, pattern.len),
                                                      STR("COUNT"), STR("1000") });

        good = r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
               r->element[1]->type == REDIS_REPLY_ARRAY;
        if (good) {
            snprintf(cursor, sizeof(cursor), "%s", r->element[0]->str);
            good = read_keys(c, r->element[1], front, list);
        }
        freeReplyObject(r);
    } while (good && strcmp(cursor, "0") != 0);
    buf_free(&pattern);
    sort(list);
    return good;
}

void ban_list_free(struct ban_list *list)
{
    free(list->bans);
}

static const char *left_text(const struct ban_entry *e, char to[EDGE_AGE_SIZE])
{
    return e->left_ms < 0 ? "-" : edge_age_text((uint64_t)e->left_ms, to);
}

void ban_list_write(const struct ban_list *list)
{
    int width = (int)strlen("RANGE");
    char left[EDGE_AGE_SIZE];

    for (size_t i = 0; i < list->count; i++)
        if ((int)strlen(list->bans[i].text) > width)
            width = (int)strlen(list->bans[i].text);
    printf("%-*s  %-8s  %s\n", width, "RANGE", "LEFT", "REASON");
    for (size_t i = 0; i < list->count; i++) {
        const struct ban_entry *e = &list->bans[i];

        printf("%-*s  %-8s  %s\n", width, e->text, left_text(e, left),
               e->right ? e->reason : "(this is no range: it bans nobody)");
    }
}

void ban_list_write_json(const struct ban_list *list)
{
    struct buf json = { 0 };

    buf_add_text(&json, "[");
    for (size_t i = 0; i < list->count; i++) {
        const struct ban_entry *e = &list->bans[i];

        buf_add_text(&json, i > 0 ? ",\n {\"range\":" : "{\"range\":");
        buf_add_json(&json, str_from(e->text));
        if (e->left_ms < 0)
            buf_add_text(&json, ",\"left_ms\":null");
        else
            buf_printf(&json, ",\"left_ms\":%lld", e->left_ms);
        buf_add_text(&json, ",\"reason\":");
        buf_add_json(&json, str_from(e->reason));
        buf_printf(&json, ",\"right\":%s}", e->right ? "true" : "false");
    }
    buf_add_text(&json, "]\n");
    fwrite(json.ptr, 1, json.len, stdout);
    buf_free(&json);
}
