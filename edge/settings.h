/* settings.h -- the flags and environment of `usher serve`, parsed once, constant afterwards. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cidr.h"
#include "base/buf.h"
#include "base/log.h"

#define SETTINGS_LISTEN_MAX 16
#define SETTINGS_RANGES_MAX 256
#define SETTINGS_UNIX_MAX 8

#define SETTINGS_MODULES_MAX 16
#define SETTINGS_OPTIONS_MAX 16
#define REDIS_SENTINELS_MAX 16

/* Of a flag that takes CIDR[,CIDR]. */
struct settings_ranges {
    struct cidr at[SETTINGS_RANGES_MAX];
    unsigned count;
};

/* A host's name or address, without brackets, and a port. */
struct redis_place {
    char host[256];
    uint16_t port;
};

/* --redis-ca, --redis-cert, --redis-key, --redis-verify. */
struct redis_tls {
    char ca[512], cert[512], key[512]; /* paths; "" = not said */
    bool verify;                       /* the server's certificate and its name */
};

/* Where Redis is and how to speak to it. */
struct redis_url {
    bool unix_socket;
    char host[256]; /* or the socket's path */
    uint16_t port;
    char user[128];     /* "" = none */
    char password[256]; /* "" = none */
    unsigned db;
    /* sentinel://: these are asked where the primary of that name is; `host` is "". */
    struct redis_place sentinels[REDIS_SENTINELS_MAX];
    unsigned sentinel_count; /* 0: not by Sentinel */
    char primary_name[128];
    char sentinel_user[128], sentinel_password[256];
    bool tls, sentinel_tls;
    char tls_name[256]; /* what certificates must be for; "" = the host connected to */
    struct redis_tls files;
    char probe[80]; /* a key under --prefix: whoever owns its slot is the node to be at */
};

enum access_log_to { ACCESS_LOG_OFF, ACCESS_LOG_STDOUT, ACCESS_LOG_FILE };

struct settings {
    struct address listen[SETTINGS_LISTEN_MAX];
    unsigned listen_count;
    struct address admin;
    bool admin_on;
    struct redis_url redis;
    bool read_from_replica;  /* --read-from */
    uint64_t replica_lag_ms; /* a replica further behind is left */
    char prefix[64];
    char name[64];       /* this edge's id in usher:errors and logs */
    char cdn_id[64];     /* in CDN-Loop and Via */
    char zone[64];       /* "" = none */
    char pid_file[1024]; /* "" = none */
    char binary[4096];   /* "" = what this was started as */
    uint64_t upgrade_timeout_ms;
    unsigned workers;
    enum log_level log_level;

    uint64_t header_timeout_ms, idle_timeout_ms, connect_timeout_ms, response_timeout_ms;
    uint64_t upstream_idle_timeout_ms, lookup_timeout_ms;
    uint64_t module_stall_ms;
    uint64_t stream_timeout_ms, tunnel_timeout_ms;
    uint64_t drain_wait_ms, drain_timeout_ms, tunnel_drain_ms;
    uint64_t min_rate; /* bytes per second */

    uint32_t max_head_bytes, max_header_count, max_url_bytes;
    uint32_t max_connections; /* of clients, all workers together; 0: not said */
    size_t cache_bytes;
    char state_dir[1024]; /* "" = none */
    uint64_t start_wait_ms;
    uint32_t sync_rate;    /* keys per second */
    uint32_t worker_hosts; /* hosts each worker remembers */
    uint32_t max_loss_percent;
    uint32_t lookup_rate; /* per second */

    enum access_log_to access_log;
    char access_log_file[4096];
    struct settings_ranges allow_endpoints; /* see net/guard.h */
    struct settings_ranges proxy_protocol;  /* connections from here begin with a PROXY header */
    struct settings_ranges trusted_forwarders;
    char unix_folders[SETTINGS_UNIX_MAX]
                     [UNIX_PATH_SIZE]; /* endpoints' sockets may be below these */
    unsigned unix_folder_count;
    struct address resolver; /* asked for names of endpoints */
    bool resolver_given;     /* false: as the system says */

    char modules[SETTINGS_MODULES_MAX][512]; /* files, beside those that are linked in */
    unsigned module_count;
    char module_dir[1024];                           /* a folder of such files; "" = none */
    char module_options[SETTINGS_OPTIONS_MAX][1024]; /* MODULE.KEY=VALUE */
    unsigned module_option_count;

    bool forwarded; /* add Forwarded (RFC 7239) beside X-Forwarded-* */
};

#define SETTINGS_ERROR_SIZE 512

/* Defaults, then the environment (USHER_*), then flags: `--name value` or `--name=value`.
 * `environment` ends with NULL. False: `error` holds one line that says what is wrong. */
bool settings_read(struct settings *s, int argc, char *const *argv, char *const *environment,
                   char error[SETTINGS_ERROR_SIZE]);

/* One paragraph per flag, from the table that settings_read works by. */
void settings_help(struct buf *to);

/* The table's rows one by one, for verbs that take some of these flags: NULL behind the last. */
const char *settings_flag(unsigned index);
void settings_help_flag(unsigned index, struct buf *to);

/* How many clients fit when the process may hold `descriptors`. Used when max_connections is 0. */
uint32_t settings_connections_for(uint64_t descriptors, unsigned workers);

#endif
