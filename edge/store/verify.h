/* verify.h -- after a lost link or an emptied data base: what is held is suspect, served on, and
 * looked at again; and too much of it missing at once is not believed. */
#ifndef STORE_VERIFY_H
#define STORE_VERIFY_H

#include "store/mirror.h"

struct verify {
    bool running;
    bool accepted; /* what is missing is to be believed gone */
    unsigned agains;
    bool some_back; /* since the last look at what is missing */
    size_t known_hosts, missing_hosts;
    struct list missing; /* records withheld */
    struct timer again;
    struct store *store;
};

void verify_init(struct store *s);
void verify_free(struct store *s);
void verify_suspect_all(struct store *s); /* the link is lost */
void verify_begin(struct store *s);       /* it is back; or a push told of everything at once */
/* It is absent now: is that to be held back for the time being? */
bool verify_withholds(struct store *s, struct record *r);
void verify_misses(struct store *s, struct record *r); /* it is served from the copy meanwhile */
/* Redis has no such key, and nothing of this record is held: may it be one of those that are missing,
 * and not to be believed gone? */
bool verify_doubts(const struct store *s, const struct record *r);
bool verify_accept(struct store *s);                    /* false: nothing is held back */
void verify_settled(struct store *s, struct record *r); /* read and believed */
void verify_after_round(struct store *s);

#endif
