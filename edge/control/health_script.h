/* health_script.h -- how edges share the checking of a service: one script, so that each step of it is
 * whole, and by Redis's clock alone.
 *
 * KEYS: usher:lease:health:<service> (who checks: edge -> until when, at most two at a time),
 * usher:health:<service> (endpoint -> what they say).
 * ARGV: "read"; or "leave", edge, "keep" or, when nobody is to check any more, "drop"; or "take", edge,
 * lease in ms, how long votes are kept in ms, votes, "sweep" or "", "tell" or "".
 * Votes: a line for each endpoint, "endpoint TAB up|down TAB since how many ms TAB reason"; sweep:
 * what has run out goes.
 *
 * The answer: Redis's time in ms; to "take": 2 for one who checks from now on, 1 for one who still
 * does, 0 for one who does not, then in how many ms a place may become free. Then, to
 * "read" and "tell" and with 0 or 2, the fields and values of usher:health:<service>. */
#ifndef CONTROL_HEALTH_SCRIPT_H
#define CONTROL_HEALTH_SCRIPT_H

const char *health_script(void);

#endif
