/* keys.c -- keys that verify tokens: a secret, a public key in PEM, or those of a JWK Set (RFC 7517, 7518 6) as DER.
 *
 * Owns:    nothing; what it returns is freed by jwt_keys_free.
 * Thread:  any (pure).
 * Used by: jwt.c, known.c.
 * Not here: fetching and keeping them (jwt.c, known.c). */
#include <stdlib.h>
#include <string.h>

#include "jwt.h"

#define RSA_BYTES_LEAST 256 /* RFC 7518 3.3 */
#define RSA_BYTES_MOST 1024
#define PEM_BEGINS "-----BEGIN "

enum usher_signature jwt_kind(enum jwt_alg alg)
{
    static const enum usher_signature kinds[JWT_ALGS] = {
        [JWT_HS256] = USHER_HMAC_SHA256,       [JWT_HS384] = USHER_HMAC_SHA384,
        [JWT_HS512] = USHER_HMAC_SHA512,       [JWT_RS256] = USHER_RSA_SHA256,
        [JWT_RS384] = USHER_RSA_SHA384,        [JWT_RS512] = USHER_RSA_SHA512,
        [JWT_ES256] = USHER_ECDSA_P256_SHA256, [JWT_ES384] = USHER_ECDSA_P384_SHA384,
        [JWT_EDDSA] = USHER_ED25519,
    };

    return kinds[alg];
}

/* SubjectPublicKeyInfo as far as the point: nothing in it varies. */
static const char p256_begins[] =
    "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04";
static const char p384_begins[] =
    "\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04";
static const char ed25519_begins[] = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
static const char rsa_algorithm[] = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/* RFC 8032 7.1, test 1: the signature of nothing. */
bool jwt_has_eddsa(const struct usher_host *host)
{
    static const char point[] = "\xd7\x5a\x98\x01\x82\xb1\x0a\xb7\xd5\x4b\xfe\xd3\xc9\x64\x07\x3a"
                                "\x0e\xe1\x72\xf3\xda\xa6\x23\x25\xaf\x02\x1a\x68\xf7\x07\x51\x1a";
    static const char signature[] =
        "\xe5\x56\x43\x00\xc3\x60\xac\x72\x90\x86\xe2\xcc\x80\x6e\x82\x8a"
        "\x84\x87\x7f\x1e\xb8\xe5\xd9\x74\xd8\x73\xe0\x65\x22\x49\x01\x55"
        "\x5f\xb8\x82\x15\x90\xa3\x3b\xac\xc6\x1e\x39\x70\x1c\xf9\xb4\x6b"
        "\xd2\x5b\xf5\xf0\x59\x5b\xbe\x24\x65\x51\x41\x43\x8e\x7a\x10\x0b";
    char key[sizeof(ed25519_begins) - 1 + 32];

    memcpy(key, ed25519_begins, sizeof(ed25519_begins) - 1);
    memcpy(key + sizeof(ed25519_begins) - 1, point, 32);
    return usher_verify(host, USHER_ED25519, (struct usher_text){ key, sizeof(key) },
                        usher_text(""), (struct usher_text){ signature, 64 });
}

static struct jwt_keys *keys_new(unsigned room)
{
    return calloc(1, sizeof(struct jwt_keys) + room * sizeof(struct jwt_key));
}

void jwt_keys_free(struct jwt_keys *keys)
{
    if (keys == NULL)
        return;
    explicit_bzero(keys, sizeof(*keys) + keys->count * sizeof(keys->list[0]));
    free(keys);
}

static void name_key(const struct usher_host *host, struct jwt_key *key)
{
    uint8_t digest[64];

    usher_digest(host, USHER_SHA256, (struct usher_text){ key->bytes, key->len }, digest);
    memcpy(key->id, digest, sizeof(key->id));
}

static struct jwt_keys *one_key(const struct usher_host *host, struct usher_text bytes,
                                unsigned algs)
{
    struct jwt_keys *keys = keys_new(1);

    if (keys == NULL)
        return NULL;
    keys->count = 1;
    keys->list[0].algs = algs;
    keys->list[0].len = bytes.len;
    memcpy(keys->list[0].bytes, bytes.ptr, bytes.len);
    name_key(host, &keys->list[0]);
    return keys;
}

/* --- one for all --- */

/* RFC 7518 3.2: as long as the digest at least, or else it can be guessed from any token. */
struct jwt_keys *jwt_keys_of_secret(const struct usher_host *host, struct usher_text secret,
                                    unsigned algs, const char **why)
{
    size_t least = algs & JWT_BIT(JWT_HS512) ? 64 : algs & JWT_BIT(JWT_HS384) ? 48 : 32;

    *why = least == 64   ? "expected a secret of 64 to 4096 bytes, as HS512 needs it"
           : least == 48 ? "expected a secret of 48 to 4096 bytes, as HS384 needs it"
                         : "expected a secret of 32 to 4096 bytes, as HS256 needs it";
    if (secret.len < least || secret.len > JWT_KEY_MAX)
        return NULL;
    return one_key(host, secret, algs);
}

