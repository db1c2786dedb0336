/* versions.h -- hosts whose every answer tells which version of their record was served.
 *
 * Version v of host i leads to an address that no other version and no other host leads to, and an
 * origin at all of these addresses answers with the one it was reached at. So a wrong route shows,
 * and a lost change, and one that is served before it was written. The hosts are of four kinds: a
 * key of their own, a tenant's, a service's, a tenant's with a rule. */
#ifndef HARNESS_VERSIONS_H
#define HARNESS_VERSIONS_H

#include <stdatomic.h>

#include "harness/places.h"
#include "harness/scene.h"

#define VERSIONS_HOSTS_MAX 120
#define VERSIONS_MAX 60000
#define VERSIONS_TEXT 1024

struct versions {
    struct places *places;
    unsigned count;
    atomic_uint written[VERSIONS_HOSTS_MAX]; /* the highest that Redis was ever sent */
    atomic_uint least[VERSIONS_HOSTS_MAX]; /* what every worker has: nothing older may be served */
};

/* So many hosts v0.test, v1.test, ...; nothing is written yet. */
void versions_start(struct versions *v, unsigned count);
void versions_stop(struct versions *v);

const char *versions_host(unsigned i, char to[32]);
/* The commands, a line each, that make host i be of this version, all or nothing. */
void versions_commands(struct versions *v, unsigned i, unsigned version, char to[VERSIONS_TEXT]);
/* What an answer's body tells; 0: it is none of host i. */
unsigned versions_in(unsigned i, const char *body);

/* The next version of each host, and all their keys. */
void versions_write_all(struct versions *v, struct redis *to);
/* Awaits that so many edges have acknowledged all that was written to this Redis so far. */
void versions_barrier(struct redis *r, unsigned edges);
/* Each host is served on every worker as this Redis says, now; 404 what is not there. */
void versions_expect(struct versions *v, struct edge *e, struct redis *r);
/* The two together, for one edge: what it serves is what Redis says, and nothing older from now on. */
void versions_settle(struct versions *v, struct edge *e, struct redis *r);

#endif
