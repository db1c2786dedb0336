/* x_chaos_clock.c -- under load, the edge's wall clock jumps by hours and by years, there and back: no
 * request fails, changes are live, and what has a time to live lives that long.
 *
 * Owns:    nothing.
 * Thread:  the test's; the load's.
 * Used by: make test.
 * Not here: clocks that only count (CLOCK_MONOTONIC), which do not jump. */
#include "harness/load.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HOSTS 20
#define DAY 86400l
#define LIBRARY "/usr/lib/*/faketime/libfaketimeMT.so.1"

static struct scene s;
static struct versions v;
static struct load load;

/* libfaketime (Debian's package of that name) looks at the file at each call. */
static void set_clock(long seconds)
{
    const char *at = kept_format("%s/clock", s.dir), *next = kept_format("%s/clock.next", s.dir);
    FILE *file = fopen(next, "w");

    cr_assert_not_null(file);
    fprintf(file, "%+ld\n", seconds);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(rename(next, at), 0);
}

static void begin(const char *library)
{
    versions_start(&v, HOSTS);
    scene_start(&s, .without_edge = true);
    set_clock(0);
    s.options.flags[0] = "--state-dir";
    s.options.flags[1] = kept_format("%s/state", s.dir);
    s.options.environment[0] = kept_format("LD_PRELOAD=%s", library);
    s.options.environment[1] = kept_format("FAKETIME_TIMESTAMP_FILE=%s/clock", s.dir);
    s.options.environment[2] = "FAKETIME_NO_CACHE=1";
    s.options.environment[3] = "FAKETIME_DONT_FAKE_MONOTONIC=1";
    versions_write_all(&v, &s.redis);
    scene_edge_start(&s);
    versions_settle(&v, &s.edge, &s.redis);
    load_start(&load, &s.edge, &v);
}

static const char *error_of_wrong(void)
{
    return scene_redis(&s, "HGET usher:errors usher:host:wrong.test");
}

static const char *hour_of(time_t at)
{
    char hour[32];
    struct tm tm;

    strftime(hour, sizeof(hour), "since %Y-%m-%dT%H", gmtime_r(&at, &tm));
    return kept_format("%s", hour);
}

/* The edge's own word on what time it is: a record that it refuses now is refused "since" then. */
static void expect_clock(unsigned turn, long seconds)
{
    time_t before = time(NULL) + seconds;

    scene_redis(&s, "SET usher:host:wrong.test nonsense%u", turn);
    await(has(error_of_wrong(), kept_format("nonsense%u", turn)));
    cr_assert(has(error_of_wrong(), hour_of(before)) ||
                  has(error_of_wrong(), hour_of(time(NULL) + seconds)),
              "expected \"%s\" of %s", hour_of(before), error_of_wrong());
}

SCENARIO(chaos, the_clock_jumps_by_hours_and_by_years)
{
    static const long jumps[] = { 5 * 3600, -5 * 3600, 3650 * DAY, -3650 * DAY, 400 * DAY, 0 };
    struct origin *brief = origin_start("brief");
    glob_t found;

    if (edge_has_sanitizer())
        cr_skip_test("a sanitizer wants to be the first library");
    if (glob(LIBRARY, 0, NULL, &found) != 0)
        cr_skip_test("libfaketime is not here");
    begin(found.gl_pathv[0]);
    globfree(&found);
    for (unsigned i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
        scene_redis(&s, "SET usher:host:brief.test %s PX 2000", origin_at(brief));
        await_get(&s, "brief.test", "/", 200, "brief");
        set_clock(jumps[i]);
        expect_clock(i, jumps[i]);
        await_fault(&s, "brief.test", "unknown_host");
        versions_write_all(&v, &s.redis);
        versions_settle(&v, &s.edge, &s.redis);
        load_await(&load, 200);
        cr_assert_eq(scene_metric(&s, "usher_store_up"), 1);
        cr_assert_eq(scene_ready(&s), 200);
    }
    cr_assert_eq(scene_metric(&s, "usher_store_reconnects_total"), 0);
    load_end(&load);
    versions_stop(&v);
    scene_end(&s);
}
