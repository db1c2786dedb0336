/* settings.c -- what may be said of jwt, and that it fits together.
 *
 * Owns:    what is compiled, until it is dropped.
 * Thread:  control
 * Used by: jwt.c.
 * Not here: requests (jwt.c). */
#include <string.h>
#include <strings.h>

#include "jwt.h"

#define KEEP_KEY_MS 5000    /* what cache is when it is not said */
#define KEEP_JWKS_MS 300000 /* likewise */

enum {
    ALG,
    SECRET,
    KEY,
    JWKS,
    SERVICE,
    COOKIE,
    REQUIRE,
    CLAIM,
    SKEW,
    WITHOUT_EXP,
    OPTIONAL,
    PASS,
    REALM,
    CACHE,
    ROWS = JWT_SETTINGS
};

const struct usher_setting jwt_settings[JWT_SETTINGS] = {
    [ALG] = { .name = "alg",
              .type = USHER_TYPE_WORD,
              .flags = USHER_REQUIRED | USHER_MANY,
              .words = JWT_ALG_WORDS,
              .meaning = "how tokens are signed; another algorithm, or none, is refused" },
    [SECRET] = { .name = "secret",
                 .type = USHER_TYPE_KEY,
                 .meaning = "a Redis key that holds the secret, for HS256, HS384 and HS512" },
    [KEY] = { .name = "key",
              .type = USHER_TYPE_KEY,
              .meaning = "a Redis key that holds the public key in PEM" },
    [JWKS] = { .name = "jwks",
               .type = USHER_TYPE_TEXT,
               .least = 1,
               .most = 1024,
               .meaning = "the path of a JWK Set at `service`; a token's kid says which key" },
    [SERVICE] = { .name = "service",
                  .type = USHER_TYPE_SERVICE,
                  .meaning = "the service that has the JWK Set" },
    [COOKIE] = { .name = "cookie",
                 .type = USHER_TYPE_TEXT,
                 .least = 1,
                 .most = 64,
                 .meaning = "the cookie that holds the token where Authorization does not" },
    [REQUIRE] = { .name = "require",
                  .type = USHER_TYPE_PAIR,
                  .flags = USHER_MANY,
                  .meaning = "a claim that must have this value, or hold it; of several for one "
                             "claim one suffices" },
    [CLAIM] = { .name = "claim",
                .type = USHER_TYPE_PAIR,
                .flags = USHER_MANY,
                .meaning = "CLAIM=HEADER: tells the endpoint a claim in this header, which the "
                           "client cannot set" },
    [SKEW] = { .name = "skew",
               .type = USHER_TYPE_TIME,
               .standard = "30s",
               .least = 0,
               .most = 600000,
               .meaning = "how far the clock of who signs may be off" },
    [WITHOUT_EXP] = { .name = "without_exp",
                      .type = USHER_TYPE_SWITCH,
                      .standard = "off",
                      .meaning = "tokens that never end are good, too" },
    [OPTIONAL] = { .name = "optional",
                   .type = USHER_TYPE_SWITCH,
                   .standard = "off",
                   .meaning = "a request without a token goes on, without these headers" },
    [PASS] = { .name = "pass_authorization",
               .type = USHER_TYPE_SWITCH,
               .standard = "on",
               .meaning = "the endpoint gets the client's Authorization" },
    [REALM] = { .name = "realm",
                .type = USHER_TYPE_TEXT,
                .standard = "api",
                .least = 1,
                .most = 64,
                .meaning = "what the client is told that the token is for" },
    [CACHE] = { .name = "cache",
                .type = USHER_TYPE_TIME,
                .least = 100,
                .most = 86400000,
                .meaning = "keys are fetched anew after so long; 5s for Redis keys and 5m for a "
                           "JWK Set when it is not said" },
};

/* RFC 9110 5.6.2: a token; what a header's or cookie's name is. */
static bool is_name(struct usher_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) &&
            (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return text.len > 0;
}

/* What frames a message, belongs to one connection, or is the edge's own to say. */
static bool is_edges_own(struct usher_text name)
{
    static const char *const names[] = {
        "Connection", "Content-Length",  "Transfer-Encoding", "TE",   "Trailer",
        "Upgrade",    "Keep-Alive",      "Proxy-Connection",  "Host", "Expect",
        "Forwarded",  "X-Forwarded-For", "X-Forwarded-Proto", "Via",  "X-Forwarded-Host",
        "CDN-Loop",   "HTTP2-Settings",
    };

    if (name.len >= 6 && strncasecmp(name.ptr, "Usher-", 6) == 0)
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i]) == name.len && strncasecmp(names[i], name.ptr, name.len) == 0)
            return true;
    return false;
}

