/* command_file.h -- a file of redis-cli commands, word by word, quoted as redis-cli reads it.
 *
 *   SET usher:host:shop.example "10.0.0.5:8080 10.0.0.6:8080"
 *
 * One command a line. Empty lines are skipped, and so are those that begin with '#' (which
 * redis-cli itself would refuse). "..." knows \n \r \t \b \a \xHH; '...' knows \' alone. */
#ifndef CLI_COMMAND_FILE_H
#define CLI_COMMAND_FILE_H

#include "base/buf.h"

struct command_file {
    struct str rest; /* borrowed: what is still to be read */
    unsigned line;   /* of the command that was read last, from 1 */
    unsigned count;
    struct str *words; /* of that command; valid until the next call */
    unsigned room;
    struct buf text;   /* where the words stand */
    const char *wrong; /* of COMMAND_WRONG: what is */
};

enum command_result { COMMAND_READ, COMMAND_WRONG, COMMAND_END };

void command_file_open(struct command_file *f, struct str text);
/* COMMAND_WRONG: this line cannot be read; the next call goes on behind it. */
enum command_result command_file_next(struct command_file *f);
void command_file_free(struct command_file *f);

/* Writes `word` so that redis-cli (its own prompt or a file) reads it as it is: bare when that is
 * safe, else in double quotes. */
void command_quote(struct buf *to, struct str word);

#endif
