/* chain_pool.h -- what chain.c needs of the pool. */
#ifndef MODULE_HOST_CHAIN_POOL_H
#define MODULE_HOST_CHAIN_POOL_H

#include "module_host/chain.h"

/* The chain of the same place and text that is there already, held once more, and `fresh` is freed; else
 * `fresh`, which is in the pool from then on. */
struct chain *chain_pool_join(struct chain_pool *pool, const struct chain_scope *scope,
                              struct chain *fresh);
/* Nobody holds it any more. */
void chain_pool_leave(struct chain *c);

#endif
