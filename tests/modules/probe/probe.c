/* probe.c -- a module that does in each hook what its settings say, and tells what came of it: with it
 * the tests try everything that a module may do, and what it may not.
 *
 *     probe(request="timer 30; wait; q-set X-A=1; reply 403 no" response="show" body_r="upper")
 *
 * A hook's setting is a list of steps, parted by ';'; each that can fail writes its name and 1 or 0 into
 * the exchange's trail, which `show` puts into the header X-NAME-Trail and `tell` into the log. -DNAME=...
 * makes another module of it. */
#include "usher_module.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef NAME
# define NAME "probe"
#endif

enum { REQUEST, UPSTREAM, RESPONSE, BODY_Q, BODY_R, DONE, OTHER, REFUSE, CRASH, ROWS };

#define STEPS(what) .type = USHER_TYPE_TEXT, .meaning = what

static const struct usher_setting settings[ROWS] = {
    [REQUEST] = { .name = "request", STEPS("steps of on_request") },
    [UPSTREAM] = { .name = "upstream", STEPS("steps of on_upstream") },
    [RESPONSE] = { .name = "response", STEPS("steps of on_response") },
    [BODY_Q] = { .name = "body_q", STEPS("what becomes of a request's body") },
    [BODY_R] = { .name = "body_r", STEPS("what becomes of a response's body") },
    [DONE] = { .name = "done", STEPS("steps of on_done") },
    [OTHER] = { .name = "other", .type = USHER_TYPE_SERVICE, .meaning = "for the step other" },
    [REFUSE] = { .name = "refuse",
                 .type = USHER_TYPE_SWITCH,
                 .standard = "off",
                 .meaning = "these" },
    [CRASH] = { .name = "crash", .type = USHER_TYPE_SWITCH, .standard = "off", .meaning = "now" },
};

enum { REQUESTS, UPSTREAMS, RESPONSES, RESUMED, LASTS, DONES, OPEN, OF_STEPS, METRICS };

static const struct usher_metric metrics[METRICS] = {
    [REQUESTS] = { "requests_total", USHER_COUNTER, "calls of on_request" },
    [UPSTREAMS] = { "upstreams_total", USHER_COUNTER, "calls of on_upstream" },
    [RESPONSES] = { "responses_total", USHER_COUNTER, "calls of on_response" },
    [RESUMED] = { "resumed_total", USHER_COUNTER, "waits that ended" },
    [LASTS] = { "lasts_total", USHER_COUNTER, "last pieces of bodies" },
    [DONES] = { "dones_total", USHER_COUNTER, "calls of on_done" },
    [OPEN] = { "open", USHER_GAUGE, "exchanges begun and not done" },
    [OF_STEPS] = { "steps_total", USHER_COUNTER, "what the step count adds" },
};

#define KEPT_MAX (1u << 19)
#define TRAIL_MAX 500

/* From malloc, so that whoever uses it after `drop` is found out. */
struct compiled {
    char *text[OTHER];
    uint64_t other;
};

struct body {
    uint64_t bytes;
    char *kept;
    size_t kept_len;
    bool begun;
};

struct state {
    char trail[TRAIL_MAX + 1];
    size_t trail_len;
    const char *next; /* where a wait goes on */
    const struct compiled *compiled;
    bool replied;
    struct body bodies[2];
};

static atomic_int compiled_now;

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct compiled *made;

    if (given[CRASH].values[0].number == 1)
        abort();
    if (given[REFUSE].values[0].number == 1)
        return usher_refuse(c, REFUSE, 0, "anything but this");
    made = calloc(1, sizeof(*made));
    for (unsigned i = 0; i < OTHER; i++)
        if (given[i].count > 0)
            made->text[i] = strndup(given[i].values[0].text.ptr, given[i].values[0].text.len);
    if (given[OTHER].count > 0)
        made->other = (uint64_t)given[OTHER].values[0].number;
    atomic_fetch_add(&compiled_now, 1);
    *compiled = made;
    return true;
}

static void drop(void *compiled)
{
    struct compiled *c = compiled;

    for (unsigned i = 0; i < OTHER; i++)
        free(c->text[i]);
    free(c);
    atomic_fetch_sub(&compiled_now, 1);
}

/* --- the trail --- */

static struct state *state_of(struct usher_exchange *x)
{
    void **at = usher_state(x);

