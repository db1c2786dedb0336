/* settings.c -- flags and environment of `usher serve`, by one table.
 *
 * Owns:    the table; a flag's default, range, text and USHER_* twin are one row.
 * Thread:  any; read once before threads start.
 * Used by: cli/serve.c; its --help.
 * Not here: numbers and their units (settings_numbers.c); parsing a Redis URL (settings_redis.c); what the machine says (settings_machine.c,
 *           control/descriptors.c). */
#include "settings.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "settings_machine.h"
#include "settings_numbers.h"
#include "settings_places.h"
#include "settings_redis.h"

#define EXPECTED_SIZE 256
#define HOUR_MS (60ull * 60 * 1000)
#define WORKERS_MAX 256

enum kind {
    KIND_LISTEN,
    KIND_ADMIN,
    KIND_REDIS,
    KIND_READ_FROM,
    KIND_FILE, /* a path, or nothing */
    KIND_MODULE,
    KIND_OPTION,
    KIND_LEVEL,
    KIND_ACCESS_LOG,
    KIND_SWITCH,
    KIND_RANGES,
    KIND_FOLDERS,
    KIND_RESOLVER,
    KIND_TOKEN, /* text of RFC 9110 token characters */
    KIND_PREFIX,
    KIND_COUNT,
    KIND_SIZE,
    KIND_RATE,
    KIND_TIME,
};

struct row {
    const char *flag, *value;
    enum kind kind;
    size_t at, bytes; /* where in struct settings, and how wide */
    uint64_t least, most;
    const char *fallback; /* read like any other value; NULL: found out from the machine */
    const char *says;
};

#define AT(member) offsetof(struct settings, member), sizeof(((struct settings *)0)->member)

