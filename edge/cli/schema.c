/* schema.c -- `usher schema install`: the Redis functions for validated writes, loaded.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: cli.c.
 * Not here: the functions (schema/functions/usher.lua; the Makefile makes them a text of C).  */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/verb_flags.h"
#include "cli/verb_redis.h"

static const char library[] =
#include "schema/functions/usher.lua.h"
    ;

/* "1" of the line "-- version 1"; "?" when there is none. */
static struct str version_of(struct str code)
{
    static const char mark[] = "\n-- version ";
    const char *at = code.len ? memmem(code.ptr, code.len, mark, sizeof(mark) - 1) : NULL, *end;

    if (at == NULL)
        return STR("?");
    at += sizeof(mark) - 1;
    end = memchr(at, '\n', code.len - (size_t)(at - code.ptr));
    return str_slice(at, end != NULL ? (size_t)(end - at) : 0);
}

/* FUNCTION LIST answers with names and values in turn, or a map. */
static struct str member_of(const redisReply *list, const char *name)
{
    for (size_t i = 0; list != NULL && i + 1 < list->elements; i += 2)
        if (list->element[i]->str != NULL && strcmp(list->element[i]->str, name) == 0 &&
            list->element[i + 1]->str != NULL)
            return str_slice(list->element[i + 1]->str, list->element[i + 1]->len);
    return STR("");
}

static void say_too_old(struct redis_client *c)
{
    redisReply *r = redis_client_do(c, 2, (struct str[]){ STR("INFO"), STR("server") });
    const char *at = r != NULL && r->str != NULL ? strstr(r->str, "redis_version:") : NULL;
    int len = at != NULL ? (int)strcspn(at + 14, "\r\n") : 1;

    fprintf(stderr,
            "usher schema: functions need Redis 7 or newer, and this is %.*s; edges work with 6.2 "
            "all the same\n",
            len, at != NULL ? at + 14 : "?");
    freeReplyObject(r);
}

/* What is there now; NULL: it cannot be asked, and that is said. */
static redisReply *ask_installed(struct redis_client *c)
{
    redisReply *r =
        redis_client_do(c, 5,
                        (struct str[]){ STR("FUNCTION"), STR("LIST"), STR("LIBRARYNAME"),
                                        STR("usher"), STR("WITHCODE") });

    if (r == NULL) {
        fprintf(stderr, "usher schema: Redis: %s\n", redis_client_error(c));
    } else if (r->type == REDIS_REPLY_ERROR) {
        if (strstr(r->str, "unknown command") != NULL)
            say_too_old(c);
        else
            fprintf(stderr, "usher schema: Redis: %s\n", r->str);
        freeReplyObject(r);
        r = NULL;
    }
    return r;
}

static bool load(struct redis_client *c)
{
    redisReply *r = verb_redis_do(
        c, 4, (struct str[]){ STR("FUNCTION"), STR("LOAD"), STR("REPLACE"), STR(library) });

    freeReplyObject(r);
    return r != NULL;
}

static int install(struct redis_client *c, bool replace)
{
    redisReply *list = ask_installed(c);
    struct str ours = version_of(STR(library)), code, theirs;
    int result = 0;

    if (list == NULL)
        return CLI_EXIT_FAILED;
    code = member_of(list->elements > 0 ? list->element[0] : NULL, "library_code");
    theirs = version_of(code);
    if (str_equals(code, STR(library))) {
        printf("library usher, version " STR_FMT ": is there already\n", STR_ARG(ours));
    } else if (code.len > 0 && !replace) {
        fprintf(stderr,
                "usher schema: library usher is there in version " STR_FMT
                "%s; with --replace version " STR_FMT " takes its place\n",
                STR_ARG(theirs), str_equals(ours, theirs) ? " with another text" : "",
                STR_ARG(ours));
        result = CLI_EXIT_FAILED;
    } else if (!load(c)) {
        result = CLI_EXIT_FAILED;
    } else if (code.len > 0) {
        printf("library usher, version " STR_FMT ": loaded in place of version " STR_FMT "\n",
               STR_ARG(ours), STR_ARG(theirs));
    } else {
        printf("library usher, version " STR_FMT ": loaded\n", STR_ARG(ours));
    }
    freeReplyObject(list);
    return result;
}

int schema_verb(int argc, char **argv)
{
    struct settings settings;
    struct verb_words words;
    struct redis_client *c;
    bool replace = false;
    int code;
    const struct verb_flag flags[] = {
        { "replace", 0, NULL, VERB_FLAG_SWITCH, &replace, "also over another version" },
        { NULL, 0, NULL, VERB_FLAG_SWITCH, NULL, NULL },
    };
    const struct verb_usage usage = {
        .line = "schema install|print [FLAGS]",
        .says =
            "install: loads the library of functions `usher` into Redis (7 or newer): validated "
            "writes for any\nclient, such as FCALL usher_host_set 1 usher:host:shop.example "
            "10.0.0.5:8080. On a Cluster: once for\neach primary.\nprint: writes its text.\n",
        .flags = flags,
        .words_least = 1,
        .words_most = 1,
    };

    if (!verb_flags_read(&usage, argc, argv, &settings, &words, &code))
        return code;
    if (strcmp(words.words[0], "print") == 0) {
        fputs(library, stdout);
        return 0;
    }
    if (strcmp(words.words[0], "install") != 0) {
        fprintf(stderr, "usher schema: install or print, not \"%.40s\" (see usher schema --help)\n",
                words.words[0]);
        return CLI_EXIT_USAGE;
    }
    c = verb_redis_open(&settings);
    if (c == NULL)
        return CLI_EXIT_FAILED;
    code = install(c, replace);
    redis_client_close(c);
    return code;
}
