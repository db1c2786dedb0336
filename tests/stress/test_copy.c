/* test_copy.c -- the disk copy's two threads while control puts, deletes, asks and walks without
 * pause; for ThreadSanitizer. What is asked for is the newest that was put. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/random.h"
#include "net/loop.h"
#include "store/copy.h"

#define NAMES 300
#define TURNS 1500
#define ASKED 20

struct player {
    struct loop loop;
    struct copy *copy;
    unsigned version[NAMES]; /* grows with each change; 0: never put */
    bool gone[NAMES];
    unsigned asked_version[ASKED];
    unsigned asked[ASKED];
    unsigned opened, answers, walks, wrong;
    bool asking, walking;
};

static struct str name_of(unsigned i, char to[32])
{
    return str_slice(to, (size_t)snprintf(to, 32, "h%u.test", i));
}

static struct str value_of(unsigned i, unsigned version, char to[32])
{
    return str_slice(to, (size_t)snprintf(to, 32, "s%u-%u", i, version));
}

static bool is_there(const struct player *p, unsigned i)
{
    return p->version[i] > 0 && !p->gone[i];
}

static void on_opened(void *owner, struct names *names, const struct disk_facts *facts)
{
    struct player *p = owner;

    (void)names;
    (void)facts;
    p->opened++;
}

static void on_nothing(void *owner)
{
    (void)owner;
}

static void on_answered(void *owner, struct copy_request *r)
{
    struct player *p = owner;
    char text[32];

    for (size_t i = 0; i < r->count; i++) {
        const struct copy_wanted *w = &r->items[i];
        unsigned version = p->asked_version[i];
        struct str value = str_slice(w->value.ptr ? w->value.ptr : "", w->value.len);

        if (p->version[p->asked[i]] != version)
            continue; /* changed since it was asked for: either is right */
        if (w->found != is_there(p, p->asked[i]))
            p->wrong++;
        else if (w->found && !str_equals(value, value_of(p->asked[i], version, text)))
            p->wrong++;
    }
    copy_request_free(r);
    p->asking = false;
    p->answers++;
}

static void on_walked(void *owner, struct copy_walk *w)
{
    struct player *p = owner;

    if (!w->last) {
        copy_walk_on(p->copy, w);
        return;
    }
    p->wrong += w->count > NAMES;
    copy_walk_free(w);
    p->walking = false;
    p->walks++;
}

static void ask(struct player *p, struct random *r)
{
    struct copy_request *q = copy_request_new(ASKED);
    char text[32];

    for (unsigned i = 0; i < ASKED; i++) {
        p->asked[i] = (unsigned)random_below(r, NAMES);
        p->asked_version[i] = p->version[p->asked[i]];
        q->items[i].family = FAMILY_host;
        buf_add_str(&q->items[i].name, name_of(p->asked[i], text));
    }
    p->asking = true;
    copy_ask(p->copy, q);
}

static void change_some(struct player *p, struct random *r)
{
    char name[32], value[32];

    for (unsigned n = 0; n < 10; n++) {
        unsigned i = (unsigned)random_below(r, NAMES);
        struct disk_row row = { .family = FAMILY_host, .name = name_of(i, name) };

        if (random_below(r, 5) == 0) {
            p->version[i]++;
            p->gone[i] = true;
            copy_delete(p->copy, FAMILY_host, row.name);
            continue;
        }
        p->gone[i] = false;
        row.value = value_of(i, ++p->version[i], value);
        copy_put(p->copy, &row);
    }
}

static void look_at_one(struct player *p, struct random *r)
{
    unsigned i = (unsigned)random_below(r, NAMES);
    char name[32], text[32];
    struct buf value = { 0 };
    bool found = copy_fetch(p->copy, FAMILY_host, name_of(i, name), &value);

    p->wrong += found != is_there(p, i);
    if (found)
        p->wrong += !str_equals(str_slice(value.ptr, value.len), value_of(i, p->version[i], text));
    buf_free(&value);
}

static void remove_files(const char *dir)
{
    char path[96];

    disk_erase(dir);
    snprintf(path, sizeof(path), "%s/lock", dir);
    unlink(path);
    rmdir(dir);
}

Test(copy, gives_the_newest_while_it_is_written)
{
    static struct player p;
    struct copy_events events = { .owner = &p,
                                  .opened = on_opened,
                                  .failed = on_nothing,
                                  .behind = on_nothing,
                                  .answered = on_answered,
                                  .walked = on_walked,
                                  .let_go = on_nothing };
    struct random r = { .state = 7 };
    struct copy_status status;
    char dir[64] = "/tmp/usher-copy-XXXXXX";

    cr_assert_not_null(mkdtemp(dir));
    loop_init(&p.loop);
    p.copy = copy_open(&p.loop, dir, STR("usher:"), &events);
    while (p.opened == 0)
        uv_run(&p.loop.uv, UV_RUN_ONCE);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        change_some(&p, &r);
        look_at_one(&p, &r);
        if (!p.asking)
            ask(&p, &r);
        if (!p.walking && turn % 50 == 0) {
            p.walking = true;
            copy_walk_on(p.copy, NULL);
        }
        copy_set_complete(p.copy, turn % 2 == 0);
        copy_status(p.copy, &status);
        uv_run(&p.loop.uv, UV_RUN_NOWAIT);
    }
    while (p.asking || p.walking)
        uv_run(&p.loop.uv, UV_RUN_ONCE);
    cr_assert_eq(p.wrong, 0);
    cr_assert_gt(p.answers, 0);
    cr_assert_gt(p.walks, 0);
    copy_close(p.copy);
    loop_run(&p.loop);
    copy_free(p.copy);
    loop_close(&p.loop);
    remove_files(dir);
}
