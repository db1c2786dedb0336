/* health.c -- `usher health`: whether the edge of this machine or container may be sent clients.
 *
 * For the health check of an image that has no curl.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: what makes an edge ready (control/admin_pages.c). */
#include <stdio.h>

#include "cli/admin_client.h"
#include "cli/cli.h"
#include "cli/verb_flags.h"
#include "cli/verb_redis.h"

static const char says[] =
    "Asks the edge with this admin port for /readyz and prints its answer: exit 0 when clients may\n"
    "be sent there, 1 when not, or when nothing answers.\n";

int health_verb(int argc, char **argv)
{
    const struct verb_usage usage = {
        .line = "health [FLAGS]", .says = says, .settings = "admin", .without_redis = true
    };
    struct settings s;
    struct buf body = { 0 };
    char at[ADDRESS_TEXT_SIZE], error[ADMIN_ERROR_SIZE];
    unsigned status = 0;
    int code;

    if (!verb_flags_read(&usage, argc, argv, &s, NULL, &code))
        return code;
    if (!s.admin_on) {
        fputs("usher health: --admin is off: there is nothing to ask\n", stderr);
        return CLI_EXIT_USAGE;
    }
    if (admin_ask(address_text(&s.admin, at), "GET", "/readyz", &status, &body, error))
        fwrite(body.ptr, 1, body.len, stdout);
    else
        fprintf(stderr, "usher health: %s\n", error);
    buf_free(&body);
    return status == 200 ? 0 : CLI_EXIT_FAILED;
}
