/* token.c -- JSON web tokens: cut, decoded, and their claims judged.
 *
 * Owns:    nothing.
 * Thread:  any (pure).
 * Used by: jwt.c.
 * Not here: keys (keys.c). */
#include <stdio.h>
#include <string.h>

#include "jwt.h"

#define NAME_SHOWN 60

static const char *const names[JWT_ALGS] = { "HS256", "HS384", "HS512", "RS256", "RS384",
                                             "RS512", "ES256", "ES384", "EdDSA" };

enum jwt_alg jwt_alg_named(const char *name)
{
    unsigned alg = 0;

    while (alg < JWT_ALGS && strcmp(names[alg], name) != 0)
        alg++;
    return (enum jwt_alg)alg;
}

/* One of a name only: what one reader takes for the value another might not. */
static json_t *read_object(struct usher_text text)
{
    json_t *read = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);

    if (read != NULL && !json_is_object(read)) {
        json_decref(read);
        return NULL;
    }
    return read;
}

/* --- the token --- */

static const char *read_header(const json_t *header, struct jwt_token *t)
{
    const json_t *alg = json_object_get(header, "alg"), *kid = json_object_get(header, "kid");

    if (!json_is_string(alg))
        return "the token does not name its algorithm";
    if (json_object_get(header, "crit") != NULL) /* RFC 7515 4.1.11 */
        return "the token demands an extension that is not known here";
    t->alg = jwt_alg_named(json_string_value(alg));
    t->has_kid = kid != NULL;
    if (kid == NULL)
        return NULL;
    if (!json_is_string(kid) || json_string_length(kid) > JWT_KID_MAX)
        return "the token's key id is not well formed";
    memcpy(t->kid, json_string_value(kid), json_string_length(kid));
    return NULL;
}

/* Up to the next dot, decoded behind what has been. */
static bool next_part(const struct usher_host *host, struct usher_text *rest, bool last,
                      char **room, struct usher_text *part)
{
    const char *dot = memchr(rest->ptr, '.', rest->len);
    size_t len = dot != NULL ? (size_t)(dot - rest->ptr) : rest->len;
    size_t decoded;

    if (last != (dot == NULL))
        return false;
    decoded = usher_decode_base64(host, (struct usher_text){ rest->ptr, len }, true, *room, len);
    if (decoded > len)
        return false;
    *part = (struct usher_text){ *room, decoded };
    *room += decoded;
    *rest = (struct usher_text){ rest->ptr + len + !last, rest->len - len - !last };
    return true;
}

const char *jwt_token_read(const struct usher_host *host, struct usher_text token, char *room,
                           struct jwt_token *t)
{
    struct usher_text rest = token, text;
    const char *why;
    json_t *header;

    memset(t, 0, sizeof(*t));
    if (!next_part(host, &rest, false, &room, &text) || text.len > JWT_HEADER_MAX ||
        !next_part(host, &rest, false, &room, &t->payload))
        return "the token is not well formed";
    t->signed_part = (struct usher_text){ token.ptr, token.len - rest.len - 1 };
    if (!next_part(host, &rest, true, &room, &t->signature))
        return "the token is not well formed";
    header = read_object(text);
    if (header == NULL)
        return "the token's header is not a JSON object, or names something twice";
    why = read_header(header, t);
    json_decref(header);
    return why;
}

/* --- claims --- */

json_t *jwt_claims_read(struct usher_text payload, const char **why)
{
    json_t *claims = read_object(payload);

    if (claims == NULL)
        *why = "the token's claims are not a JSON object, or name something twice";
    return claims;
}

static bool refuse(char why[JWT_WHY], const char *sentence)
{
    snprintf(why, JWT_WHY, "%s", sentence);
    return false;
}

/* The names of claims are the settings'; in this sentence only what RFC 6750 3 allows may stand. */
static bool refuse_claim(char why[JWT_WHY], const char *format, struct usher_text name)
{
    char shown[NAME_SHOWN + 1];
    size_t len = name.len < NAME_SHOWN ? name.len : NAME_SHOWN;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];

        shown[i] = c >= ' ' && c < 0x7f && c != '"' && c != '\\' ? (char)c : '?';
    }
    shown[len] = '\0';
    snprintf(why, JWT_WHY, format, shown);
    return false;
}

/* False: it is there, and no number. */
static bool read_time(const json_t *claims, const char *name, double *seconds, bool *there)
{
    const json_t *claim = json_object_get(claims, name);

    *there = claim != NULL;
    *seconds = json_number_value(claim);
    return claim == NULL || json_is_number(claim);
}