    if (*at == NULL) {
        *at = usher_alloc(x, sizeof(struct state));
        if (*at == NULL)
            abort();
        usher_count(x, OPEN, 1);
    }
    return *at;
}

static void note(struct state *s, const char *word)
{
    size_t len = strlen(word);

    if (s->trail_len + len + 1 > TRAIL_MAX)
        return;
    if (s->trail_len > 0)
        s->trail[s->trail_len++] = ',';
    memcpy(s->trail + s->trail_len, word, len + 1);
    s->trail_len += len;
}

static void note_result(struct state *s, const char *step, bool good)
{
    char word[80];

    snprintf(word, sizeof(word), "%s=%d", step, good);
    note(s, word);
}

static void note_text(struct state *s, const char *step, struct usher_text text)
{
    char word[300];

    snprintf(word, sizeof(word), "%s=%.*s", step, text.ptr != NULL ? (int)text.len : 1,
             text.ptr != NULL ? text.ptr : "-");
    note(s, word);
}

/* --- steps --- */

struct step {
    struct usher_exchange *x;
    const struct compiled *c;
    struct state *s;
    char name[24];
    char rest[400]; /* behind the name */
};

static struct usher_text rest_of(const struct step *t)
{
    return usher_text(strcmp(t->rest, "-") == 0 ? NULL : t->rest);
}

static bool is(const struct step *t, const char *name)
{
    return strcmp(t->name, name) == 0;
}

/* NAME=VALUE */
static void pair_of(struct step *t, struct usher_text *name, struct usher_text *value)
{
    char *equals = strchr(t->rest, '=');

    *value = usher_text(equals != NULL ? equals + 1 : "");
    if (equals != NULL)
        *equals = '\0';
    *name = usher_text(t->rest);
}

static void sleep_ms(long ms)
{
    struct timespec until = { ms / 1000, ms % 1000 * 1000000 };

    nanosleep(&until, NULL);
}

static void work(void *arg)
{
    int *number = arg;

    sleep_ms(number[0]);
    number[1] = number[0] * 2;
}

static void work_badly(void *arg)
{
    *(volatile int *)(size_t)(*(int *)arg) = 1;
}

/* Until its stack is used up. */
static int recurse(volatile int *n)
{
    volatile int more[64] = { *n + 1 };

    return *n < 0 ? 0 : recurse(more) + more[0];
}

static enum usher_result steps(struct usher_exchange *x, const struct compiled *c, struct state *s,
                               const char *at);

static enum usher_result resumed(struct usher_exchange *x, const void *compiled, void *arg)
{
    struct state *s = state_of(x);
    int *number = arg;
    const char *next = s->next;

    usher_count(x, RESUMED, 1);
    if (number != NULL)
        note_result(s, "job", number[1] == 2 * number[0]);
    note(s, "resumed");
    s->next = NULL;
    return next != NULL ? steps(x, compiled, s, next) : USHER_GO_ON;
}

/* Its name does not matter: it was meant for a hook that is over. */
static enum usher_result resumed_late(struct usher_exchange *x, const void *compiled, void *arg)
{
    (void)compiled;
    (void)arg;
    note(state_of(x), "late");
    return USHER_FAULT;
}

static bool do_head(struct step *t)
{
    enum usher_side side = t->name[0] == 'q' ? USHER_REQUEST : USHER_RESPONSE;
    struct usher_text name, value;
    const char *what = t->name + 2;

    if (t->name[1] != '-')
        return false;
    pair_of(t, &name, &value);
    if (strcmp(what, "set") == 0)
        note_result(t->s, t->name, usher_header_set(t->x, side, name, value));
    else if (strcmp(what, "add") == 0)
        note_result(t->s, t->name, usher_header_add(t->x, side, name, value));
    else if (strcmp(what, "remove") == 0)
        note_result(t->s, t->name, usher_header_remove(t->x, side, name));
    else if (strcmp(what, "get") == 0)
        note_text(t->s, t->rest, usher_header(t->x, side, name, 0));
    else if (strcmp(what, "take") == 0)
        note_result(t->s, t->name, usher_take_body(t->x, side));
    else if (strcmp(what, "count") == 0) {
        struct usher_pair field;
        uint32_t n = 0;
        char number[12];

        while (usher_header_at(t->x, side, n, &field))
            n++;
        snprintf(number, sizeof(number), "%u", n);
        note_text(t->s, t->name, usher_text(number));
    } else {
        return false;
    }
    return true;
}

