/* main.c -- where the process starts.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: the kernel.
 * Not here: what was asked for (cli/). */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_run(argc, argv);
}