static const struct row rows[] = {
    { "listen", "ADDR:PORT", KIND_LISTEN, AT(listen), 0, 0, "127.0.0.1:8080",
      "where clients connect; may be given again (USHER_LISTEN: parted by commas)" },
    { "redis", "URL", KIND_REDIS, AT(redis), 0, 0, "redis://127.0.0.1:6379/0",
      "redis://[USER:PASSWORD@]HOST[:PORT][/DB] (rediss: with TLS), unix:///PATH[?db=N], or "
      "sentinel://[USER:PASSWORD@]HOST[:PORT],.../NAME[/DB] (sentinels: with TLS); "
      "schema/redis.md tells of users, TLS and what may follow a ?" },
    { "redis-ca", "FILE", KIND_FILE, AT(redis.files.ca), 0, 0, NULL,
      "certificates, in PEM, that Redis's and Sentinel's must be signed by (default: "
      "/etc/ssl/certs/ca-certificates.crt)" },
    { "redis-cert", "FILE", KIND_FILE, AT(redis.files.cert), 0, 0, NULL,
      "the client certificate shown to Redis and Sentinel, in PEM (default: none)" },
    { "redis-key", "FILE", KIND_FILE, AT(redis.files.key), 0, 0, NULL,
      "its private key, in PEM (default: read from --redis-cert's file)" },
    { "redis-verify", "on|off", KIND_SWITCH, AT(redis.files.verify), 0, 0, "on",
      "off: any certificate of Redis is taken, so anyone on the way can pose as it" },
    { "read-from", "primary|replica", KIND_READ_FROM, AT(read_from_replica), 0, 0, "primary",
      "replica: read from the nearest healthy replica that Sentinel knows, else from the primary" },
    { "replica-lag", "TIME", KIND_TIME, AT(replica_lag_ms), 100, HOUR_MS, "5s",
      "a replica that is further behind its primary, or out of touch for so long, is left" },
    { "prefix", "TEXT", KIND_PREFIX, AT(prefix), 0, 0, "usher:", "in front of every key" },
    { "admin", "ADDR:PORT|off", KIND_ADMIN, AT(admin), 0, 0, "127.0.0.1:9090",
      "health, metrics and dumps; not for clients" },
    { "pid-file", "FILE", KIND_FILE, AT(pid_file), 0, 0, NULL,
      "holds the number of the process that serves, also after an upgrade (default: none)" },
    { "binary", "FILE", KIND_FILE, AT(binary), 0, 0, NULL,
      "what an upgrade starts, with the same flags (default: what this was started as)" },
    { "upgrade-timeout", "TIME", KIND_TIME, AT(upgrade_timeout_ms), 100, HOUR_MS, "60s",
      "the new process of an upgrade must be ready to serve; else it is ended, and the old one goes "
      "on" },
    { "workers", "N", KIND_COUNT, AT(workers), 1, WORKERS_MAX, NULL,
      "threads that serve clients (default: the cores)" },
    { "name", "ID", KIND_TOKEN, AT(name), 0, 0, NULL,
      "this edge in usher:errors and the log (default: the host's name)" },
    { "cdn-id", "ID", KIND_TOKEN, AT(cdn_id), 0, 0, NULL,
      "this edge in Via and CDN-Loop; the same on all edges of one network finds loops across "
      "them (default: drawn at start)" },
    { "zone", "NAME", KIND_TOKEN, AT(zone), 0, 0, NULL,
      "where this edge is: endpoints with the same zone= are preferred (default: none)" },
    { "log-level", "LEVEL", KIND_LEVEL, AT(log_level), 0, 0, "info", "debug, info, warn or error" },
    { "access-log", "off|-|FILE", KIND_ACCESS_LOG, AT(access_log), 0, 0, "off",
      "one JSON line per request, to standard output (-) or a file; SIGHUP opens it anew" },
    { "forwarded", "on|off", KIND_SWITCH, AT(forwarded), 0, 0, "off",
      "send Forwarded (RFC 7239) to endpoints, beside X-Forwarded-*" },
    { "allow-endpoints", "CIDR[,CIDR]", KIND_RANGES, AT(allow_endpoints), 0, 0, "none",
      "endpoints may also be here; without it none is link-local, multicast, unspecified, Redis or "
      "on a port of this edge on this machine" },
    { "proxy-protocol", "CIDR[,CIDR]", KIND_RANGES, AT(proxy_protocol), 0, 0, "none",
      "connections from here begin with a PROXY protocol header, version 1 or 2, that says whose they "
      "are; they must, and no other may" },
    { "trusted-forwarders", "CIDR[,CIDR]", KIND_RANGES, AT(trusted_forwarders), 0, 0, "none",
      "what X-Forwarded-For, -Proto and -Host (or Forwarded) say of a request is believed when it "
      "comes from here" },
    { "unix-endpoints", "DIR[,DIR]", KIND_FOLDERS, AT(unix_folders), 0, 0, "none",
      "endpoints may be unix sockets below these folders; may be given again" },
    { "resolver", "ADDR:PORT|system", KIND_RESOLVER, AT(resolver), 0, 0, "system",
      "the DNS server asked for the names of endpoints; system: as /etc/hosts and "
      "/etc/resolv.conf say" },
    { "max-connections", "N", KIND_COUNT, AT(max_connections), 1, 10000000, NULL,
      "of clients, all workers together (default: from the descriptor limit)" },
    { "module", "FILE", KIND_MODULE, AT(modules), 0, 0, NULL,
      "a module to load; may be given again (USHER_MODULE: parted by commas) (default: none but "
      "those linked in, see usher modules)" },
    { "module-dir", "DIR", KIND_FILE, AT(module_dir), 0, 0, NULL,
      "every *.so in it is a module to load (default: none)" },
    { "module-option", "MODULE.KEY=VALUE", KIND_OPTION, AT(module_options), 0, 0, NULL,
      "what a module may do on this edge, as its README says, whatever Redis says of it; may be "
      "given again (USHER_MODULE_OPTION: parted by commas) (default: none)" },
    { "header-timeout", "TIME", KIND_TIME, AT(header_timeout_ms), 1, 24 * HOUR_MS, "10s",
      "a request's head must have come" },
    { "idle-timeout", "TIME", KIND_TIME, AT(idle_timeout_ms), 1, 24 * HOUR_MS, "60s",
      "a client's connection is closed after this long without a request" },
    { "connect-timeout", "TIME", KIND_TIME, AT(connect_timeout_ms), 1, 24 * HOUR_MS, "5s",
      "an endpoint must have accepted" },
    { "response-timeout", "TIME", KIND_TIME, AT(response_timeout_ms), 1, 24 * HOUR_MS, "60s",
      "an endpoint must have begun its response" },
    { "stream-timeout", "TIME", KIND_TIME, AT(stream_timeout_ms), 1, 24 * HOUR_MS, "5m",
      "then it must have sent more of the response's body" },
    { "tunnel-timeout", "TIME", KIND_TIME, AT(tunnel_timeout_ms), 1, 24 * HOUR_MS, "1h",
      "a WebSocket is ended after this long without a byte either way" },
    { "upstream-idle-timeout", "TIME", KIND_TIME, AT(upstream_idle_timeout_ms), 1, 24 * HOUR_MS,
      "30s", "an unused connection to an endpoint is kept" },
    { "min-rate", "BYTES/s", KIND_RATE, AT(min_rate), 0, 1 << 30, "256",
      "clients that send or read a body slower are cut; 0: none is" },
    { "max-head-bytes", "SIZE", KIND_SIZE, AT(max_head_bytes), 1024, 1 << 20, "32k",
      "of a request's or response's head" },
    { "max-header-count", "N", KIND_COUNT, AT(max_header_count), 8, 1000, "100",
      "fields in a head" },
    { "max-url-bytes", "SIZE", KIND_SIZE, AT(max_url_bytes), 64, 1 << 18, "8k",
      "of a request's target" },
    { "cache-bytes", "SIZE", KIND_SIZE, AT(cache_bytes), 1 << 20, (uint64_t)1 << 40, "256m",
      "memory for what was read from Redis" },
    { "state-dir", "DIR", KIND_FILE, AT(state_dir), 0, 0, NULL,
      "a folder of this edge alone, for a copy of what Redis says that survives restarts (default: "
      "none)" },
    { "start-wait", "TIME", KIND_TIME, AT(start_wait_ms), 0, HOUR_MS, "1s",
      "at start, Redis has so long before the copy in --state-dir answers in its place" },
    { "sync-rate", "N/s", KIND_RATE, AT(sync_rate), 10, 10000000, "100000",
      "keys gone over when all of Redis is looked at: at start, and after the link was lost" },
    { "worker-hosts", "N", KIND_COUNT, AT(worker_hosts), 16, 10000000, "200000",
      "hosts that each worker remembers" },
    { "max-loss", "PERCENT", KIND_COUNT, AT(max_loss_percent), 0, 100, "10",
      "when more of the known hosts are missing after Redis was away, the edge serves on what it "
      "knows; 100: never" },
    { "lookup-timeout", "TIME", KIND_TIME, AT(lookup_timeout_ms), 1, HOUR_MS, "2s",
      "a request waits for Redis when its host was never seen before" },
    { "lookup-rate", "N/s", KIND_RATE, AT(lookup_rate), 1, 10000000, "10000",
      "hosts never seen before that Redis is asked for" },
    { "module-stall", "TIME", KIND_TIME, AT(module_stall_ms), 1, HOUR_MS, "20ms",
      "a module that holds a worker longer at once is named in the log" },
    { "drain-wait", "TIME", KIND_TIME, AT(drain_wait_ms), 0, HOUR_MS, "0s",
      "after SIGTERM, /readyz fails this long before anything else happens" },
    { "drain-timeout", "TIME", KIND_TIME, AT(drain_timeout_ms), 0, 24 * HOUR_MS, "30s",
      "then what runs may finish; what is left is cut" },
    { "tunnel-drain", "TIME", KIND_TIME, AT(tunnel_drain_ms), 0, 24 * HOUR_MS, NULL,
      "so long WebSockets may go on once this edge drains, or has handed over; then they are ended "
      "(default: --drain-timeout)" },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void store_number(struct settings *s, const struct row *row, uint64_t value)
{
    char *at = (char *)s + row->at;
    uint32_t narrow = (uint32_t)value;

    if (row->bytes == sizeof(uint32_t)) {
        memcpy(at, &narrow, sizeof(narrow));
    } else {
        CHECK(row->bytes == sizeof(value));
        memcpy(at, &value, sizeof(value));
    }
}

static bool read_number(struct settings *s, const struct row *row, struct str text,
                        enum number_kind kind, char *expected)
{
    uint64_t value;

    if (!settings_number(text, kind, row->least, row->most, &value, expected, EXPECTED_SIZE))
        return false;
    store_number(s, row, value);
    return true;
}

static bool read_listen(struct settings *s, struct str text, char *expected)
{
    struct str rest = text, part;
    const char *why;

    while (str_split(&rest, ',', &part)) {
        if (s->listen_count == SETTINGS_LISTEN_MAX) {
            snprintf(expected, EXPECTED_SIZE, "at most %d addresses", SETTINGS_LISTEN_MAX);
            return false;
        }
        if (!address_parse(str_trim(part), 0, &s->listen[s->listen_count], &why)) {
            snprintf(expected, EXPECTED_SIZE, "%s", why);
            return false;
        }
        s->listen_count++;
    }
    return true;
}

static bool read_admin(struct settings *s, struct str text, char *expected)
{
    const char *why;

    s->admin_on = !str_equals(text, STR("off"));
    if (!s->admin_on || address_parse(text, 0, &s->admin, &why))
        return true;
    snprintf(expected, EXPECTED_SIZE, "off, or %s", why);
    return false;
}

static bool is_key_char(char c)
{
    return c > ' ' && c < 0x7f;
}

static bool read_text(struct settings *s, const struct row *row, struct str text, char *expected)
{
    bool token = row->kind == KIND_TOKEN;
    char *to = (char *)s + row->at;

    snprintf(expected, EXPECTED_SIZE, "1 to %zu %s", row->bytes - 1,
             token ? "letters, digits, dots or hyphens" : "visible ASCII characters, no spaces");
    for (size_t i = 0; i < text.len; i++)
        if (token ? !settings_is_token_char(text.ptr[i]) : !is_key_char(text.ptr[i]))
            return false;
    return text.len > 0 && str_copy(text, to, row->bytes);
}

static bool read_access_log(struct settings *s, struct str text, char *expected)
{
    snprintf(expected, EXPECTED_SIZE, "off, - or the path of a file");
    if (text.len == 0)
        return false;
    s->access_log_file[0] = '\0';
    if (str_equals(text, STR("off"))) {
        s->access_log = ACCESS_LOG_OFF;
    } else if (str_equals(text, STR("-"))) {
        s->access_log = ACCESS_LOG_STDOUT;
    } else {
        s->access_log = ACCESS_LOG_FILE;
        return str_copy(text, s->access_log_file, sizeof(s->access_log_file));
    }
    return true;
}

static bool read_ranges(struct settings *s, const struct row *row, struct str text, char *expected)
{
    struct settings_ranges *to = (struct settings_ranges *)(void *)((char *)s + row->at);
    struct str rest = text, part;
    const char *why;

    CHECK(row->bytes == sizeof(*to));
    to->count = 0;
    if (str_equals(text, STR("none")))
        return true;
    while (str_split(&rest, ',', &part)) {
        if (to->count == SETTINGS_RANGES_MAX) {
            snprintf(expected, EXPECTED_SIZE, "at most %d ranges", SETTINGS_RANGES_MAX);
            return false;
        }
        if (!cidr_parse(str_trim(part), &to->at[to->count], &why)) {
            snprintf(expected, EXPECTED_SIZE, "none, or %s", why);
            return false;
        }
        to->count++;
    }
    return true;
}

static bool read_read_from(struct settings *s, struct str text, char *expected)
{
    snprintf(expected, EXPECTED_SIZE, "primary or replica");
    s->read_from_replica = str_equals(text, STR("replica"));
    return s->read_from_replica || str_equals(text, STR("primary"));
}

static bool read_file(struct settings *s, const struct row *row, struct str text, char *expected)
{
    char *to = (char *)s + row->at;

    snprintf(expected, EXPECTED_SIZE, "the path of a file or folder, at most %zu bytes",
             row->bytes - 1);
    return text.len > 0 && str_copy(text, to, row->bytes);
}

static bool read_modules(struct settings *s, struct str text, char *expected)
{
    struct str rest = text, part;

    snprintf(expected, EXPECTED_SIZE, "paths of at most %d files, each at most %zu bytes",
             SETTINGS_MODULES_MAX, sizeof(s->modules[0]) - 1);
    while (str_split(&rest, ',', &part)) {
        char *to = s->modules[s->module_count];

        if (s->module_count == SETTINGS_MODULES_MAX || part.len == 0 ||
            !str_copy(part, to, sizeof(s->modules[0])))
            return false;
        s->module_count++;
    }
    return true;
}

/* Does it begin with MODULE.KEY= ? */
static bool names_option(struct str text)
{
    size_t dot = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '=')
            return dot > 0 && i > dot + 1;
        if (c == '.' && dot == 0)
            dot = i;
        else if (c != '_' && !islower((unsigned char)c) && !isdigit((unsigned char)c))
            return false;
    }
    return false;
}

