/* jwt.c -- lets in who has a JSON web token, signed with a key of the tenant's, and tells the endpoint its claims.
 *
 *     redis-cli SET usher:t:acme:jwt "$(openssl rand -hex 32)"
 *     redis-cli HSET usher:tenant:acme modules 'jwt(alg=HS256 secret=jwt require iss=shop claim sub=X-User)'
 */
#include "jwt.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { ACCEPTED, REFUSED, VERIFIED, FETCHES, METRICS };

#define NAP_MS 20 /* between two looks whether another has fetched the keys */
#define FETCH_MS 5000
#define RSA_SIGNATURE_LEAST 256
#define TEXT_TYPE "text/plain; charset=utf-8"

static const struct usher_metric metrics[METRICS] = {
    [ACCEPTED] = { "accepted_total", USHER_COUNTER, "Requests let in by a token." },
    [REFUSED] = { "refused_total", USHER_COUNTER, "Requests answered with 401." },
    [VERIFIED] = { "verified_total", USHER_COUNTER, "Signatures by public keys verified." },
    [FETCHES] = { "fetches_total", USHER_COUNTER, "Keys asked for." },
};

/* One request's way to its answer. */
struct attempt {
    struct usher_text text; /* the token */
    struct jwt_token token;
    struct jwt_key key;
    uint8_t digest[32]; /* of key and token */
    bool fetches;       /* has the lease, until the answer is here */
    struct usher_answer answer;
    struct usher_response response;
};

/* What is verified on another thread: it may outlive the exchange. */
struct verifying {
    const struct usher_host *host;
    enum usher_signature kind;
    bool good;
    size_t key, bytes, signature; /* their lengths */
    char all[];                   /* one behind the other */
};

/* --- what it comes to --- */

/* RFC 6750 3. `why` NULL: there was no token. */
static enum usher_result refuse(struct usher_exchange *x, const struct jwt *j, const char *why)
{
    char challenge[400], body[JWT_WHY + 2];
    int len = snprintf(challenge, sizeof(challenge), "Bearer realm=\"%.*s\"", (int)j->realm.len,
                       j->realm.ptr);
    enum usher_result result;

    if (why != NULL)
        snprintf(challenge + len, sizeof(challenge) - (size_t)len,
                 ", error=\"invalid_token\", error_description=\"%s\"", why);
    snprintf(body, sizeof(body), "%s\n", why != NULL ? why : "a token is needed");
    usher_count(x, REFUSED, 1);
    result = usher_reply(x, 401, usher_text(TEXT_TYPE), usher_text(body));
    if (result == USHER_ANSWERED &&
        !usher_header_set(x, USHER_RESPONSE, usher_text("WWW-Authenticate"), usher_text(challenge)))
        return USHER_FAULT;
    return result;
}

/* There is no key to judge by. */
static enum usher_result give_up(struct usher_exchange *x, const struct jwt *j,
                                 enum jwt_fetched how)
{
    enum usher_result result;

    if (how == JWT_STORE_AWAY)
        return usher_fault(x, USHER_BECAUSE_STORE);
    if (j->key.ptr == NULL)
        return usher_fault(x, USHER_BECAUSE_SERVICE);
    result = usher_reply(x, 503, usher_text(TEXT_TYPE),
                         usher_text("the key that tokens are signed with is not to be had\n"));
    if (result == USHER_ANSWERED &&
        !usher_header_set(x, USHER_RESPONSE, usher_text("Retry-After"), usher_text("1")))
        return USHER_FAULT;
    return result;
}

static enum usher_result tell_claims(struct usher_exchange *x, const struct jwt *j,
                                     const json_t *claims)
{
    char value[JWT_VALUE_MAX];

    for (uint32_t i = 0; i < j->claim_count; i++) {
        const struct usher_value *claim = &j->claims[i];
        enum jwt_value is = jwt_claim_text(claims, claim->name, value);

        if (is == JWT_NO_VALUE)
            continue;
        if (is != JWT_VALUE || !usher_header_add(x, USHER_REQUEST, claim->text, usher_text(value)))
            return refuse(x, j, "a claim of the token cannot stand in a header");
    }
    if (!j->pass && !usher_header_remove(x, USHER_REQUEST, usher_text("Authorization")))
        return USHER_FAULT;
    usher_count(x, ACCEPTED, 1);
    return USHER_GO_ON;
}

