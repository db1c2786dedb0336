/* test_calls.c -- what edges share by Redis: calls answered, or said to be away; keys told of. */
#include <criterion/criterion.h>

#include "scene.h"

struct heard {
    bool answered, away;
    char error[64], values[256];
};

static void on_answer(void *owner, const struct call_answer *a)
{
    struct heard *h = owner;
    size_t at = 0;

    cr_assert(!h->answered, "answered twice");
    h->answered = true;
    h->away = a->away;
    snprintf(h->error, sizeof(h->error), "%s", a->error != NULL ? a->error : "");
    for (size_t i = 0; i < a->count; i++) {
        const struct call_value *v = &a->values[i];

        if (v->kind == CALL_NUMBER)
            at += (size_t)snprintf(h->values + at, sizeof(h->values) - at, "%lld ", v->number);
        else if (v->kind == CALL_TEXT)
            at += (size_t)snprintf(h->values + at, sizeof(h->values) - at, "%.*s ",
                                   (int)v->text.len, v->text.ptr);
        else
            at += (size_t)snprintf(h->values + at, sizeof(h->values) - at, "nil ");
    }
}

static bool is_answered(struct scene *s, const void *with)
{
    (void)s;
    return ((const struct heard *)with)->answered;
}

static void ask(struct scene *s, struct heard *h, const char *script)
{
    struct str words[] = { STR("EVAL"), str_from(script), STR("1"), STR("usher:lease:x") };

    *h = (struct heard){ .answered = false };
    cr_assert_not_null(store_call(s->store, 4, words, on_answer, h));
    cr_assert(scene_await(s, is_answered, h, 5000));
}

Test(store_calls, are_answered_with_what_lies_in_arrays_taken_out)
{
    struct scene *s = scene_new();
    struct heard h;

    scene_open(s);
    ask(s, &h,
        "redis.call('SET', KEYS[1], 7) return { 3, { 'a', false }, redis.call('GET', KEYS[1]) }");
    cr_expect_str_eq(h.values, "3 a nil 7 ");
    ask(s, &h, "return redis.error_reply('ODD one')");
    cr_expect_str_eq(h.error, "ODD one");
    scene_end(s);
}

Test(store_calls, are_away_with_redis)
{
    struct scene *s = scene_new();
    struct heard h = { .answered = false }, never = { .answered = false };
    struct str words[] = { STR("PING") };
    struct store_call *c;

    scene_open(s);
    ask(s, &h, "return 1");
    scene_stop_redis(s);
    h.answered = false;
    if (store_call(s->store, 1, words, on_answer, &h) != NULL) {
        cr_assert(scene_await(s, is_answered, &h, 5000));
        cr_expect(h.away);
    }
    cr_expect_null(store_call(s->store, 1, words, on_answer, &h), "Redis is known to be away");
    scene_start_redis(s);
    h.answered = false;
    while ((c = store_call(s->store, 1, words, on_answer, &never)) == NULL)
        scene_run(s, 20);
    store_call_cancel(c);
    cr_assert_not_null(store_call(s->store, 1, words, on_answer, &h));
    cr_assert(scene_await(s, is_answered, &h, 5000));
    cr_expect_str_eq(h.values, "PONG ");
    cr_expect(!never.answered, "it was cancelled");
    scene_end(s);
}

static char told[256];

static void on_shared(void *scene, struct str key)
{
    struct scene *s = scene;

    snprintf(told, sizeof(told), "%.*s", (int)key.len, key.len > 0 ? key.ptr : "");
    uv_stop(&s->loop.uv);
}

static bool is_told(struct scene *s, const void *with)
{
    (void)s;
    return strcmp(told, with) == 0;
}

Test(store_calls, tell_of_keys_that_edges_share)
{
    struct scene *s = scene_new();

    strcpy(told, "?");
    s->shared = on_shared;
    scene_open(s);
    cr_expect(scene_await(s, is_told, "", 5000), "a new link: any may have changed");
    scene_do(s, "SET usher:ban:192.0.2.0/24 x");
    cr_expect(scene_await(s, is_told, "ban:192.0.2.0/24", 5000), "told of %s", told);
    scene_do(s, "HSET usher:health:web a b");
    cr_expect(scene_await(s, is_told, "health:web", 5000), "told of %s", told);
    scene_end(s);
}
