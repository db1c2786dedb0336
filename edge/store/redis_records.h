/* redis_records.h -- records read from Redis by a client that blocks, within the bounds that an edge
 * keeps: what is too large is not fetched. One by one, or the whole keyspace in steps. */
#ifndef STORE_REDIS_RECORDS_H
#define STORE_REDIS_RECORDS_H

#include "base/map.h"
#include "routing/records.h"
#include "store/redis_client.h"

struct redis_records {
    struct redis_client *client; /* borrowed, as is the prefix */
    struct str prefix;
    struct buf key;
    redisReply *held; /* what the last value borrows from */
    struct value_field *fields;
    size_t field_room;
    char error[REDIS_CLIENT_ERROR_SIZE]; /* why the last fetch or scan failed */
};

void redis_records_init(struct redis_records *r, struct redis_client *client, struct str prefix);
void redis_records_free(struct redis_records *r);
struct records redis_records_source(struct redis_records *r);

/* Whoever goes through the keyspace. Each key comes once. */
struct redis_walk {
    void *owner;
    /* Every key under the prefix; true: its value is wanted. Only keys of a family have one: `name`
     * is what stands behind it. NULL family: none of ours. */
    bool (*key)(void *owner, struct str key, const enum family *family, struct str name);
    void (*value)(void *owner, enum family family, struct str name, const struct value *value);
};

/* By SCAN, in steps, and reads in pipelines. `behind` narrows it to keys that go on like that behind
 * the prefix ("host:"); "" for all. False: r->error says why it ended early. */
bool redis_records_walk(struct redis_records *r, const char *behind, const struct redis_walk *walk);

#endif
