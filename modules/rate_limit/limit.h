/* limit.h -- who has asked how often: what the files of this module share.
 *
 * LOCAL     GCRA: a key has a time at which its whole burst is there again (`full_at`). A request moves it one interval
 *           on; one that would move it further than the burst from now is refused. No timers, no windows, 8 bytes.
 * SHARED    Each window of wall-clock time has a counter in Redis, which edges raise by shares: a share that was raised
 *           while the counter was below the window's quota may be spent without asking again. What the counter says
 *           beyond the quota is spent by nobody, so that all edges together never exceed it. */
#ifndef RATE_LIMIT_LIMIT_H
#define RATE_LIMIT_LIMIT_H

#include "usher_module.h"

/* What `rate` and `burst` say. */
struct limit {
    uint64_t interval_ns; /* one request each */
    uint32_t burst;
    uint32_t window_ms; /* shared: a whole number of times that the burst takes to come back */
    uint32_t stale_ms;  /* shared: who has asked for so long is gone, or hears nothing */
    uint64_t quota;     /* shared: of a window */
};

/* False: it is not COUNT/s, /m, /h or /d, from 1 each day to 1,000,000 each second. */
bool rate_limit_read(struct usher_text text, uint64_t *count, uint64_t *period_ns);
/* False: the burst takes longer than 7 days to come back. */
bool rate_limit_set(struct limit *limit, uint64_t count, uint64_t period_ns, uint64_t burst);

/* --- keys --- */

enum key_kind { KEY_ADDRESS, KEY_HEADER, KEY_COOKIE, KEY_PATH, KEY_HOST };

struct key_part {
    enum key_kind kind;
    struct usher_text name; /* of a header or cookie */
};

#define KEY_PARTS_MAX 4

struct key {
    struct key_part parts[KEY_PARTS_MAX];
    uint32_t count;
};

/* `address`, `header:NAME`, `cookie:NAME`, `claim:NAME`, `path`, `host`; several with commas between. */
bool rate_limit_read_key(struct usher_text text, struct key *key);
/* Of this request, in `room` or the exchange's memory; ptr NULL: no memory. What a request does not have is its client's
 * address: to leave a header away is no way around. */
#define KEY_ROOM 512
struct usher_text rate_limit_key(struct usher_exchange *x, const struct key *key,
                                 char room[KEY_ROOM]);
/* An address as limits know it: IPv4 (also when mapped) whole, IPv6 by its first 64 bits. Its length in `to`, 4 or 8;
 * 0: it is none. */
size_t rate_limit_address(struct usher_text text, unsigned char to[8]);

/* --- the table --- */

struct table;

/* For so many keys. NULL: no memory. */
struct table *rate_limit_table_new(const struct limit *limit, uint64_t keys);
void rate_limit_table_free(struct table *t);
uint64_t rate_limit_hash(const struct table *t, struct usher_text key); /* never 0 */

enum verdict {
    LIMIT_PASS,
    LIMIT_REFUSE,
    LIMIT_ASK,  /* raise the counter by `amount`, then rate_limit_answered or rate_limit_failed */
    LIMIT_LOOK, /* another request has asked already: look again soon */
};

struct ruling {
    enum verdict verdict;
    bool passed;  /* LIMIT_ASK: this request may pass, whatever the answer is */
    bool evicted; /* the table was full: the key that was nearest to its whole burst has gone */
    uint64_t remaining;   /* requests that could be made now */
    uint64_t full_in_ms;  /* until the whole burst is there */
    uint64_t retry_in_ms; /* of a refusal */
    uint64_t window;      /* LIMIT_ASK: its number */
    uint32_t amount;
};

/* One request. `clock_ms` 0: this edge's own limit alone. `again`: the request was ruled LIMIT_LOOK before. */
void rate_limit_take(struct table *t, uint64_t hash, uint64_t now_ms, uint64_t clock_ms, bool again,
                     struct ruling *r);
/* The counter stands at `total`, with what *r asked for. Rules on the request that asked, unless it has passed. */
void rate_limit_answered(struct table *t, uint64_t hash, uint64_t now_ms, uint64_t clock_ms,
                         uint64_t total, struct ruling *r);
/* Nobody knows where the counter stands. The next may ask. */
void rate_limit_failed(struct table *t, uint64_t hash);

#endif