static bool read_options(struct settings *s, struct str text, char *expected)
{
    struct str rest = text, part;

    snprintf(expected, EXPECTED_SIZE,
             "at most %d of MODULE.KEY=VALUE, such as static_files.root=/srv/www, each at most %zu "
             "bytes",
             SETTINGS_OPTIONS_MAX, sizeof(s->module_options[0]) - 1);
    while (str_split(&rest, ',', &part)) {
        char *to = s->module_options[s->module_option_count];

        if (s->module_option_count == SETTINGS_OPTIONS_MAX || !names_option(part) ||
            !str_copy(part, to, sizeof(s->module_options[0])))
            return false;
        s->module_option_count++;
    }
    return true;
}

static bool read_switch(struct settings *s, const struct row *row, struct str text, char *expected)
{
    bool on = str_equals(text, STR("on"));

    snprintf(expected, EXPECTED_SIZE, "on or off");
    if (!on && !str_equals(text, STR("off")))
        return false;
    memcpy((char *)s + row->at, &on, sizeof(on));
    return true;
}

static bool read_value(struct settings *s, const struct row *row, struct str text, char *expected)
{
    const char *why = "";
    bool good = false;

    switch (row->kind) {
    case KIND_LISTEN:
        return read_listen(s, text, expected);
    case KIND_ADMIN:
        return read_admin(s, text, expected);
    case KIND_REDIS:
        good = settings_redis_url(text, &s->redis, &why);
        break;
    case KIND_READ_FROM:
        return read_read_from(s, text, expected);
    case KIND_FILE:
        return read_file(s, row, text, expected);
    case KIND_MODULE:
        return read_modules(s, text, expected);
    case KIND_OPTION:
        return read_options(s, text, expected);
    case KIND_LEVEL:
        snprintf(expected, EXPECTED_SIZE, "debug, info, warn or error");
        return log_level_from(text, &s->log_level);
    case KIND_ACCESS_LOG:
        return read_access_log(s, text, expected);
    case KIND_SWITCH:
        return read_switch(s, row, text, expected);
    case KIND_RANGES:
        return read_ranges(s, row, text, expected);
    case KIND_FOLDERS:
        good = settings_unix_folders(s, text, &why);
        break;
    case KIND_RESOLVER:
        good = settings_resolver(s, text, &why);
        break;
    case KIND_TOKEN:
    case KIND_PREFIX:
        return read_text(s, row, text, expected);
    case KIND_COUNT:
        return read_number(s, row, text, NUMBER_COUNT, expected);
    case KIND_SIZE:
        return read_number(s, row, text, NUMBER_SIZE, expected);
    case KIND_RATE:
        return read_number(s, row, text, NUMBER_RATE, expected);
    case KIND_TIME:
        return read_number(s, row, text, NUMBER_TIME, expected);
    }
    snprintf(expected, EXPECTED_SIZE, "%s", why);
    return good;
}

