/* test_metrics.c -- the text is what Prometheus reads, and the sums are right. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/metrics.h"

static char *text_of(struct metrics *m, struct buf *to)
{
    static const struct store_status nothing;

    if (m->store == NULL)
        m->store = &nothing;
    metrics_write(m, to);
    return to->ptr;
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!isalnum((unsigned char)s.ptr[i]) && s.ptr[i] != '_')
            return false;
    return s.len > 0 && !isdigit((unsigned char)s.ptr[0]);
}

/* NAME[{LABEL="VALUE"}] NUMBER; the name must be of the family announced last. */
static void check_sample(struct str line, struct str family)
{
    const char *space = memrchr(line.ptr, ' ', line.len);
    const char *brace = memchr(line.ptr, '{', line.len);
    struct str name;
    char *end;

    cr_assert_not_null(space, STR_FMT, STR_ARG(line));
    name = str_slice(line.ptr, (size_t)((brace ? brace : space) - line.ptr));
    cr_assert(is_name(name), STR_FMT, STR_ARG(line));
    cr_assert(str_starts_with(name, family), STR_FMT " under " STR_FMT, STR_ARG(line),
              STR_ARG(family));
    if (brace != NULL) {
        cr_assert_eq(space[-1], '}', STR_FMT, STR_ARG(line));
        cr_assert_eq(space[-2], '"', STR_FMT, STR_ARG(line));
        cr_assert_not_null(strstr(brace, "=\""), STR_FMT, STR_ARG(line));
    }
    cr_assert_geq(strtod(space + 1, &end), 0);
    cr_assert_eq(end, line.ptr + line.len, STR_FMT, STR_ARG(line));
}

Test(metrics, every_family_is_announced_once_and_every_line_is_well_formed)
{
    struct metrics m = { .workers = 2 };
    struct buf text = { 0 };
    struct str rest = str_from(text_of(&m, &text)), line, family = { "", 0 };
    unsigned families = 0;

    cr_assert_eq(rest.ptr[rest.len - 1], '\n');
    rest.len--;
    while (str_split(&rest, '\n', &line)) {
        if (str_starts_with(line, STR("# HELP "))) {
            struct str words = str_slice(line.ptr + 7, line.len - 7), type;
            char announced[128];

            cr_assert(str_word(&words, &family));
            cr_assert_gt(words.len, 0, "a sentence: " STR_FMT, STR_ARG(line));
            cr_assert(str_split(&rest, '\n', &type));
            snprintf(announced, sizeof(announced), "# TYPE " STR_FMT " ", STR_ARG(family));
            cr_assert(str_starts_with(type, str_from(announced)), STR_FMT, STR_ARG(type));
            snprintf(announced, sizeof(announced), "# HELP " STR_FMT " ", STR_ARG(family));
            cr_assert_null(strstr(line.ptr + 1, announced), "twice: " STR_FMT, STR_ARG(family));
            families++;
        } else {
            check_sample(line, family);
        }
    }
    cr_assert_gt(families, 30);
    buf_free(&text);
}

Test(metrics, boards_are_added_up)
{
    struct counters *boards = calloc(2, sizeof(*boards));
    struct metrics m = { .workers = 2 };
    struct buf text = { 0 };
    char *t;

    counter_add(&boards[0].requests[2], 40);
    counter_add(&boards[1].requests[2], 2);
    counter_add(&boards[1].requests[0], 1);
    counter_add(&boards[0].faults[FAULT_unknown_host], 5);
    counter_add(&boards[1].faults[FAULT_unknown_host], 6);
    counter_add(&boards[0].upstreams_idle, 3);
    counter_add(&boards[1].upstreams_busy, 4);
    counter_add(&boards[0].clients_open, 9);
    counter_sub(&boards[0].clients_open, 1);
    metrics_add(&m, &boards[0]);
    metrics_add(&m, &boards[1]);
    t = text_of(&m, &text);
    cr_assert_not_null(strstr(t, "\nusher_requests_total{class=\"2xx\"} 42\n"));
    cr_assert_not_null(strstr(t, "\nusher_requests_total{class=\"none\"} 1\n"));
    cr_assert_not_null(strstr(t, "\nusher_faults_total{fault=\"unknown_host\"} 11\n"));
    cr_assert_not_null(strstr(t, "\nusher_faults_total{fault=\"store_busy\"} 0\n"));
    cr_assert_not_null(strstr(t, "\nusher_upstream_connections{state=\"idle\"} 3\n"));
    cr_assert_not_null(strstr(t, "\nusher_upstream_connections{state=\"busy\"} 4\n"));
    cr_assert_not_null(strstr(t, "\nusher_client_connections 8\n"));
    buf_free(&text);
    free(boards);
}

Test(metrics, latency_buckets_are_cumulative)
{
    struct counters *board = calloc(1, sizeof(*board));
    struct metrics m = { .workers = 1 };
    struct buf text = { 0 };
    char *t;

    counters_latency(board, 50 * 1000);          /* 50 us */
    counters_latency(board, 400 * 1000);         /* 400 us */
    counters_latency(board, 60ull * 1000000000); /* a minute */
    metrics_add(&m, board);
    t = text_of(&m, &text);
    cr_assert_not_null(strstr(t, "_bucket{le=\"0.0001\"} 1\n"));
    cr_assert_not_null(strstr(t, "_bucket{le=\"0.00025\"} 1\n"));
    cr_assert_not_null(strstr(t, "_bucket{le=\"0.0005\"} 2\n"));
    cr_assert_not_null(strstr(t, "_bucket{le=\"30\"} 2\n"));
    cr_assert_not_null(strstr(t, "_bucket{le=\"+Inf\"} 3\n"));
    cr_assert_not_null(strstr(t, "usher_request_duration_seconds_count 3\n"));
    cr_assert_not_null(strstr(t, "usher_request_duration_seconds_sum 60.000450\n"));
    buf_free(&text);
    free(board);
}

Test(metrics, the_store_and_the_process_are_in_it)
{
    struct store_status status = { .up = true, .pushes = 77, .records_bad = 3 };
    struct metrics m = { .workers = 1, .store = &status, .log_dropped = 4, .retired = 2 };
    struct buf text = { 0 };
    char *t = text_of(&m, &text), *memory = strstr(t, "\nprocess_resident_memory_bytes ");

    cr_assert_not_null(strstr(t, "\nusher_store_up 1\n"));
    cr_assert_not_null(strstr(t, "\nusher_store_pushes_total 77\n"));
    cr_assert_not_null(strstr(t, "\nusher_records{state=\"bad\"} 3\n"));
    cr_assert_not_null(strstr(t, "\nusher_access_log_dropped_total 4\n"));
    cr_assert_not_null(strstr(t, "\nusher_objects_retired 2\n"));
    cr_assert_not_null(memory);
    cr_assert_gt(strtoull(memory + strlen("\nprocess_resident_memory_bytes "), NULL, 10), 100000);
    buf_free(&text);
}

static unsigned long long figure(const char *name)
{
    struct metrics m = { .workers = 1 };
    struct buf text = { 0 };
    const char *at = strstr(text_of(&m, &text), name);
    unsigned long long value;

    cr_assert_not_null(at, "%s", name);
    value = strtoull(at + strlen(name), NULL, 10);
    buf_free(&text);
    return value;
}

Test(metrics, descriptors_are_counted)
{
    unsigned long long before = figure("\nprocess_open_fds ");
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(figure("\nprocess_open_fds "), before + 2);
    close(fds[0]);
    close(fds[1]);
    cr_assert_eq(figure("\nprocess_open_fds "), before);
}
