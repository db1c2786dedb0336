/* settings_machine.h -- settings that nobody said: found out from the machine. */
#ifndef SETTINGS_MACHINE_H
#define SETTINGS_MACHINE_H

#include "settings.h"

/* workers, name, cdn_id. max_connections stays 0: control knows the descriptor limit. */
void settings_from_machine(struct settings *s, unsigned most_workers);

/* How many cores' worth of time cgroup's cpu.max ("200000 100000", "max 100000") grants, rounded
 * up; `cores` when that is less, or when the text says nothing. */
unsigned settings_cores_granted(const char *cpu_max, unsigned cores);

/* RFC 9110 5.6.2 */
bool settings_is_token_char(char c);

#endif
