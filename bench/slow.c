/* slow.c -- a small application server: a thread for each connection, so many milliseconds for each
 * request; it counts how many requests and connections it has at once.
 *
 * Owns:    its connections
 * Thread:  one for each connection
 * Used by: bench/queue
 * Not here: speed (origin.c)
 *
 *   slow [-t MILLISECONDS] [-c CORE] LISTEN-ADDRESS
 *
 * Prints its port. At SIGTERM: most=REQUESTS connections=CONNECTIONS served=REQUESTS, and ends.
 */
#include "loopback.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static atomic_uint now, most, open_now, open_most;
static atomic_ulong served;
static unsigned work_ms = 5;

static void note(atomic_uint *highest, unsigned value)
{
    unsigned seen = atomic_load(highest);

    while (value > seen && !atomic_compare_exchange_weak(highest, &seen, value))
        continue;
}

/* Requests have no bodies, and none follows before its answer. */
static void *serve(void *arg)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const struct timespec work = { work_ms / 1000, work_ms % 1000 * 1000000L };
    int fd = (int)(long)arg;
    char in[4096];
    size_t filled = 0;
    ssize_t n;

    while ((n = read(fd, in + filled, sizeof(in) - filled)) > 0) {
        filled += (size_t)n;
        if (filled < 4 || memcmp(in + filled - 4, "\r\n\r\n", 4) != 0) {
            if (filled == sizeof(in))
                break;
            continue;
        }
        filled = 0;
        note(&most, atomic_fetch_add(&now, 1) + 1);
        nanosleep(&work, NULL);
        atomic_fetch_sub(&now, 1);
        atomic_fetch_add(&served, 1);
        if (send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
            break;
    }
    atomic_fetch_sub(&open_now, 1);
    close(fd);
    return NULL;
}

static void *await_end(void *arg)
{
    int number;

    sigwait(arg, &number);
    printf("most=%u connections=%u served=%lu\n", atomic_load(&most), atomic_load(&open_most),
           atomic_load(&served));
    fflush(stdout);
    _exit(0);
}

static void begin(pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    pthread_t thread;

    if (pthread_create(&thread, attributes, run, arg) != 0)
        loopback_die("no thread to be had");
}

int main(int argc, char **argv)
{
    pthread_attr_t attributes;
    sigset_t ends;
    uint16_t port = 0;
    int option, fd;

    while ((option = getopt(argc, argv, "t:c:")) != -1) {
        if (option == 't')
            work_ms = (unsigned)loopback_number("-t", optarg, 0, 10000);
        else if (option == 'c')
            loopback_pin((unsigned)loopback_number("-c", optarg, 0, 1023));
        else
            return 2;
    }
    if (optind + 1 != argc)
        loopback_die("usage: slow [-t MILLISECONDS] [-c CORE] LISTEN-ADDRESS");
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 * 1024);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    begin(&attributes, await_end, &ends);
    fd = loopback_listen(loopback_address(argv[optind]), &port);
    printf("%u\n", port);
    fflush(stdout);
    for (;;) {
        int taken = accept(fd, NULL, NULL);

        if (taken < 0) { /* the listener does not block */
            nanosleep(&(struct timespec){ 0, 200000 }, NULL);
            continue;
        }
        loopback_no_delay(taken);
        note(&open_most, atomic_fetch_add(&open_now, 1) + 1);
        begin(&attributes, serve, (void *)(long)taken);
    }
}
