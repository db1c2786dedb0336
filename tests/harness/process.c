/* process.c -- starts programs, reads what they say on a thread, looks at them in /proc.
 *
 * Owns:    the child and the thread that reads its standard error.
 * Thread:  the test's; `reader` for the log.
 * Used by: edge.c, redis.c, tests of the command line.
 * Not here: what the programs are. */
#include "harness/process.h"

#include "harness/await.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void *read_log(void *owner)
{
    struct process *p = owner;
    char bytes[16384];
    ssize_t n;

    while ((n = read(p->fd, bytes, sizeof(bytes))) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        pthread_mutex_lock(&p->lock);
        if (p->log_len + (size_t)n + 1 > p->log_room) {
            p->log_room = (p->log_len + (size_t)n + 1) * 2;
            p->log = realloc(p->log, p->log_room);
            if (p->log == NULL)
                abort();
        }
        memcpy(p->log + p->log_len, bytes, (size_t)n);
        p->log_len += (size_t)n;
        p->log[p->log_len] = '\0';
        pthread_cond_broadcast(&p->said);
        pthread_mutex_unlock(&p->lock);
    }
    pthread_mutex_lock(&p->lock);
    p->log_ended = true;
    pthread_cond_broadcast(&p->said);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static char **whole_environment(const char *const more[])
{
    size_t ours = 0, theirs = 0, n = 0;
    char **env;

    while (environ[ours] != NULL)
        ours++;
    while (more != NULL && more[theirs] != NULL)
        theirs++;
    env = kept_alloc((ours + theirs + 1) * sizeof(*env));
    for (size_t i = 0; i < ours; i++)
        if (strncmp(environ[i], "USHER_", 6) != 0)
            env[n++] = environ[i];
    for (size_t i = 0; i < theirs; i++)
        env[n++] = (char *)(uintptr_t)more[i];
    return env;
}

/* What a program is started with. */
struct setting {
    const char *out;
    unsigned files;
    bool followed;
    const int *fds; /* to be 3, 4, ... */
    unsigned fd_count;
};

/* As 3, 4, ...: first out of each other's way. The number of this process is written where its
 * environment has room for it. */
static void take_descriptors(const struct setting *how, char **env)
{
    int away[16];

    for (unsigned i = 0; i < how->fd_count; i++)
        away[i] = fcntl(how->fds[i], F_DUPFD_CLOEXEC, 3 + (int)how->fd_count);
    for (unsigned i = 0; i < how->fd_count; i++)
        if (dup2(away[i], 3 + (int)i) < 0)
            _exit(126);
    for (; *env != NULL; env++)
        if (strncmp(*env, "LISTEN_PID=?", 12) == 0)
            sprintf(*env, "LISTEN_PID=%d", (int)getpid());
}

static void become(const char *const argv[], char **env, int err, const struct setting *how)
{
    struct rlimit limit = { how->files, how->files };
    const char *out = how->out;
    int fd = open(out != NULL ? out : "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0600);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (how->followed)
        setpgid(0, 0);
    if (how->files > 0)
        setrlimit(RLIMIT_NOFILE, &limit);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(err, 2) < 0)
        _exit(126);
    close(fd);
    if (how->fd_count > 0)
        take_descriptors(how, env);
    execve(argv[0], (char *const *)(uintptr_t)argv, env);
    execvpe(argv[0], (char *const *)(uintptr_t)argv, env);
    _exit(127);
}

static void start(struct process *p, const char *const argv[], const char *const environment[],
                  const struct setting *how)
{
    char **env = whole_environment(environment);
    sigset_t none, before;
    int err[2];

    memset(p, 0, sizeof(*p));
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->said, NULL);
    if (pipe2(err, O_CLOEXEC) != 0)
        abort();
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, &before);
    p->pid = fork();
    if (p->pid == 0)
        become(argv, env, err[1], how);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(err[1]);
    cr_assert_gt(p->pid, 0, "fork: %s", strerror(errno));
    p->fd = err[0];
    p->running = true;
    if (pthread_create(&p->reader, NULL, read_log, p) != 0)
        abort();
}

void process_start(struct process *p, const char *const argv[], const char *const environment[],
                   const char *out, unsigned files)
{
    start(p, argv, environment, &(struct setting){ .out = out, .files = files });
}

/* Waits, as a process of its own, for the end of the test's. */
static void watch_group(pid_t group, int end)
{
    char byte;

    if (end != 3)
        dup2(end, 3);
    close_range(4, ~0u, 0);
    while (read(3, &byte, 1) < 0 && errno == EINTR)
        continue;
    kill(-group, SIGKILL);
    _exit(0);
}

static void start_followed(struct process *p, const char *const argv[],
                           const char *const environment[], const struct setting *how)
{
    int ends[2];

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    start(p, argv, environment, how);
    setpgid(p->pid, p->pid); /* whoever of the two comes first */
    p->group = p->pid;
    if (pipe2(ends, O_CLOEXEC) != 0)
        abort();
    p->watch = fork();
    if (p->watch == 0)
        watch_group(p->group, (close(ends[1]), ends[0]));
    close(ends[0]);
    p->watch_pipe = ends[1];
}

