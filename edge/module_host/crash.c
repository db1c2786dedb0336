/* crash.c -- the last line of an edge that crashes inside a module.
 *
 * Owns:    the handlers of the signals that a crash raises; one pointer for each thread.
 * Thread:  any
 * Used by: main (crash_watch), whoever calls hooks.
 * Not here: signals that ask for something (net/signal_watch.c). */
#include "module_host/crash.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

_Thread_local const struct module_row *crash_module;

/* Nothing but write() is safe here. */
static void say(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));

    (void)written;
}

static void on_crash(int number)
{
    const struct module_row *row = crash_module;

    if (row != NULL) {
        say("error module_crashed module=");
        say(row->module.name);
        say(" version=");
        say(row->module.version != NULL ? row->module.version : "-");
        say(" from=");
        say(row->from);
        say(" signal=");
        say(number == SIGSEGV   ? "SIGSEGV"
            : number == SIGBUS  ? "SIGBUS"
            : number == SIGFPE  ? "SIGFPE"
            : number == SIGILL  ? "SIGILL"
            : number == SIGABRT ? "SIGABRT"
                                : "?");
        say("\n");
    }
    raise(number); /* the handler is gone: this time it takes its course */
}

#ifdef __SANITIZE_ADDRESS__ /* it has handlers of its own, and more to say */
# define SANITIZED true
#else
# define SANITIZED false
#endif

void crash_watch(void)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    struct sigaction action = { .sa_handler = on_crash, .sa_flags = SA_RESETHAND | SA_NODEFER };

    for (size_t i = 0; !SANITIZED && i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
}