/* Stands between quotes in a header. */
static bool is_plain(struct usher_text text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < ' ' || text.ptr[i] > '~' || text.ptr[i] == '"' || text.ptr[i] == '\\')
            return false;
    return true;
}

static bool is_path(struct usher_text text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~' || text.ptr[i] == '?' || text.ptr[i] == '#')
            return false;
    return text.ptr[0] == '/';
}

static bool compile_algs(struct usher_compile *c, const struct usher_given *given, struct jwt *j)
{
    const struct usher_given *said = &given[ALG];
    bool secret = given[SECRET].count > 0;

    for (uint32_t i = 0; i < said->count; i++) {
        unsigned bit = JWT_BIT(said->values[i].number);

        if (secret && (bit & JWT_SYMMETRIC) == 0)
            return usher_refuse(c, ALG, i, "HS256, HS384 or HS512, which a secret is for");
        if (!secret && (bit & JWT_SYMMETRIC) != 0)
            return usher_refuse(c, ALG, i, "another one, or secret=KEY: HS is no public key's");
        if (bit == JWT_BIT(JWT_EDDSA) && !jwt_has_eddsa(c->host))
            return usher_refuse(c, ALG, i,
                                "another algorithm: this edge's mbedTLS does not have EdDSA");
        j->algs |= bit;
    }
    return true;
}

static bool compile_source(struct usher_compile *c, const struct usher_given *given, struct jwt *j)
{
    unsigned sources = (given[SECRET].count > 0) + (given[KEY].count > 0) + (given[JWKS].count > 0);

    if (sources != 1)
        return usher_refuse(c, ROWS, 0, "one of secret=KEY, key=KEY, or jwks=PATH service=NAME");
    if ((given[JWKS].count > 0) != (given[SERVICE].count > 0))
        return usher_refuse(c, given[JWKS].count > 0 ? JWKS : SERVICE, 0,
                            "jwks=PATH and service=NAME together");
    if (given[SECRET].count > 0)
        j->key = given[SECRET].values[0].text;
    if (given[KEY].count > 0)
        j->key = given[KEY].values[0].text;
    if (given[JWKS].count > 0) {
        j->path = given[JWKS].values[0].text;
        j->service = (uint64_t)given[SERVICE].values[0].number;
        if (!is_path(j->path))
            return usher_refuse(c, JWKS, 0, "a path such as /.well-known/jwks.json");
    }
    return true;
}

static bool compile_claims(struct usher_compile *c, const struct usher_given *given, struct jwt *j)
{
    for (uint32_t i = 0; i < given[CLAIM].count; i++) {
        if (!is_name(given[CLAIM].values[i].text))
            return usher_refuse(c, CLAIM, i, "CLAIM=HEADER, such as sub=X-User");
        if (is_edges_own(given[CLAIM].values[i].text))
            return usher_refuse(c, CLAIM, i, "a header that is not the edge's own to say");
    }
    j->claims = given[CLAIM].values;
    j->claim_count = given[CLAIM].count;
    j->rules.require = given[REQUIRE].values;
    j->rules.require_count = given[REQUIRE].count;
    j->rules.skew_ms = (uint32_t)given[SKEW].values[0].number;
    j->rules.without_exp = given[WITHOUT_EXP].values[0].number;
    return true;
}

bool jwt_compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct jwt *j = usher_keep(c, sizeof(*j));
    uint64_t keep_ms;

    if (!compile_source(c, given, j) || !compile_algs(c, given, j) || !compile_claims(c, given, j))
        return false;
    if (given[COOKIE].count > 0) {
        j->cookie = given[COOKIE].values[0].text;
        if (!is_name(j->cookie))
            return usher_refuse(c, COOKIE, 0, "a cookie's name");
    }
    j->realm = given[REALM].values[0].text;
    if (!is_plain(j->realm))
        return usher_refuse(c, REALM, 0, "a text of ASCII without \" and \\");
    j->optional = given[OPTIONAL].values[0].number;
    j->pass = given[PASS].values[0].number;
    keep_ms = given[CACHE].count > 0 ? (uint64_t)given[CACHE].values[0].number
              : j->key.ptr != NULL   ? KEEP_KEY_MS
                                     : KEEP_JWKS_MS;
    j->known = jwt_known_new(keep_ms);
    if (j->known == NULL)
        return usher_refuse(c, ROWS, 0, "memory, and there is none");
    *compiled = j;
    return true;
}

void jwt_drop(void *compiled)
{
    jwt_known_free(((struct jwt *)compiled)->known);
}
