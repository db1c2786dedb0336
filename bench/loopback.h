/* loopback.h -- what the benchmark's programs share: loopback sockets, arguments, the clock. */
#ifndef BENCH_LOOPBACK_H
#define BENCH_LOOPBACK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Says one line on stderr and exits with 1. */
_Noreturn void loopback_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A number from an argument, within [least, most]; anything else ends the program. */
uint64_t loopback_number(const char *name, const char *text, uint64_t least, uint64_t most);

/* "127.0.0.1:8080" */
struct sockaddr_in loopback_address(const char *text);

/* A listening socket that does not block; *port is what the kernel chose if it was 0. */
int loopback_listen(struct sockaddr_in address, uint16_t *port);

/* A socket whose connect has begun, without Nagle's delay; -1: failed. `from` may be NULL. */
int loopback_connect(const struct sockaddr_in *to, const struct sockaddr_in *from);

/* No delay of small packets on a socket that accept gave. */
void loopback_no_delay(int fd);

/* This process runs on that core only. */
void loopback_pin(unsigned core);

uint64_t loopback_now_ns(void);

#endif
