/* cli.c -- from argv to the verb it names.
 *
 * Owns:    the table of verbs.
 * Thread:  control
 * Used by: main.c.
 * Not here: the verbs themselves, one file each; flags of `serve` (settings.c). */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

struct verb {
    const char *name;
    const char *says; /* NULL: another name of the verb above */
    int (*run)(int argc, char **argv);
};

static int help_verb(int argc, char **argv);

static const struct verb verbs[] = {
    { "serve", "be an edge: route HTTP by what Redis says", serve_verb },
    { "explain", "what an edge does with a request, and why", explain_verb },
    { "check", "what is wrong with the records, or with a file of commands", check_verb },
    { "wait", "until every edge has applied what was written", wait_verb },
    { "accept", "what Redis has lost is gone for good: edges that hold back go on", accept_verb },
    { "edges", "the edges there are, and how they do", edges_verb },
    { "endpoints", "the endpoints of a service, and who says what of their health",
      endpoints_verb },
    { "topology", "where Redis is: Sentinels, primary, replicas", topology_verb },
    { "health", "whether an edge may be sent clients: for health checks", health_verb },
    { "upgrade", "start the new program, and hand over to it without a lost connection",
      upgrade_verb },
    { "route", "list, add and take away rules of a tenant", route_verb },
    { "tenant", "show a tenant with all that belongs to it, or take it away", tenant_verb },
    { "history", "the last changes of records", history_verb },
    { "rollback", "undo one", rollback_verb },
    { "ban", "turn a range of client addresses away, on all edges; or let it in again", ban_verb },
    { "schema", "load the functions for validated writes into Redis", schema_verb },
    { "modules", "the modules there are, and what each of them takes", modules_verb },
    { "--version", "this version, and those of the libraries inside", version_verb },
    { "version", NULL, version_verb },
    { "--help", "this text; `usher serve --help` lists the flags", help_verb },
    { "help", NULL, help_verb },
    { "-h", NULL, help_verb },
};

static void write_help(FILE *to)
{
    fputs("usage: usher VERB [FLAGS]\n\n", to);
    for (unsigned i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (verbs[i].says != NULL)
            fprintf(to, "  usher %-10s %s\n", verbs[i].name, verbs[i].says);
    fputs("\nAn HTTP edge router. A host is a key in Redis; a change is live at once:\n"
          "  redis-cli set usher:host:shop.example '10.0.0.5:8080 10.0.0.6:8080'\n",
          to);
}

static int help_verb(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    write_help(stdout);
    return 0;
}

int cli_run(int argc, char **argv)
{
    if (argc < 2) {
        write_help(stderr);
        return CLI_EXIT_USAGE;
    }
    for (unsigned i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 2, argv + 2);
    fprintf(stderr, "usher: no verb is named \"%.64s\" (see usher --help)\n", argv[1]);
    return CLI_EXIT_USAGE;
}