static bool do_rewrite(struct step *t)
{
    struct usher_exchange *x = t->x;

    if (is(t, "path"))
        note_result(t->s, t->name, usher_rewrite_path(x, rest_of(t)));
    else if (is(t, "query"))
        note_result(t->s, t->name, usher_rewrite_query(x, rest_of(t)));
    else if (is(t, "host"))
        note_result(t->s, t->name, usher_rewrite_host(x, rest_of(t)));
    else if (is(t, "other"))
        note_result(t->s, t->name, usher_choose_service(x, t->c->other));
    else if (is(t, "service"))
        note_result(t->s, t->name, usher_choose_service(x, (uint64_t)atoll(t->rest)));
    else if (is(t, "status"))
        note_result(t->s, t->name, usher_status_set(x, (uint32_t)atoi(t->rest)));
    else if (is(t, "replace"))
        note_result(t->s, t->name,
                    usher_replace_body(x, usher_text("text/replaced"), usher_text(t->rest)));
    else if (is(t, "send"))
        note_result(t->s, t->name, usher_send(x, t->rest, strlen(t->rest)));
    else
        return false;
    return true;
}

static bool do_wait(struct step *t)
{
    struct usher_exchange *x = t->x;
    long ms = atol(t->rest);

    if (is(t, "timer"))
        note_result(t->s, t->name, usher_timer(x, (uint32_t)ms, resumed, NULL));
    else if (is(t, "late"))
        note_result(t->s, t->name, usher_timer(x, (uint32_t)ms, resumed_late, NULL));
    else if (is(t, "most"))
        note_result(t->s, t->name, usher_wait_most(x, (uint32_t)ms));
    else if (is(t, "job")) {
        int numbers[2] = { (int)ms, 0 };

        note_result(t->s, t->name, usher_job(x, work, numbers, sizeof(numbers), resumed));
    } else if (is(t, "many")) { /* as many timers as there may be */
        long n = 0;
        char number[12];

        while (n < 1000 && usher_timer(x, (uint32_t)ms, resumed, NULL))
            n++;
        snprintf(number, sizeof(number), "%ld", n);
        note_text(t->s, t->name, usher_text(number));
    } else {
        return false;
    }
    return true;
}

static bool do_text(struct step *t)
{
    static const struct {
        const char *name;
        struct usher_text (*of)(struct usher_exchange *x);
    } rows[] = {
        { "method", usher_method },       { "get-path", usher_path },
        { "raw-path", usher_raw_path },   { "get-query", usher_query },
        { "host-name", usher_host_name }, { "authority", usher_authority },
        { "scheme", usher_scheme },       { "client-ip", usher_client_ip },
        { "tenant", usher_tenant },       { "route", usher_route },
        { "get-service", usher_service }, { "fault-name", usher_fault_name },
    };

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (is(t, rows[i].name)) {
            note_text(t->s, t->name, rows[i].of(t->x));
            return true;
        }
    if (is(t, "param"))
        note_text(t->s, t->rest, usher_parameter(t->x, usher_text(t->rest), 0));
    else if (is(t, "cookie"))
        note_text(t->s, t->rest, usher_cookie(t->x, usher_text(t->rest)));
    else if (is(t, "id"))
        note_result(t->s, t->name,
                    usher_request_id(t->x).len == 32 &&
                        usher_request_id(t->x).ptr == usher_request_id(t->x).ptr);
    else if (is(t, "source"))
        note(t->s, usher_source(t->x) == USHER_FROM_ENDPOINT ? "endpoint"
                   : usher_source(t->x) == USHER_FROM_MODULE ? "module"
                                                             : "edge");
    else if (is(t, "get-status")) {
        char number[12];

        snprintf(number, sizeof(number), "%u", usher_status(t->x));
        note_text(t->s, t->name, usher_text(number));
    } else {
        return false;
    }
    return true;
}

static void spin(long ms)
{
    struct timespec begun, now;

    clock_gettime(CLOCK_MONOTONIC, &begun);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - begun.tv_sec) * 1000 + (now.tv_nsec - begun.tv_nsec) / 1000000 < ms);
}