/* `source` is the flag or the variable that said it. */
static bool take_value(struct settings *s, const struct row *row, struct str text,
                       const char *source, char *error)
{
    char expected[EXPECTED_SIZE], shown[128];

    if (read_value(s, row, text, expected))
        return true;
    if (row->kind == KIND_REDIS) /* may hold a password: not repeated */
        snprintf(error, SETTINGS_ERROR_SIZE, "%s: expected %s", source, expected);
    else
        snprintf(error, SETTINGS_ERROR_SIZE, "%s: got %s, expected %s", source,
                 log_quote(text, shown, sizeof(shown)), expected);
    return false;
}

static void variable_name(const struct row *row, char *to, size_t size)
{
    size_t n = (size_t)snprintf(to, size, "USHER_%s", row->flag);

    for (size_t i = 0; i < n && i < size; i++)
        to[i] = to[i] == '-' ? '_' : (char)toupper((unsigned char)to[i]);
}

static void begin_list(struct settings *s, const struct row *row)
{
    if (row->kind == KIND_LISTEN)
        s->listen_count = 0;
    else if (row->kind == KIND_MODULE)
        s->module_count = 0;
    else if (row->kind == KIND_OPTION)
        s->module_option_count = 0;
    else if (row->kind == KIND_FOLDERS)
        s->unix_folder_count = 0;
}

