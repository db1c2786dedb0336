/* loopback.c -- what the benchmark's programs share: loopback sockets, arguments, the clock.
 *
 * Owns:    nothing
 * Thread:  any
 * Used by: relay, origin, load, change
 * Not here: anything that is measured
 */
#include "loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

_Noreturn void loopback_die(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(1);
}

uint64_t loopback_number(const char *name, const char *text, uint64_t least, uint64_t most)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value < least || value > most)
        loopback_die("%s: a number from %llu to %llu, not \"%s\"", name, (unsigned long long)least,
                     (unsigned long long)most, text);
    return value;
}

struct sockaddr_in loopback_address(const char *text)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    char host[64];
    const char *colon = strrchr(text, ':');

    if (!colon || (size_t)(colon - text) >= sizeof(host))
        loopback_die("an address is IPV4:PORT, not \"%s\"", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        loopback_die("an address is IPV4:PORT, not \"%s\"", text);
    address.sin_port = htons((uint16_t)loopback_number("port", colon + 1, 0, 65535));
    return address;
}

int loopback_listen(struct sockaddr_in address, uint16_t *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    socklen_t size = sizeof(address);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
        bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096) ||
        getsockname(fd, (struct sockaddr *)&address, &size))
        loopback_die("cannot listen: %s", strerror(errno));
    *port = ntohs(address.sin_port);
    return fd;
}

int loopback_connect(const struct sockaddr_in *to, const struct sockaddr_in *from)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0)
        return -1;
    loopback_no_delay(fd);
    /* With the port left to connect, every source address has all of them. */
    bool failed = from && (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) ||
                           bind(fd, (const struct sockaddr *)from, sizeof(*from)));
    if (!failed && connect(fd, (const struct sockaddr *)to, sizeof(*to)) && errno != EINPROGRESS)
        failed = true;
    if (!failed)
        return fd;
    close(fd);
    return -1;
}

void loopback_no_delay(int fd)
{
    int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void loopback_pin(unsigned core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(core, &set);
    if (sched_setaffinity(0, sizeof(set), &set))
        loopback_die("cannot stay on core %u: %s", core, strerror(errno));
}

uint64_t loopback_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
