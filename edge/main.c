/* main.c -- where the process starts.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: the kernel.
 * Not here: what was asked for (cli/). */
#include <fcntl.h>

#include "cli/cli.h"

/* One that is closed would become a socket's number, and what is logged would reach that socket. */
static void fill_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            return; /* there is nothing to open, and nowhere to say so */
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    return cli_run(argc, argv);
}