void process_start_followed(struct process *p, const char *const argv[],
                            const char *const environment[], const char *out, unsigned files)
{
    start_followed(p, argv, environment,
                   &(struct setting){ .out = out, .files = files, .followed = true });
}

void process_start_activated(struct process *p, const char *const argv[],
                             const char *const environment[], const char *out, const int fds[],
                             unsigned count)
{
    const char *more[16] = { kept_format("LISTEN_FDS=%u", count),
                             kept_format("LISTEN_PID=?           ") };
    unsigned n = 2;

    while (environment != NULL && n < 15 && *environment != NULL)
        more[n++] = *environment++;
    start_followed(
        p, argv, more,
        &(struct setting){ .out = out, .followed = true, .fds = fds, .fd_count = count });
}

void process_follow(struct process *p, pid_t next)
{
    cr_assert(!p->running, "the process before it still runs");
    p->pid = next;
    p->running = true;
}

static void end_group(struct process *p)
{
    kill(-p->group, SIGKILL);
    close(p->watch_pipe);
    waitpid(p->watch, NULL, 0);
    while (waitpid(-p->group, NULL, 0) > 0)
        continue;
}

void process_signal(struct process *p, int signal)
{
    siginfo_t seen;

    if (!p->running)
        return;
    kill(p->pid, signal);
    if (signal == SIGSTOP) /* each of its threads, which may be in the middle of something */
        cr_assert_eq(waitid(P_PID, (id_t)p->pid, &seen, WSTOPPED | WEXITED | WNOWAIT), 0);
}

int process_wait(struct process *p, unsigned ms)
{
    uint64_t until = await_now_ms() + ms;

    while (p->running) {
        int status;

        if (waitpid(p->pid, &status, WNOHANG) == p->pid) {
            p->running = false;
            p->status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
        } else if (await_now_ms() >= until) {
            return PROCESS_STILL_RUNS;
        } else {
            await_nap();
        }
    }
    return p->status;
}

void process_kill(struct process *p)
{
    process_signal(p, SIGKILL);
    process_wait(p, AWAIT_MS);
}

void process_free(struct process *p)
{
    if (p->pid == 0)
        return;
    process_kill(p);
    if (p->group != 0)
        end_group(p);
    pthread_join(p->reader, NULL);
    close(p->fd);
    free(p->log);
    p->log = NULL;
    p->pid = 0;
}

bool process_awaits_log(struct process *p, const char *text, unsigned ms)
{
    struct timespec until;
    bool found;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&p->lock);
    while (!(found = p->log != NULL && strstr(p->log, text) != NULL) && !p->log_ended)
        if (pthread_cond_timedwait(&p->said, &p->lock, &until) == ETIMEDOUT)
            break;
    found = p->log != NULL && strstr(p->log, text) != NULL;
    pthread_mutex_unlock(&p->lock);
    return found;
}

unsigned process_log_count(struct process *p, const char *text)
{
    unsigned count = 0;

    pthread_mutex_lock(&p->lock);
    for (const char *at = p->log; at != NULL && (at = strstr(at, text)) != NULL; at += strlen(text))
        count++;
    pthread_mutex_unlock(&p->lock);
    return count;
}

char *process_log(struct process *p)
{
    char *copy;

    pthread_mutex_lock(&p->lock);
    copy = kept_text(p->log != NULL ? p->log : "", p->log_len);
    pthread_mutex_unlock(&p->lock);
    return copy;
}

static char *read_small_file(const char *path, char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, to, size - 1) : 0;

    if (fd >= 0)
        close(fd);
    to[n > 0 ? n : 0] = '\0';
    return to;
}

long process_rss_kb(const struct process *p)
{
    char path[64], text[4096], *at;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)p->pid);
    at = strstr(read_small_file(path, text, sizeof(text)), "VmRSS:");
    return at != NULL ? strtol(at + 6, NULL, 10) : -1;
}

long process_cpu_ms(const struct process *p)
{
    char path[64], text[1024], *at;
    unsigned long user = 0, kernel = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)p->pid);
    at = strrchr(read_small_file(path, text, sizeof(text)), ')');
    if (at == NULL ||
        sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2)
        return -1;
    return (long)((user + kernel) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK));
}

unsigned process_files(const struct process *p)
{
    char path[64];
    unsigned count = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)p->pid);
    dir = opendir(path);
    while (dir != NULL && readdir(dir) != NULL)
        count++;
    if (dir != NULL)
        closedir(dir);
    return count > 2 ? count - 2 : 0;
}

int process_run(const char *const argv[], const char *const environment[], char **out, char **err)
{
    char path[] = "/tmp/usher-said-XXXXXX", *text = kept_alloc(65536);
    struct process p;
    int fd = mkstemp(path), code;

    cr_assert_geq(fd, 0);
    close(fd);
    process_start(&p, argv, environment, path, 0);
    code = process_wait(&p, AWAIT_MS);
    if (code == PROCESS_STILL_RUNS)
        process_kill(&p);
    pthread_join(p.reader, NULL);
    if (err != NULL)
        *err = process_log(&p);
    if (out != NULL)
        *out = read_small_file(path, text, 65536);
    unlink(path);
    close(p.fd);
    free(p.log);
    return code;
}
