/* ban.c -- `usher ban RANGE`, `usher ban ls`, `usher ban rm RANGE`.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: what is in Redis, read (ban_list.c); what edges make of it (control/bans.c). */
#include <stdio.h>
#include <string.h>

#include "base/cidr.h"
#include "cli/ban_list.h"
#include "cli/barrier_wait.h"
#include "cli/cli.h"
#include "cli/verb_flags.h"
#include "cli/verb_redis.h"
#include "settings_numbers.h"

#define FOR_LEAST_MS 1000
#define FOR_MOST_MS (366ull * 24 * 60 * 60 * 1000)
#define REASON_MOST 200
/* Bits of a prefix: what is wider is mostly a slip. */
#define V4_WIDE 8
#define V6_WIDE 16
#define MAPPED_BITS 96

static const char says[] =
    "ban RANGE turns the clients of these addresses away, on all edges, and cuts the connections\n"
    "they have; returns when every edge does so. RANGE is 203.0.113.7, 203.0.113.0/24 or\n"
    "2001:db8::/48. Whom edges trust (--proxy-protocol, --trusted-forwarders) is never banned; the\n"
    "clients behind them are.\n"
    "ban ls: what is banned, for how long, and why.\nban rm RANGE: lets it in again.\n";

struct ban_verb {
    struct settings settings;
    struct verb_words words;
    struct redis_client *client;
    const char *time, *reason;
    uint64_t for_ms, timeout_ms;
    bool force, json;
    struct cidr range;
    char text[CIDR_TEXT_SIZE];
};

static int complain(const char *sentence)
{
    fprintf(stderr, "usher ban: %s (see usher ban --help)\n", sentence);
    return CLI_EXIT_USAGE;
}

static bool read_range(struct ban_verb *v, const char *word, int *code)
{
    const char *expected;
    char shown[80];

    if (cidr_parse(str_from(word), &v->range, &expected)) {
        cidr_text(&v->range, v->text);
        return true;
    }
    fprintf(stderr, "usher ban: got \"%s\", expected %s\n",
            str_printable(str_from(word), shown, sizeof(shown)), expected);
    *code = CLI_EXIT_USAGE;
    return false;
}

static bool is_wide(const struct ban_verb *v)
{
    return strchr(v->text, ':') != NULL ? v->range.bits < V6_WIDE
                                        : v->range.bits < MAPPED_BITS + V4_WIDE;
}

/* --- waiting for the edges --- */

/* Says `done`, and on how many edges it is so. */
static int wait_for_edges(struct ban_verb *v, const char *done)
{
    struct barrier_wait w;
    int code = CLI_EXIT_FAILED;

    if (barrier_wait_run(v->client, &v->settings, NULL, 0, v->timeout_ms, &w)) {
        printf("%s %s; %u edge%s so, after %.1f ms\n", v->text, done, w.applied_count,
               w.applied_count == 1 ? " does" : "s do", (double)w.took_us / 1000);
        code = w.complete ? 0 : CLI_EXIT_FAILED;
        if (!w.complete)
            fputs("usher ban: it is written, but not all edges do so yet; usher wait says which\n",
                  stderr);
    }
    barrier_wait_free(&w);
    return code;
}

/* --- verbs --- */

static int add(struct ban_verb *v)
{
    struct str words[5] = { STR("SET") };
    char ms[24], done[64], age[EDGE_AGE_SIZE];
    struct buf key = { 0 };
    unsigned count = 3;
    redisReply *r;

    words[1] = verb_redis_key(&v->settings, &key, "ban:", str_from(v->text));
    words[2] = str_from(v->reason != NULL ? v->reason : "");
    if (v->time != NULL) {
        snprintf(ms, sizeof(ms), "%llu", (unsigned long long)v->for_ms);
        words[3] = STR("PX");
        words[4] = str_from(ms);
        count = 5;
    }
    r = verb_redis_do(v->client, count, words);
    buf_free(&key);
    if (r == NULL)
        return CLI_EXIT_FAILED;
    freeReplyObject(r);
    snprintf(done, sizeof(done), v->time != NULL ? "is banned for %s" : "is banned",
             edge_age_text(v->for_ms, age));
    return wait_for_edges(v, done);
}

/* As it is written by this verb, and as it was typed: somebody else may have written that. */
static int delete_keys(struct ban_verb *v, const char *typed)
{
    struct buf key = { 0 }, other = { 0 };
    redisReply *r = verb_redis_do(
        v->client, 3,
        (struct str[]){ STR("DEL"), verb_redis_key(&v->settings, &key, "ban:", str_from(v->text)),
                        verb_redis_key(&v->settings, &other, "ban:", str_from(typed)) });
    int deleted = r != NULL && r->type == REDIS_REPLY_INTEGER ? (int)r->integer : -1;

    freeReplyObject(r);
    buf_free(&key);
    buf_free(&other);
    return deleted;
}

