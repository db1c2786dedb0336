/* test_scenario_jwt.c -- whose token is good, what the endpoint is told of it, and what holds while keys change or are away. */
#include "harness/scene.h"

#include <mbedtls/ecdsa.h>
#include <mbedtls/md.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define OTHER_SECRET "fedcba9876543210fedcba9876543210"
#define FETCHES "usher_module_jwt_fetches_total"
#define VERIFIED "usher_module_jwt_verified_total"
#define ACCEPTED "usher_module_jwt_accepted_total"

/* The key of RFC 7515 A.3 */
static const char p256_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                               "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
                               "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
                               "-----END PUBLIC KEY-----\n";
static const unsigned char p256_private[] =
    "\x8e\x9b\x10\x9e\x71\x90\x98\xbf\x98\x04\x87\xdf\x1f\x5d\x77\xe9"
    "\xcb\x29\x60\x6e\xbe\xd2\x26\x3b\x5f\x57\xc2\x13\xdf\x84\xf4\xb2";

/* kid "rsa", sub "jane", until 2100 */
static const char rs256[] =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJzdWIiOiJqYW5lIiwiZXhwIjo0MTAyNDQ0ODAwfQ.Mumw"
    "nMNWO7__ZZMENYaHwc2pl6ULhK0EkrcgSsdgWWwAP8RseERUvE6mynaQ3un7xsitV_WghDTZ0l857xaE1q_3"
    "ZMNb1OQNEPfsECbvhauADgdPffOuhZ0ll4TOLdslsWeuDb6q9J102JkOlCZudU_dWI8-GlbOoErYdizUAzaU"
    "7Gsy4470b1--7ppIDFczlYRQfW-DS-qqqAK6AasjwNjocKobqalIxLkNOmZKi00rr01CHkR4dm8mux8wSwKD"
    "CNrRLHyMquoJvoDlhPsBVA__FwY_YcOW1Q2ljmFPklZBkZEkdDV4L47E7UrZwXxd5LxENqQjRTrtXY9qhexA"
    "iQ";
static const char rsa_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                              "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAzGGtKgGLbvaaCrHbDXyr\n"
                              "U9Oc+WDU4U7rCj1hr6neaD67ekluGrcphD78i5zeSqIiObWRaLtQiGBzAXxeL3Wz\n"
                              "7GH9x8UwP4r0LavoG1IABd2czttWD1h7pzqTvNws4L0GizVuTOnj6HjV+DQq7j3K\n"
                              "C5+yamKgrDgL+1prKuQ4h7jLTJYQwkSGbrWgshWEauDJ0lICdrCodKYTGNzunuKt\n"
                              "1ITY+Q8Qfugk96xktE5r20/wg3S84PybtT3VdanEHCaYYvnUWECkXYBMnJAH363b\n"
                              "XTzP/+OVKsnAVL0ZU7MA+kc5p6vc5eWHhlq16ZcS6DLlkwLigpIrlBttY+ADeOG6\n"
                              "wQIDAQAB\n"
                              "-----END PUBLIC KEY-----\n";

static void write_records(struct scene *s, const struct origin *o, const char *modules)
{
    redis_set_bytes(&s->redis, "usher:t:acme:secret", SECRET, strlen(SECRET));
    redis_set_bytes(&s->redis, "usher:t:acme:p256", p256_pem, strlen(p256_pem));
    redis_set_bytes(&s->redis, "usher:t:acme:rsa", rsa_pem, strlen(rsa_pem));
    scene_redis(s, "HSET usher:tenant:acme to %s modules '%s'", origin_at(o), modules);
    scene_redis(s, "SET usher:host:a.test tenant:acme");
    scene_live(s);
}

/* --- tokens --- */

static const char *encode(const unsigned char *bytes, size_t len)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *to = kept_alloc(len * 2 + 4);
    unsigned bits = 0, held = 0;
    size_t at = 0;

    for (size_t i = 0; i < len; i++) {
        held = held << 8 | bytes[i];
        for (bits += 8; bits >= 6; bits -= 6)
            to[at++] = letters[held >> (bits - 6) & 63];
    }
    if (bits > 0)
        to[at++] = letters[held << (6 - bits) & 63];
    to[at] = '\0';
    return to;
}

