/* main.c -- runs the tests of a program built with ThreadSanitizer, each in a child of its own.
 *
 * Owns:    the list of tests
 * Thread:  any
 * Used by: the stress programs (see criterion/criterion.h beside this)
 * Not here: the tests
 */
#include "criterion/criterion.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEST_SECONDS = 300 };

static struct plain_test *all_tests, *all_suites;
static bool this_test_failed;

static void add(struct plain_test **at, struct plain_test *test)
{
    while (*at)
        at = &(*at)->next;
    *at = test;
}

void plain_test_add(struct plain_test *test)
{
    add(&all_tests, test);
}

void plain_suite_add(struct plain_test *suite)
{
    add(&all_suites, suite);
}

void plain_test_failed(const char *file, int line, bool fatal, const char *what, const char *format,
                       ...)
{
    va_list words;

    fprintf(stderr, "[----] %s:%d: Assertion Failed: %s", file, line, what);
    va_start(words, format);
    vfprintf(stderr, format, words);
    va_end(words);
    fputc('\n', stderr);
    this_test_failed = true;
    if (fatal)
        _exit(1);
}

static bool chosen(const struct plain_test *test, const char *filter)
{
    char name[512];

    snprintf(name, sizeof(name), "%s/%s", test->suite, test->name);
    return !test->disabled && (!filter || fnmatch(filter, name, 0) == 0);
}

static void take_from_suite(struct plain_test *test)
{
    for (struct plain_test *suite = all_suites; suite; suite = suite->next)
        if (strcmp(suite->suite, test->suite) == 0) {
            test->init = test->init ? test->init : suite->init;
            test->fini = test->fini ? test->fini : suite->fini;
            test->timeout = test->timeout > 0 ? test->timeout : suite->timeout;
        }
}

static void run_here(struct plain_test *test)
{
    take_from_suite(test);
    alarm(test->timeout > 0 ? (unsigned)test->timeout + 1 : TEST_SECONDS);
    if (test->init)
        test->init();
    test->run();
    if (test->fini)
        test->fini();
    fflush(NULL);
    /* exit(), so that the sanitizer has its last word */
    exit(this_test_failed ? 1 : test->exit_code);
}

static bool passes(struct plain_test *test)
{
    int status;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child < 0) {
        perror("fork");
        return false;
    }
    if (child == 0)
        run_here(test);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    if (WIFSIGNALED(status))
        return test->signal != 0 && WTERMSIG(status) == test->signal;
    return test->signal == 0 && WEXITSTATUS(status) == test->exit_code;
}

int main(int argc, char **argv)
{
    const char *filter = NULL;
    unsigned tested = 0, good = 0;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc)
            filter = argv[++i];
    for (struct plain_test *test = all_tests; test; test = test->next) {
        if (!chosen(test, filter))
            continue;
        tested++;
        if (passes(test))
            good++;
        else
            fprintf(stderr, "[FAIL] %s::%s\n", test->suite, test->name);
    }
    fprintf(stderr, "[====] Synthesis: Tested: %u | Passing: %u | Failing: %u | Crashing: 0\n",
            tested, good, tested - good);
    return good == tested ? 0 : 1;
}
