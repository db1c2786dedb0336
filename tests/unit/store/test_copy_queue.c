/* test_copy_queue.c -- the queue in front of the disk copy, while the disk takes nothing: what was
 * skipped is told of, and made good, and nobody waits meanwhile. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/loop.h"
#include "store/copy.h"

#define VALUE_BYTES (1u << 20)
#define MANY 40 /* of that size: more than may wait */

struct side {
    struct loop loop;
    struct copy *copy;
    struct disk *blocker; /* while it writes, nobody else can */
    char dir[64], value[VALUE_BYTES];
    unsigned opened, behind;
};

static void on_opened(void *owner, struct names *names, const struct disk_facts *facts)
{
    struct side *s = owner;

    (void)names;
    (void)facts;
    s->opened++;
}

static void on_failed(void *owner)
{
    (void)owner;
    cr_assert_fail("it cannot be opened");
}

static void on_behind(void *owner)
{
    struct side *s = owner;

    s->behind++;
}

static void on_answered(void *owner, struct copy_request *r)
{
    (void)owner;
    copy_request_free(r);
}

static void on_walked(void *owner, struct copy_walk *w)
{
    (void)owner;
    copy_walk_free(w);
}

static struct copy_status status_of(struct side *s)
{
    struct copy_status c;

    copy_status(s->copy, &c);
    return c;
}

static void open_side(struct side *s)
{
    struct copy_events events = { .owner = s,
                                  .opened = on_opened,
                                  .failed = on_failed,
                                  .behind = on_behind,
                                  .answered = on_answered,
                                  .walked = on_walked };

    memset(s, 0, sizeof(*s));
    memset(s->value, 'v', sizeof(s->value));
    snprintf(s->dir, sizeof(s->dir), "/tmp/usher-queue-XXXXXX");
    cr_assert_not_null(mkdtemp(s->dir));
    loop_init(&s->loop);
    s->copy = copy_open(&s->loop, s->dir, STR("usher:"), &events);
    while (s->opened == 0)
        uv_run(&s->loop.uv, UV_RUN_ONCE);
    s->blocker = disk_open(s->dir, STR("usher:"));
    cr_assert_eq(disk_prepare(s->blocker), DISK_DONE);
}

static void close_side(struct side *s)
{
    char path[96];

    disk_close(s->blocker);
    copy_close(s->copy);
    loop_run(&s->loop);
    copy_free(s->copy);
    loop_close(&s->loop);
    disk_erase(s->dir);
    snprintf(path, sizeof(path), "%s/lock", s->dir);
    unlink(path);
    rmdir(s->dir);
}

static void put(struct side *s, unsigned i, size_t bytes)
{
    char name[32];
    struct disk_row row = { .family = FAMILY_host, .value = str_slice(s->value, bytes) };

    row.name = str_slice(name, (size_t)snprintf(name, sizeof(name), "h%u.test", i));
    copy_put(s->copy, &row);
}

static void await_written(struct side *s)
{
    while (status_of(s).queued > 0) {
        uv_run(&s->loop.uv, UV_RUN_NOWAIT);
        usleep(1000);
    }
}

Test(store_copy_queue, of_which_some_was_skipped_is_not_complete_before_all_is_put_again)
{
    static struct side s;

    open_side(&s);
    cr_assert_eq(disk_begin(s.blocker), DISK_DONE);
    put(&s, 0, 10);
    copy_set_complete(s.copy, true); /* when that is written */
    for (unsigned i = 1; i <= MANY; i++)
        put(&s, i, VALUE_BYTES);
    cr_assert_lt(status_of(&s).queued, MANY, "nothing was skipped");
    disk_roll_back(s.blocker);
    while (s.behind == 0)
        uv_run(&s.loop.uv, UV_RUN_ONCE);
    put(&s, 0, 20);
    await_written(&s);
    cr_expect_not(status_of(&s).complete, "it lacks what was skipped");
    copy_set_complete(s.copy, true); /* all has been put again */
    put(&s, 0, 30);
    await_written(&s);
    cr_expect(status_of(&s).complete);
    close_side(&s);
}

Test(store_copy_queue, of_a_disk_that_takes_nothing_keeps_nobody_waiting)
{
    static struct side s;

    open_side(&s);
    cr_assert_eq(disk_begin(s.blocker), DISK_DONE);
    for (unsigned i = 0; i < 8; i++)
        put(&s, i, VALUE_BYTES);
    cr_expect_not(copy_has_room(s.copy), "a disk that is just busy is waited for");
    while (!status_of(&s).failing) /* SQLite tries for two seconds */
        usleep(1000);
    cr_expect(copy_has_room(s.copy));
    disk_roll_back(s.blocker);
    await_written(&s);
    cr_expect(copy_has_room(s.copy));
    close_side(&s);
}
