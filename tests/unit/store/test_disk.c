/* test_disk.c -- the disk copy's file: what is read is what was written, or it is said to be damaged. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/disk.h"

#define LOOKS_MOST 6000 /* at a file that may be of any length */
#define PREFIX STR("usher:")

struct seen {
    size_t rows, wrong;
    unsigned most; /* what the writer may have come to */
};

static void make_dir(char dir[64])
{
    snprintf(dir, 64,
             "/dev/shm/usher-disk-XXXXXX"); /* in memory: what is tried here is not the disk */
    if (mkdtemp(dir) != NULL)
        return;
    snprintf(dir, 64, "/tmp/usher-disk-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
}

static void remove_dir(const char *dir)
{
    cr_assert(disk_erase(dir));
    rmdir(dir);
}

static struct str name_of(unsigned i, char to[64])
{
    return str_slice(to, (size_t)snprintf(to, 64, "host-%u.example", i));
}

static struct str value_of(unsigned i, unsigned version, char to[64])
{
    return str_slice(to, (size_t)snprintf(to, 64, "s10.0.%u.%u:%u", version, i % 250, i + 1));
}

static void put(struct disk *d, unsigned i, unsigned version)
{
    char name[64], value[64];
    struct disk_row row = { .family = i % 5 == 0 ? FAMILY_tenant : FAMILY_host,
                            .name = name_of(i, name),
                            .value = value_of(i, version, value),
                            .deadline_ms = i % 7 == 0 ? 1000 + i : 0 };

    cr_assert_eq(disk_put(d, &row), DISK_DONE, "%s", disk_reason(d));
}

/* Any version of its own value, and nothing else. */
static void look(void *owner, const struct disk_row *row)
{
    struct seen *s = owner;
    char name[64], value[64];
    unsigned i = 0, version = 0;

    s->rows++;
    snprintf(name, sizeof(name), STR_FMT, STR_ARG(row->name));
    snprintf(value, sizeof(value), STR_FMT, STR_ARG(row->value));
    if (sscanf(name, "host-%u.example", &i) != 1 || sscanf(value, "s10.0.%u.", &version) != 1 ||
        version > s->most || !str_equals(row->value, value_of(i, version, value)) ||
        row->family != (i % 5 == 0 ? FAMILY_tenant : FAMILY_host) ||
        row->deadline_ms != (i % 7 == 0 ? 1000 + i : 0))
        s->wrong++;
}

static enum disk_result check(const char *dir, struct seen *s, struct disk_facts *facts)
{
    struct disk *d = disk_open(dir, PREFIX);
    enum disk_result result = disk_check(d, look, s, facts);

    disk_close(d);
    return result;
}

static void write_rows(const char *dir, unsigned count)
{
    struct disk *d = disk_open(dir, PREFIX);
    struct disk_facts facts;

    cr_assert_eq(disk_check(d, NULL, NULL, &facts), DISK_DONE, "%s", disk_reason(d));
    cr_assert_eq(disk_begin(d), DISK_DONE);
    for (unsigned i = 0; i < count; i++)
        put(d, i, 1);
    disk_set_complete(d, true);
    cr_assert_eq(disk_commit(d), DISK_DONE, "%s", disk_reason(d));
    disk_close(d);
}

Test(store_disk, gives_back_what_was_put)
{
    char dir[64], text[64];
    struct disk_facts facts;
    struct seen s = { .most = 1 };
    struct buf value = { 0 };
    uint64_t deadline;
    struct disk *d;

    make_dir(dir);
    write_rows(dir, 100);
    d = disk_open(dir, PREFIX);
    cr_assert_eq(disk_check(d, look, &s, &facts), DISK_DONE, "%s", disk_reason(d));
    cr_expect_eq(s.rows, 100);
    cr_expect_eq(s.wrong, 0);
    cr_expect_eq(facts.rows, 100);
    cr_expect(facts.complete);
    cr_assert_eq(disk_get(d, FAMILY_host, STR("host-14.example"), &value, &deadline), DISK_DONE);
    cr_expect(str_equals(str_slice(value.ptr, value.len), value_of(14, 1, text)));
    cr_expect_eq(deadline, 1014);
    cr_expect_eq(disk_get(d, FAMILY_tenant, STR("host-14.example"), &value, &deadline), DISK_NONE);
    cr_assert_eq(disk_begin(d), DISK_DONE);
    cr_assert_eq(disk_delete(d, FAMILY_host, STR("host-14.example")), DISK_DONE);
    cr_assert_eq(disk_delete(d, FAMILY_host, STR("never-there.example")), DISK_DONE);
    cr_assert_eq(disk_commit(d), DISK_DONE);
    cr_expect_eq(disk_get(d, FAMILY_host, STR("host-14.example"), &value, &deadline), DISK_NONE);
    disk_close(d);
    s = (struct seen){ .most = 1 };
    cr_expect_eq(check(dir, &s, &facts), DISK_DONE);
    cr_expect_eq(facts.rows, 99);
    buf_free(&value);
    remove_dir(dir);
}

Test(store_disk, what_is_rolled_back_was_never_there)
{
    char dir[64];
    struct disk_facts facts;
    struct seen s = { .most = 1 };
    struct disk *d;

    make_dir(dir);
    write_rows(dir, 10);
    d = disk_open(dir, PREFIX);
    cr_assert_eq(disk_check(d, NULL, NULL, &facts), DISK_DONE);
    cr_assert_eq(disk_begin(d), DISK_DONE);
    for (unsigned i = 0; i < 30; i++)
        put(d, i, 2);
    disk_roll_back(d);
    cr_assert_eq(disk_begin(d), DISK_DONE);
    put(d, 10, 1);
    cr_assert_eq(disk_commit(d), DISK_DONE);
    disk_close(d);
    cr_expect_eq(check(dir, &s, &facts), DISK_DONE, "the count and the sum went back, too");
    cr_expect_eq(s.rows, 11);
    cr_expect_eq(s.wrong, 0);
    remove_dir(dir);
}

Test(store_disk, of_another_prefix_is_not_ours)
{
    char dir[64];
    struct disk_facts facts;
    struct disk *d;

    make_dir(dir);
    write_rows(dir, 10);
    d = disk_open(dir, STR("other:"));
    cr_expect_eq(disk_check(d, NULL, NULL, &facts), DISK_DAMAGED);
    disk_close(d);
    remove_dir(dir);
}

static void count_names(void *owner, const struct disk_row *row)
{
    (void)row;
    ++*(size_t *)owner;
}

Test(store_disk, is_walked_in_pieces)
{
    char dir[64];
    struct disk_facts facts;
    struct buf cursor = { 0 };
    size_t rows = 0, pieces = 1;
    struct disk *d;

    make_dir(dir);
    write_rows(dir, 100);
    d = disk_open(dir, PREFIX);
    cr_assert_eq(disk_check(d, NULL, NULL, &facts), DISK_DONE);
    while (disk_walk(d, &cursor, 30, count_names, &rows) == DISK_DONE)
        pieces++;
    cr_expect_eq(rows, 100);
    cr_expect_eq(pieces, 4);
    buf_free(&cursor);
    disk_close(d);
    remove_dir(dir);
}

/* --- damage --- */

static char *read_file(const char *path, size_t *len)
{
    struct stat status;
    int fd = open(path, O_RDONLY);
    char *bytes;

    *len = 0;
    if (fd < 0)
        return NULL;
    cr_assert_eq(fstat(fd, &status), 0);
    bytes = malloc((size_t)status.st_size + 1);
    *len = (size_t)read(fd, bytes, (size_t)status.st_size);
    close(fd);
    return bytes;
}

static void write_file(const char *path, const char *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

/* Right as a whole, or found out; then it can be written to, and is right again. */
static void expect_right_or_damaged(const char *dir, unsigned most, size_t rows, const char *what,
                                    size_t at)
{
    struct seen s = { .most = most };
    struct disk_facts facts;
    struct disk *d = disk_open(dir, PREFIX);
    enum disk_result result = disk_check(d, look, &s, &facts);

    if (result == DISK_DONE) {
        cr_assert_eq(s.wrong, 0, "%s, octet %zu: a wrong row was given out", what, at);
        cr_assert(s.rows == rows || most > 1, "%s, octet %zu: %zu rows of %zu", what, at, s.rows,
                  rows);
        if (disk_begin(d) == DISK_DONE) {
            struct disk_row row = { .family = FAMILY_host,
                                    .name = STR("host-1.example"),
                                    .value = STR("s10.0.1.1:2") };

            result = disk_put(d, &row);
            if (result == DISK_DONE)
                result = disk_commit(d);
            cr_assert(result == DISK_DONE || result == DISK_DAMAGED);
        }
    }
    disk_close(d);
}

static void damage_each(const char *dir, const char *damaged, size_t step, unsigned most,
                        size_t rows)
{
    static const unsigned char masks[] = { 0x01, 0x80, 0xff };
    char main_path[96], log_path[96];
    size_t len, log_len, *of = strcmp(damaged, "") == 0 ? &len : &log_len;
    char *bytes, *log, *which;

    snprintf(main_path, sizeof(main_path), "%s/state.db", dir);
    snprintf(log_path, sizeof(log_path), "%s/state.db-wal", dir);
    bytes = read_file(main_path, &len);
    log = read_file(log_path, &log_len);
    which = of == &len ? bytes : log;
    cr_assert_gt(*of, 0);
    if (step > 1 && *of / step > LOOKS_MOST) /* a log is as long as its writer had time for */
        step = *of / LOOKS_MOST;
    for (size_t at = 0; at < *of; at += step) {
        char was = which[at];

        which[at] = (char)(was ^ masks[at / step % 3]);
        cr_assert(disk_erase(dir));
        write_file(main_path, bytes, len);
        if (log != NULL)
            write_file(log_path, log, log_len);
        expect_right_or_damaged(dir, most, rows, damaged, at);
        which[at] = was;
    }
    free(bytes);
    free(log);
}

/* Every octet of a small file. Without a sanitizer's word, that is: no read where nothing is. */
Test(store_disk, damaged_in_any_octet_gives_no_wrong_row, .timeout = 240)
{
    char dir[64];

    make_dir(dir);
    write_rows(dir, 12);
    damage_each(dir, "", 1, 1, 12);
    remove_dir(dir);
}

Test(store_disk, cut_at_any_length_gives_no_wrong_row)
{
    char dir[64], path[96];
    size_t len;
    char *bytes;

    make_dir(dir);
    write_rows(dir, 200);
    snprintf(path, sizeof(path), "%s/state.db", dir);
    bytes = read_file(path, &len);
    for (size_t cut = 0; cut < len; cut += 97) {
        cr_assert(disk_erase(dir));
        write_file(path, bytes, cut);
        if (cut == 0)
            continue; /* an empty file is an empty copy */
        expect_right_or_damaged(dir, 1, 200, "cut", cut);
    }
    free(bytes);
    remove_dir(dir);
}

/* --- sudden ends --- */

/* Writes version after version of the same rows, until it is killed. */
_Noreturn static void write_for_ever(const char *dir, int told)
{
    struct disk *d = disk_open(dir, PREFIX);
    struct disk_facts facts;

    if (disk_check(d, NULL, NULL, &facts) != DISK_DONE)
        _exit(1);
    for (unsigned version = 1;; version = version % 200 + 1) {
        if (disk_begin(d) != DISK_DONE)
            _exit(1);
        for (unsigned i = 0; i < 40; i++)
            put(d, i, version);
        if (disk_commit(d) != DISK_DONE || write(told, "x", 1) != 1)
            _exit(1);
    }
}

static void kill_amid(const char *dir, unsigned commits)
{
    int pipe_fds[2], status;
    char octet;
    pid_t child;

    cr_assert_eq(pipe(pipe_fds), 0);
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        close(pipe_fds[0]);
        write_for_ever(dir, pipe_fds[1]);
    }
    close(pipe_fds[1]);
    for (unsigned i = 0; i < commits; i++)
        cr_assert_eq(read(pipe_fds[0], &octet, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    cr_assert(WIFSIGNALED(status));
    close(pipe_fds[0]);
}

Test(store_disk, of_a_writer_killed_at_any_moment_is_whole)
{
    char dir[64];

    make_dir(dir);
    for (unsigned n = 0; n < 30; n++) {
        struct seen s = { .most = 200 };
        struct disk_facts facts;

        kill_amid(dir, 1 + n * 7 % 40);
        cr_assert_eq(check(dir, &s, &facts), DISK_DONE);
        cr_assert_eq(s.rows, 40);
        cr_assert_eq(s.wrong, 0);
    }
    remove_dir(dir);
}

/* A damaged log: what it said last may be lost, what is given out was there. */
Test(store_disk, damaged_in_its_log_gives_no_row_that_never_was, .timeout = 240)
{
    char dir[64];

    make_dir(dir);
    kill_amid(dir, 2);
    damage_each(dir, "-wal", 3, 200, 40);
    remove_dir(dir);
}

/* An edge: one connection that writes, and another one that reads, made later. */
_Noreturn static void have_it_open(const char *dir, int told)
{
    struct disk *writer = disk_open(dir, PREFIX), *reader;
    struct disk_facts facts;

    if (disk_check(writer, NULL, NULL, &facts) != DISK_DONE || disk_begin(writer) != DISK_DONE)
        _exit(1);
    put(writer, 1, 1);
    if (disk_commit(writer) != DISK_DONE)
        _exit(1);
    reader = disk_open(dir, PREFIX);
    if (disk_prepare(reader) != DISK_DONE || write(told, "x", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

/* Else what the edge writes from then on is in a file that no longer has a name. */
Test(store_disk, another_process_that_looks_and_closes_it_leaves_the_log)
{
    char dir[64], path[96], name[64], octet;
    int pipe_fds[2], status;
    struct buf value = { 0 };
    struct disk *d;
    uint64_t deadline_ms;
    struct stat log;
    pid_t edge;

    make_dir(dir);
    cr_assert_eq(pipe(pipe_fds), 0);
    edge = fork();
    cr_assert_geq(edge, 0);
    if (edge == 0)
        have_it_open(dir, pipe_fds[1]);
    close(pipe_fds[1]);
    cr_assert_eq(read(pipe_fds[0], &octet, 1), 1);
    d = disk_open(dir, PREFIX);
    cr_assert_eq(disk_prepare(d), DISK_DONE, "%s", disk_reason(d));
    cr_expect_eq(disk_get(d, FAMILY_host, name_of(1, name), &value, &deadline_ms), DISK_DONE);
    disk_close(d);
    snprintf(path, sizeof(path), "%s/state.db-wal", dir);
    cr_expect_eq(stat(path, &log), 0, "the log is gone");
    kill(edge, SIGKILL);
    waitpid(edge, &status, 0);
    close(pipe_fds[0]);
    buf_free(&value);
    remove_dir(dir);
}

/* A file system of 400 kB in a mount name space of our own, where that is allowed. */
static bool mount_small(const char *dir)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", dir, "tmpfs", 0, "size=400k") == 0;
}

Test(store_disk, when_full_keeps_what_it_has_and_goes_on_when_there_is_room)
{
    char dir[64], big[4096], name[64], ballast[96];
    struct disk_row row = { .family = FAMILY_host };
    struct disk_facts facts;
    enum disk_result result = DISK_DONE;
    struct disk *d;
    unsigned rows = 0;

    make_dir(dir);
    if (!mount_small(dir)) {
        rmdir(dir);
        cr_skip_test("no small file system can be mounted here: %s", strerror(errno));
    }
    snprintf(ballast, sizeof(ballast), "%s/ballast", dir);
    memset(big, 'b', sizeof(big));
    write_file(ballast, big, sizeof(big));
    memset(big, 's', sizeof(big));
    row.value = str_slice(big, sizeof(big));
    d = disk_open(dir, PREFIX);
    cr_assert_eq(disk_check(d, NULL, NULL, &facts), DISK_DONE, "%s", disk_reason(d));
    while (result == DISK_DONE) {
        cr_assert_lt(rows, 200, "it never becomes full");
        row.name = name_of(rows, name);
        result = disk_begin(d);
        if (result == DISK_DONE)
            result = disk_put(d, &row);
        if (result == DISK_DONE)
            result = disk_commit(d);
        rows += result == DISK_DONE;
    }
    cr_expect_eq(result, DISK_FAILED, "%s", disk_reason(d));
    disk_roll_back(d);
    disk_close(d);
    unlink(ballast);
    d = disk_open(dir, PREFIX);
    cr_assert_eq(disk_check(d, NULL, NULL, &facts), DISK_DONE, "%s", disk_reason(d));
    cr_expect_eq(facts.rows, rows);
    disk_close(d);
    umount(dir);
    rmdir(dir);
}