static const char *unsigned_token(const char *header, const char *claims)
{
    return kept_format("%s.%s", encode((const unsigned char *)header, strlen(header)),
                       encode((const unsigned char *)claims, strlen(claims)));
}

static const char *sign_with(const char *secret, const char *header, const char *claims)
{
    const char *text = unsigned_token(header, claims);
    unsigned char mac[32];

    cr_assert_eq(mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256),
                                 (const unsigned char *)secret, strlen(secret),
                                 (const unsigned char *)text, strlen(text), mac),
                 0);
    return kept_format("%s.%s", text, encode(mac, sizeof(mac)));
}

static int fill(void *owner, unsigned char *to, size_t len)
{
    (void)owner;
    memset(to, 0x5a, len);
    return 0;
}

/* By the key of RFC 7515 A.3 */
static const char *sign_p256(const char *header, const char *claims)
{
    const char *text = unsigned_token(header, claims);
    unsigned char digest[32], signature[64];
    mbedtls_ecp_group group;
    mbedtls_mpi d, r, s;

    mbedtls_ecp_group_init(&group);
    mbedtls_mpi_init(&d);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    cr_assert_eq(mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256),
                            (const unsigned char *)text, strlen(text), digest),
                 0);
    cr_assert_eq(mbedtls_ecp_group_load(&group, MBEDTLS_ECP_DP_SECP256R1), 0);
    cr_assert_eq(mbedtls_mpi_read_binary(&d, p256_private, 32), 0);
    cr_assert_eq(mbedtls_ecdsa_sign_det_ext(&group, &r, &s, &d, digest, sizeof(digest),
                                            MBEDTLS_MD_SHA256, fill, NULL),
                 0);
    cr_assert_eq(mbedtls_mpi_write_binary(&r, signature, 32), 0);
    cr_assert_eq(mbedtls_mpi_write_binary(&s, signature + 32, 32), 0);
    mbedtls_ecp_group_free(&group);
    mbedtls_mpi_free(&d);
    mbedtls_mpi_free(&r);
    mbedtls_mpi_free(&s);
    return kept_format("%s.%s", text, encode(signature, sizeof(signature)));
}

/* Claims that hold for so many seconds from now, and more of them. */
static const char *claims_for(long seconds, const char *more)
{
    return kept_format("{\"exp\":%ld%s}", (long)time(NULL) + seconds, more);
}

#define HS "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define ES "{\"alg\":\"ES256\"}"

static const char *good(const char *more)
{
    return sign_with(SECRET, HS, claims_for(3600, more));
}

static struct response ask(struct scene *s, const char *token, const char *more)
{
    return scene_exchange(s, kept_format("GET / HTTP/1.1\r\nHost: a.test\r\n%s%s%s%s"
                                         "Connection: close\r\n\r\n",
                                         token != NULL ? "Authorization: Bearer " : "",
                                         token != NULL ? token : "", token != NULL ? "\r\n" : "",
                                         more));
}

#define expect_token(s, token, status) expect_status(ask(s, token, ""), status)

static char *told(struct origin *o, const char *name)
{
    return message_field(origin_last(o)->head, name);
}

/* --- a JWK Set --- */

#define N                                                                                          \
    "zGGtKgGLbvaaCrHbDXyrU9Oc-WDU4U7rCj1hr6neaD67ekluGrcphD78i5zeSqIiObWRaLtQiGBzAXxeL3Wz"         \
    "7GH9x8UwP4r0LavoG1IABd2czttWD1h7pzqTvNws4L0GizVuTOnj6HjV-DQq7j3KC5-yamKgrDgL-1prKuQ4"         \
    "h7jLTJYQwkSGbrWgshWEauDJ0lICdrCodKYTGNzunuKt1ITY-Q8Qfugk96xktE5r20_wg3S84PybtT3VdanE"         \
    "HCaYYvnUWECkXYBMnJAH363bXTzP_-OVKsnAVL0ZU7MA-kc5p6vc5eWHhlq16ZcS6DLlkwLigpIrlBttY-AD"         \
    "eOG6wQ"
