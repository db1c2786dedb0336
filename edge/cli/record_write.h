/* record_write.h -- commands that write records, judged before they are sent, recorded as they are.
 *
 * What they would leave is judged as an edge would; then they go out in one MULTI, under WATCH, with
 * an entry in the history for each record that they change. */
#ifndef CLI_RECORD_WRITE_H
#define CLI_RECORD_WRITE_H

#include "settings.h"
#include "store/redis_records.h"

#define RECORD_WRITE_MOST 16 /* commands */

struct record_write {
    struct settings *settings;
    struct redis_client *client;
    const struct module_host *modules;
    const char *by; /* "usher route add": who is said in the history to have written */
    bool dry;       /* says what it would write, and writes nothing */
    bool unjudged;  /* written also where an edge would refuse it */
    bool once;      /* not again, when somebody else has written in between */
    struct buf commands[RECORD_WRITE_MOST]; /* as redis-cli takes them */
    unsigned count;
};

void record_write_open(struct record_write *w, struct settings *settings,
                       struct redis_client *client, const char *by);
void record_write_free(struct record_write *w);

/* Adds one command; its second word is the record's key. */
void record_write_add(struct record_write *w, unsigned count, const struct str *words);
void record_write_add_line(struct record_write *w, struct str line);

/* A value in the form of the history; returns the word of its type ("none", "string", "hash", "large"). */
const char *record_write_say(const struct value *v, struct buf *to);

/* Sends them all, or none. Prints the commands, and on standard error why not. Returns the exit
 * code. */
int record_write_send(struct record_write *w);

#endif