/* Another range may hold it: then it is that one that bans. */
static void write_wider(const struct ban_list *list, const struct cidr *range)
{
    struct address first = { .v6 = { .sin6_family = AF_INET6 } };

    memcpy(first.v6.sin6_addr.s6_addr, range->ip, sizeof(range->ip));
    for (size_t i = 0; i < list->count; i++)
        if (list->bans[i].right && list->bans[i].range.bits < range->bits &&
            cidr_holds(&list->bans[i].range, &first))
            fprintf(stderr, "  it lies in %s, which is\n", list->bans[i].text);
}

static int lift(struct ban_verb *v)
{
    int deleted = delete_keys(v, v->words.words[1]);
    struct ban_list list = { 0 };
    bool good = deleted >= 0 && ban_list_read(v->client, &v->settings, &list);
    int code = CLI_EXIT_FAILED;

    if (good && deleted > 0)
        code = wait_for_edges(v, "is let in again");
    else if (good)
        fprintf(stderr, "usher ban: %s is not banned\n", v->text);
    if (good)
        write_wider(&list, &v->range);
    ban_list_free(&list);
    return code;
}

static int list_all(struct ban_verb *v)
{
    struct ban_list list;
    bool good = ban_list_read(v->client, &v->settings, &list);

    if (good && v->json)
        ban_list_write_json(&list);
    else if (good && list.count == 0)
        puts("nobody is banned");
    else if (good)
        ban_list_write(&list);
    ban_list_free(&list);
    return good ? 0 : CLI_EXIT_FAILED;
}

static int run(struct ban_verb *v, int (*act)(struct ban_verb *v))
{
    int code;

    v->client = verb_redis_open(&v->settings);
    if (v->client == NULL)
        return CLI_EXIT_FAILED;
    code = act(v);
    redis_client_close(v->client);
    return code;
}

static int ban_range(struct ban_verb *v)
{
    int code;

    if (!read_range(v, v->words.words[0], &code))
        return code;
    if (v->time != NULL &&
        (!settings_time(str_from(v->time), FOR_MOST_MS, &v->for_ms) || v->for_ms < FOR_LEAST_MS))
        return complain("--for: a time from 1s to 8784h, such as 10m, must follow");
    if (v->reason != NULL && strlen(v->reason) > REASON_MOST)
        return complain("--reason: at most 200 bytes must follow");
    if (is_wide(v) && !v->force) {
        fprintf(stderr,
                "usher ban: %s holds so many that it is mostly a slip: everybody in it is turned "
                "away, on all edges and from all tenants; --force bans it all the same\n",
                v->text);
        return CLI_EXIT_USAGE;
    }
    return run(v, add);
}

int ban_verb(int argc, char **argv)
{
    struct ban_verb v = { .timeout_ms = 10000 };
    int code;
    const struct verb_flag flags[] = {
        { "for", 0, "TIME", VERB_FLAG_TEXT, &v.time,
          "it ends by itself; else it stays until `rm`" },
        { "reason", 0, "TEXT", VERB_FLAG_TEXT, &v.reason, "what `ls` says of it" },
        { "force", 0, NULL, VERB_FLAG_SWITCH, &v.force,
          "also when RANGE is wider than /8, or /16 of IPv6" },
        { "timeout", 0, "TIME", VERB_FLAG_TIME, &v.timeout_ms, "wait no longer (default 10s)" },
        { "json", 0, NULL, VERB_FLAG_SWITCH, &v.json, "ls: as a JSON array" },
        { NULL, 0, NULL, VERB_FLAG_SWITCH, NULL, NULL },
    };
    const struct verb_usage usage = { .line = "ban RANGE | ls | rm RANGE [FLAGS]",
                                      .says = says,
                                      .flags = flags,
                                      .words_least = 1,
                                      .words_most = 2 };

    if (!verb_flags_read(&usage, argc, argv, &v.settings, &v.words, &code))
        return code;
    if (strcmp(v.words.words[0], "ls") == 0 && v.words.count == 1)
        return run(&v, list_all);
    if (strcmp(v.words.words[0], "rm") == 0 && v.words.count == 2)
        return read_range(&v, v.words.words[1], &code) ? run(&v, lift) : code;
    if (v.words.count == 1)
        return ban_range(&v);
    return complain("expected RANGE, ls, or: rm RANGE");
}