#define RSA_KEY "{\"kty\":\"RSA\",\"kid\":\"rsa\",\"use\":\"sig\",\"n\":\"" N "\",\"e\":\"AQAB\"}"
#define P256_KEY(kid)                                                                              \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"" kid "\","                                       \
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                                       \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
#define ES_BY(kid) "{\"alg\":\"ES256\",\"kid\":\"" kid "\"}"

static void serve_set(struct origin *idp, const char *keys)
{
    const char *body = kept_format("{\"keys\":[%s]}", keys);

    origin_answers(idp, kept_format("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                    "Content-Length: %zu\r\n\r\n%s",
                                    strlen(body), body));
}

/* --- tests --- */

SCENARIO(mod_jwt, a_good_token_is_let_in_and_each_other_is_told_why_not)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    const struct {
        const char *token, *why;
    } rows[] = {
        { sign_with(OTHER_SECRET, HS, claims_for(3600, "")), "the token's signature is wrong" },
        { sign_with("", HS, claims_for(3600, "")), "the token's signature is wrong" },
        { kept_format("%s.", unsigned_token(HS, claims_for(3600, ""))), "signature is wrong" },
        { kept_format("%s.", unsigned_token("{\"alg\":\"none\"}", claims_for(3600, ""))),
          "algorithm is not accepted" },
        { sign_with(SECRET, "{\"alg\":\"HS384\"}", claims_for(3600, "")),
          "algorithm is not accepted" },
        { sign_with(SECRET, "{\"alg\":\"none\",\"alg\":\"HS256\"}", claims_for(3600, "")),
          "names something twice" },
        { sign_with(SECRET, HS, claims_for(-31, "")), "the token has expired" },
        { sign_with(SECRET, HS, "{\"sub\":\"jane\"}"), "does not say when it ends" },
        { sign_with(SECRET, HS, claims_for(3600, ",\"nbf\":4102444800")), "is not valid yet" },
        { sign_with(SECRET, HS, claims_for(3600, ",\"iat\":4102444800")), "issued in the future" },
        { sign_with(SECRET, HS, claims_for(3600, ",\"exp\":4102444800")), "name something twice" },
        { sign_with(SECRET, HS, "[]"), "are not a JSON object" },
        { "x", "the token is not well formed" },
        { kept_format("%s.AAAA", unsigned_token(HS, "{}")), "signature is wrong" },
    };
    struct response r;
    char *challenge;

    scene_start(&s);
    write_records(&s, o, "jwt(alg=HS256 secret=secret realm=shop)");
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        r = ask(&s, rows[i].token, "");
        expect_status(r, 401);
        challenge = response_field(&r, "WWW-Authenticate");
        cr_assert(starts(challenge, "Bearer realm=\"shop\", error=\"invalid_token\", ") &&
                      has(challenge, rows[i].why),
                  "%s: %s", rows[i].why, challenge);
    }
    r = ask(&s, NULL, "");
    expect_status(r, 401);
    cr_assert_str_eq(response_field(&r, "WWW-Authenticate"), "Bearer realm=\"shop\"");
    expect_status(ask(&s, good(""), "Authorization: Bearer x\r\n"), 401);
    cr_assert_eq(origin_requests(o), 0);
    expect_token(&s, good(""), 200);
    expect_token(&s, sign_with(SECRET, HS, claims_for(-20, "")), 200); /* the clocks' skew */
    cr_assert_not_null(told(o, "Authorization"));
    expect_metric(&s, ACCEPTED, 2);
    scene_end(&s);
}

