/* x_chaos_disk.c -- under load, the disk of the copy is full, and the copy is damaged: no request fails
 * while Redis or memory can answer it, and what the copy alone answers is right, or no answer.
 *
 * Owns:    nothing.
 * Thread:  the test's; the load's and the writer's.
 * Used by: make test. CHAOS_SEED=N repeats what was drawn by lot.
 * Not here: the copy's ordinary days (r_state.c). */
#include "harness/load.h"
#include "harness/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOSTS VERSIONS_HOSTS_MAX /* so that the file has some pages */
#define ROUNDS 3
#define WILD "127.1.1.250" /* of no version of any host */

static struct scene s;
static struct versions v;
static struct load load;
static struct writer writer;

static const char *in_copy(const char *name)
{
    return kept_format("%s/state/%s", s.dir, name);
}

/* --- the scene --- */

/* Redis keeps what it is told over a SIGKILL. A wildcard would answer for each host that went out of
 * sight. */
static void begin(void)
{
    versions_start(&v, HOSTS);
    scene_start(&s, .without_redis = true, .without_edge = true);
    redis_free(&s.redis);
    redis_start_configured(&s.redis, s.dir, 0, false, "appendonly yes\nappendfsync no\n");
    s.options.unready = false;
    s.options.flags[0] = "--state-dir";
    s.options.flags[1] = in_copy("");
    s.options.flags[2] = "--start-wait";
    s.options.flags[3] = "100ms";
    scene_redis(&s, "SET usher:host:*.test " WILD ":%u", places_port(v.places));
    versions_write_all(&v, &s.redis);
}

static void begin_load(void)
{
    scene_edge_start(&s);
    versions_settle(&v, &s.edge, &s.redis);
    load_start(&load, &s.edge, &v);
}

static void end(void)
{
    load_end(&load);
    versions_stop(&v); /* before the scene's end, which frees what is kept */
    scene_end(&s);
}

static bool is_written(void)
{
    return scene_metric(&s, "usher_state_complete") == 1 &&
           scene_metric(&s, "usher_store_complete") == 1 &&
           scene_metric(&s, "usher_state_queued") == 0;
}

static bool is_settled(void)
{
    struct stat log;

    return is_written() && stat(in_copy("state.db-wal"), &log) == 0 && log.st_size == 0;
}

static bool is_failing(void)
{
    return scene_metric(&s, "usher_state_failing") == 1;
}

static unsigned settled[HOSTS];

/* What is in the copy now, and nothing older, is to be served from here on; in the file itself, not
 * only in its log, of which a damage may take away all. */
static void keep_all(void)
{
    versions_settle(&v, &s.edge, &s.redis);
    await_within(is_settled(), 20000);
    for (unsigned i = 0; i < HOSTS; i++)
        settled[i] = atomic_load(&v.least[i]);
}

static void start_again(bool ready)
{
    s.options.unready = !ready;
    scene_edge_start(&s);
    load_turn(&load, &s.edge);
}

/* --- a full disk --- */

/* A file system of 8 MB in a mount name space of our own, where that is allowed. */
static bool begin_on_small_disk(void)
{
    const char *dir;

    begin();
    dir = in_copy("");
    if (mkdir(dir, 0700) == 0 && unshare(CLONE_NEWNS) == 0 &&
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("tmpfs", dir, "tmpfs", 0, "size=8m") == 0) {
        begin_load();
        return true;
    }
    fprintf(stderr, "no small file system can be mounted here: %s\n", strerror(errno));
    scene_edge_start(&s);
    versions_stop(&v);
    scene_end(&s);
    return false;
}

static void end_on_small_disk(void)
{
    load_end(&load);
    edge_stop(&s.edge);
    cr_assert_eq(umount(in_copy("")), 0);
    versions_stop(&v);
    scene_end(&s);
}

