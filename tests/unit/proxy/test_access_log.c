/* test_access_log.c -- a process ends although nobody reads its access log's pipe. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/access_log.h"

#define LINE "{\"host\":\"a.example\"}\n"

static struct access_log *log_to_pipe(struct settings *s, char folder[], int *reader)
{
    const char *error;
    struct access_log *log;

    signal(SIGPIPE, SIG_IGN); /* as the edge does */
    cr_assert_not_null(mkdtemp(folder));
    memset(s, 0, sizeof(*s));
    s->access_log = ACCESS_LOG_FILE;
    snprintf(s->access_log_file, sizeof(s->access_log_file), "%s/pipe", folder);
    cr_assert_eq(mkfifo(s->access_log_file, 0600), 0);
    *reader = open(s->access_log_file, O_RDWR | O_NONBLOCK);
    cr_assert_geq(*reader, 0);
    log = access_log_open(s, &error);
    cr_assert_not_null(log);
    return log;
}

static void put_away(struct settings *s, const char *folder, int reader)
{
    close(reader);
    unlink(s->access_log_file);
    rmdir(folder);
}

Test(access_log, what_is_queued_is_written_before_it_closes)
{
    static struct settings s;
    char folder[] = "/tmp/usher-log-XXXXXX", got[256];
    int reader;
    struct access_log *log = log_to_pipe(&s, folder, &reader);
    struct buf lines = { 0 };

    buf_add_text(&lines, LINE LINE);
    access_log_write(log, &lines);
    access_log_close(log);
    cr_assert_eq(read(reader, got, sizeof(got)), 2 * (ssize_t)strlen(LINE));
    buf_free(&lines);
    put_away(&s, folder, reader);
}

Test(access_log, a_full_pipe_holds_the_end_up_for_a_moment_only)
{
    static struct settings s;
    char folder[] = "/tmp/usher-log-XXXXXX";
    int reader;
    struct access_log *log = log_to_pipe(&s, folder, &reader);
    struct buf lines = { 0 };
    uint64_t began;

    for (size_t i = 0; i < (1 << 20) / strlen(LINE); i++)
        buf_add_text(&lines, LINE);
    access_log_write(log, &lines);
    log_set_level(LOG_ERROR);
    began = clock_now_ms();
    access_log_close(log);
    cr_assert_lt(clock_now_ms() - began, 10000);
    buf_free(&lines);
    put_away(&s, folder, reader);
}