/* The signature is right. */
static enum usher_result judge_claims(struct usher_exchange *x, const struct jwt *j,
                                      const struct attempt *a)
{
    char why[JWT_WHY];
    const char *wrong;
    json_t *claims = jwt_claims_read(a->token.payload, &wrong);
    enum usher_result result;

    if (claims == NULL)
        return refuse(x, j, wrong);
    if (jwt_claims_judge(claims, &j->rules, usher_clock_ms(x), why))
        result = tell_claims(x, j, claims);
    else
        result = refuse(x, j, why);
    json_decref(claims);
    return result;
}

/* --- signatures --- */

static void verify(void *arg)
{
    struct verifying *v = arg;

    v->good = usher_verify(v->host, v->kind, (struct usher_text){ v->all, v->key },
                           (struct usher_text){ v->all + v->key, v->bytes },
                           (struct usher_text){ v->all + v->key + v->bytes, v->signature });
}

static enum usher_result on_verified(struct usher_exchange *x, const void *compiled, void *arg)
{
    const struct jwt *j = compiled;
    const struct attempt *a = *usher_state(x);
    const struct verifying *v = arg;

    usher_count(x, VERIFIED, 1);
    if (!v->good)
        return refuse(x, j, "the token's signature is wrong");
    jwt_known_remember(j->known, a->digest);
    return judge_claims(x, j, a);
}

static enum usher_result start_verifying(struct usher_exchange *x, const struct attempt *a)
{
    const struct jwt_token *t = &a->token;
    size_t bytes = sizeof(struct verifying) + a->key.len + t->signed_part.len + t->signature.len;
    struct verifying *v = usher_alloc(x, bytes);

    if (v == NULL)
        return USHER_FAULT;
    v->host = x->host;
    v->kind = jwt_kind(t->alg);
    v->key = a->key.len;
    v->bytes = t->signed_part.len;
    v->signature = t->signature.len;
    memcpy(v->all, a->key.bytes, v->key);
    memcpy(v->all + v->key, t->signed_part.ptr, v->bytes);
    memcpy(v->all + v->key + v->bytes, t->signature.ptr, v->signature);
    return usher_job(x, verify, v, bytes, on_verified) ? USHER_WAIT : USHER_FAULT;
}

/* Digest of key and token, which says whether they have been seen together. */
static bool name_pair(struct usher_exchange *x, struct attempt *a)
{
    size_t id = sizeof(a->key.id);
    char *both = usher_alloc(x, id + a->text.len);
    uint8_t digest[64];

    if (both == NULL)
        return false;
    memcpy(both, a->key.id, id);
    memcpy(both + id, a->text.ptr, a->text.len);
    usher_digest(x->host, USHER_SHA256, (struct usher_text){ both, id + a->text.len }, digest);
    memcpy(a->digest, digest, sizeof(a->digest));
    return true;
}

/* A HMAC is quicker than its job would be. A public key's signature is not: there the loop goes on meanwhile, and what was
 * right once is not verified again. */
static enum usher_result judge_signature(struct usher_exchange *x, const struct jwt *j,
                                         struct attempt *a)
{
    const struct jwt_token *t = &a->token;
    struct usher_text key = { a->key.bytes, a->key.len };

    if ((JWT_BIT(t->alg) & JWT_SYMMETRIC) != 0) {
        bool good = usher_verify(x->host, jwt_kind(t->alg), key, t->signed_part, t->signature);

        explicit_bzero(a->key.bytes, a->key.len);
        return good ? judge_claims(x, j, a) : refuse(x, j, "the token's signature is wrong");
    }
    if (t->alg >= JWT_RS256 && t->alg <= JWT_RS512 && t->signature.len < RSA_SIGNATURE_LEAST)
        return refuse(x, j, "the token's signature is wrong");
    if (!name_pair(x, a))
        return USHER_FAULT;
    return jwt_known_is_right(j->known, a->digest) ? judge_claims(x, j, a) : start_verifying(x, a);
}

/* --- keys --- */

static enum usher_result go_on(struct usher_exchange *x, const struct jwt *j, struct attempt *a);

