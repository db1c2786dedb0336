/* endpoints.c -- `usher endpoints SERVICE`: its endpoints, and how they are, as the checkers say in Redis or
 * as a running edge takes it.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: reading what checkers say (control/health_verdict.c); what an edge makes of it
 *           (control/health_say.c). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/admin_client.h"
#include "cli/cli.h"
#include "cli/edge_list.h"
#include "cli/verb_flags.h"
#include "cli/verb_redis.h"
#include "control/health_verdict.h"
#include "routing/key_names.h"

static const char says[] =
    "Lists the endpoints of a service with what those who check them say: up, down (two say so, or\n"
    "the only one that checks), doubted (one says down, the other up), or - when nobody has said\n"
    "anything. With --admin: what that edge makes of it, for the service whose requests it has seen.\n";

struct look {
    const char *service;
    redisReply *endpoints, *health, *who, *time;
    uint64_t now_ms;
};

static redisReply *ask(struct redis_client *c, const struct settings *s, const char *command,
                       const char *family, const char *name)
{
    struct buf key = { 0 };
    redisReply *r = verb_redis_do(
        c, 2, (struct str[]){ str_from(command), verb_redis_key(s, &key, family, str_from(name)) });

    buf_free(&key);
    return r;
}

static bool read_all(struct redis_client *c, const struct settings *s, struct look *l)
{
    l->endpoints = ask(c, s, "HGETALL", "endpoints:", l->service);
    if (l->endpoints != NULL)
        l->health = ask(c, s, "HGETALL", "health:", l->service);
    if (l->health != NULL)
        l->who = ask(c, s, "HGETALL", "lease:health:", l->service);
    if (l->who != NULL)
        l->time = verb_redis_do(c, 1, &STR("TIME"));
    if (l->time == NULL || l->time->elements < 1)
        return false;
    l->now_ms = strtoull(l->time->element[0]->str, NULL, 10) * 1000;
    return true;
}

static void free_all(struct look *l)
{
    redisReply *const all[] = { l->endpoints, l->health, l->who, l->time };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i] != NULL)
            freeReplyObject(all[i]);
}

static struct str text_of(const redisReply *r)
{
    return str_slice(r->str, r->len);
}

/* "" when the hash has no such field. */
static struct str value_of(const redisReply *hash, struct str name)
{
    for (size_t i = 0; i + 1 < hash->elements; i += 2)
        if (str_equals(text_of(hash->element[i]), name))
            return text_of(hash->element[i + 1]);
    return STR("");
}

static struct str first_word(struct str text)
{
    struct str word;

    return str_word(&text, &word) ? word : STR("-");
}

/* "edge-a: status 503, expected 200-399, for 12s" */
static void say_vote(const struct look *l, const struct health_vote *vote, struct buf *to)
{
    char age[EDGE_AGE_SIZE];

    buf_printf(to, "%s: %s", vote->edge, vote->down ? "down" : "up");
    if (vote->down)
        buf_printf(to, ", %s", vote->reason);
    edge_age_text(l->now_ms > vote->since_ms ? l->now_ms - vote->since_ms : 0, age);
    buf_printf(to, ", for %s", age);
}

static void write_text(const struct look *l, struct buf *to)
{
    size_t widest = 8, options = 6;

    for (size_t i = 0; i + 1 < l->endpoints->elements; i += 2) {
        widest = l->endpoints->element[i]->len > widest ? l->endpoints->element[i]->len : widest;
        options = l->endpoints->element[i + 1]->len > options ? l->endpoints->element[i + 1]->len
                                                              : options;
    }
    buf_printf(to, "%-*s  %-*s  %-7s  SAYS\n", (int)widest, "ENDPOINT", (int)options, "WEIGHT",
               "STATE");
    for (size_t i = 0; i + 1 < l->endpoints->elements; i += 2) {
        struct str name = text_of(l->endpoints->element[i]);
        struct str health = value_of(l->health, name);
        struct health_shared shared;

        health_shared_read(health, &shared);
        buf_printf(to, "%-*.*s  %-*.*s  %-7.*s  ", (int)widest, STR_ARG(name), (int)options,
                   STR_ARG(text_of(l->endpoints->element[i + 1])), STR_ARG(first_word(health)));
        for (unsigned n = 0; n < shared.count; n++) {
            buf_add_text(to, n > 0 ? "; " : "");
            say_vote(l, &shared.votes[n], to);
        }
        buf_add_text(to, "\n");
    }
    buf_add_text(to, l->who->elements > 0 ? "checked by " : "checked by nobody\n");
    for (size_t i = 0; i + 1 < l->who->elements; i += 2)
        buf_printf(to, STR_FMT "%s", STR_ARG(text_of(l->who->element[i])),
                   i + 2 < l->who->elements ? ", " : "\n");
}