/* All but so many octets. */
static void fill_disk(off_t but)
{
    static const char block[4096];
    int fd = open(in_copy("ballast"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    struct stat status;

    cr_assert_geq(fd, 0);
    while (write(fd, block, sizeof(block)) > 0)
        ;
    cr_assert(but == 0 || (fstat(fd, &status) == 0 && ftruncate(fd, status.st_size - but) == 0));
    close(fd);
}

/* Nothing more can be put into the copy. */
static void fill_up(void)
{
    for (fill_disk(0); !is_failing(); fill_disk(0))
        versions_write_all(&v, &s.redis);
}

SCENARIO(chaos, a_full_disk_is_not_noticed_and_is_made_good_when_there_is_room)
{
    if (!begin_on_small_disk())
        cr_skip_test("no small file system can be mounted here");
    keep_all();
    writer_start(&writer, &v, &s.redis);
    fill_up();
    load_await(&load, 600);
    writer_end(&writer);
    versions_settle(&v, &s.edge, &s.redis);
    cr_assert(is_failing());
    cr_assert_eq(scene_logged(&s, " state_not_written "), 1, "once, however often it is tried");
    cr_assert_eq(scene_ready(&s), 200);
    cr_assert(has(scene_page(&s, "/readyz"), "disk copy: "));
    cr_assert_gt(scene_metric(&s, "usher_state_queued"), 0);
    writer_start(&writer, &v, &s.redis);
    cr_assert_eq(unlink(in_copy("ballast")), 0);
    await_within(!is_failing(), 15000);
    writer_await(&writer, 50);
    writer_end(&writer);
    keep_all();
    load_kill(&load, &s.edge);
    redis_kill(&s.redis);
    start_again(true);
    load_await(&load, 400); /* the newest of each, from the copy alone */
    cr_assert(has(scene_page(&s, "/readyz"), "serving from the disk copy"));
    end_on_small_disk();
}

SCENARIO(chaos, a_log_that_fills_the_disk_is_emptied)
{
    unsigned written;

    if (!begin_on_small_disk())
        cr_skip_test("no small file system can be mounted here");
    keep_all(); /* the file has its size */
    fill_disk(200 << 10);
    written = (unsigned)scene_metric(&s, "usher_state_written_total");
    writer_start(&writer, &v, &s.redis);
    /* Each takes some pages of the log, without a pause: several times what there is room for. */
    await_within(scene_metric(&s, "usher_state_written_total") >= written + 600, 40000);
    writer_end(&writer);
    cr_assert_eq(scene_logged(&s, " state_not_written "), 0);
    keep_all();
    end_on_small_disk();
}

SCENARIO(chaos, an_edge_killed_on_a_full_disk_serves_what_it_had)
{
    if (!begin_on_small_disk())
        cr_skip_test("no small file system can be mounted here");
    for (unsigned i = 0; i < 2; i++) {
        keep_all();
        writer_start(&writer, &v, &s.redis);
        fill_up();
        load_await(&load, 100);
        load_kill(&load, &s.edge);
        writer_end(&writer);
        fill_disk(0);
        redis_kill(&s.redis);
        start_again(true);
        load_await(&load, 400);
        redis_restart(&s.redis);
        versions_settle(&v, &s.edge, &s.redis);
        cr_assert_eq(unlink(in_copy("ballast")), 0);
        await_within(is_written(), 15000);
    }
    end_on_small_disk();
}

/* --- damage --- */

static unsigned seed;

static unsigned draw(unsigned below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* Some octets here and there, or some whole blocks. */
static void damage_file(const char *name)
{
    unsigned count = draw(4) == 0 ? 512 : 1, times = 1 + draw(8);
    int fd = open(in_copy(name), O_RDWR);
    char octets[512];
    struct stat status;

    if (fd < 0)
        return;
    cr_assert_eq(fstat(fd, &status), 0);
    while (times-- > 0 && status.st_size > 0) {
        off_t at = draw((unsigned)status.st_size), room = status.st_size - at;

        for (unsigned i = 0; i < count; i++)
            octets[i] = (char)draw(256);
        if (room > (off_t)count)
            room = count;
        cr_assert_eq(pwrite(fd, octets, (size_t)room, at), room);
    }
    close(fd);
}

static void damage(void)
{
    unsigned which = draw(3);

    if (which != 0)
        damage_file("state.db");
    if (which != 1)
        damage_file("state.db-wal");
}

static void begin_damaging(void)
{
    seed = load_number("CHAOS_SEED", (unsigned)await_now_ms());
    fprintf(stderr, "chaos: CHAOS_SEED=%u\n", seed);
    begin();
    begin_load();
    keep_all();
}

static bool is_quiet(void)
{
    return scene_metric(&s, "usher_store_up") == 1 &&
           scene_metric(&s, "usher_store_regressed") == 0 && is_written();
}

/* Both are gone at once. */
static void part_from_redis(void)
{
    for (unsigned i = 0; i < HOSTS; i++) /* the log may be of no use any more */
        atomic_store(&v.least[i], settled[i]);
    atomic_store(&load.may_refuse, true);
    load_kill(&load, &s.edge);
    redis_kill(&s.redis);
}

/* What was damaged is made anew, and from then on all is as if nothing had been. */
static void expect_recovery(void)
{
    redis_restart(&s.redis);
    await_within(is_quiet(), 30000);
    versions_settle(&v, &s.edge, &s.redis);
    atomic_store(&load.may_refuse, false);
    load_await(&load, 100);
    load_kill(&load, &s.edge); /* some of it is seen at a start only */
    start_again(true);
    await_within(is_quiet(), 30000);
    keep_all();
}

static void write_on(void)
{
    writer_start(&writer, &v, &s.redis);
    writer_await(&writer, 10 + draw(60));
    writer_end(&writer);
}

SCENARIO(chaos, a_copy_damaged_before_a_start_gives_no_wrong_answer)
{
    begin_damaging();
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (draw(2) == 0)
            write_on();
        part_from_redis();
        damage();
        start_again(false);
        load_await(&load, 400);
        expect_recovery();
    }
    end();
}

/* Redis answers for it at once. */
SCENARIO(chaos, a_copy_damaged_before_a_start_is_not_noticed_where_redis_is)
{
    begin_damaging();
    for (unsigned i = 0; i < ROUNDS; i++) {
        writer_start(&writer, &v, &s.redis);
        writer_await(&writer, 10 + draw(60));
        load_kill(&load, &s.edge);
        damage();
        start_again(true);
        load_await(&load, 200);
        writer_end(&writer);
        await_within(is_quiet(), 30000);
        keep_all();
    }
    end();
}

/* It has been looked through, and is trusted; nothing of it is in memory yet. */
SCENARIO(chaos, a_copy_damaged_while_it_alone_serves_gives_no_wrong_answer)
{
    begin_damaging();
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (draw(2) == 0)
            write_on();
        part_from_redis();
        s.options.unready = false;
        scene_edge_start(&s);
        damage();
        load_turn(&load, &s.edge);
        load_await(&load, 200);
        damage();
        load_await(&load, 200);
        expect_recovery();
    }
    end();
}

/* With Redis there, and all in memory. Each wrong record has the copy asked for its last good value. */
SCENARIO(chaos, a_copy_damaged_again_and_again_is_not_noticed_where_redis_is)
{
    begin_damaging();
    writer_start(&writer, &v, &s.redis);
    for (unsigned i = 0; i < 30; i++) {
        damage();
        scene_redis(&s, "SET usher:host:bad%u.test nonsense", i);
        load_await(&load, 40);
    }
    writer_end(&writer);
    versions_settle(&v, &s.edge, &s.redis);
    part_from_redis();
    start_again(false);
    load_await(&load, 200);
    expect_recovery();
    end();
}
