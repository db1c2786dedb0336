/* judge.h -- what a round has read becomes: taken, refused, or gone. */
#ifndef STORE_JUDGE_H
#define STORE_JUDGE_H

#include "store/mirror.h"

struct store;

/* Does this round bring a good version of it: the value read, or the last good one in its place? */
bool judge_brings_good(const struct record *r);

/* Judges all records of the round, compiles and adds swaps to the store's open changes, answers
 * lookups. Records that nobody needs are freed. */
void judge_round(struct store *s, struct record **records, size_t count);

#endif
