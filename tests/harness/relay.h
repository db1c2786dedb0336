/* relay.h -- a wire between the edge and its Redis that a test can freeze, cut, or make drip. */
#ifndef HARNESS_RELAY_H
#define HARNESS_RELAY_H

#include <stdbool.h>

struct relay;

/* Listens on a unix socket at `path` and connects to the one at `to`. */
struct relay *relay_start(const char *path, const char *to);
/* Nothing passes any more, though all connections stay: what a dead router does. New connections
 * are accepted and hang as well. */
void relay_freeze(struct relay *r, bool frozen);
/* What Redis sends arrives in pieces of 1 to `most` bytes with pauses between; 0: as it comes. */
void relay_drip(struct relay *r, unsigned most);
void relay_cut(struct relay *r); /* closes all connections; new ones work */
/* The connection that Redis sends the next `bytes` bytes to is closed behind the last of them, in the
 * middle of whatever they are; relay_cuts: how often that has come about. */
void relay_cut_behind(struct relay *r, unsigned bytes);
unsigned relay_cuts(struct relay *r);
void relay_stop(struct relay *r);

#endif