struct jwt_keys *jwt_keys_of_pem(const struct usher_host *host, struct usher_text pem,
                                 unsigned algs, const char **why)
{
    static const char *const kinds[] = { PEM_BEGINS "PUBLIC KEY-----",
                                         PEM_BEGINS "RSA PUBLIC KEY-----" };

    while (pem.len > 0 && strchr(" \t\r\n", pem.ptr[0]) != NULL)
        pem = (struct usher_text){ pem.ptr + 1, pem.len - 1 };
    *why = "expected a public key in PEM, which begins with -----BEGIN PUBLIC KEY-----";
    if (pem.len > JWT_KEY_MAX)
        return NULL;
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (pem.len > strlen(kinds[i]) && memcmp(pem.ptr, kinds[i], strlen(kinds[i])) == 0)
            return one_key(host, pem, algs);
    return NULL;
}

/* --- DER, from its end to its beginning --- */

struct der {
    uint8_t bytes[2 * RSA_BYTES_MOST];
    size_t at; /* what is written begins here */
};

static bool put(struct der *d, const void *bytes, size_t len)
{
    if (len > d->at)
        return false;
    d->at -= len;
    memcpy(d->bytes + d->at, bytes, len);
    return true;
}

static bool put_byte(struct der *d, unsigned byte)
{
    uint8_t b = (uint8_t)byte;

    return put(d, &b, 1);
}

/* Around what has been written since `end` was the beginning. */
static bool put_head(struct der *d, unsigned tag, size_t end)
{
    size_t len = end - d->at;

    if (len < 0x80)
        return put_byte(d, (unsigned)len) && put_byte(d, tag);
    if (len < 0x100)
        return put_byte(d, (unsigned)len) && put_byte(d, 0x81) && put_byte(d, tag);
    return put_byte(d, (unsigned)len & 0xff) && put_byte(d, (unsigned)(len >> 8)) &&
           put_byte(d, 0x82) && put_byte(d, tag);
}

/* An INTEGER that is not negative. */
static bool put_number(struct der *d, const uint8_t *bytes, size_t len)
{
    size_t end = d->at;

    return put(d, bytes, len) && (bytes[0] < 0x80 || put_byte(d, 0)) && put_head(d, 0x02, end);
}

/* SubjectPublicKeyInfo of RSA: RFC 3279 2.3.1 */
static bool put_rsa(struct der *d, const uint8_t *n, size_t n_len, const uint8_t *e, size_t e_len)
{
    size_t end = d->at = sizeof(d->bytes);

    return put_number(d, e, e_len) && put_number(d, n, n_len) && put_head(d, 0x30, end) &&
           put_byte(d, 0) && put_head(d, 0x03, end) &&
           put(d, rsa_algorithm, sizeof(rsa_algorithm) - 1) && put_head(d, 0x30, end);
}

/* --- a JWK --- */

/* A member's bytes; 0: there is none, or it is not well formed. */
static size_t read_member(const struct usher_host *host, const json_t *jwk, const char *name,
                          void *to, size_t room)
{
    const json_t *member = json_object_get(jwk, name);
    struct usher_text text = { json_string_value(member), json_string_length(member) };
    size_t len;

    if (!json_is_string(member))
        return 0;
    len = usher_decode_base64(host, text, true, to, room);
    return len <= room ? len : 0;
}

static bool read_rsa(const struct usher_host *host, const json_t *jwk, struct jwt_key *key)
{
    uint8_t bytes[RSA_BYTES_MOST + 1], exponent[8], *n = bytes, *e = exponent;
    size_t n_len = read_member(host, jwk, "n", n, sizeof(bytes));
    size_t e_len = read_member(host, jwk, "e", e, sizeof(exponent));
    struct der d;

    for (; n_len > 0 && n[0] == 0; n_len--)
        n++;
    for (; e_len > 0 && e[0] == 0; e_len--)
        e++;
    if (n_len < RSA_BYTES_LEAST || n_len > RSA_BYTES_MOST || e_len == 0 ||
        !put_rsa(&d, n, n_len, e, e_len))
        return false;
    key->len = sizeof(d.bytes) - d.at;
    memcpy(key->bytes, d.bytes + d.at, key->len);
    key->algs = JWT_BIT(JWT_RS256) | JWT_BIT(JWT_RS384) | JWT_BIT(JWT_RS512);
    return true;
}