SCENARIO(mod_jwt, claims_are_required_and_told_to_the_endpoint_by_the_edge_alone)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    const char *forged = "X-User: root\r\nx_user: root\r\nX_Roles: all\r\nX-ROLES: all\r\n"
                         "Connection: X-User, x-roles\r\n";

    scene_start(&s);
    write_records(&s, o,
                  "jwt(alg=HS256 secret=usher:t:acme:secret require iss=shop require aud=web "
                  "require aud=app claim sub=X-User claim roles=X-Roles claim level=X-Level "
                  "pass_authorization=off)");
    expect_token(&s, good(",\"iss\":\"shop\""), 401);
    expect_token(&s, good(",\"iss\":\"bank\",\"aud\":\"web\""), 401);
    expect_token(&s, good(",\"iss\":\"shop\",\"aud\":[\"x\",\"y\"]"), 401);
    cr_assert_eq(origin_requests(o), 0);
    expect_status(ask(&s,
                      good(",\"iss\":\"shop\",\"aud\":[\"x\",\"app\"],\"sub\":\"jane\","
                           "\"roles\":[\"a\",\"b\"],\"level\":7"),
                      forged),
                  200);
    cr_assert_str_eq(told(o, "X-User"), "jane");
    cr_assert_str_eq(told(o, "X-Roles"), "a,b");
    cr_assert_str_eq(told(o, "X-Level"), "7");
    cr_assert_eq(message_field_count(origin_last(o)->head, "X-User"), 1);
    cr_assert_eq(message_field_count(origin_last(o)->head, "X-Roles"), 1);
    cr_assert_null(told(o, "x_user"));
    cr_assert_null(told(o, "X_Roles"));
    cr_assert_null(told(o, "Authorization"));
    /* What the token does not say, nobody says. */
    expect_status(ask(&s, good(",\"iss\":\"shop\",\"aud\":\"web\""), forged), 200);
    cr_assert_null(told(o, "X-User"));
    cr_assert_null(told(o, "X-Roles"));
    /* Nor what could be taken for another header. */
    expect_token(&s, good(",\"iss\":\"shop\",\"aud\":\"web\",\"sub\":\"a\\r\\nX-Roles: b\""), 401);
    expect_token(&s, good(",\"iss\":\"shop\",\"aud\":\"web\",\"roles\":[\"a,b\"]"), 401);
    cr_assert_eq(origin_requests(o), 2);
    scene_end(&s);
}

SCENARIO(mod_jwt, a_cookie_may_hold_the_token_and_without_one_a_request_may_go_on)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    const char *forged = "X-User: root\r\n";

    scene_start(&s);
    write_records(&s, o, "jwt(alg=HS256 secret=secret cookie=session optional claim sub=X-User)");
    expect_status(ask(&s, NULL, forged), 200);
    cr_assert_null(told(o, "X-User"));
    expect_status(
        ask(&s, NULL, kept_format("Cookie: a=b; session=%s\r\n", good(",\"sub\":\"jane\""))), 200);
    cr_assert_str_eq(told(o, "X-User"), "jane");
    expect_status(ask(&s, NULL, "Authorization: Basic eDp5\r\nCookie: session=x\r\n"), 401);
    expect_status(ask(&s, "x", ""), 401); /* a bad token is worse than none */
    expect_status(ask(&s, good(""), "Cookie: session=x\r\n"), 200);
    scene_redis(&s, "HSET usher:tenant:acme modules 'jwt(alg=HS256 secret=secret)'");
    scene_live(&s);
    expect_status(ask(&s, NULL, kept_format("Cookie: session=%s\r\n", good(""))), 401);
    scene_end(&s);
}

