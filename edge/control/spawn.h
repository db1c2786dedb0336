/* spawn.h -- starts a program with descriptors of our choice and no other. */
#ifndef CONTROL_SPAWN_H
#define CONTROL_SPAWN_H

#include <sys/types.h>

/* `program` is a path; fds[] become its descriptors 3, 4, ... beside 0, 1 and 2. Its signals are as if a shell
 * had started it. Returns its pid, or -1 with errno. */
pid_t spawn_program(const char *program, char *const argv[], char *const environment[],
                    const int fds[], unsigned count);

#endif