static bool judge_times(const json_t *claims, const struct jwt_rules *rules, uint64_t clock_ms,
                        char why[JWT_WHY])
{
    double now = (double)clock_ms / 1000, skew = rules->skew_ms / 1000.0, exp, nbf, iat;
    bool has_exp, has_nbf, has_iat;

    if (!read_time(claims, "exp", &exp, &has_exp) || !read_time(claims, "nbf", &nbf, &has_nbf) ||
        !read_time(claims, "iat", &iat, &has_iat))
        return refuse(why, "exp, nbf or iat is not a number");
    if (!has_exp && !rules->without_exp)
        return refuse(why, "the token does not say when it ends (exp)");
    if (has_exp && now >= exp + skew)
        return refuse(why, "the token has expired");
    if (has_nbf && now + skew < nbf)
        return refuse(why, "the token is not valid yet");
    if (has_iat && now + skew < iat)
        return refuse(why, "the token was issued in the future");
    return true;
}

/* One value as text, with a NUL; NULL: it has none. */
static const char *scalar_text(const json_t *value, char number[32])
{
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_boolean(value))
        return json_is_true(value) ? "true" : "false";
    if (json_is_integer(value)) {
        snprintf(number, 32, "%lld", (long long)json_integer_value(value));
        return number;
    }
    if (json_is_real(value)) {
        snprintf(number, 32, "%.15g", json_real_value(value));
        return number;
    }
    return NULL;
}

static bool is_value(const json_t *claim, struct usher_text wanted)
{
    char number[32];
    const char *text = scalar_text(claim, number);

    return text != NULL && strlen(text) == wanted.len && memcmp(text, wanted.ptr, wanted.len) == 0;
}

/* By its whole name, else step by step: realm_access.roles is `roles` of `realm_access`. NULL: there is none. */
static const json_t *find_claim(const json_t *claims, struct usher_text name)
{
    const json_t *claim = json_object_getn(claims, name.ptr, name.len);
    const char *dot;

    while (claim == NULL && (dot = memchr(name.ptr, '.', name.len)) != NULL) {
        size_t step = (size_t)(dot - name.ptr);

        claims = json_object_getn(claims, name.ptr, step);
        if (claims == NULL)
            return NULL;
        name = (struct usher_text){ dot + 1, name.len - step - 1 };
        claim = json_object_getn(claims, name.ptr, name.len);
    }
    return claim;
}

/* As the value, or among several of them. */
static bool has_value(const json_t *claims, const struct usher_value *required)
{
    const json_t *claim = find_claim(claims, required->name);

    if (!json_is_array(claim))
        return is_value(claim, required->text);
    for (size_t i = 0; i < json_array_size(claim); i++)
        if (is_value(json_array_get(claim, i), required->text))
            return true;
    return false;
}

static bool is_same_name(struct usher_text a, struct usher_text b)
{
    return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

/* Of several values of one name, one suffices. */
static bool judge_required(const json_t *claims, const struct jwt_rules *rules, char why[JWT_WHY])
{
    for (uint32_t i = 0; i < rules->require_count; i++) {
        bool met = false;

        for (uint32_t k = 0; k < rules->require_count && !met; k++)
            met = is_same_name(rules->require[i].name, rules->require[k].name) &&
                  has_value(claims, &rules->require[k]);
        if (!met)
            return refuse_claim(why, "claim %s is not what is required", rules->require[i].name);
    }
    return true;
}

bool jwt_claims_judge(const json_t *claims, const struct jwt_rules *rules, uint64_t clock_ms,
                      char why[JWT_WHY])
{
    return judge_times(claims, rules, clock_ms, why) && judge_required(claims, rules, why);
}

/* --- claims as headers --- */

static bool add_text(char to[JWT_VALUE_MAX], size_t *at, const char *text)
{
    size_t len = strlen(text);

    if (*at + len >= JWT_VALUE_MAX)
        return false;
    memcpy(to + *at, text, len + 1);
    *at += len;
    return true;
}

enum jwt_value jwt_claim_text(const json_t *claims, struct usher_text name, char to[JWT_VALUE_MAX])
{
    const json_t *claim = find_claim(claims, name);
    char number[32];
    const char *text;
    size_t at = 0;

    to[0] = '\0';
    if (claim == NULL || json_is_null(claim))
        return JWT_NO_VALUE;
    if (!json_is_array(claim)) {
        text = scalar_text(claim, number);
        return text != NULL && add_text(to, &at, text) ? JWT_VALUE : JWT_VALUE_UNFIT;
    }
    for (size_t i = 0; i < json_array_size(claim); i++) {
        text = scalar_text(json_array_get(claim, i), number);
        if (text == NULL || strchr(text, ',') != NULL || (i > 0 && !add_text(to, &at, ",")) ||
            !add_text(to, &at, text))
            return JWT_VALUE_UNFIT;
    }
    return JWT_VALUE;
}
