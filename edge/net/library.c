/* library.c -- which libuv and mbedTLS this program runs on.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: cli/version.c.
 * Not here: the libraries of other rooms (http/parser.c, store/library.c). */
#include "net/library.h"

#include <mbedtls/version.h>
#include <uv.h>

const char *library_libuv_version(void)
{
    return uv_version_string();
}

const char *library_mbedtls_version(void)
{
    return MBEDTLS_VERSION_STRING;
}