/* Variables that no row knows are left alone: whoever runs containers may set USHER_PORT and the
 * like for reasons of its own. An empty value counts as none. */
static bool read_environment(struct settings *s, char *const *environment, char *error)
{
    char name[64];

    for (const struct row *row = rows; row < rows + ROWS; row++) {
        size_t len;

        variable_name(row, name, sizeof(name));
        len = strlen(name);
        for (char *const *v = environment; *v != NULL; v++) {
            if (strncmp(*v, name, len) != 0 || (*v)[len] != '=' || (*v)[len + 1] == '\0')
                continue;
            begin_list(s, row);
            if (!take_value(s, row, str_from(*v + len + 1), name, error))
                return false;
            break;
        }
    }
    return true;
}

static const struct row *row_of(struct str flag)
{
    for (const struct row *row = rows; row < rows + ROWS; row++)
        if (str_equals(flag, str_from(row->flag)))
            return row;
    return NULL;
}

static bool read_flags(struct settings *s, int argc, char *const *argv, char *error)
{
    bool begun[KIND_TIME + 1] = { false };
    char source[64], shown[128];

    for (int i = 0; i < argc; i++) {
        struct str flag = str_from(argv[i]), text;
        const char *equals = strchr(argv[i], '=');
        const struct row *row = NULL;

        if (equals != NULL)
            flag.len = (size_t)(equals - argv[i]);
        if (str_starts_with(flag, STR("--")))
            row = row_of(str_slice(flag.ptr + 2, flag.len - 2));
        if (row == NULL) {
            snprintf(error, SETTINGS_ERROR_SIZE, "no flag is named %s",
                     log_quote(flag, shown, sizeof(shown)));
            return false;
        }
        snprintf(source, sizeof(source), "--%s", row->flag);
        if (equals == NULL && i + 1 == argc) {
            snprintf(error, SETTINGS_ERROR_SIZE, "%s: %s must follow", source, row->value);
            return false;
        }
        text = str_from(equals != NULL ? equals + 1 : argv[++i]);
        /* The first takes the default's or the environment's place. */
        if (!begun[row->kind])
            begin_list(s, row);
        begun[row->kind] = true;
        if (!take_value(s, row, text, source, error))
            return false;
    }
    return true;
}

