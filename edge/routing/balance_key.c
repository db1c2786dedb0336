/* balance_key.c -- keys of requests, for balancing.
 *
 * Owns:    nothing.
 * Thread:  any.
 * Used by: balance.c, proxy/choose.c, control/explain_endpoints.c.
 * Not here: what becomes of them (balance.c). */
#include "routing/balance_key.h"

#include "base/checksum.h"
#include "base/random.h"

#define ID_DIGITS 16

/* The first cookie of that name; ptr NULL: there is none. */
static struct str find_cookie(const struct route_request *q, struct str name)
{
    struct str line, one, key;

    for (unsigned n = 0; (line = q->header(q->owner, STR("cookie"), n)).ptr != NULL; n++)
        while (str_split(&line, ';', &one))
            if (str_split(&one, '=', &key) && one.ptr != NULL && str_equals(str_trim(key), name))
                return str_trim(one);
    return (struct str){ NULL, 0 };
}

uint64_t balance_hash_of(const struct service_policy *policy, const struct route_request *q)
{
    struct str by = { NULL, 0 };
    uint8_t client[16] = { 0 };

    switch (policy->hash_by) {
    case HASH_BY_CLIENT:
        break;
    case HASH_BY_PATH:
        by = q->path;
        break;
    case HASH_BY_HEADER:
        by = q->header(q->owner, policy->hash_name, 0);
        break;
    case HASH_BY_COOKIE:
        by = find_cookie(q, policy->hash_name);
        break;
    }
    if (by.len > 0)
        return checksum(by);
    if (q->client != NULL)
        cidr_ip(q->client, client);
    return checksum(str_slice((const char *)client, sizeof(client)));
}

/* The same address is called otherwise in another service. */
static uint64_t sticky_id(uint64_t service_print, const struct endpoint_print *print)
{
    uint64_t id = random_mixed(print->name + service_print);

    return id != 0 ? id : 1;
}

uint64_t balance_sticky_id(const struct service *service, const struct endpoint *e)
{
    return sticky_id(checksum(str_from(service->name)), &service->prints[e - service->endpoints]);
}

const struct endpoint *balance_find_sticky(const struct service *service, uint64_t id)
{
    uint64_t service_print = checksum(str_from(service->name));

    for (uint32_t i = 0; i < service->endpoint_count; i++)
        if (sticky_id(service_print, &service->prints[i]) == id)
            return &service->endpoints[i];
    return NULL;
}

uint64_t balance_sticky_of(const struct service_policy *policy, const struct route_request *q)
{
    struct str text = find_cookie(q, policy->sticky);
    uint64_t id = 0;

    if (text.len != ID_DIGITS)
        return 0;
    for (size_t i = 0; i < ID_DIGITS; i++) {
        char c = text.ptr[i];
        bool is_digit = c >= '0' && c <= '9';

        if (!is_digit && (c < 'a' || c > 'f'))
            return 0;
        id = id << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    return id;
}

struct str balance_sticky_text(uint64_t id, char to[STICKY_TEXT_SIZE])
{
    for (unsigned i = 0; i < ID_DIGITS; i++)
        to[i] = "0123456789abcdef"[id >> (60 - 4 * i) & 15];
    to[ID_DIGITS] = '\0';
    return str_slice(to, ID_DIGITS);
}
