/* test_settings.c -- flags, environment, defaults, and the one line that says what is wrong. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "settings_machine.h"

#define FLAGS_MAX 40

struct reading {
    struct settings s;
    char error[SETTINGS_ERROR_SIZE];
    bool good;
};

/* `flags` and `variables`: words parted by spaces; either may be "". */
static struct reading read_both(const char *flags, const char *variables)
{
    struct reading r;
    char *argv[FLAGS_MAX], *environment[FLAGS_MAX + 1];
    char *flag_text = strdup(flags), *variable_text = strdup(variables), *rest;
    int argc = 0, n = 0;

    for (char *w = strtok_r(flag_text, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
        argv[argc++] = w;
    for (char *w = strtok_r(variable_text, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
        environment[n++] = w;
    environment[n] = NULL;
    r.good = settings_read(&r.s, argc, argv, environment, r.error);
    free(flag_text);
    free(variable_text);
    return r;
}

static struct reading read_flags(const char *flags)
{
    return read_both(flags, "");
}

static void cr_address(const struct address *a, const char *expected)
{
    char text[ADDRESS_TEXT_SIZE];

    cr_assert_str_eq(address_text(a, text), expected);
}

Test(settings, defaults)
{
    struct reading r = read_flags("");

    cr_assert(r.good, "%s", r.error);
    cr_assert_eq(r.s.listen_count, 1);
    cr_address(&r.s.listen[0], "127.0.0.1:8080");
    cr_assert(r.s.admin_on);
    cr_address(&r.s.admin, "127.0.0.1:9090");
    cr_assert_str_eq(r.s.prefix, "usher:");
    cr_assert_eq(r.s.header_timeout_ms, 10000);
    cr_assert_eq(r.s.idle_timeout_ms, 60000);
    cr_assert_eq(r.s.connect_timeout_ms, 5000);
    cr_assert_eq(r.s.response_timeout_ms, 60000);
    cr_assert_eq(r.s.upstream_idle_timeout_ms, 30000);
    cr_assert_eq(r.s.lookup_timeout_ms, 2000);
    cr_assert_eq(r.s.drain_wait_ms, 0);
    cr_assert_eq(r.s.drain_timeout_ms, 30000);
    cr_assert_eq(r.s.max_head_bytes, 32 * 1024);
    cr_assert_eq(r.s.max_header_count, 100);
    cr_assert_eq(r.s.max_url_bytes, 8 * 1024);
    cr_assert_eq(r.s.worker_hosts, 200000);
    cr_assert_eq(r.s.max_loss_percent, 10);
    cr_assert_eq(r.s.min_rate, 256);
    cr_assert_eq(r.s.log_level, LOG_INFO);
    cr_assert_eq(r.s.access_log, ACCESS_LOG_OFF);
    cr_assert_not(r.s.forwarded);
    cr_assert_geq(r.s.workers, 1);
    cr_assert_eq(r.s.max_connections, 0, "0 tells control to ask the machine");
    cr_assert_gt(strlen(r.s.name), 0);
    cr_assert_gt(strlen(r.s.cdn_id), 0);
}

Test(settings, edges_draw_different_cdn_ids)
{
    struct reading a = read_flags(""), b = read_flags("");

    cr_assert_str_neq(a.s.cdn_id, b.s.cdn_id);
}

Test(settings, listen_repeats_and_takes_the_defaults_place)
{
    struct reading r =
        read_flags("--listen 0.0.0.0:80 --listen=[::1]:0 --listen 127.0.0.1:1,[::]:2");

    cr_assert(r.good, "%s", r.error);
    cr_assert_eq(r.s.listen_count, 4);
    cr_address(&r.s.listen[0], "0.0.0.0:80");
    cr_address(&r.s.listen[1], "[::1]:0");
    cr_address(&r.s.listen[2], "127.0.0.1:1");
    cr_address(&r.s.listen[3], "[::]:2");
}

Test(settings, flags_win_over_environment)
{
    struct reading r = read_both("--workers 3 --listen 127.0.0.1:81",
                                 "USHER_WORKERS=7 USHER_LISTEN=127.0.0.1:90,127.0.0.1:91 "
                                 "USHER_IDLE_TIMEOUT=7s USHER_PREFIX=x:");

    cr_assert(r.good, "%s", r.error);
    cr_assert_eq(r.s.workers, 3);
    cr_assert_eq(r.s.listen_count, 1);
    cr_address(&r.s.listen[0], "127.0.0.1:81");
    cr_assert_eq(r.s.idle_timeout_ms, 7000);
    cr_assert_str_eq(r.s.prefix, "x:");
}

Test(settings, environment_lists_addresses)
{
    struct reading r = read_both("", "USHER_LISTEN=127.0.0.1:90,[::1]:91");

    cr_assert(r.good, "%s", r.error);
    cr_assert_eq(r.s.listen_count, 2);
    cr_address(&r.s.listen[1], "[::1]:91");
}

Test(settings, other_and_empty_variables_are_left_alone)
{
    struct reading r = read_both("", "USHER_PORT=tcp://10.0.0.1:80 USHER_SERVICE_HOST=x PATH=/bin "
                                     "USHER_WORKERS= USHER_WORKERS_X=9");

    cr_assert(r.good, "%s", r.error);
}

Test(settings, times_and_sizes)
{
    struct reading r = read_flags("--idle-timeout 500ms --response-timeout 2m --drain-timeout 1h "
                                  "--drain-wait 0 --max-head-bytes 16K --cache-bytes 2g "
                                  "--lookup-rate 70/s --min-rate 1k/s");

    cr_assert(r.good, "%s", r.error);
    cr_assert_eq(r.s.idle_timeout_ms, 500);
    cr_assert_eq(r.s.response_timeout_ms, 120000);
    cr_assert_eq(r.s.drain_timeout_ms, 3600000);
    cr_assert_eq(r.s.drain_wait_ms, 0);
    cr_assert_eq(r.s.max_head_bytes, 16384);
    cr_assert_eq(r.s.cache_bytes, (size_t)2 << 30);
    cr_assert_eq(r.s.lookup_rate, 70);
    cr_assert_eq(r.s.min_rate, 1024);
}

Test(settings, access_log_and_switches)
{
    cr_assert_eq(read_flags("--access-log -").s.access_log, ACCESS_LOG_STDOUT);
    cr_assert_eq(read_flags("--access-log off").s.access_log, ACCESS_LOG_OFF);
    cr_assert_eq(read_flags("--access-log /var/log/a").s.access_log, ACCESS_LOG_FILE);
    cr_assert_str_eq(read_flags("--access-log /var/log/a").s.access_log_file, "/var/log/a");
    cr_assert(read_flags("--forwarded on").s.forwarded);
    cr_assert_eq(read_flags("--allow-endpoints 10.0.0.0/8,fd00::/8").s.allow_endpoints.count, 2);
    cr_assert_eq(read_flags("--allow-endpoints none").s.allow_endpoints.count, 0);
    cr_assert_not(read_flags("--admin off").s.admin_on);
    cr_assert_eq(read_flags("--log-level debug").s.log_level, LOG_DEBUG);
}

Test(settings, wrong_flags_and_values_are_named)
{
    static const struct {
        const char *flags, *error;
    } rows[] = {
        { "--wrokers 3", "no flag is named \"--wrokers\"" },
        { "workers 3", "no flag is named \"workers\"" },
        { "--", "no flag is named \"--\"" },
        { "--workers", "--workers: N must follow" },
        { "--workers x", "--workers: got \"x\", expected a number from 1 to 256" },
        { "--workers 0", "--workers: got \"0\", expected a number from 1 to 256" },
        { "--workers 257", "--workers: got \"257\", expected a number from 1 to 256" },
        { "--workers -1", "--workers: got \"-1\", expected a number from 1 to 256" },
        { "--workers=", "--workers: got \"\", expected a number from 1 to 256" },
        { "--workers 99999999999999999999999", "--workers: got \"99999999999999999999999\", "
                                               "expected a number from 1 to 256" },
        { "--max-loss 101", "--max-loss: got \"101\", expected a number from 0 to 100" },
        { "--idle-timeout 10",
          "--idle-timeout: got \"10\", expected a time such as 500ms, 10s or 2m, from 1ms to 24h" },
        { "--idle-timeout 0s", "--idle-timeout: got \"0s\", expected a time such as 500ms, 10s or "
                               "2m, from 1ms to 24h" },
        { "--idle-timeout 18446744073709551615h", "--idle-timeout: got \"18446744073709551615h\", "
                                                  "expected a time such as 500ms, 10s or 2m, from "
                                                  "1ms to 24h" },
        { "--max-url-bytes 8q",
          "--max-url-bytes: got \"8q\", expected a size such as 64k or 256m, from 64 to 256k" },
        { "--listen 8080", "--listen: got \"8080\", expected ADDRESS:PORT, such as 10.0.0.5:8080 "
                           "or [2001:db8::5]:8080" },
        { "--listen 127.0.0.1:65536",
          "--listen: got \"127.0.0.1:65536\", expected a port from 0 to 65535" },
        { "--admin on", "--admin: got \"on\", expected off, or ADDRESS:PORT, such as "
                        "10.0.0.5:8080 or [2001:db8::5]:8080" },
        { "--log-level loud", "--log-level: got \"loud\", expected debug, info, warn or error" },
        { "--allow-endpoints 10.0.0.0/8,here",
          "--allow-endpoints: got \"10.0.0.0/8,here\", expected none, or a range of addresses such "
          "as 10.0.0.0/8 or fd00::/8" },
        { "--allow-endpoints 10.0.0.0/40",
          "--allow-endpoints: got \"10.0.0.0/40\", expected none, or 0 to 32 behind the slash" },
        { "--forwarded yes", "--forwarded: got \"yes\", expected on or off" },
        { "--cdn-id a,b",
          "--cdn-id: got \"a,b\", expected 1 to 63 letters, digits, dots or hyphens" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reading r = read_flags(rows[i].flags);

        cr_expect_not(r.good, "%s", rows[i].flags);
        cr_expect_str_eq(r.error, rows[i].error, "%s: %s", rows[i].flags, r.error);
    }
}

Test(settings, wrong_variable_is_named_as_such)
{
    struct reading r = read_both("", "USHER_LOG_LEVEL=x");

    cr_assert_not(r.good);
    cr_assert_str_eq(r.error, "USHER_LOG_LEVEL: got \"x\", expected debug, info, warn or error");
}

Test(settings, too_many_addresses)
{
    struct reading r = read_flags("--listen 1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,"
                                  "1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,"
                                  "1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,1.1.1.1:1,1.1.1.1:1");

    cr_assert_not(r.good);
    cr_assert_not_null(strstr(r.error, "at most 16 addresses"));
}

Test(settings, redis_urls)
{
    static const struct {
        const char *url;
        bool unix_socket;
        const char *host, *user, *password;
        unsigned port, db;
    } rows[] = {
        { "redis://127.0.0.1:6380/3", false, "127.0.0.1", "", "", 6380, 3 },
        { "redis://cache.internal", false, "cache.internal", "", "", 6379, 0 },
        { "redis://cache/", false, "cache", "", "", 6379, 0 },
        { "redis://:s3cret@cache/0", false, "cache", "", "s3cret", 6379, 0 },
        { "redis://s3cret@cache", false, "cache", "", "s3cret", 6379, 0 },
        { "redis://edge:p%40ss%3A%2f@[::1]:7000/15", false, "::1", "edge", "p@ss:/", 7000, 15 },
        { "redis://u:a@b@h:1", false, "h", "u", "a@b", 1, 0 },
        { "unix:///run/redis/redis.sock", true, "/run/redis/redis.sock", "", "", 0, 0 },
        { "unix:///a%20b?db=7", true, "/a b", "", "", 0, 7 },
        { "unix://u:p@/s", true, "/s", "u", "p", 0, 0 },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char flags[256];
        struct reading r;
        const struct redis_url *u = &r.s.redis;

        snprintf(flags, sizeof(flags), "--redis %s", rows[i].url);
        r = read_flags(flags);
        cr_expect(r.good, "%s: %s", rows[i].url, r.error);
        cr_expect_eq(u->unix_socket, rows[i].unix_socket, "%s", rows[i].url);
        cr_expect_str_eq(u->host, rows[i].host, "%s", rows[i].url);
        cr_expect_str_eq(u->user, rows[i].user, "%s", rows[i].url);
        cr_expect_str_eq(u->password, rows[i].password, "%s", rows[i].url);
        cr_expect_eq(u->port, rows[i].port, "%s", rows[i].url);
        cr_expect_eq(u->db, rows[i].db, "%s", rows[i].url);
    }
}

static void cr_place(const struct redis_place *p, const char *host, unsigned port)
{
    cr_expect_str_eq(p->host, host);
    cr_expect_eq(p->port, port);
}

Test(settings, redis_by_sentinel)
{
    struct reading r =
        read_flags("--redis sentinel://edge:p%2Cw@h1:26380,[::1],10.0.0.3:1/my%20master/2"
                   "?sentinel_user=s&sentinel_password=a%26b&tls=redis&tls_name=redis.internal");
    const struct redis_url *u = &r.s.redis;

    cr_assert(r.good, "%s", r.error);
    cr_assert_eq(u->sentinel_count, 3);
    cr_place(&u->sentinels[0], "h1", 26380);
    cr_place(&u->sentinels[1], "::1", 26379);
    cr_place(&u->sentinels[2], "10.0.0.3", 1);
    cr_expect_str_eq(u->primary_name, "my master");
    cr_expect_eq(u->db, 2);
    cr_expect_str_eq(u->user, "edge");
    cr_expect_str_eq(u->password, "p,w");
    cr_expect_str_eq(u->sentinel_user, "s");
    cr_expect_str_eq(u->sentinel_password, "a&b");
    cr_expect_str_eq(u->tls_name, "redis.internal");
    cr_expect(u->tls && !u->sentinel_tls);
    r = read_flags("--redis sentinels://h/m");
    cr_assert(r.good && u->tls && u->sentinel_tls && u->sentinel_count == 1);
    cr_expect_str_eq(u->probe, "usher:defaults");
    cr_assert_not(read_flags("--redis sentinel://h,h,h,h,h,h,h,h,h,h,h,h,h,h,h,h,h/m").good,
                  "17 are too many");
}

Test(settings, redis_with_tls)
{
    struct reading r = read_flags("--redis-ca /ca.pem --redis-cert /c.pem --redis-key /k.pem "
                                  "--redis-verify off --redis rediss://h --prefix {usher}:");

    cr_assert(r.good, "%s", r.error);
    cr_expect(r.s.redis.tls && !r.s.redis.files.verify);
    cr_expect_str_eq(r.s.redis.files.ca, "/ca.pem", "kept, whichever flag comes first");
    cr_expect_str_eq(r.s.redis.files.cert, "/c.pem");
    cr_expect_str_eq(r.s.redis.files.key, "/k.pem");
    cr_expect_str_eq(r.s.redis.probe, "{usher}:defaults");
    cr_expect(read_flags("--redis rediss://h").s.redis.files.verify);
    r = read_flags("--redis-key /k.pem");
    cr_assert_str_eq(r.error, "--redis-key: expected --redis-cert beside it");
}

Test(settings, reading_from_replicas_needs_sentinel)
{
    struct reading r = read_flags("--read-from replica");

    cr_assert_not(r.good);
    cr_assert_not_null(strstr(r.error, "--read-from replica: expected --redis sentinel://"));
    r = read_flags("--read-from replica --redis sentinel://h/m --replica-lag 3s");
    cr_assert(r.good && r.s.read_from_replica && r.s.replica_lag_ms == 3000, "%s", r.error);
    cr_assert_str_eq(read_flags("--read-from both").error,
                     "--read-from: got \"both\", expected primary or replica");
}

Test(settings, wrong_redis_urls_are_refused_and_never_repeated)
{
    static const char *const urls[] = {
        "127.0.0.1:6379",     "redis://",
        "redis:///0",         "redis://h:0/0",
        "redis://h:65536",    "redis://h:1:2",
        "redis://h/x",        "redis://h/-1",
        "redis://u:%zz@h",    "redis://u:%0",
        "redis://u:%00@h",    "redis://[::1",
        "redis://[::1]x",     "unix://",
        "unix:///",           "unix://rel/path",
        "unix:///s?db=x",     "unix:///s?port=1",
        "redis:/secret@h",    "sentinel://secret@h",
        "sentinel://h/",      "sentinel:///m",
        "sentinel://h:1,/m",  "sentinel://h:0/m",
        "sentinel://h/m/x",   "sentinel://h/m?tls=on",
        "sentinel://h/m?x=1", "redis://h?tls=both",
        "redis://h?db=1",     "rediss://h?tls_name=",
        "redis://secret@h:x", "redis://x:secret@h/y",
    };

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        char flags[256];
        struct reading r;

        snprintf(flags, sizeof(flags), "--redis %s", urls[i]);
        r = read_flags(flags);
        cr_expect_not(r.good, "%s", urls[i]);
        cr_expect_null(strstr(r.error, "secret"), "%s", r.error);
        cr_expect_eq(strncmp(r.error, "--redis: expected ", 18), 0, "%s", r.error);
    }
}

Test(settings, help_names_every_flag_with_its_variable)
{
    struct buf text = { 0 };

    settings_help(&text);
    cr_assert_not_null(strstr(text.ptr, "--listen ADDR:PORT  (default 127.0.0.1:8080)"));
    cr_assert_not_null(strstr(text.ptr, "environment: USHER_UPSTREAM_IDLE_TIMEOUT"));
    cr_assert_not_null(strstr(text.ptr, "--drain-wait TIME  (default 0s)"));
    buf_free(&text);
}

Test(settings, connections_leave_room_for_upstreams)
{
    cr_assert_eq(settings_connections_for(20000, 2), (20000 - 64 - 16) / 2);
    cr_assert_eq(settings_connections_for(100, 2), 16, "never less than a few");
    cr_assert_eq(settings_connections_for(10, 2), 16);
    cr_assert_eq(settings_connections_for(UINT64_MAX, 2), 1000000);
}

Test(settings, a_container_has_the_cores_it_is_granted)
{
    cr_assert_eq(settings_cores_granted("200000 100000\n", 64), 2);
    cr_assert_eq(settings_cores_granted("250000 100000\n", 64), 3);
    cr_assert_eq(settings_cores_granted("50000 100000\n", 64), 1);
    cr_assert_eq(settings_cores_granted("max 100000\n", 64), 64);
    cr_assert_eq(settings_cores_granted("6400000 100000\n", 8), 8);
    cr_assert_eq(settings_cores_granted("", 4), 4);
    cr_assert_eq(settings_cores_granted("0 0", 4), 4);
}

Test(settings, modules_are_a_list_and_flags_take_the_place_of_the_environment)
{
    struct reading r = read_both("", "USHER_MODULE=/m/a.so,b.so USHER_MODULE_DIR=/mods");

    cr_assert(r.good, "%s", r.error);
    cr_assert_eq(r.s.module_count, 2);
    cr_expect_str_eq(r.s.modules[0], "/m/a.so");
    cr_expect_str_eq(r.s.modules[1], "b.so");
    cr_expect_str_eq(r.s.module_dir, "/mods");
    r = read_both("--module c.so --module=d.so", "USHER_MODULE=/m/a.so");
    cr_assert_eq(r.s.module_count, 2);
    cr_expect_str_eq(r.s.modules[0], "c.so");
    cr_expect_str_eq(r.s.modules[1], "d.so");
    cr_expect_not(read_flags("--module a.so,,b.so").good);
    cr_expect_not(read_flags("--module ,").good);
    cr_expect_eq(read_flags("").s.module_count, 0);
}

Test(settings, options_of_modules_are_a_list_and_each_names_module_and_key)
{
    struct reading r = read_both("", "USHER_MODULE_OPTION=static_files.root=/srv/www,a.b=c=d");

    cr_assert(r.good, "%s", r.error);
    cr_assert_eq(r.s.module_option_count, 2);
    cr_expect_str_eq(r.s.module_options[0], "static_files.root=/srv/www");
    cr_expect_str_eq(r.s.module_options[1], "a.b=c=d");
    r = read_both("--module-option a.b=1 --module-option=c.d=", "USHER_MODULE_OPTION=x.y=z");
    cr_assert_eq(r.s.module_option_count, 2);
    cr_expect_str_eq(r.s.module_options[0], "a.b=1");
    cr_expect_str_eq(r.s.module_options[1], "c.d=");
    cr_expect_not(read_flags("--module-option root=/srv").good);
    cr_expect_not(read_flags("--module-option a.=x").good);
    cr_expect_not(read_flags("--module-option .a=x").good);
    cr_expect_not(read_flags("--module-option a.b").good);
    cr_expect_not(read_flags("--module-option A.b=c").good);
}
