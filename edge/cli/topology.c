/* topology.c -- `usher topology`: where Redis is, as a running edge sees it, or as one here would.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: looking (store/topology_look.c); drawing (store/topology_text.c). */
#include <stdio.h>

#include "cli/admin_client.h"
#include "cli/cli.h"
#include "cli/verb_flags.h"
#include "cli/verb_redis.h"
#include "store/topology_look.h"

#define ANSWER_MS 2000

static const char says[] =
    "Draws where Redis is: Sentinels, the primary, replicas and how far they are behind, what is\n"
    "read from and written to. With --admin as that edge sees it, with the last switches and how\n"
    "long each took; else by going there from here.\n";

static int ask_edge(const char *address, bool json)
{
    struct buf body = { 0 };
    char error[ADMIN_ERROR_SIZE];
    unsigned status;
    bool good =
        admin_ask(address, "GET", json ? "/topology" : "/topology?as=text", &status, &body, error);

    if (!good)
        fprintf(stderr, "usher topology: %s\n", error);
    else if (status != 200)
        fprintf(stderr, "usher topology: the edge at %s answers %u\n", address, status);
    else
        fwrite(body.ptr, 1, body.len, stdout);
    buf_free(&body);
    return good && status == 200 ? 0 : CLI_EXIT_FAILED;
}

static int look(const struct settings *s, bool json)
{
    struct topology_view view;
    struct buf text = { 0 };
    char error[REDIS_CLIENT_ERROR_SIZE] = "";
    bool reached = topology_look(&view, &s->redis, s->read_from_replica, ANSWER_MS, error);

    if (json) {
        topology_write_json(&view, &text);
        buf_add_text(&text, "\n");
    } else {
        topology_draw(&view, &text);
    }
    fwrite(text.ptr, 1, text.len, stdout);
    if (!reached)
        fprintf(stderr, "usher topology: Redis was not reached: %s\n", error);
    buf_free(&text);
    return reached ? 0 : CLI_EXIT_FAILED;
}

int topology_verb(int argc, char **argv)
{
    bool json = false;
    const char *admin = NULL;
    const struct verb_flag flags[] = {
        { "admin", 0, "ADDR:PORT", VERB_FLAG_TEXT, &admin, "ask the edge with this admin port" },
        { "json", 0, NULL, VERB_FLAG_SWITCH, &json, "as a JSON object" },
        { 0 },
    };
    const struct verb_usage usage = {
        .line = "topology [FLAGS]", .says = says, .flags = flags, .settings = "read-from"
    };
    struct settings s;
    int code;

    if (!verb_flags_read(&usage, argc, argv, &s, NULL, &code))
        return code;
    return admin != NULL ? ask_edge(admin, json) : look(&s, json);
}
