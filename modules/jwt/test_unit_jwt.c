/* test_unit_jwt.c -- tokens and keys of the RFCs, claims, and everything that must be refused. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jwt.h"
#include "proxy/module_run.h"

#define HOST (&modules_host)

/* RFC 7515 A: the same claims in each. */
#define CLAIMS                                                                                     \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"
static const char hs256[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." CLAIMS
                            ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
static const char rs256[] =
    "eyJhbGciOiJSUzI1NiJ9." CLAIMS
    ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2"
    "Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBM"
    "Hlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w"
    "9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
static const char es256[] =
    "eyJhbGciOiJFUzI1NiJ9." CLAIMS
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
static const char es384[] =
    "eyJhbGciOiJFUzM4NCJ9." CLAIMS
    ".ZHepuHBstzvcWbzcx012EENtNzIo43pTIC9PDgsG-TaH7ejbhnemeoQeRZWDmX2Prh2ZUW8e0isPUCuR9mZJav53x"
    "k3rDt6jNXBMu5dO8756QxkvDuwxxSArgQkI4atQ";

#define N                                                                                          \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4" \
    "d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5re" \
    "xMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxX" \
    "FvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define RSA "\"kty\":\"RSA\",\"n\":\"" N "\",\"e\":\"AQAB\""
#define P256                                                                                       \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","      \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define P384                                                                                       \
    "\"kty\":\"EC\",\"crv\":\"P-384\","                                                            \
    "\"x\":\"x4fTfAXCwZmhLH6FuqI1SqrYMmDAihVtzmEbPN_OFwdvKPxmPIpfdLgukQWV4ta1\","                  \
    "\"y\":\"yMws2B9x3BMTTVXxriCo1w7lKt07mrA4fpbvssz65tprgRKJkLGhQsK_wmEZgBdm\""
#define ED25519                                                                                    \
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""

static const char rsa_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                              "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj\n"
                              "NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz\n"
                              "P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo\n"
                              "9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB\n"
                              "EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX\n"
                              "FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp\n"
                              "oQIDAQAB\n"
                              "-----END PUBLIC KEY-----\n";
static const char p256_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                               "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
                               "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
                               "-----END PUBLIC KEY-----\n";

#define ALL (JWT_BIT(JWT_ALGS) - 1)

/* Where tokens are decoded to: until the next one. */
static char *room(void)
{
    static char bytes[JWT_TOKEN_MAX + 1];

    return bytes;
}

static const char *read_token(const char *text, struct jwt_token *t)
{
    return jwt_token_read(HOST, usher_text(text), room(), t);
}

static struct jwt_keys *keys_of(const char *set, unsigned algs)
{
    const char *why;

    return jwt_keys_of_set(HOST, usher_text(set), algs, &why);
}

static bool is_right(const struct jwt_token *t, const struct jwt_key *key)
{
    return usher_verify(HOST, jwt_kind(t->alg), (struct usher_text){ key->bytes, key->len },
                        t->signed_part, t->signature);
}

/* Letters for bytes, without the host: tokens for this test are made by other code than reads them. */
static char *encode(const char *bytes, char *to)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned bits = 0, held = 0;
    size_t at = 0;

    for (; *bytes != '\0'; bytes++) {
        held = held << 8 | (unsigned char)*bytes;
        for (bits += 8; bits >= 6; bits -= 6)
            to[at++] = letters[held >> (bits - 6) & 63];
    }
    if (bits > 0)
        to[at++] = letters[held << (6 - bits) & 63];
    to[at] = '\0';
    return to;
}

static const char *made(const char *header, const char *payload)
{
    static char token[JWT_TOKEN_MAX], part[2][JWT_TOKEN_MAX / 2];

    snprintf(token, sizeof(token), "%s.%s.AAAA", encode(header, part[0]), encode(payload, part[1]));
    return token;
}

/* --- tokens --- */

