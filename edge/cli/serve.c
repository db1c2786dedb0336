/* serve.c -- `usher serve`: flags and environment read, then control runs until it is told to end.
 *
 * Owns:    the settings, for as long as the process serves.
 * Thread:  control
 * Used by: cli.c.
 * Not here: the table of flags (settings.c); everything that runs (control/control.c). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "control/control.h"
#include "module_host/crash.h"
#include "settings.h"

static int write_help(void)
{
    struct buf text = { 0 };

    buf_add_text(&text, "usage: usher serve [FLAGS]\n\n"
                        "Every flag may also be said by its environment variable; flags win.\n"
                        "SIGTERM and SIGINT drain: what runs is finished, then the process ends. "
                        "A second one ends it at once.\n"
                        "SIGUSR2 upgrades, as usher upgrade does. SIGHUP opens the access log "
                        "anew.\n\n");
    settings_help(&text);
    fwrite(text.ptr, 1, text.len, stdout);
    buf_free(&text);
    return 0;
}

int serve_verb(int argc, char **argv)
{
    struct settings settings;
    char error[SETTINGS_ERROR_SIZE];

    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return write_help();
    if (!settings_read(&settings, argc, argv, environ, error)) {
        fprintf(stderr, "usher: %s (see usher serve --help)\n", error);
        return CLI_EXIT_USAGE;
    }
    crash_watch();
    return control_run(&settings);
}
