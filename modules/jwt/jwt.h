/* jwt.h -- the parts of jwt: tokens, their claims, the keys that verify them, and what is kept of both. */
#ifndef JWT_H
#define JWT_H

#include <jansson.h>

#include "usher_module.h"

#define JWT_TOKEN_MAX 8192
#define JWT_HEADER_MAX 2048 /* of a token, decoded */
#define JWT_KID_MAX 127
#define JWT_KEY_MAX 4096 /* bytes of a secret, or of a public key as PEM or DER */
#define JWT_KEYS_MAX 64  /* of one JWKS */
#define JWT_JWKS_MAX 65536
#define JWT_VALUE_MAX 2048 /* bytes of a claim in a header */
#define JWT_WHY 160

/* In the order of the words of setting alg. */
enum jwt_alg {
    JWT_HS256,
    JWT_HS384,
    JWT_HS512,
    JWT_RS256,
    JWT_RS384,
    JWT_RS512,
    JWT_ES256,
    JWT_ES384,
    JWT_EDDSA,
    JWT_ALGS
};
#define JWT_ALG_WORDS "HS256 HS384 HS512 RS256 RS384 RS512 ES256 ES384 EdDSA"
#define JWT_BIT(alg) (1u << (alg))
#define JWT_SYMMETRIC (JWT_BIT(JWT_HS256) | JWT_BIT(JWT_HS384) | JWT_BIT(JWT_HS512))

enum usher_signature jwt_kind(enum jwt_alg alg);
/* Does this edge's library have it? By a signature that is known to be good. */
bool jwt_has_eddsa(const struct usher_host *host);
/* JWT_ALGS: none of them. */
enum jwt_alg jwt_alg_named(const char *name);

/* --- token.c --- */

struct jwt_token {
    enum jwt_alg alg; /* JWT_ALGS: another than we have, or none */
    bool has_kid;
    char kid[JWT_KID_MAX + 1];
    struct usher_text signed_part; /* of the token as it came */
    struct usher_text payload;     /* decoded: JSON */
    struct usher_text signature;   /* decoded */
};

/* Cuts a token and reads its header; decodes into `room`, as many bytes as the token has. NULL, or why not (for the client). */
const char *jwt_token_read(const struct usher_host *host, struct usher_text token, char *room,
                           struct jwt_token *t);

struct jwt_rules {
    uint32_t skew_ms;
    bool without_exp; /* a token without an end is good */
    const struct usher_value *require;
    uint32_t require_count;
};

/* The payload of a token whose signature is right. NULL: *why says why not; else json_decref it. */
json_t *jwt_claims_read(struct usher_text payload, const char **why);
/* False: `why` says why not. */
bool jwt_claims_judge(const json_t *claims, const struct jwt_rules *rules, uint64_t clock_ms,
                      char why[JWT_WHY]);

enum jwt_value { JWT_VALUE, JWT_NO_VALUE, JWT_VALUE_UNFIT };

/* A claim as a header's value: a text, number or truth value, or an array of these with commas between. JWT_VALUE_UNFIT: what
 * could be taken for something else there. */
enum jwt_value jwt_claim_text(const json_t *claims, struct usher_text name, char to[JWT_VALUE_MAX]);

/* --- keys.c --- */

struct jwt_key {
    unsigned algs; /* bits of those that it may verify */
    bool has_kid;
    char kid[JWT_KID_MAX + 1];
    uint8_t id[32]; /* its digest */
    size_t len;
    char bytes[JWT_KEY_MAX];
};

/* Zeroed and freed by jwt_keys_free. */
struct jwt_keys {
    unsigned count;
    bool named; /* a kid chooses; else there is one for all */
    struct jwt_key list[];
};

/* A secret, or a public key in PEM. NULL: *why says what is wrong with it (for the log). */
struct jwt_keys *jwt_keys_of_secret(const struct usher_host *host, struct usher_text secret,
                                    unsigned algs, const char **why);
struct jwt_keys *jwt_keys_of_pem(const struct usher_host *host, struct usher_text pem,
                                 unsigned algs, const char **why);
/* A JWK Set (RFC 7517 5): those of its keys that fit these algorithms, the others are passed over. */
struct jwt_keys *jwt_keys_of_set(const struct usher_host *host, struct usher_text json,
                                 unsigned algs, const char **why);
void jwt_keys_free(struct jwt_keys *keys);
/* NULL: none, or it does not say which of several. */
const struct jwt_key *jwt_keys_choose(const struct jwt_keys *keys, const struct jwt_token *t);

/* --- known.c --- */

/* What all exchanges of one tenant's settings share. Any thread. */
struct jwt_known;

enum jwt_plan {
    JWT_USE,    /* *key is a copy of the key */
    JWT_FETCH,  /* this exchange is to fetch the keys, and to end with jwt_known_fetched */
    JWT_LATER,  /* another one fetches them: look again soon */
    JWT_NO_KEY, /* there are keys, but not this token's */
    JWT_AWAY,   /* there are none, and they could not be fetched just now */
};

/* How fetching went. */
enum jwt_fetched {
    JWT_FETCHED,      /* with the keys, which are taken over */
    JWT_STORE_AWAY,   /* Redis is: the old ones stay */
    JWT_WRONG,        /* nobody answers, or what came is no key: the old ones stay */
    JWT_GONE,         /* there is no such key any more: nor are there old ones */
    JWT_FETCH_BROKEN, /* the exchange ended before: the next one may */
};

struct jwt_known *jwt_known_new(uint64_t keep_ms);
void jwt_known_free(struct jwt_known *k);
enum jwt_plan jwt_known_plan(struct jwt_known *k, const struct jwt_token *t, uint64_t now_ms,
                             struct jwt_key *key, enum jwt_fetched *last);
void jwt_known_fetched(struct jwt_known *k, enum jwt_fetched how, struct jwt_keys *keys,
                       uint64_t now_ms);

/* Signatures that were found right, by the digest of key and token. */
bool jwt_known_is_right(struct jwt_known *k, const uint8_t digest[32]);
void jwt_known_remember(struct jwt_known *k, const uint8_t digest[32]);

/* --- settings.c --- */

#define JWT_SETTINGS 14

struct jwt {
    unsigned algs;
    struct usher_text key;  /* in Redis; ptr NULL: a JWK Set */
    struct usher_text path; /* of the JWK Set */
    uint64_t service;
    struct usher_text cookie, realm;
    struct jwt_rules rules;
    const struct usher_value *claims; /* name: the claim, text: the header */
    uint32_t claim_count;
    bool optional, pass;
    struct jwt_known *known;
};

extern const struct usher_setting jwt_settings[JWT_SETTINGS];
bool jwt_compile(struct usher_compile *c, const struct usher_given *given, void **compiled);
void jwt_drop(void *compiled);

#endif