static void log_key(struct usher_exchange *x, const struct jwt *j, const char *why)
{
    struct usher_text where = j->key.ptr != NULL ? j->key : j->path;
    char sentence[300];

    snprintf(sentence, sizeof(sentence), "%.*s: %s", (int)(where.len < 120 ? where.len : 120),
             where.ptr, why != NULL ? why : "Redis refuses it");
    usher_log(x, USHER_LOG_WARN, sentence);
}

static enum usher_result end_fetch(struct usher_exchange *x, const struct jwt *j, struct attempt *a,
                                   enum jwt_fetched how, struct jwt_keys *keys)
{
    a->fetches = false;
    jwt_known_fetched(j->known, how, keys, usher_now_ms(x));
    return go_on(x, j, a);
}

static enum usher_result on_answer(struct usher_exchange *x, const void *compiled, void *arg)
{
    const struct jwt *j = compiled;
    struct attempt *a = arg;
    struct jwt_keys *keys;
    struct usher_text value;
    const char *why;

    if (a->answer.state == USHER_ANSWER_AWAY)
        return end_fetch(x, j, a, JWT_STORE_AWAY, NULL);
    if (a->answer.state != USHER_ANSWER_GOOD) {
        log_key(x, j, usher_copy(x, a->answer.values[0]).ptr);
        return end_fetch(x, j, a, JWT_WRONG, NULL);
    }
    value = a->answer.values[0];
    if (value.ptr == NULL) {
        log_key(x, j, "there is no such key");
        return end_fetch(x, j, a, JWT_GONE, NULL);
    }
    keys = (j->algs & JWT_SYMMETRIC) != 0 ? jwt_keys_of_secret(x->host, value, j->algs, &why)
                                          : jwt_keys_of_pem(x->host, value, j->algs, &why);
    if (keys == NULL)
        log_key(x, j, why);
    return end_fetch(x, j, a, keys != NULL ? JWT_FETCHED : JWT_WRONG, keys);
}

static enum usher_result on_response(struct usher_exchange *x, const void *compiled, void *arg)
{
    const struct jwt *j = compiled;
    struct attempt *a = arg;
    struct jwt_keys *keys;
    const char *why;

    if (a->response.status != 200) {
        char sentence[100];

        snprintf(sentence, sizeof(sentence), "the JWK Set was not to be had: %u %.*s",
                 a->response.status, (int)a->response.failure.len,
                 a->response.failure.ptr != NULL ? a->response.failure.ptr : "");
        log_key(x, j, sentence);
        return end_fetch(x, j, a, JWT_WRONG, NULL);
    }
    keys = jwt_keys_of_set(x->host, a->response.body, j->algs, &why);
    if (keys == NULL)
        log_key(x, j, why);
    return end_fetch(x, j, a, keys != NULL ? JWT_FETCHED : JWT_WRONG, keys);
}

static enum usher_result fetch(struct usher_exchange *x, const struct jwt *j, struct attempt *a)
{
    const struct usher_pair accept[] = { { usher_text("Accept"), usher_text("application/json") } };
    const struct usher_question question = { .kind = USHER_ASK_GET, .key = j->key };
    const struct usher_request request = { .service = j->service,
                                           .method = usher_text("GET"),
                                           .path = j->path,
                                           .headers = accept,
                                           .header_count = 1,
                                           .timeout_ms = FETCH_MS,
                                           .most_bytes = JWT_JWKS_MAX };

    a->fetches = true;
    usher_count(x, FETCHES, 1);
    if (j->key.ptr != NULL ? usher_ask(x, &question, &a->answer, on_answer, a)
                           : usher_subrequest(x, &request, &a->response, on_response, a))
        return USHER_WAIT;
    return USHER_FAULT;
}

static enum usher_result on_nap(struct usher_exchange *x, const void *compiled, void *arg)
{
    return go_on(x, compiled, arg);
}

static enum usher_result go_on(struct usher_exchange *x, const struct jwt *j, struct attempt *a)
{
    enum jwt_fetched last;

