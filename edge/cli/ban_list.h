/* ban_list.h -- the usher:ban: keys, read and written out. */
#ifndef CLI_BAN_LIST_H
#define CLI_BAN_LIST_H

#include "base/cidr.h"
#include "cli/verb_redis.h"

#define BAN_TEXT_SIZE 80
#define BAN_REASON_SIZE 208

struct ban_entry {
    char text[BAN_TEXT_SIZE], reason[BAN_REASON_SIZE]; /* printable */
    bool right;                                        /* it is a range */
    struct cidr range;
    long long left_ms; /* -1: without end */
};

struct ban_list {
    struct ban_entry *bans; /* by address */
    size_t count, room;
};

/* False: said on standard error. Free in both cases. */
bool ban_list_read(struct redis_client *c, const struct settings *s, struct ban_list *list);
void ban_list_free(struct ban_list *list);
void ban_list_write(const struct ban_list *list);
void ban_list_write_json(const struct ban_list *list);

#endif