Test(jwt, tokens_of_the_rfc_are_read)
{
    struct jwt_token t;

    cr_assert_null(read_token(hs256, &t));
    cr_expect_eq(t.alg, JWT_HS256);
    cr_expect(!t.has_kid);
    cr_expect_eq(t.payload.len, strlen(CLAIMS) * 3 / 4);
    cr_expect_eq(memcmp(t.payload.ptr, "{\"iss\":\"joe\",\r\n", 15), 0);
    cr_expect_eq(t.signature.len, 32);
    cr_expect_eq(t.signed_part.len, strlen(hs256) - 44);
    cr_assert_null(read_token(rs256, &t));
    cr_expect_eq(t.alg, JWT_RS256);
    cr_expect_eq(t.signature.len, 256);
    cr_assert_null(read_token(es256, &t));
    cr_expect_eq(t.alg, JWT_ES256);
    cr_expect_eq(t.signature.len, 64);
    cr_assert_null(read_token(made("{\"alg\":\"EdDSA\",\"kid\":\"a b\"}", "{}"), &t));
    cr_expect_eq(t.alg, JWT_EDDSA);
    cr_expect_str_eq(t.kid, "a b");
}

Test(jwt, another_algorithm_or_none_is_none_of_ours)
{
    static const char *const others[] = { "none",   "None",  "NONE",  "hs256",
                                          "HS256 ", "PS256", "ES512", "" };
    struct jwt_token t;
    char header[64];

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", others[i]);
        cr_expect_null(read_token(made(header, "{}"), &t));
        cr_expect_eq(t.alg, JWT_ALGS, "%s", others[i]);
    }
}

Test(jwt, headers_that_do_not_say_clearly_what_they_are_are_refused)
{
    static const char *const headers[] = {
        "",
        "{",
        "[]",
        "null",
        "\"HS256\"",
        "{}",
        "{\"alg\":null}",
        "{\"alg\":[\"HS256\"]}",
        "{\"alg\":\"HS256\"} x",
        "{\"alg\":\"none\",\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\",\"a\":{\"b\":1,\"b\":2}}",
        "{\"alg\":\"HS256\\u0000\"}",
        "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}",
        "{\"alg\":\"HS256\",\"crit\":[]}",
        "{\"alg\":\"HS256\",\"kid\":7}",
        "{\"alg\":\"HS256\",\"kid\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
    };
    struct jwt_token t;

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        cr_expect_not_null(read_token(made(headers[i], "{}"), &t), "%s", headers[i]);
}

Test(jwt, what_is_not_three_parts_of_base64url_is_no_token)
{
    static const char *const wrong[] = {
        "",
        ".",
        "..",
        "eyJhbGciOiJIUzI1NiJ9",
        "eyJhbGciOiJIUzI1NiJ9.e30",
        "eyJhbGciOiJIUzI1NiJ9.e30.AA.AA",
        "eyJhbGciOiJIUzI1NiJ9.e30.AA.AA.AA",
        "eyJhbGciOiJIUzI1NiJ9.e30=.AA",
        "eyJhbGciOiJIUzI1NiJ9.e3 0.AA",
        "eyJhbGciOiJIUzI1NiJ9.e31.AA", /* bits that say nothing */
        "eyJhbGciOiJIUzI1NiJ9.e30.A",
        "eyJhbGciOiJIUzI1NiJ9.e30.AB",
        "eyJhbGciOiJIUzI1NiJ9.e30.AA==",
        "eyJhbGciOiJIUzI1NiJ9.e30.A+A/",
        " eyJhbGciOiJIUzI1NiJ9.e30.AA",
    };
    struct jwt_token t;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_expect_not_null(read_token(wrong[i], &t), "%s", wrong[i]);
    cr_expect_null(read_token("eyJhbGciOiJIUzI1NiJ9.e30.", &t)); /* its signature is empty */
    cr_expect_eq(t.signature.len, 0);
}

/* --- keys --- */

