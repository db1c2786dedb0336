/* explain.c -- `usher explain URL`: what an edge does with a request, and why.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: finding out (control/explain.c); what a running edge answers (control/admin_pages.c).  */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "cli/admin_client.h"
#include "cli/cli.h"
#include "cli/health_records.h"
#include "cli/verb_flags.h"
#include "cli/verb_modules.h"
#include "cli/verb_redis.h"
#include "control/explain.h"
#include "store/disk_records.h"
#include "store/redis_records.h"

#define STATUS_UNREAD 202
#define ATTEMPTS 60
#define ATTEMPT_MS 50

struct arguments {
    const char *method, *client, *admin;
    bool json;
    struct verb_words headers, url;
    struct settings settings;
    struct verb_modules modules;
};

static int complain(const char *text)
{
    fprintf(stderr, "usher explain: %s (see usher explain --help)\n", text);
    return CLI_EXIT_USAGE;
}

/* An address without a port, IPv6 with or without brackets. */
static bool read_client(const char *text, struct address *to)
{
    char whole[ADDRESS_TEXT_SIZE + 8];
    const char *expected;

    snprintf(whole, sizeof(whole), text[0] != '[' && strchr(text, ':') != NULL ? "[%s]:0" : "%s:0",
             text);
    return address_parse(str_from(whole), 0, to, &expected);
}

static bool is_header(const char *text)
{
    return strchr(text, ':') != NULL && strpbrk(text, "\r\n") == NULL;
}

static void write_out(const struct explanation *e, bool json)
{
    struct buf text = { 0 };

    if (json)
        explain_json(e, &text);
    else
        explain_text(e, &text);
    fwrite(text.ptr, 1, text.len, stdout);
    buf_free(&text);
}

/* --- from Redis --- */

static int explain_from_redis(struct arguments *a, const struct explain_request *request)
{
    struct redis_client *client = verb_redis_open(&a->settings);
    struct redis_records records;
    struct health_records health;
    struct guard guard;
    struct explain_source source = {
        .guard = &guard, .modules = &a->modules.host, .settings = &a->settings, .from = "Redis, now"
    };
    struct explanation e;
    int code = 0;

    if (client == NULL)
        return CLI_EXIT_FAILED;
    verb_redis_guard(&guard, &a->settings);
    redis_records_init(&records, client, str_from(a->settings.prefix));
    source.records = redis_records_source(&records);
    health_records_use(&health, client, &a->settings, &source);
    explain(&e, &source, request);
    if (records.error[0] != '\0') {
        fprintf(stderr, "usher explain: Redis: %s\n", records.error);
        code = CLI_EXIT_FAILED;
    } else {
        write_out(&e, a->json);
    }
    explain_free(&e);
    health_records_free(&health);
    redis_records_free(&records);
    redis_client_close(client);
    return code;
}

/* --- from the copy on disk --- */

static int explain_from_disk(struct arguments *a, const struct explain_request *request)
{
    char error[DISK_RECORDS_ERROR_SIZE];
    const char *dir = a->settings.state_dir;
    struct disk_records *records = disk_records_open(dir, str_from(a->settings.prefix), error);
    struct guard guard;
    struct explain_source source = {
        .in_force = true,
        .guard = &guard,
        .modules = &a->modules.host,
        .settings = &a->settings,
        .from = "the copy on disk",
    };
    struct explanation e;
    int code = 0;

    if (records == NULL) {
        fprintf(stderr, "usher explain: %s\n", error);
        return CLI_EXIT_FAILED;
    }
    verb_redis_guard(&guard, &a->settings);
    source.records = disk_records_source(records);
    explain(&e, &source, request);
    if (e.unread) {
        fprintf(stderr, "usher explain: " STR_FMT "\n",
                STR_ARG(e.records[e.records_count - 1].says));
        code = CLI_EXIT_FAILED;
    } else {
        write_out(&e, a->json);
    }
    explain_free(&e);
    disk_records_close(records);
    return code;
}

/* --- from a running edge --- */

static void add_parameter(struct buf *to, const char *name, struct str value)
{
    static const char hex[] = "0123456789ABCDEF";

    buf_printf(to, "%c%s=", to->len > 0 && memchr(to->ptr, '?', to->len) ? '&' : '?', name);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~/:", c) != NULL)
            buf_add(to, &value.ptr[i], 1);
        else
            buf_printf(to, "%%%c%c", hex[c >> 4], hex[c & 15]);
    }
}