static bool do_other(struct step *t)
{
    struct usher_exchange *x = t->x;
    char number[16];

    if (is(t, "when") || is(t, "endpoint")) /* it holds, see ends() */
        return true;
    if (is(t, "show"))
        usher_header_set(x, USHER_RESPONSE, usher_text("X-" NAME "-Trail"),
                         usher_text(t->s->trail));
    else if (is(t, "tell"))
        usher_log(x, USHER_LOG_WARN, t->s->trail);
    else if (is(t, "log"))
        usher_log(x, USHER_LOG_WARN, t->rest);
    else if (is(t, "note"))
        note(t->s, t->rest);
    else if (is(t, "count"))
        usher_count(x, OF_STEPS, atol(t->rest));
    else if (is(t, "compiled")) {
        snprintf(number, sizeof(number), "%d", atomic_load(&compiled_now));
        note_text(t->s, t->name, usher_text(number));
    } else if (is(t, "alloc"))
        note_result(t->s, t->name, usher_alloc(x, (size_t)atoll(t->rest)) != NULL);
    else if (is(t, "spin"))
        spin(atol(t->rest));
    else if (is(t, "recurse"))
        note_result(t->s, t->name, recurse(&(int){ 0 }));
    else if (is(t, "job-crash")) {
        int place = 16;

        usher_job(x, work_badly, &place, sizeof(place), resumed);
    } else if (is(t, "crash"))
        *(volatile int *)(size_t)atol(t->rest) = 1;
    else if (is(t, "reply")) {
        t->s->replied = usher_reply(x, (uint32_t)atoi(t->rest), usher_text("text/x-probe"),
                                    usher_text(strchr(t->rest, ' ') + 1)) == USHER_ANSWERED;
        note_result(t->s, t->name, t->s->replied);
    } else {
        return false;
    }
    return true;
}

/* Steps that end the hook. */
static bool ends(struct step *t, enum usher_result *result)
{
    static const char *const because[] = { "fault", "fault-store", "fault-timeout", "fault-denied",
                                           "fault-large" };

    for (unsigned i = 0; i < sizeof(because) / sizeof(because[0]); i++)
        if (is(t, because[i])) {
            *result = usher_fault(t->x, (enum usher_because)i);
            return true;
        }
    if (is(t, "redirect"))
        *result =
            usher_redirect(t->x, (uint32_t)atoi(t->rest), usher_text(strchr(t->rest, ' ') + 1));
    else if (is(t, "result"))
        *result = (enum usher_result)atoi(t->rest);
    else if (is(t, "when") || is(t, "endpoint"))
        *result = t->s->replied ? USHER_ANSWERED : USHER_GO_ON;
    else
        return false;
    if (is(t, "when")) /* the rest, only for requests that have such a header */
        return usher_header(t->x, USHER_REQUEST, usher_text(t->rest), 0).ptr == NULL;
    if (is(t, "endpoint")) /* the rest, only for responses of endpoints */
        return usher_source(t->x) != USHER_FROM_ENDPOINT;
    return true;
}

static const char *next_step(struct step *t, const char *at)
{
    size_t len = strcspn(at, ";"), name;
    const char *after = at[len] == ';' ? at + len + 1 : at + len;

    while (len > 0 && *at == ' ')
        at++, len--;
    name = strcspn(at, " ;");
    snprintf(t->name, sizeof(t->name), "%.*s", (int)name, at);
    if (name < len)
        name++;
    snprintf(t->rest, sizeof(t->rest), "%.*s", (int)(len - name), at + name);
    return after + strspn(after, " ");
}

static enum usher_result steps(struct usher_exchange *x, const struct compiled *c, struct state *s,
                               const char *at)
{
    struct step t = { .x = x, .c = c, .s = s };
    enum usher_result result;

    while (at != NULL && *at != '\0') {
        at = next_step(&t, at);
        if (ends(&t, &result))
            return result;
        if (is(&t, "wait")) {
            s->next = at;
            return USHER_WAIT;
        }
        if (!do_head(&t) && !do_rewrite(&t) && !do_wait(&t) && !do_text(&t) && !do_other(&t))
            note(s, "no-such-step");
    }
    return s->replied ? USHER_ANSWERED : USHER_GO_ON;
}

/* --- hooks --- */

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    const struct compiled *c = compiled;
    struct state *s = state_of(x);

    usher_count(x, REQUESTS, 1);
    note(s, "Q");
    s->compiled = c;
    return steps(x, c, s, c->text[REQUEST]);
}

static enum usher_result on_upstream(struct usher_exchange *x, const void *compiled)
{
    const struct compiled *c = compiled;
    struct state *s = state_of(x);