Test(jwt, signatures_of_the_rfc_are_right_by_jwk_by_pem_and_by_secret)
{
    static const char secret[] = "\x03\x23\x35\x4b\x2b\x0f\xa5\xbc\x83\x7e\x06\x65\x77\x7b\xa6\x8f"
                                 "\x5a\xb3\x28\xe6\xf0\x54\xc9\x28\xa9\x0f\x84\xb2\xd2\x50\x2e\xbf"
                                 "\xd3\xfb\x5a\x92\xd2\x06\x47\xef\x96\x8a\xb4\xc3\x77\x62\x3d\x22"
                                 "\x3d\x2e\x21\x72\x05\x2e\x4f\x08\xc0\xcd\x9a\xf5\x67\xd0\x80\xa3";
    static const char set[] = "{\"keys\":[{" RSA "},{" P256 "},{" P384 "}]}";
    static const char *const tokens[] = { rs256, es256, es384 };
    const char *why;
    struct jwt_keys *all = keys_of(set, ALL),
                    *by_secret = jwt_keys_of_secret(HOST, (struct usher_text){ secret, 64 },
                                                    JWT_BIT(JWT_HS256), &why),
                    *by_rsa_pem =
                        jwt_keys_of_pem(HOST, usher_text(rsa_pem), JWT_BIT(JWT_RS256), &why),
                    *by_p256_pem =
                        jwt_keys_of_pem(HOST, usher_text(p256_pem), JWT_BIT(JWT_ES256), &why);
    struct jwt_token t;

    cr_assert(all != NULL && by_secret != NULL && by_rsa_pem != NULL && by_p256_pem != NULL);
    cr_expect_eq(all->count, 3);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_null(read_token(tokens[i], &t));
        cr_expect(is_right(&t, jwt_keys_choose(all, &t)), "%s", tokens[i]);
        room()[t.signature.ptr - room()] ^= 1;
        cr_expect(!is_right(&t, jwt_keys_choose(all, &t)), "%s", tokens[i]);
    }
    cr_assert_null(read_token(rs256, &t));
    cr_expect(is_right(&t, jwt_keys_choose(by_rsa_pem, &t)));
    cr_expect_null(jwt_keys_choose(by_p256_pem, &t));
    cr_expect_null(jwt_keys_choose(by_secret, &t));
    cr_assert_null(read_token(es256, &t));
    cr_expect(is_right(&t, jwt_keys_choose(by_p256_pem, &t)));
    cr_assert_null(read_token(hs256, &t));
    cr_expect(is_right(&t, jwt_keys_choose(by_secret, &t)));
    cr_expect_null(jwt_keys_choose(by_rsa_pem, &t)); /* a public key is no secret */
    jwt_keys_free(all);
    jwt_keys_free(by_secret);
    jwt_keys_free(by_rsa_pem);
    jwt_keys_free(by_p256_pem);
}