/* A host that the edge has never seen is asked for in Redis, which takes a moment. */
static bool ask_until_known(const char *admin, const char *path, unsigned *status, struct buf *body,
                            char error[ADMIN_ERROR_SIZE])
{
    unsigned attempts = 0;
    bool answered;

    do {
        if (attempts > 0)
            poll(NULL, 0, ATTEMPT_MS);
        answered = admin_ask(admin, "GET", path, status, body, error);
    } while (answered && *status == STATUS_UNREAD && ++attempts < ATTEMPTS);
    return answered;
}

static int explain_from_edge(const struct arguments *a, const struct explain_request *request)
{
    struct buf path = { 0 }, body = { 0 };
    char error[ADMIN_ERROR_SIZE];
    unsigned status = 0;
    int code = CLI_EXIT_FAILED;

    buf_add_text(&path, "/explain");
    add_parameter(&path, "url", request->url);
    add_parameter(&path, "method", request->method);
    add_parameter(&path, "from", str_from(a->client));
    for (unsigned i = 0; i < request->header_count; i++)
        add_parameter(&path, "header", request->headers[i]);
    add_parameter(&path, "as", a->json ? STR("json") : STR("text"));
    if (!ask_until_known(a->admin, path.ptr, &status, &body, error))
        fprintf(stderr, "usher explain: %s\n", error);
    else if (status != 200 && status != STATUS_UNREAD)
        fprintf(stderr, "usher explain: %s: %u: %s", a->admin, status, body.len ? body.ptr : "\n");
    else
        code = 0;
    if (code == 0)
        fwrite(body.ptr, 1, body.len, stdout);
    buf_free(&path);
    buf_free(&body);
    return code;
}

/* --- the verb --- */

static int run(struct arguments *a)
{
    struct explain_request request = { .method = str_from(a->method),
                                       .url = str_from(a->url.words[0]) };

    if (!read_client(a->client, &request.client))
        return complain("--from: an IP address must follow");
    if (strpbrk(a->method, " \r\n") != NULL)
        return complain("--method: a word must follow");
    for (unsigned i = 0; i < a->headers.count; i++) {
        if (!is_header(a->headers.words[i]))
            return complain("--header: 'NAME: VALUE' must follow");
        request.headers[request.header_count++] = str_from(a->headers.words[i]);
    }
    if (a->admin != NULL)
        return explain_from_edge(a, &request);
    return a->settings.state_dir[0] != '\0' ? explain_from_disk(a, &request)
                                            : explain_from_redis(a, &request);
}

int explain_verb(int argc, char **argv)
{
    struct arguments a = { .method = "GET", .client = "127.0.0.1" };
    int code;
    const struct verb_flag flags[] = {
        { "method", 'X', "METHOD", VERB_FLAG_TEXT, &a.method, "GET when not said" },
        { "header", 'H', "'NAME: VALUE'", VERB_FLAG_WORDS, &a.headers,
          "a header of the request; may be given again" },
        { "from", 0, "ADDRESS", VERB_FLAG_TEXT, &a.client,
          "whose connection it is; 127.0.0.1 when not said" },
        { "admin", 0, "ADDR:PORT", VERB_FLAG_TEXT, &a.admin,
          "ask the running edge that has its admin port there, instead of Redis" },
        { "json", 0, NULL, VERB_FLAG_SWITCH, &a.json, "as one JSON object" },
        { NULL, 0, NULL, VERB_FLAG_SWITCH, NULL, NULL },
    };
    const struct verb_usage usage = {
        .line = "explain [FLAGS] URL",
        .says =
            "What an edge does with this request, and why: which key answers its host, tenant and "
            "fields, each\nrule, the endpoints, what is sent, or the fault it comes to. No request "
            "is made.\n",
        .flags = flags,
        .settings =
            "response-timeout max-head-bytes max-header-count max-url-bytes cdn-id zone forwarded "
            "trusted-forwarders "
            "allow-endpoints unix-endpoints state-dir module module-dir module-option",
        .words_least = 1,
        .words_most = 1,
    };

    if (!verb_flags_read(&usage, argc, argv, &a.settings, &a.url, &code))
        return code;
    code = verb_modules_open(&a.modules, &a.settings);
    if (code == 0)
        code = run(&a);
    verb_modules_close(&a.modules);
    return code;
}