/* Behind what never varies, one or two numbers of a fixed length. */
static bool read_point(const struct usher_host *host, const json_t *jwk, struct usher_text begins,
                       size_t half, bool two, struct jwt_key *key)
{
    memcpy(key->bytes, begins.ptr, begins.len);
    key->len = begins.len + half * (two ? 2 : 1);
    return read_member(host, jwk, "x", key->bytes + begins.len, half) == half &&
           (!two || read_member(host, jwk, "y", key->bytes + begins.len + half, half) == half);
}

static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static bool read_curve(const struct usher_host *host, const json_t *jwk, struct jwt_key *key)
{
    const json_t *crv = json_object_get(jwk, "crv");
    struct usher_text p256 = { p256_begins, sizeof(p256_begins) - 1 };
    struct usher_text p384 = { p384_begins, sizeof(p384_begins) - 1 };

    key->algs = JWT_BIT(is_text(crv, "P-256") ? JWT_ES256 : JWT_ES384);
    if (is_text(crv, "P-256"))
        return read_point(host, jwk, p256, 32, true, key);
    return is_text(crv, "P-384") && read_point(host, jwk, p384, 48, true, key);
}

static bool read_edwards(const struct usher_host *host, const json_t *jwk, struct jwt_key *key)
{
    struct usher_text begins = { ed25519_begins, sizeof(ed25519_begins) - 1 };

    key->algs = JWT_BIT(JWT_EDDSA);
    return is_text(json_object_get(jwk, "crv"), "Ed25519") &&
           read_point(host, jwk, begins, 32, false, key);
}

/* Is it for signatures, as far as it says? */
static bool is_to_verify(const json_t *jwk)
{
    const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops");

    if (use != NULL && !is_text(use, "sig"))
        return false;
    for (size_t i = 0; i < json_array_size(ops); i++)
        if (is_text(json_array_get(ops, i), "verify"))
            return true;
    return ops == NULL;
}

static bool read_jwk(const struct usher_host *host, const json_t *jwk, unsigned algs,
                     struct jwt_key *key)
{
    const json_t *kty = json_object_get(jwk, "kty"), *alg = json_object_get(jwk, "alg");
    const json_t *kid = json_object_get(jwk, "kid");
    bool good = false;

    memset(key, 0, sizeof(*key));
    if (!json_is_object(jwk) || !is_to_verify(jwk))
        return false;
    if (kid != NULL && (!json_is_string(kid) || json_string_length(kid) > JWT_KID_MAX))
        return false;
    key->has_kid = kid != NULL;
    if (kid != NULL)
        memcpy(key->kid, json_string_value(kid), json_string_length(kid));
    if (is_text(kty, "RSA"))
        good = read_rsa(host, jwk, key);
    else if (is_text(kty, "EC"))
        good = read_curve(host, jwk, key);
    else if (is_text(kty, "OKP"))
        good = read_edwards(host, jwk, key);
    if (json_is_string(alg))
        key->algs &= JWT_BIT(jwt_alg_named(json_string_value(alg)));
    key->algs &= algs;
    if (good)
        name_key(host, key);
    return good && key->algs != 0;
}

static struct jwt_keys *read_list(const struct usher_host *host, const json_t *list, unsigned algs)
{
    size_t room = json_array_size(list) < JWT_KEYS_MAX ? json_array_size(list) : JWT_KEYS_MAX;
    struct jwt_keys *keys = keys_new((unsigned)room);

    if (keys == NULL)
        return NULL;
    keys->named = true;
    for (size_t i = 0; i < json_array_size(list) && keys->count < room; i++)
        if (read_jwk(host, json_array_get(list, i), algs, &keys->list[keys->count]))
            keys->count++;
    return keys;
}

struct jwt_keys *jwt_keys_of_set(const struct usher_host *host, struct usher_text json,
                                 unsigned algs, const char **why)
{
    json_t *set = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *list = json_object_get(set, "keys");
    struct jwt_keys *keys = json_is_array(list) ? read_list(host, list, algs) : NULL;

    *why = "expected a JWK Set: a JSON object with an array `keys`, no member twice";
    if (keys != NULL && keys->count == 0) {
        *why = "expected a JWK Set with a key of the algorithms that alg says: RSA from 2048 bits, "
               "P-256, P-384";
        jwt_keys_free(keys);
        keys = NULL;
    }
    json_decref(set);
    return keys;
}

const struct jwt_key *jwt_keys_choose(const struct jwt_keys *keys, const struct jwt_token *t)
{
    const struct jwt_key *chosen = NULL;

    for (unsigned i = 0; i < keys->count; i++) {
        const struct jwt_key *key = &keys->list[i];

        if ((key->algs & JWT_BIT(t->alg)) == 0)
            continue;
        if (!keys->named)
            return key;
        if (t->has_kid && key->has_kid && strcmp(key->kid, t->kid) == 0)
            return key;
        if (!t->has_kid && chosen != NULL)
            return NULL;
        if (!t->has_kid)
            chosen = key;
    }
    return chosen;
}