Test(jwt, keys_of_a_set_that_do_not_fit_are_passed_over)
{
    static const struct {
        const char *set;
        unsigned algs, count;
    } rows[] = {
        { "{\"keys\":[{" RSA "},{" P256 "},{" P384 "},{" ED25519 "}]}", ALL, 4 },
        { "{\"keys\":[{" RSA "},{" P256 "},{" P384 "},{" ED25519 "}]}", JWT_BIT(JWT_RS512), 1 },
        { "{\"keys\":[{" RSA ",\"use\":\"sig\",\"alg\":\"RS256\",\"key_ops\":[\"verify\"]}]}", ALL,
          1 },
        { "{\"keys\":[{" RSA ",\"alg\":\"RS256\"}]}", JWT_BIT(JWT_RS512), 0 },
        { "{\"keys\":[{" RSA ",\"alg\":\"PS256\"}]}", ALL, 0 },
        { "{\"keys\":[{" RSA ",\"alg\":\"HS256\"}]}", ALL, 0 },
        { "{\"keys\":[{" RSA ",\"use\":\"enc\"}]}", ALL, 0 },
        { "{\"keys\":[{" RSA ",\"key_ops\":[\"encrypt\"]}]}", ALL, 0 },
        { "{\"keys\":[{" RSA ",\"key_ops\":[]}]}", ALL, 0 },
        { "{\"keys\":[{" RSA ",\"kid\":1}]}", ALL, 0 },
        { "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\"}]}",
          ALL, 0 },
        { "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", ALL, 0 },
        { "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" N "\"}]}", ALL, 0 },
        { "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" N "\",\"e\":\"AA\"}]}", ALL, 0 },
        { "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" N N N N N "\",\"e\":\"AQAB\"}]}", ALL, 0 },
        { "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQAB\",\"y\":\"AQAB\"}]}", ALL, 0 },
        { "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AQAB\",\"y\":\"AQAB\"}]}", ALL, 0 },
        { "{\"keys\":[1,null,[],{},\"x\",{" P256 "}]}", ALL, 1 },
        { "{\"keys\":[]}", ALL, 0 },
        { "{\"keys\":{" RSA "}}", ALL, 0 },
        { "{" RSA "}", ALL, 0 },
        { "[{" RSA "}]", ALL, 0 },
        { "{\"keys\":[{" RSA "}],\"keys\":[{" P256 "}]}", ALL, 0 },
        { "{\"keys\":[{" RSA ",\"e\":\"Aw\"}]}", ALL, 0 },
        { "", ALL, 0 },
        { "<html>", ALL, 0 },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct jwt_keys *keys = keys_of(rows[i].set, rows[i].algs);

        cr_expect_eq(keys != NULL ? keys->count : 0, rows[i].count, "%s", rows[i].set);
        jwt_keys_free(keys);
    }
}

/* Zeros before a number are none of its bytes: what is written is the same. */
Test(jwt, a_key_is_the_same_however_many_zeros_stand_before_it)
{
    struct jwt_keys *plain = keys_of("{\"keys\":[{" RSA "}]}", ALL);
    struct jwt_keys *zeros =
        keys_of("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" N "\",\"e\":\"AAABAAE\"}]}", ALL);

    cr_assert(plain != NULL && zeros != NULL);
    cr_expect_eq(memcmp(plain->list[0].id, zeros->list[0].id, 32), 0);
    jwt_keys_free(plain);
    jwt_keys_free(zeros);
}

Test(jwt, a_kid_chooses_the_key_and_without_one_there_must_be_one_that_fits)
{
    struct jwt_keys *keys = keys_of("{\"keys\":[{" RSA ",\"kid\":\"a\"},{" P256
                                    ",\"kid\":\"b\"},{" RSA ",\"kid\":\"c\"}]}",
                                    ALL);
    struct jwt_token t;

    cr_assert_not_null(keys);
    cr_assert_null(read_token(made("{\"alg\":\"RS256\",\"kid\":\"c\"}", "{}"), &t));
    cr_expect_eq(jwt_keys_choose(keys, &t), &keys->list[2]);
    cr_assert_null(read_token(made("{\"alg\":\"RS256\",\"kid\":\"b\"}", "{}"), &t));
    cr_expect_null(jwt_keys_choose(keys, &t)); /* it is another kind's */
    cr_assert_null(read_token(made("{\"alg\":\"RS256\",\"kid\":\"d\"}", "{}"), &t));
    cr_expect_null(jwt_keys_choose(keys, &t));
    cr_assert_null(read_token(made("{\"alg\":\"RS256\"}", "{}"), &t));
    cr_expect_null(jwt_keys_choose(keys, &t)); /* a or c */
    cr_assert_null(read_token(made("{\"alg\":\"ES256\"}", "{}"), &t));
    cr_expect_eq(jwt_keys_choose(keys, &t), &keys->list[1]);
    jwt_keys_free(keys);
}