SCENARIO(mod_jwt, a_public_keys_signature_is_verified_once_and_a_public_key_is_no_secret)
{
    static struct scene s;
    const char *token = sign_p256(ES, claims_for(3600, "")), *wrong;

    scene_start(&s);
    write_records(&s, origin_start("one"), "jwt(alg=ES256 key=p256)");
    for (unsigned i = 0; i < 5; i++)
        expect_token(&s, token, 200);
    expect_metric(&s, VERIFIED, 1);
    expect_token(&s, sign_with(p256_pem, HS, claims_for(3600, "")), 401);
    expect_metric(&s, VERIFIED, 1);
    expect_token(&s, sign_with(p256_pem, ES, claims_for(3600, "")), 401);
    expect_token(&s, sign_p256(ES, claims_for(-31, "")), 401); /* rightly signed, but over */
    wrong = kept_format("%.*s%c%s", (int)strlen(token) - 10, token,
                        token[strlen(token) - 10] == 'A' ? 'B' : 'A', token + strlen(token) - 9);
    expect_token(&s, wrong, 401);
    expect_token(&s, wrong, 401); /* what is wrong is not kept */
    expect_metric(&s, VERIFIED, 5);
    scene_redis(&s, "HSET usher:tenant:acme modules 'jwt(alg=RS256 key=rsa claim sub=X-User)'");
    scene_live(&s);
    expect_token(&s, rs256, 200);
    expect_token(&s, token, 401);
    scene_end(&s);
}

SCENARIO(mod_jwt, a_key_is_asked_for_once_and_a_new_one_holds_when_its_time_is_over)
{
    static struct scene s;
    struct response r;

    scene_start(&s);
    write_records(&s, origin_start("one"), "jwt(alg=HS256 secret=secret cache=1h)");
    for (unsigned i = 0; i < 20; i++)
        expect_token(&s, good(""), 200);
    expect_metric(&s, FETCHES, 1);
    scene_redis(&s, "SET usher:t:acme:secret " OTHER_SECRET);
    scene_redis(&s, "HSET usher:tenant:acme modules 'jwt(alg=HS256 secret=secret cache=100ms)'");
    scene_live(&s);
    expect_token(&s, good(""), 401);
    expect_token(&s, sign_with(OTHER_SECRET, HS, claims_for(3600, "")), 200);
    scene_redis(&s, "SET usher:t:acme:secret " SECRET);
    await(ask(&s, good(""), "").status == 200);
    expect_token(&s, sign_with(OTHER_SECRET, HS, claims_for(3600, "")), 401);
    scene_redis(&s, "DEL usher:t:acme:secret");
    await(ask(&s, good(""), "").status == 503);
    r = ask(&s, good(""), "");
    cr_assert_str_eq(response_field(&r, "Retry-After"), "1");
    await(scene_logged(&s, "usher:t:acme:secret: there is no such key") > 0);
    scene_redis(&s, "SET usher:t:acme:secret " SECRET);
    await(ask(&s, good(""), "").status == 200);
    scene_end(&s);
}

SCENARIO(mod_jwt, with_redis_away_the_key_that_is_known_serves_on)
{
    static struct scene s;
    struct origin *o = origin_start("one");
    struct response r;
    double before;

    scene_start(&s);
    write_records(&s, o, "jwt(alg=HS256 secret=secret cache=100ms)");
    scene_redis(&s, "HSET usher:routes:acme rsa 'path /rsa to %s modules jwt(alg=RS256 key=rsa)'",
                origin_at(o));
    scene_live(&s);
    expect_token(&s, good(""), 200);
    redis_kill(&s.redis);
    await(scene_metric(&s, "usher_store_up") == 0);
    before = scene_metric(&s, FETCHES);
    await(scene_metric(&s, FETCHES) > before || ask(&s, good(""), "").status != 200);
    expect_token(&s, good(""), 200);
    expect_token(&s, sign_with(OTHER_SECRET, HS, claims_for(3600, "")), 401);
    r = scene_exchange(&s, kept_format("GET /rsa HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer "
                                       "%s\r\nConnection: close\r\n\r\n",
                                       rs256));
    expect_status(r, 503);
    cr_assert_str_eq(response_fault(&r), "module_store");
    scene_end(&s);
}

