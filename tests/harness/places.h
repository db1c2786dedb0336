/* places.h -- one origin at every address of 127.0.0.0/8: its answers say at which it was reached.
 *
 * One thread, and nothing is kept of what it is asked: it stands long and heavy loads. */
#ifndef HARNESS_PLACES_H
#define HARNESS_PLACES_H

struct places;

struct places *places_start(void);
unsigned places_port(const struct places *p);
void places_stop(struct places *p);

#endif
