/* chain_pool.c -- chains that are said anew as they were stay the ones they are.
 *
 * Owns:    nothing; a chain belongs to those who hold it.
 * Thread:  control compiles; any thread lets go.
 * Used by: chain.c.
 * Not here: compiling (chain.c). */
#include "module_host/chain_pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/map.h"

struct chain_pool {
    pthread_mutex_t lock;
    struct map chains; /* struct chain, by place */
};

static bool is_at(const void *value, struct str place)
{
    return str_equals(((const struct chain *)value)->place, place);
}

struct chain_pool *chain_pool_new(void)
{
    struct chain_pool *pool = check_alloc(sizeof(*pool));

    pthread_mutex_init(&pool->lock, NULL);
    map_init(&pool->chains, is_at);
    return pool;
}

void chain_pool_free(struct chain_pool *pool)
{
    if (pool == NULL)
        return;
    map_free(&pool->chains);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* Lengths before the texts, so that no two places run into one another. */
static struct str place_of(const struct chain_scope *scope, struct chain *chain)
{
    struct buf place = { 0 };
    char *kept;

    buf_printf(&place, "%u:%zu:%zu:" STR_FMT STR_FMT STR_FMT, scope->family, scope->name.len,
               scope->rule.len, STR_ARG(scope->name), STR_ARG(scope->rule), STR_ARG(chain->text));
    kept = arena_alloc(&chain->memory, place.len);
    memcpy(kept, place.ptr, place.len);
    chain->bytes += place.len;
    chain->place = str_slice(kept, place.len);
    buf_free(&place);
    return chain->place;
}

/* False: its last holder is just letting go. */
static bool hold(struct chain *c)
{
    unsigned holders = atomic_load(&c->holders);

    while (holders > 0)
        if (atomic_compare_exchange_weak(&c->holders, &holders, holders + 1))
            return true;
    return false;
}

struct chain *chain_pool_join(struct chain_pool *pool, const struct chain_scope *scope,
                              struct chain *fresh)
{
    struct str place = place_of(scope, fresh);
    uint64_t hash = map_hash(place);
    struct chain *found;

    pthread_mutex_lock(&pool->lock);
    found = map_find(&pool->chains, hash, place);
    if (found != NULL && hold(found)) {
        pthread_mutex_unlock(&pool->lock);
        chain_free(fresh);
        return found;
    }
    if (found != NULL) {
        map_remove(&pool->chains, hash, found);
        found->pooled = false;
    }
    map_add(&pool->chains, hash, fresh);
    fresh->pool = pool;
    fresh->pooled = true;
    pthread_mutex_unlock(&pool->lock);
    return fresh;
}

void chain_pool_leave(struct chain *c)
{
    pthread_mutex_lock(&c->pool->lock);
    if (c->pooled)
        map_remove(&c->pool->chains, map_hash(c->place), c);
    pthread_mutex_unlock(&c->pool->lock);
}