Test(jwt, a_secret_that_could_be_guessed_and_a_key_that_is_none_are_refused)
{
    static const char secret[] = "0123456789012345678901234567890123456789012345678901234567890123";
    static const char *const wrong[] = {
        "",
        "x",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    };
    static const struct {
        enum jwt_alg alg;
        size_t least;
    } rows[] = { { JWT_HS256, 32 }, { JWT_HS384, 48 }, { JWT_HS512, 64 } };
    const char *why = NULL;
    struct jwt_keys *keys;

    for (size_t i = 0; i < 3; i++) {
        keys = jwt_keys_of_secret(HOST, (struct usher_text){ secret, rows[i].least },
                                  JWT_BIT(rows[i].alg), &why);
        cr_expect_not_null(keys);
        jwt_keys_free(keys);
        cr_expect_null(jwt_keys_of_secret(HOST, (struct usher_text){ secret, rows[i].least - 1 },
                                          JWT_BIT(rows[i].alg), &why));
        cr_expect_not_null(why);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_expect_null(jwt_keys_of_pem(HOST, usher_text(wrong[i]), ALL, &why), "%s", wrong[i]);
}

/* What mbedTLS has decides; today it has none, and a settings' error says so. */
Test(jwt, eddsa_is_had_when_the_librarys_answer_is_right)
{
    struct jwt_keys *keys = keys_of("{\"keys\":[{" ED25519 "}]}", ALL);
    struct jwt_token t;

    cr_assert_not_null(keys);
    cr_assert_null(read_token(made("{\"alg\":\"EdDSA\"}", "{}"), &t));
    t.signed_part = usher_text("");
    cr_expect(!is_right(&t, &keys->list[0]));
    cr_expect(!jwt_has_eddsa(HOST));
    jwt_keys_free(keys);
}

/* --- claims --- */

static bool judge(const char *json, const struct jwt_rules *rules, uint64_t clock_ms)
{
    char why[JWT_WHY] = "";
    const char *wrong = NULL;
    json_t *claims = jwt_claims_read(usher_text(json), &wrong);
    bool good = claims != NULL && jwt_claims_judge(claims, rules, clock_ms, why);

    cr_expect(good || why[0] != '\0' || wrong != NULL);
    json_decref(claims);
    return good;
}

Test(jwt, a_token_lasts_from_nbf_to_exp_give_or_take_the_skew)
{
    static const struct jwt_rules exact = { 0 }, loose = { .skew_ms = 30000 };

    cr_expect(judge("{\"exp\":100}", &exact, 99999));
    cr_expect(!judge("{\"exp\":100}", &exact, 100000));
    cr_expect(judge("{\"exp\":100}", &loose, 129999));
    cr_expect(!judge("{\"exp\":100}", &loose, 130000));
    cr_expect(judge("{\"exp\":100.5}", &exact, 100499));
    cr_expect(!judge("{\"exp\":100.5}", &exact, 100500));
    cr_expect(!judge("{\"exp\":900,\"nbf\":100}", &exact, 99999));
    cr_expect(judge("{\"exp\":900,\"nbf\":100}", &exact, 100000));
    cr_expect(!judge("{\"exp\":900,\"nbf\":100}", &loose, 69999));
    cr_expect(judge("{\"exp\":900,\"nbf\":100}", &loose, 70000));
    cr_expect(!judge("{\"exp\":900,\"iat\":100}", &exact, 99999));
    cr_expect(judge("{\"exp\":900,\"iat\":100}", &exact, 100000));
    cr_expect(judge("{\"exp\":900,\"iat\":100}", &loose, 70000));
    cr_expect(!judge("{\"exp\":-1}", &exact, 1));
    cr_expect(judge("{\"exp\":1e300}", &exact, 1));
}

Test(jwt, times_that_are_no_numbers_and_tokens_without_an_end_are_refused)
{
    static const struct jwt_rules exact = { 0 }, endless = { .without_exp = true };

    cr_expect(!judge("{}", &exact, 1));
    cr_expect(judge("{}", &endless, 1));
    cr_expect(!judge("{\"exp\":1}", &endless, 5000));
    cr_expect(!judge("{\"exp\":\"900\"}", &exact, 1));
    cr_expect(!judge("{\"exp\":null}", &endless, 1));
    cr_expect(!judge("{\"exp\":900,\"nbf\":\"0\"}", &exact, 1));
    cr_expect(!judge("{\"exp\":900,\"iat\":[]}", &exact, 1));
    cr_expect(!judge("{\"exp\":99999999999999999999999}", &exact, 1));
    cr_expect(!judge("{\"exp\":1,\"exp\":900}", &exact, 1));
    cr_expect(!judge("[]", &endless, 1));
    cr_expect(!judge("", &endless, 1));
}

#define REQUIRED(n, v) { .name = { n, sizeof(n) - 1 }, .text = { v, sizeof(v) - 1 } }

Test(jwt, claims_are_required_as_text_or_in_an_array)
{
    static const struct usher_value required[] = { REQUIRED("iss", "shop"), REQUIRED("aud", "web"),
                                                   REQUIRED("aud", "app") };
    static const struct usher_value others[] = { REQUIRED("admin", "true"), REQUIRED("level", "3"),
                                                 REQUIRED("http://x/a", "") };
    const struct jwt_rules rules = { .without_exp = true, .require = required, .require_count = 3 };
    const struct jwt_rules more = { .without_exp = true, .require = others, .require_count = 3 };

    cr_expect(judge("{\"iss\":\"shop\",\"aud\":\"web\"}", &rules, 1));
    cr_expect(judge("{\"iss\":\"shop\",\"aud\":\"app\"}", &rules, 1));
    cr_expect(judge("{\"iss\":\"shop\",\"aud\":[\"x\",\"app\"]}", &rules, 1));
    cr_expect(!judge("{\"iss\":\"shop\",\"aud\":[\"x\",\"y\"]}", &rules, 1));
    cr_expect(!judge("{\"iss\":\"shop\",\"aud\":[]}", &rules, 1));
    cr_expect(!judge("{\"iss\":\"shop\",\"aud\":[[\"web\"]]}", &rules, 1));
    cr_expect(!judge("{\"iss\":\"shop\",\"aud\":{\"web\":1}}", &rules, 1));
    cr_expect(!judge("{\"iss\":\"shop\",\"aud\":\"webapp\"}", &rules, 1));
    cr_expect(!judge("{\"iss\":\"shop\",\"aud\":\"Web\"}", &rules, 1));
    cr_expect(!judge("{\"iss\":\"shop\"}", &rules, 1));
    cr_expect(!judge("{\"iss\":\"sho\",\"aud\":\"web\"}", &rules, 1));
    cr_expect(!judge("{\"aud\":\"web\"}", &rules, 1));
    cr_expect(judge("{\"admin\":true,\"level\":3,\"http://x/a\":\"\"}", &more, 1));
    cr_expect(!judge("{\"admin\":false,\"level\":3,\"http://x/a\":\"\"}", &more, 1));
    cr_expect(!judge("{\"admin\":true,\"level\":3}", &more, 1));
    cr_expect(!judge("{\"admin\":true,\"level\":3,\"http://x/a\":null}", &more, 1));
}

Test(jwt, a_claim_within_a_claim_is_found_by_its_steps_and_a_whole_name_comes_first)
{
    static const struct {
        const char *json, *text;
    } rows[] = {
        { "{\"a\":{\"b\":\"x\"}}", NULL },
        { "{\"a\":{\"b\":{\"c\":\"x\"}}}", "x" },
        { "{\"a\":{\"b.c\":\"x\"}}", "x" },
        { "{\"a.b.c\":\"y\",\"a\":{\"b\":{\"c\":\"x\"}}}", "y" },
        { "{\"a\":\"x\"}", NULL },
        { "{\"a\":[{\"b\":{\"c\":\"x\"}}]}", NULL },
        { "{\"a\":{\"b\":[\"c\"]}}", NULL },
        { "{\"\":{\"a\":1}}", NULL },
    };
    char text[JWT_VALUE_MAX];
    const char *wrong;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *claims = jwt_claims_read(usher_text(rows[i].json), &wrong);
        enum jwt_value is = jwt_claim_text(claims, usher_text("a.b.c"), text);

        cr_expect_eq(is, rows[i].text != NULL ? JWT_VALUE : JWT_NO_VALUE, "%s", rows[i].json);
        cr_expect_str_eq(text, rows[i].text != NULL ? rows[i].text : "", "%s", rows[i].json);
        json_decref(claims);
    }
}