static void write_json(const struct look *l, struct buf *to)
{
    buf_add_text(to, "{\"service\":");
    buf_add_json(to, str_from(l->service));
    buf_add_text(to, ",\"checkers\":[");
    for (size_t i = 0; i + 1 < l->who->elements; i += 2) {
        buf_add_text(to, i > 0 ? "," : "");
        buf_add_json(to, text_of(l->who->element[i]));
    }
    buf_add_text(to, "],\"endpoints\":[");
    for (size_t i = 0; i + 1 < l->endpoints->elements; i += 2) {
        struct str name = text_of(l->endpoints->element[i]);
        struct str health = value_of(l->health, name);
        struct health_shared shared;

        health_shared_read(health, &shared);
        buf_add_text(to, i > 0 ? ",\n {\"endpoint\":" : "\n {\"endpoint\":");
        buf_add_json(to, name);
        buf_add_text(to, ",\"options\":");
        buf_add_json(to, text_of(l->endpoints->element[i + 1]));
        buf_add_text(to, ",\"state\":");
        buf_add_json(to, health.len > 0 ? first_word(health) : STR("unknown"));
        buf_add_text(to, ",\"votes\":[");
        health_votes_json(&shared, to);
        buf_add_text(to, "]}");
    }
    buf_add_text(to, "]}\n");
}

static int list(struct redis_client *c, const struct settings *s, const char *service, bool json)
{
    struct look l = { .service = service };
    struct buf text = { 0 };
    bool good = read_all(c, s, &l), there = good && l.endpoints->elements > 0;

    if (good && !there)
        fprintf(stderr, "usher endpoints: there is no service %s with endpoints\n", service);
    if (there && json)
        write_json(&l, &text);
    else if (there)
        write_text(&l, &text);
    fwrite(text.ptr != NULL ? text.ptr : "", 1, text.len, stdout);
    buf_free(&text);
    free_all(&l);
    return there ? 0 : CLI_EXIT_FAILED;
}

static int ask_edge(const char *address, const char *service, bool json)
{
    struct buf body = { 0 }, path = { 0 };
    char error[ADMIN_ERROR_SIZE];
    unsigned status = 0;
    bool good;

    buf_printf(&path, "/endpoints?service=%s%s", service, json ? "" : "&as=text");
    good = admin_ask(address, "GET", path.ptr, &status, &body, error);
    if (!good)
        fprintf(stderr, "usher endpoints: %s\n", error);
    else if (status != 200)
        fprintf(stderr, "usher endpoints: " STR_FMT, (int)body.len, body.ptr);
    else
        fwrite(body.ptr, 1, body.len, stdout);
    buf_free(&path);
    buf_free(&body);
    return good && status == 200 ? 0 : CLI_EXIT_FAILED;
}

int endpoints_verb(int argc, char **argv)
{
    bool json = false;
    const char *admin = NULL;
    const struct verb_flag flags[] = {
        { "admin", 0, "ADDR:PORT", VERB_FLAG_TEXT, &admin, "ask the edge with this admin port" },
        { "json", 0, NULL, VERB_FLAG_SWITCH, &json, "as a JSON object" },
        { 0 },
    };
    const struct verb_usage usage = { .line = "endpoints [FLAGS] SERVICE",
                                      .says = says,
                                      .flags = flags,
                                      .words_least = 1,
                                      .words_most = 1 };
    struct verb_words words = { .count = 0 };
    struct settings s;
    struct redis_client *c;
    int code;

    if (!verb_flags_read(&usage, argc, argv, &s, &words, &code))
        return code;
    if (!name_is_right(str_from(words.words[0]))) {
        fprintf(stderr, "usher endpoints: %.80s is no name of a service: %s is expected\n",
                words.words[0], NAME_EXPECTED);
        return CLI_EXIT_USAGE;
    }
    if (admin != NULL)
        return ask_edge(admin, words.words[0], json);
    c = verb_redis_open(&s);
    if (c == NULL)
        return CLI_EXIT_FAILED;
    code = list(c, &s, words.words[0], json);
    redis_client_close(c);
    return code;
}
