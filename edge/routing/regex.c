/* regex.c -- PCRE2, bounded on every side.
 *
 * A pattern is tried at one place only: it is anchored, with a lazy run to wherever it may begin in
 * front. So its limit of steps holds for the whole search, not anew for each place where it could
 * begin. Patterns see octets, not UTF-8. Where the machine does not let code be made (JIT), the
 * interpreter does the same, slower.
 *
 * Owns:    compiled patterns; each thread's scratch.
 * Thread:  compiled on control; matched on any, each with a scratch of its own.
 * Used by: rule.c (is it right?), compile_routes.c, match.c.
 * Not here: what is matched (match.c). */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "routing/regex.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "routing/route.h"

#define STEPS_MOST 10000u
#define DEPTH_MOST 5000u
#define HEAP_MOST_KIB 1024u
#define STACK_FIRST_BYTES (32u * 1024) /* of code made by JIT */
#define STACK_MOST_BYTES (512u * 1024)
#define NESTED_MOST 32u

struct regex {
    pcre2_code *code;
};

struct route_scratch {
    pcre2_match_data *found;
    pcre2_match_context *limits;
    pcre2_jit_stack *stack; /* NULL: no JIT here */
    bool began, gave_up;
    uint64_t began_us, began_cpu_us; /* the first pattern of this request */
};

static uint64_t clock_us(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* NULL: *error and *at say what is wrong. */
static pcre2_code *compiled(struct str pattern, uint32_t options, int *error, size_t *at)
{
    pcre2_compile_context *c = pcre2_compile_context_create(NULL);
    pcre2_code *code;

    CHECK(c != NULL);
    pcre2_set_max_pattern_length(c, REGEX_PATTERN_MAX + 32);
    pcre2_set_parens_nest_limit(c, NESTED_MOST);
    code = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len,
                         options | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C |
                             PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE,
                         error, at, c);
    pcre2_compile_context_free(c);
    return code;
}

static bool is_anchored(const pcre2_code *code)
{
    uint32_t options = 0;

    pcre2_pattern_info(code, PCRE2_INFO_ALLOPTIONS, &options);
    return (options & PCRE2_ANCHORED) != 0;
}

/* The pattern as it is matched; NULL when it is not right by itself, or not inside a group. */
static pcre2_code *searching(struct str pattern, int *error, size_t *at)
{
    static const char front[] = "(?s:.*?)(?:";
    pcre2_code *code = compiled(pattern, 0, error, at);
    char *wrapped;

    if (code == NULL || is_anchored(code))
        return code;
    pcre2_code_free(code);
    wrapped = check_alloc(sizeof(front) + pattern.len + 1);
    memcpy(wrapped, front, sizeof(front) - 1);
    memcpy(wrapped + sizeof(front) - 1, pattern.ptr, pattern.len);
    wrapped[sizeof(front) - 1 + pattern.len] = ')';
    code = compiled(str_slice(wrapped, sizeof(front) + pattern.len), PCRE2_ANCHORED, error, at);
    free(wrapped);
    if (code == NULL)
        *at = *at > sizeof(front) - 1 ? *at - (sizeof(front) - 1) : 0;
    return code;
}

bool regex_is_right(struct str pattern, char *why, size_t size)
{
    PCRE2_UCHAR sentence[160];
    pcre2_code *code;
    size_t at = 0, bytes = 0;
    int error = 0;

    if (pattern.len == 0 || pattern.len > REGEX_PATTERN_MAX) {
        snprintf(why, size, "a regex of 1 to %u bytes", REGEX_PATTERN_MAX);
        return false;
    }
    code = searching(pattern, &error, &at);
    if (code == NULL) {
        pcre2_get_error_message(error, sentence, sizeof(sentence));
        snprintf(why, size, "a regex that can be read: %s, at its byte %zu", (char *)sentence,
                 at + 1);
        return false;
    }
    pcre2_pattern_info(code, PCRE2_INFO_SIZE, &bytes);
    pcre2_code_free(code);
    snprintf(why, size, "a simpler regex: its counted repeats make it too large");
    return bytes <= REGEX_CODE_MAX;
}

struct regex *regex_new(struct str pattern)
{
    struct regex *r = check_alloc(sizeof(*r));
    size_t at;
    int error;

    r->code = searching(pattern, &error, &at);
    CHECK(r->code != NULL);
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* else the interpreter does it */
    return r;
}

void regex_free(struct regex *r)
{
    pcre2_code_free(r->code);
    free(r);
}

size_t regex_bytes(const struct regex *r)
{
    size_t code = 0, jit = 0;

    pcre2_pattern_info(r->code, PCRE2_INFO_SIZE, &code);
    pcre2_pattern_info(r->code, PCRE2_INFO_JITSIZE, &jit);
    return sizeof(*r) + code + jit;
}

/* --- matching --- */

struct route_scratch *route_scratch_new(void)
{
    struct route_scratch *s = check_alloc(sizeof(*s));

    s->found = pcre2_match_data_create(1, NULL);
    s->limits = pcre2_match_context_create(NULL);
    CHECK(s->found != NULL && s->limits != NULL);
    pcre2_set_match_limit(s->limits, STEPS_MOST);
    pcre2_set_depth_limit(s->limits, DEPTH_MOST);
    pcre2_set_heap_limit(s->limits, HEAP_MOST_KIB);
    s->stack = pcre2_jit_stack_create(STACK_FIRST_BYTES, STACK_MOST_BYTES, NULL);
    pcre2_jit_stack_assign(s->limits, NULL, s->stack);
    return s;
}

void route_scratch_free(struct route_scratch *s)
{
    pcre2_match_data_free(s->found);
    pcre2_match_context_free(s->limits);
    pcre2_jit_stack_free(s->stack);
    free(s);
}

void regex_begin_request(struct route_scratch *s)
{
    s->began = s->gave_up = false;
}

bool regex_gave_up(const struct route_scratch *s)
{
    return s->gave_up;
}

/* A thread that was kept waiting by others has not used its budget up: its own time counts. */
static bool is_spent(struct route_scratch *s)
{
    if (!s->began) {
        s->began = true;
        s->began_us = clock_us(CLOCK_MONOTONIC);
        s->began_cpu_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
        return false;
    }
    return clock_us(CLOCK_MONOTONIC) - s->began_us > REGEX_BUDGET_US &&
           clock_us(CLOCK_THREAD_CPUTIME_ID) - s->began_cpu_us > REGEX_BUDGET_US;
}

enum regex_result regex_find(const struct regex *r, struct str subject, struct route_scratch *s)
{
    int result = PCRE2_ERROR_MATCHLIMIT;

    if (subject.len <= REGEX_SUBJECT_MAX && !is_spent(s))
        result =
            pcre2_match(r->code, (PCRE2_SPTR)subject.ptr, subject.len, 0, 0, s->found, s->limits);
    if (result >= 0)
        return REGEX_YES;
    if (result == PCRE2_ERROR_NOMATCH)
        return REGEX_NO;
    s->gave_up = true;
    return REGEX_LIMIT;
}