/* What a client is told is made of what RFC 6750 allows. */
Test(jwt, the_name_of_a_claim_cannot_break_the_sentence_that_names_it)
{
    static const struct usher_value required[] = { REQUIRED("a\"\\\r\nb", "x") };
    const struct jwt_rules rules = { .without_exp = true, .require = required, .require_count = 1 };
    const char *wrong;
    char why[JWT_WHY];
    json_t *claims = jwt_claims_read(usher_text("{}"), &wrong);

    cr_assert_not_null(claims);
    cr_expect(!jwt_claims_judge(claims, &rules, 1, why));
    cr_expect_str_eq(why, "claim a????b is not what is required");
    json_decref(claims);
}

Test(jwt, claims_become_headers_if_they_can_be_taken_for_nothing_else)
{
    static const struct {
        const char *json, *text;
        enum jwt_value is;
    } rows[] = {
        { "{\"c\":\"jane\"}", "jane", JWT_VALUE },
        { "{\"c\":\"a, b\"}", "a, b", JWT_VALUE },
        { "{\"c\":7}", "7", JWT_VALUE },
        { "{\"c\":-9007199254740993}", "-9007199254740993", JWT_VALUE },
        { "{\"c\":1.5}", "1.5", JWT_VALUE },
        { "{\"c\":true}", "true", JWT_VALUE },
        { "{\"c\":false}", "false", JWT_VALUE },
        { "{\"c\":[\"a\",\"b\",3]}", "a,b,3", JWT_VALUE },
        { "{\"c\":[]}", "", JWT_VALUE },
        { "{\"c\":\"\"}", "", JWT_VALUE },
        { "{}", "", JWT_NO_VALUE },
        { "{\"c\":null}", "", JWT_NO_VALUE },
        { "{\"c\":{\"a\":1}}", NULL, JWT_VALUE_UNFIT },
        { "{\"c\":[\"a,b\"]}", NULL, JWT_VALUE_UNFIT },
        { "{\"c\":[[\"a\"]]}", NULL, JWT_VALUE_UNFIT },
        { "{\"c\":[null]}", NULL, JWT_VALUE_UNFIT },
    };
    char text[JWT_VALUE_MAX];
    const char *wrong;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *claims = jwt_claims_read(usher_text(rows[i].json), &wrong);

        cr_expect_eq(jwt_claim_text(claims, usher_text("c"), text), rows[i].is, "%s", rows[i].json);
        cr_expect(rows[i].text == NULL || strcmp(text, rows[i].text) == 0, "%s", rows[i].json);
        json_decref(claims);
    }
}

Test(jwt, a_claim_that_is_too_long_does_not_fit_a_header)
{
    char text[JWT_VALUE_MAX], json[JWT_VALUE_MAX + 20];
    const char *wrong;
    json_t *claims;

    for (int len = JWT_VALUE_MAX - 2; len < JWT_VALUE_MAX + 2; len++) {
        snprintf(json, sizeof(json), "{\"c\":\"%0*d\"}", len, 0);
        claims = jwt_claims_read(usher_text(json), &wrong);
        cr_expect_eq(jwt_claim_text(claims, usher_text("c"), text),
                     len < JWT_VALUE_MAX ? JWT_VALUE : JWT_VALUE_UNFIT);
        json_decref(claims);
    }
}
