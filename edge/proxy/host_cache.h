/* host_cache.h -- the hosts a worker remembers: part of struct sites, apart for its size. */
#ifndef PROXY_HOST_CACHE_H
#define PROXY_HOST_CACHE_H

#include "proxy/sites.h"

void host_cache_init(struct sites *s);
void host_cache_free(struct sites *s);

/* A host's or a suffix's answers are void. */
void host_cache_forget(struct sites *s, const struct forgotten *f);
void host_cache_forget_unknown(struct sites *s);

void host_cache_move(struct sites *s, const struct moved *m);

/* Remembers the answer; wakes who waits for it, with what has become of it since. */
void host_cache_answer(struct sites *s, const struct answer *a);
void host_cache_wake(struct sites *s, const struct answer *a);

#endif
