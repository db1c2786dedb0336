/* barrier.h -- `usher wait`: says of an entry in usher:barrier that all written before it is applied,
 * on every worker. */
#ifndef STORE_BARRIER_H
#define STORE_BARRIER_H

#include "base/str.h"
#include "net/loop.h"

struct record;
struct store;

/* The id of a stream's entry: it grows, and is the barrier's token. */
struct stream_id {
    uint64_t ms, seq;
};

#define STREAM_ID_TEXT_SIZE 44

struct token;

struct barrier {
    struct token *tokens; /* in the order of their ids */
    size_t count, room;
    struct stream_id last;    /* read from the stream */
    struct stream_id applied; /* the newest one that was acknowledged */
    uint64_t redis_ms;        /* the clock of Redis when it was looked at from the start */
    uint64_t confirming;      /* number of the confirmation that workers are asked for; grows */
    bool reading, again, from_start;
    bool failure_logged;
    /* Records pushed and not judged since, by side; a token takes the side that was open, and waits
     * until it is empty. */
    size_t owed[2];
    uint8_t side;
    struct turn_end wake;
};

void barrier_init(struct store *s);
void barrier_free(struct store *s);

bool barrier_is_key(const struct store *s, struct str key);
void barrier_pushed(struct store *s);
/* The stream is looked at from its start: the link is up, or everything was pushed at once. */
void barrier_look_again(struct store *s);
void barrier_link_down(struct store *s); /* nothing is owed any more: all will be verified */
void barrier_writer_up(struct store *s);

/* This record is to be judged before what was written until now counts as applied. */
void barrier_owe(struct store *s, struct record *r);
void barrier_owe_like(struct store *s, struct record *r, const struct record *cause);
void barrier_paid(struct store *s, struct record *r);

/* A round was sent out, or what held tokens back has ended. */
void barrier_advance(struct store *s);
/* At the turn's end. */
void barrier_wake(struct store *s);
void barrier_confirmed(struct store *s, uint64_t number);

int stream_id_compare(struct stream_id a, struct stream_id b);
bool stream_id_parse(struct str text, struct stream_id *id);
char *stream_id_text(struct stream_id id, char to[STREAM_ID_TEXT_SIZE]);

#endif
