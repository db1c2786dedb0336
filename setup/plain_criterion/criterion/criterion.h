/* criterion.h -- the part of Criterion that this project's tests use, for programs built with ThreadSanitizer.
 *
 * Criterion starts each test through an arena at a random address, which ThreadSanitizer does not let it map. Here a
 * test is a forked child, one after the other; the words, the options -j (unheeded), --short-filename (unheeded) and
 * --filter, and the line "Synthesis:" are the same, so a test does not know the difference.
 */
#ifndef PLAIN_CRITERION_H
#define PLAIN_CRITERION_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plain_test {
    const char *suite, *name;
    void (*run)(void);
    struct plain_test *next;
    void (*init)(void);
    void (*fini)(void);
    double timeout;
    int signal, exit_code;
    bool disabled;
    const char *description;
};

void plain_test_add(struct plain_test *test);
void plain_suite_add(struct plain_test *suite);
/* Says what failed and, when `fatal`, ends the test. */
void plain_test_failed(const char *file, int line, bool fatal, const char *what, const char *format,
                       ...) __attribute__((format(printf, 5, 6)));

/* What every test of a suite does first and last. */
#define TestSuite(suite_, ...)                                                                     \
    __attribute__((constructor)) static void suite_##_suite_add(void)                              \
    {                                                                                              \
        static struct plain_test suite = { .suite = #suite_, ##__VA_ARGS__ };                      \
        plain_suite_add(&suite);                                                                   \
    }                                                                                              \
    struct plain_test

#define Test(suite_, name_, ...)                                                                   \
    static void suite_##_##name_##_run(void);                                                      \
    __attribute__((constructor)) static void suite_##_##name_##_add(void)                          \
    {                                                                                              \
        static struct plain_test test = {                                                          \
            .suite = #suite_, .name = #name_, .run = suite_##_##name_##_run, ##__VA_ARGS__         \
        };                                                                                         \
        plain_test_add(&test);                                                                     \
    }                                                                                              \
    static void suite_##_##name_##_run(void)

#define PLAIN_SAY(fatal, what, ...)                                                                \
    plain_test_failed(__FILE__, __LINE__, fatal, what, " " __VA_ARGS__)
#define PLAIN_TRY(fatal, good, what, ...)                                                          \
    do {                                                                                           \
        if (!(good))                                                                               \
            PLAIN_SAY(fatal, what, ##__VA_ARGS__);                                                 \
    } while (0)
#define PLAIN_OP(fatal, a, op, b, ...) PLAIN_TRY(fatal, (a)op(b), #a " " #op " " #b, ##__VA_ARGS__)
#define PLAIN_STR(fatal, a, op, b, ...)                                                            \
    PLAIN_TRY(fatal, strcmp((a), (b)) op 0, #a " " #op " " #b, ##__VA_ARGS__)
#define PLAIN_ARR(fatal, a, op, b, size, ...)                                                      \
    PLAIN_TRY(fatal, memcmp((a), (b), (size)) op 0, #a " " #op " " #b, ##__VA_ARGS__)

#define cr_assert(good, ...) PLAIN_TRY(true, good, #good, ##__VA_ARGS__)
#define cr_assert_not(bad, ...) PLAIN_TRY(true, !(bad), "not " #bad, ##__VA_ARGS__)
#define cr_assert_eq(a, b, ...) PLAIN_OP(true, a, ==, b, ##__VA_ARGS__)
#define cr_assert_neq(a, b, ...) PLAIN_OP(true, a, !=, b, ##__VA_ARGS__)
#define cr_assert_lt(a, b, ...) PLAIN_OP(true, a, <, b, ##__VA_ARGS__)
#define cr_assert_leq(a, b, ...) PLAIN_OP(true, a, <=, b, ##__VA_ARGS__)
#define cr_assert_gt(a, b, ...) PLAIN_OP(true, a, >, b, ##__VA_ARGS__)
#define cr_assert_geq(a, b, ...) PLAIN_OP(true, a, >=, b, ##__VA_ARGS__)
#define cr_assert_null(a, ...) PLAIN_TRY(true, (a) == NULL, #a " is null", ##__VA_ARGS__)
#define cr_assert_not_null(a, ...) PLAIN_TRY(true, (a) != NULL, #a " is not null", ##__VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) PLAIN_STR(true, a, ==, b, ##__VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) PLAIN_STR(true, a, !=, b, ##__VA_ARGS__)
#define cr_assert_str_empty(a, ...) PLAIN_TRY(true, (a)[0] == 0, #a " is empty", ##__VA_ARGS__)
#define cr_assert_arr_eq(a, b, size, ...) PLAIN_ARR(true, a, ==, b, size, ##__VA_ARGS__)
#define cr_assert_arr_neq(a, b, size, ...) PLAIN_ARR(true, a, !=, b, size, ##__VA_ARGS__)
#define cr_assert_fail(...) PLAIN_SAY(true, "fail", ##__VA_ARGS__)
#define cr_fatal(...) PLAIN_SAY(true, "fail", ##__VA_ARGS__)
#define cr_fail(...) PLAIN_SAY(false, "fail", ##__VA_ARGS__)
#define cr_expect(good, ...) PLAIN_TRY(false, good, #good, ##__VA_ARGS__)
#define cr_expect_not(bad, ...) PLAIN_TRY(false, !(bad), "not " #bad, ##__VA_ARGS__)
#define cr_expect_eq(a, b, ...) PLAIN_OP(false, a, ==, b, ##__VA_ARGS__)
#define cr_expect_neq(a, b, ...) PLAIN_OP(false, a, !=, b, ##__VA_ARGS__)
#define cr_expect_lt(a, b, ...) PLAIN_OP(false, a, <, b, ##__VA_ARGS__)
#define cr_expect_leq(a, b, ...) PLAIN_OP(false, a, <=, b, ##__VA_ARGS__)
#define cr_expect_gt(a, b, ...) PLAIN_OP(false, a, >, b, ##__VA_ARGS__)
#define cr_expect_geq(a, b, ...) PLAIN_OP(false, a, >=, b, ##__VA_ARGS__)
#define cr_expect_null(a, ...) PLAIN_TRY(false, (a) == NULL, #a " is null", ##__VA_ARGS__)
#define cr_expect_not_null(a, ...) PLAIN_TRY(false, (a) != NULL, #a " is not null", ##__VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) PLAIN_STR(false, a, ==, b, ##__VA_ARGS__)
#define cr_expect_str_neq(a, b, ...) PLAIN_STR(false, a, !=, b, ##__VA_ARGS__)
#define cr_expect_str_empty(a, ...) PLAIN_TRY(false, (a)[0] == 0, #a " is empty", ##__VA_ARGS__)
#define cr_expect_arr_eq(a, b, size, ...) PLAIN_ARR(false, a, ==, b, size, ##__VA_ARGS__)
/* Counted as passed: what is skipped here has been run by Criterion. */
#define cr_skip_test(...) (cr_log_info("[SKIP] " __VA_ARGS__), exit(0))
#define cr_log_info(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr))
#define cr_log_warn(...) cr_log_info(__VA_ARGS__)
#define cr_log_error(...) cr_log_info(__VA_ARGS__)

#endif