SCENARIO(mod_jwt, a_key_that_cannot_be_used_is_said_in_the_log_and_the_last_good_one_holds)
{
    static struct scene s;

    scene_start(&s);
    write_records(&s, origin_start("one"), "jwt(alg=HS256 secret=secret cache=100ms)");
    expect_token(&s, good(""), 200);
    scene_redis(&s, "SET usher:t:acme:secret short");
    await(ask(&s, good(""), "").status != 200 ||
          scene_logged(&s, "usher:t:acme:secret: expected a secret of 32 to 4096 bytes") > 0);
    expect_token(&s, good(""), 200);
    scene_redis(&s, "DEL usher:t:acme:secret");
    scene_redis(&s, "HSET usher:t:acme:secret a b");
    await(ask(&s, good(""), "").status != 200 ||
          scene_logged(&s, "usher:t:acme:secret: WRONGTYPE") > 0);
    expect_token(&s, good(""), 200);
    scene_redis(&s, "HSET usher:tenant:acme modules 'jwt(alg=ES256 key=secret)'");
    scene_live(&s);
    expect_token(&s, sign_p256(ES, claims_for(3600, "")), 503);
    cr_assert_eq(scene_logged(&s, SECRET), 0);
    scene_end(&s);
}

SCENARIO(mod_jwt, settings_that_contradict_each_other_are_refused)
{
    static const struct {
        const char *modules, *why;
    } rows[] = {
        { "jwt(secret=secret)", "setting alg of jwt to be said" },
        { "jwt(alg=none secret=secret)", "HS256, HS384" },
        { "jwt(alg=HS256)", "one of secret=KEY, key=KEY, or jwks=PATH service=NAME" },
        { "jwt(alg=HS256 secret=secret key=p256)", "one of secret=KEY, key=KEY" },
        { "jwt(alg=HS256 key=p256)", "HS is no public key" },
        { "jwt(alg=RS256 alg=HS256 key=rsa)", "HS is no public key" },
        { "jwt(alg=RS256 secret=secret)", "which a secret is for" },
        { "jwt(alg=EdDSA key=p256)", "does not have EdDSA" },
        { "jwt(alg=RS256 jwks=/jwks)", "jwks=PATH and service=NAME together" },
        { "jwt(alg=RS256 jwks=jwks service=idp)", "a path such as /.well-known/jwks.json" },
        { "jwt(alg=RS256 key=usher:t:other:rsa)", "a key of this tenant" },
        { "jwt(alg=RS256 key=rsa claim sub=\"X User\")", "CLAIM=HEADER" },
        { "jwt(alg=RS256 key=rsa claim sub=x-forwarded-for)", "not the edge's own" },
        { "jwt(alg=RS256 key=rsa require iss)", "NAME=VALUE" },
        { "jwt(alg=RS256 key=rsa realm=\"a\\\\b\")", "ASCII" },
        { "jwt(alg=RS256 key=rsa cache=1ms)", "100ms" },
    };
    static struct scene s;
    char *said = NULL;

    scene_start(&s);
    write_records(&s, origin_start("one"), "jwt(alg=HS256 secret=secret)");
    expect_token(&s, good(""), 200);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        scene_redis(&s, "HSET usher:tenant:acme modules '%s'", rows[i].modules);
        cr_assert(eventually(has(said = scene_redis(&s, "HGET usher:errors usher:tenant:acme"),
                                 rows[i].why),
                             AWAIT_MS),
                  "%s: %s", rows[i].modules, said);
        expect_token(&s, good(""), 200);
        expect_status(ask(&s, NULL, ""), 401);
    }
    scene_end(&s);
}

SCENARIO(mod_jwt, a_jwk_set_is_fetched_once_and_a_tokens_kid_says_which_key)
{
    static struct scene s;
    struct origin *o = origin_start("one"), *idp = origin_start("idp");

    scene_start(&s);
    serve_set(idp, RSA_KEY "," P256_KEY("a"));
    scene_endpoint(&s, "idp", idp);
    write_records(
        &s, o, "jwt(alg=RS256 alg=ES256 jwks=/.well-known/jwks.json service=idp claim sub=X-User)");
    expect_token(&s, rs256, 200);
    cr_assert_str_eq(told(o, "X-User"), "jane");
    expect_token(&s, sign_p256(ES_BY("a"), claims_for(3600, "")), 200);
    expect_token(&s, sign_p256(ES, claims_for(3600, "")), 200); /* there is one that fits */
    expect_token(&s, sign_p256(ES_BY("rsa"), claims_for(3600, "")), 401);
    cr_assert_str_eq(origin_request(idp, 0)->target, "/.well-known/jwks.json");
    cr_assert_leq(origin_requests(idp), 2); /* one for the kid of another kind */
    cr_assert_null(message_field(origin_request(idp, 0)->head, "Authorization"));
    scene_end(&s);
}