    switch (jwt_known_plan(j->known, &a->token, usher_now_ms(x), &a->key, &last)) {
    case JWT_USE:
        return judge_signature(x, j, a);
    case JWT_FETCH:
        return fetch(x, j, a);
    case JWT_LATER:
        return usher_timer(x, NAP_MS, on_nap, a) ? USHER_WAIT : USHER_FAULT;
    case JWT_NO_KEY:
        return refuse(x, j, "the token's key is not known");
    case JWT_AWAY:
        break;
    }
    return give_up(x, j, last);
}

/* --- hooks --- */

/* Endpoints may read X_User as X-User. */
static bool is_alike(struct usher_text a, struct usher_text b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        char one = a.ptr[i] == '_' ? '-' : a.ptr[i], other = b.ptr[i] == '_' ? '-' : b.ptr[i];

        if (strncasecmp(&one, &other, 1) != 0)
            return false;
    }
    return true;
}

/* What this module says to the endpoint, the client has not said. */
static bool remove_claims(struct usher_exchange *x, const struct jwt *j)
{
    struct usher_pair field;
    uint32_t at = 0;

    while (j->claim_count > 0 && usher_header_at(x, USHER_REQUEST, at, &field)) {
        bool alike = false;

        for (uint32_t i = 0; i < j->claim_count && !alike; i++)
            alike = is_alike(field.name, j->claims[i].text);
        if (!alike)
            at++;
        else if (!usher_header_remove(x, USHER_REQUEST, field.name))
            return false;
    }
    return true;
}

/* ptr NULL: there is none. *twice: more than one, and nobody knows which the endpoint would take. */
static struct usher_text find_token(struct usher_exchange *x, const struct jwt *j, bool *twice)
{
    static const char scheme[] = "Bearer ";
    const size_t len = sizeof(scheme) - 1;
    const struct usher_text name = usher_text("Authorization");
    struct usher_text value = usher_header(x, USHER_REQUEST, name, 0);

    *twice = usher_header(x, USHER_REQUEST, name, 1).ptr != NULL;
    if (value.len > len && strncasecmp(value.ptr, scheme, len) == 0) {
        value = (struct usher_text){ value.ptr + len, value.len - len };
        while (value.len > 0 && value.ptr[0] == ' ')
            value = (struct usher_text){ value.ptr + 1, value.len - 1 };
        return value;
    }
    if (j->cookie.ptr != NULL)
        return usher_cookie(x, j->cookie);
    return (struct usher_text){ NULL, 0 };
}

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    const struct jwt *j = compiled;
    struct attempt *a;
    const char *why;
    char *room;
    bool twice;
    struct usher_text text = find_token(x, j, &twice);

    if (!remove_claims(x, j))
        return USHER_FAULT;
    if (twice)
        return refuse(x, j, "Authorization stands there more than once");
    if (text.ptr == NULL)
        return j->optional ? USHER_GO_ON : refuse(x, j, NULL);
    if (text.len > JWT_TOKEN_MAX)
        return refuse(x, j, "the token is longer than 8192 bytes");
    a = usher_alloc(x, sizeof(*a));
    room = usher_alloc(x, text.len + 1);
    if (a == NULL || room == NULL)
        return USHER_FAULT;
    *usher_state(x) = a;
    a->text = text;
    why = jwt_token_read(x->host, text, room, &a->token);
    if (why != NULL)
        return refuse(x, j, why);
    if ((j->algs & JWT_BIT(a->token.alg)) == 0)
        return refuse(x, j, "the token's algorithm is not accepted");
    return go_on(x, j, a);
}

/* The exchange may have ended while it fetched: the next one may fetch. */
static void on_done(struct usher_exchange *x, const void *compiled)
{
    const struct jwt *j = compiled;
    const struct attempt *a = *usher_state(x);

    if (a != NULL && a->fetches)
        jwt_known_fetched(j->known, JWT_FETCH_BROKEN, NULL, usher_now_ms(x));
}

USHER_MODULE(jwt) = {
    USHER_MODULE_ABI,
    .name = "jwt",
    .version = "1.0",
    .summary = "lets in who has a signed JSON web token, and tells the endpoint its claims",
    .settings = jwt_settings,
    .setting_count = JWT_SETTINGS,
    .setting_size = sizeof(jwt_settings[0]),
    USHER_METRICS(metrics),
    .compile = jwt_compile,
    .drop = jwt_drop,
    .on_request = on_request,
    .on_done = on_done,
};
