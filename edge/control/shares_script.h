/* shares_script.h -- how edges divide the connections of a service among them (max_conns_of cluster). */
#ifndef CONTROL_SHARES_SCRIPT_H
#define CONTROL_SHARES_SCRIPT_H

/* For EVAL. KEYS: usher:lease:conns:<service>. ARGV: the edge, for how long a share is leased, for how long
 * the floor behind it, both in ms; then of each endpoint its name, how many connections it may have,
 * how many this edge holds at most, and how many it wants. Answers three numbers for each endpoint:
 * what the edge may hold now; what it is to come down to, or may come up to, as others have need; and
 * its floor. A lease of 0: the edge leaves. The sum of what all edges may hold is never more than there may be. */
const char *shares_script(void);

#endif
