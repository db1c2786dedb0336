/* version.c -- `usher --version`: what is inside this program.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: the numbers: each room asks the library that it alone knows. */
#include <stdio.h>

#include "cli/cli.h"
#include "http/parser.h"
#include "net/dns.h"
#include "net/library.h"
#include "store/library.h"

int version_verb(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("usher %s\nlibuv %s\nhiredis %s\nllhttp %s\nmbedTLS %s\nc-ares %s\n", USHER_VERSION,
           library_libuv_version(), store_library_version(), parser_library_version(),
           library_mbedtls_version(), dns_library_version());
    return 0;
}