static bool fits_together(const struct settings *s, char *error)
{
    const char *why = NULL;

    if (s->read_from_replica && s->redis.sentinel_count == 0)
        why = "--read-from replica: expected --redis sentinel://..., which tells of replicas";
    else if (s->redis.files.key[0] != '\0' && s->redis.files.cert[0] == '\0')
        why = "--redis-key: expected --redis-cert beside it";
    if (why != NULL)
        snprintf(error, SETTINGS_ERROR_SIZE, "%s", why);
    return why == NULL;
}

bool settings_read(struct settings *s, int argc, char *const *argv, char *const *environment,
                   char error[SETTINGS_ERROR_SIZE])
{
    memset(s, 0, sizeof(*s));
    s->tunnel_drain_ms = UINT64_MAX;
    settings_from_machine(s, WORKERS_MAX);
    for (const struct row *row = rows; row < rows + ROWS; row++)
        if (row->fallback != NULL)
            CHECK(take_value(s, row, str_from(row->fallback), row->flag, error));
    error[0] = '\0';
    if (!read_environment(s, environment, error) || !read_flags(s, argc, argv, error))
        return false;
    if (s->tunnel_drain_ms == UINT64_MAX)
        s->tunnel_drain_ms = s->drain_timeout_ms;
    snprintf(s->redis.probe, sizeof(s->redis.probe), "%sdefaults", s->prefix);
    return fits_together(s, error);
}

const char *settings_flag(unsigned index)
{
    return index < ROWS ? rows[index].flag : NULL;
}

void settings_help_flag(unsigned index, struct buf *to)
{
    const struct row *row = &rows[index];
    char name[64];

    CHECK(index < ROWS);
    variable_name(row, name, sizeof(name));
    buf_printf(to, "  --%s %s", row->flag, row->value);
    if (row->fallback != NULL)
        buf_printf(to, "  (default %s)", row->fallback);
    buf_printf(to, "\n      %s\n      environment: %s\n", row->says, name);
}

void settings_help(struct buf *to)
{
    for (unsigned i = 0; i < ROWS; i++)
        settings_help_flag(i, to);
}

uint32_t settings_connections_for(uint64_t descriptors, unsigned workers)
{
    /* Kept back: the log, Redis, admin, then each worker's loop and listeners. Of the rest every
     * client may need a second one, for its endpoint. */
    uint64_t kept = 64 + (uint64_t)workers * 8;
    uint64_t room = descriptors > kept ? (descriptors - kept) / 2 : 0;

    if (room < 16)
        room = 16;
    return room > 1000000 ? 1000000 : (uint32_t)room;
}
