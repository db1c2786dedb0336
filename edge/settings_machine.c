/* settings_machine.c -- how many cores, which host, and a name drawn.
 *
 * Owns:    nothing.
 * Thread:  any; once, before threads start.
 * Used by: settings.c.
 * Not here: the descriptor limit (control/descriptors.c). */
#include "settings_machine.h"

#include <ctype.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"

bool settings_is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

unsigned settings_cores_granted(const char *cpu_max, unsigned cores)
{
    struct str rest = str_from(cpu_max), quota_text, period_text;
    uint64_t quota, period;

    if (rest.len > 0 && rest.ptr[rest.len - 1] == '\n')
        rest.len--;
    if (!str_word(&rest, &quota_text) || !str_word(&rest, &period_text) ||
        !str_to_u64(quota_text, UINT32_MAX, &quota) ||
        !str_to_u64(period_text, UINT32_MAX, &period) || quota == 0 || period == 0)
        return cores;
    quota = (quota + period - 1) / period;
    return quota < cores ? (unsigned)quota : cores;
}

/* A container may see 64 cores and be granted two. */
static unsigned granted(unsigned cores)
{
    char text[64] = "";
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");

    if (f == NULL)
        return cores;
    if (fgets(text, sizeof(text), f) == NULL)
        text[0] = '\0';
    fclose(f);
    return settings_cores_granted(text, cores);
}

static unsigned cores_here(void)
{
    cpu_set_t set;
    long n = 1;

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        n = CPU_COUNT(&set);
    else /* more cores than a cpu_set_t holds */
        n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : (unsigned)n;
}

static void read_name(struct settings *s)
{
    if (gethostname(s->name, sizeof(s->name)) != 0)
        s->name[0] = '\0';
    s->name[sizeof(s->name) - 1] = '\0';
    for (char *c = s->name; *c != '\0'; c++)
        if (!settings_is_token_char(*c))
            *c = '-';
    if (s->name[0] == '\0')
        snprintf(s->name, sizeof(s->name), "edge");
}

void settings_from_machine(struct settings *s, unsigned most_workers)
{
    struct random random;

    s->workers = granted(cores_here());
    if (s->workers > most_workers)
        s->workers = most_workers;
    read_name(s);
    /* Drawn, so that two edges in a row are no loop, and that no host's name is shown to all. */
    random_init(&random);
    snprintf(s->cdn_id, sizeof(s->cdn_id), "usher-%08x", (unsigned)random_next(&random));
}