SCENARIO(mod_jwt, a_strange_kid_fetches_the_set_anew_but_not_again_and_again)
{
    static struct scene s;
    struct origin *idp = origin_start("idp");

    scene_start(&s);
    serve_set(idp, P256_KEY("a"));
    scene_endpoint(&s, "idp", idp);
    write_records(&s, origin_start("one"), "jwt(alg=ES256 jwks=/jwks service=idp)");
    expect_token(&s, sign_p256(ES_BY("a"), claims_for(3600, "")), 200);
    cr_assert_eq(origin_requests(idp), 1);
    serve_set(idp, P256_KEY("b"));
    expect_token(&s, sign_p256(ES_BY("b"), claims_for(3600, "")), 200);
    cr_assert_eq(origin_requests(idp), 2);
    expect_token(&s, sign_p256(ES_BY("a"), claims_for(3600, "")), 401);
    for (unsigned i = 0; i < 10; i++)
        expect_token(&s, sign_p256(ES_BY("c"), claims_for(3600, "")), 401);
    cr_assert_eq(origin_requests(idp), 2);
    expect_metric(&s, FETCHES, 2);
    scene_end(&s);
}

SCENARIO(mod_jwt, the_keys_that_are_known_serve_on_while_the_set_is_not_to_be_had)
{
    static struct scene s;
    struct origin *idp = origin_start("idp");
    const char *token = sign_p256(ES_BY("a"), claims_for(3600, ""));
    struct response r;
    double before;

    scene_start(&s);
    origin_answers(idp, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    scene_endpoint(&s, "idp", idp);
    write_records(&s, origin_start("one"), "jwt(alg=ES256 jwks=/jwks service=idp cache=100ms)");
    r = ask(&s, token, "");
    expect_status(r, 503);
    cr_assert_str_eq(response_fault(&r), "module_service");
    await(scene_logged(&s, "/jwks: the JWK Set was not to be had: 500") > 0);
    serve_set(idp, "1,{}," P256_KEY("a"));
    await(ask(&s, token, "").status == 200);
    origin_answers(idp, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>");
    await(ask(&s, token, "").status != 200 || scene_logged(&s, "/jwks: expected a JWK Set") > 0);
    expect_token(&s, token, 200);
    origin_stop(idp);
    before = scene_metric(&s, FETCHES);
    await(ask(&s, token, "").status != 200 || scene_metric(&s, FETCHES) > before);
    expect_token(&s, token, 200);
    scene_end(&s);
}

/* The one that fetches goes away: the others do not wait for ever. */
SCENARIO(mod_jwt, many_wait_for_one_fetch_and_each_gets_its_answer)
{
    static struct scene s;
    static struct client *c[20];
    static struct gate gate = GATE_CLOSED;
    struct origin *idp = origin_start("idp");
    const char *request =
        kept_format("GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer %s\r\n\r\n",
                    sign_p256(ES_BY("a"), claims_for(3600, "")));

    scene_start(&s);
    origin_script(idp, origin_at_gate, &gate);
    scene_endpoint(&s, "idp", idp);
    write_records(&s, origin_start("one"), "jwt(alg=ES256 jwks=/jwks service=idp)");
    c[0] = scene_open(&s);
    client_send(c[0], request);
    await(gate_waiting(&gate) == 1);
    for (unsigned i = 1; i < 20; i++) {
        c[i] = scene_open(&s);
        client_send(c[i], request);
    }
    serve_set(idp, P256_KEY("a"));
    client_reset(c[0]);
    for (unsigned i = 1; i < 20; i++)
        expect_status(client_read(c[i]), 200);
    cr_assert_eq(origin_requests(idp), 2);
    gate_open(&gate);
    scene_end(&s);
}
