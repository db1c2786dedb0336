/* crash.c -- the last line of an edge that crashes inside a module.
 *
 * Owns:    the handlers of the signals that a crash raises; one pointer for each thread.
 * Thread:  any
 * Used by: main (crash_watch), whoever calls hooks.
 * Not here: signals that ask for something (net/signal_watch.c). */
#include "module_host/crash.h"

#include <signal.h>
#include <unistd.h>

_Thread_local const struct module_row *crash_module;

#define STACK_BYTES (16u << 10)

/* Room for the handler where a thread's own stack is used up, as by endless recursion. */
static _Thread_local char stack[STACK_BYTES];

struct line {
    char text[800];
    size_t len;
};

/* Nothing but plain memory and write() is safe here; one write, so that no other line gets in between. */
static void say(struct line *l, const char *text)
{
    for (; *text != '\0' && l->len + 1 < sizeof(l->text); text++)
        l->text[l->len++] = *text;
}

static const char *name_of(int number)
{
    return number == SIGSEGV   ? "SIGSEGV"
           : number == SIGBUS  ? "SIGBUS"
           : number == SIGFPE  ? "SIGFPE"
           : number == SIGILL  ? "SIGILL"
           : number == SIGABRT ? "SIGABRT"
                               : "?";
}

static void on_crash(int number)
{
    const struct module_row *row = crash_module;
    struct line line = { .len = 0 };
    ssize_t written;

    if (row != NULL) {
        say(&line, "error module_crashed module=");
        say(&line, row->module.name);
        say(&line, " version=");
        say(&line, row->module.version != NULL ? row->module.version : "-");
        say(&line, " signal=");
        say(&line, name_of(number));
        say(&line, " from=");
        say(&line, row->from);
        line.text[line.len++] = '\n';
        written = write(STDERR_FILENO, line.text, line.len);
        (void)written;
    }
    raise(number); /* the handler is gone: this time it takes its course */
}

#ifdef __SANITIZE_ADDRESS__ /* it has handlers of its own, and more to say */
# define SANITIZED true
#else
# define SANITIZED false
#endif

void crash_watch_thread(void)
{
    static _Thread_local bool watched;
    stack_t own = { .ss_sp = stack, .ss_size = sizeof(stack) };

    if (!SANITIZED && !watched)
        sigaltstack(&own, NULL);
    watched = true;
}

void crash_watch(void)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    struct sigaction action = { .sa_handler = on_crash,
                                .sa_flags = SA_RESETHAND | SA_NODEFER | SA_ONSTACK };

    crash_watch_thread();
    for (size_t i = 0; !SANITIZED && i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
}