    usher_count(x, UPSTREAMS, 1);
    note(s, "U");
    s->replied = false;
    return steps(x, c, s, c->text[UPSTREAM]);
}

static enum usher_result on_response(struct usher_exchange *x, const void *compiled)
{
    const struct compiled *c = compiled;
    struct state *s = state_of(x);

    usher_count(x, RESPONSES, 1);
    note(s, "R");
    s->replied = false;
    if (s->compiled != NULL && s->compiled != c)
        abort(); /* one version of the settings for the whole exchange */
    return steps(x, c, s, c->text[RESPONSE]);
}

static void on_done(struct usher_exchange *x, const void *compiled)
{
    const struct compiled *c = compiled;
    struct state *s = state_of(x);

    usher_count(x, DONES, 1);
    usher_count(x, OPEN, -1);
    note(s, "D");
    s->replied = false;
    steps(x, c, s, c->text[DONE]);
}

/* --- bodies --- */

static bool send_upper(struct usher_exchange *x, const char *bytes, size_t len)
{
    char piece[4096];

    for (size_t at = 0, part; at < len; at += part) {
        part = len - at < sizeof(piece) ? len - at : sizeof(piece);
        for (size_t i = 0; i < part; i++)
            piece[i] = bytes[at + i] >= 'a' && bytes[at + i] <= 'z' ? (char)(bytes[at + i] - 32)
                                                                    : bytes[at + i];
        if (!usher_send(x, piece, part))
            return false;
    }
    return true;
}

static bool hold(struct usher_exchange *x, struct body *b, const char *bytes, size_t len, bool last)
{
    if (b->kept == NULL)
        b->kept = usher_alloc(x, KEPT_MAX);
    if (b->kept == NULL || b->kept_len + len > KEPT_MAX)
        return false;
    memcpy(b->kept + b->kept_len, bytes, len);
    b->kept_len += len;
    return !last || usher_send(x, b->kept, b->kept_len);
}

static bool times(struct usher_exchange *x, const char *bytes, size_t len, int n)
{
    for (int i = 0; i < n; i++)
        if (!usher_send(x, bytes, len))
            return false;
    return true;
}

static enum usher_result on_body(struct usher_exchange *x, const void *compiled,
                                 enum usher_side side, const char *bytes, size_t len, bool last)
{
    const struct compiled *c = compiled;
    const char *how = c->text[side == USHER_REQUEST ? BODY_Q : BODY_R];
    struct state *s = state_of(x);
    struct body *b = &s->bodies[side];
    bool good = true;

    how = how != NULL ? how : "pass";
    usher_count(x, LASTS, last);
    if (!b->begun)
        note(s, side == USHER_REQUEST ? "BQ" : "BR");
    if (!b->begun && strncmp(how, "head ", 5) == 0)
        good = usher_send(x, how + 5, strlen(how + 5));
    b->begun = true;
    b->bytes += len;
    if (strcmp(how, "upper") == 0)
        good = send_upper(x, bytes, len);
    else if (strcmp(how, "hold") == 0)
        good = hold(x, b, bytes, len, last);
    else if (strcmp(how, "grow") == 0)
        good = times(x, bytes, len, 10);
    else if (strncmp(how, "fault ", 6) == 0 && b->bytes >= (uint64_t)atoll(how + 6))
        return usher_fault(x, USHER_BECAUSE_TOO_LARGE);
    else if (strcmp(how, "drop") != 0)
        good = usher_send(x, bytes, len);
    if (good && last && strncmp(how, "tail ", 5) == 0)
        good = usher_send(x, how + 5, strlen(how + 5));
    if (strcmp(how, "wait") == 0)
        return usher_timer(x, 1, resumed, NULL) ? USHER_WAIT : USHER_WAIT; /* neither may be */
    if (strcmp(how, "seen") == 0)
        usher_header(x, USHER_RESPONSE, usher_text("X-Origin"), 0);
    return good ? USHER_GO_ON : USHER_FAULT;
}

USHER_MODULE(probe) = {
    USHER_MODULE_ABI,           .name = NAME,
    .version = "1.0",           .summary = "does what its settings say",
    USHER_SETTINGS(settings),   USHER_METRICS(metrics),
    .compile = compile,         .drop = drop,
    .on_request = on_request,   .on_upstream = on_upstream,
    .on_response = on_response, .on_body = on_body,
    .on_done = on_done,
};
