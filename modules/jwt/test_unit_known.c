/* test_unit_known.c -- when keys are fetched, by whom, and what holds meanwhile. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "jwt.h"
#include "proxy/module_run.h"

#define KEEP 1000
#define EC                                                                                         \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","      \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""

struct desk {
    struct jwt_known *known;
    struct jwt_key key;
    enum jwt_fetched last;
};

static enum jwt_plan plan(struct desk *d, const char *kid, uint64_t now_ms)
{
    struct jwt_token t = { .alg = JWT_ES256, .has_kid = true };

    snprintf(t.kid, sizeof(t.kid), "%s", kid);
    return jwt_known_plan(d->known, &t, now_ms, &d->key, &d->last);
}

static struct jwt_keys *set_of(const char *json)
{
    const char *why;
    struct jwt_keys *keys =
        jwt_keys_of_set(&modules_host, usher_text(json), JWT_BIT(JWT_ES256), &why);

    cr_assert_not_null(keys);
    return keys;
}

static void fetched(struct desk *d, uint64_t now_ms)
{
    jwt_known_fetched(d->known, JWT_FETCHED, set_of("{\"keys\":[{" EC ",\"kid\":\"a\"}]}"), now_ms);
}

Test(jwt_known, one_exchange_fetches_and_the_others_wait_for_it)
{
    struct desk d = { .known = jwt_known_new(KEEP) };

    cr_expect_eq(plan(&d, "a", 100), JWT_FETCH);
    cr_expect_eq(plan(&d, "a", 100), JWT_LATER);
    cr_expect_eq(plan(&d, "b", 200), JWT_LATER);
    fetched(&d, 300);
    cr_expect_eq(plan(&d, "a", 300), JWT_USE);
    cr_expect_str_eq(d.key.kid, "a");
    cr_expect_gt(d.key.len, 64);
    jwt_known_free(d.known);
}

/* Its client went away, or it hangs. */
Test(jwt_known, another_fetches_when_the_first_does_not_come_back)
{
    struct desk d = { .known = jwt_known_new(KEEP) };

    cr_expect_eq(plan(&d, "a", 100), JWT_FETCH);
    jwt_known_fetched(d.known, JWT_FETCH_BROKEN, NULL, 150);
    cr_expect_eq(plan(&d, "a", 150), JWT_FETCH);
    cr_expect_eq(plan(&d, "a", 10149), JWT_LATER);
    cr_expect_eq(plan(&d, "a", 10150), JWT_FETCH);
    jwt_known_free(d.known);
}

Test(jwt_known, old_keys_serve_while_new_ones_are_fetched_and_while_none_can_be)
{
    struct desk d = { .known = jwt_known_new(KEEP) };

    plan(&d, "a", 100);
    fetched(&d, 100);
    cr_expect_eq(plan(&d, "a", 1099), JWT_USE);
    cr_expect_eq(plan(&d, "a", 1100), JWT_FETCH);
    cr_expect_eq(plan(&d, "a", 1100), JWT_USE);
    jwt_known_fetched(d.known, JWT_STORE_AWAY, NULL, 1200);
    cr_expect_eq(plan(&d, "a", 2199), JWT_USE);
    cr_expect_eq(plan(&d, "a", 2200), JWT_FETCH);
    jwt_known_fetched(d.known, JWT_WRONG, NULL, 2300);
    cr_expect_eq(plan(&d, "a", 2400), JWT_USE);
    plan(&d, "a", 3300);
    fetched(&d, 3300);
    cr_expect_eq(plan(&d, "a", 4299), JWT_USE);
    jwt_known_free(d.known);
}

Test(jwt_known, without_a_key_it_is_asked_for_once_in_a_second)
{
    struct desk d = { .known = jwt_known_new(KEEP) };

    plan(&d, "a", 100);
    jwt_known_fetched(d.known, JWT_STORE_AWAY, NULL, 200);
    cr_expect_eq(plan(&d, "a", 1199), JWT_AWAY);
    cr_expect_eq(d.last, JWT_STORE_AWAY);
    cr_expect_eq(plan(&d, "a", 1200), JWT_FETCH);
    jwt_known_fetched(d.known, JWT_WRONG, NULL, 1200);
    cr_expect_eq(plan(&d, "a", 1200), JWT_AWAY);
    cr_expect_eq(d.last, JWT_WRONG);
    plan(&d, "a", 2200);
    fetched(&d, 2200);
    cr_expect_eq(plan(&d, "a", 2200), JWT_USE);
    jwt_known_free(d.known);
}

Test(jwt_known, a_key_that_was_taken_away_verifies_nothing_more)
{
    struct desk d = { .known = jwt_known_new(KEEP) };

    plan(&d, "a", 100);
    fetched(&d, 100);
    plan(&d, "a", 1100);
    jwt_known_fetched(d.known, JWT_GONE, NULL, 1100);
    cr_expect_eq(plan(&d, "a", 1100), JWT_AWAY);
    cr_expect_eq(d.last, JWT_GONE);
    jwt_known_free(d.known);
}

Test(jwt_known, a_strange_kid_fetches_anew_once_in_half_a_minute)
{
    struct desk d = { .known = jwt_known_new(KEEP) };

    plan(&d, "a", 100);
    jwt_known_free(d.known);
    d.known = jwt_known_new(3600000);
    plan(&d, "a", 100);
    fetched(&d, 100);
    cr_expect_eq(plan(&d, "b", 200), JWT_FETCH);
    cr_expect_eq(plan(&d, "a", 200), JWT_USE);
    cr_expect_eq(plan(&d, "c", 200), JWT_LATER);
    fetched(&d, 300);
    cr_expect_eq(plan(&d, "b", 300), JWT_NO_KEY);
    cr_expect_eq(plan(&d, "c", 30199), JWT_NO_KEY);
    cr_expect_eq(plan(&d, "c", 30200), JWT_FETCH);
    jwt_known_fetched(d.known, JWT_FETCHED, set_of("{\"keys\":[{" EC ",\"kid\":\"c\"}]}"), 30200);
    cr_expect_eq(plan(&d, "c", 30200), JWT_USE);
    cr_expect_eq(plan(&d, "a", 30200), JWT_NO_KEY);
    jwt_known_free(d.known);
}

/* One key for all has no kid: there is nothing to look for. */
Test(jwt_known, one_key_for_all_is_not_asked_for_because_of_a_kid)
{
    struct desk d = { .known = jwt_known_new(KEEP) };
    const char *why;

    plan(&d, "a", 100);
    jwt_known_fetched(d.known, JWT_FETCHED,
                      jwt_keys_of_pem(&modules_host, usher_text("-----BEGIN PUBLIC KEY-----\nAAAA"),
                                      JWT_BIT(JWT_ES256), &why),
                      100);
    cr_expect_eq(plan(&d, "b", 200), JWT_USE);
    jwt_known_fetched(d.known, JWT_FETCHED,
                      jwt_keys_of_pem(&modules_host, usher_text("-----BEGIN PUBLIC KEY-----\nAAAA"),
                                      JWT_BIT(JWT_RS256), &why),
                      300);
    cr_expect_eq(plan(&d, "b", 400), JWT_NO_KEY);
    jwt_known_free(d.known);
}

Test(jwt_known, a_signature_is_right_for_its_key_and_token_alone)
{
    struct desk d = { .known = jwt_known_new(KEEP) };
    uint8_t digest[32] = { 7 };

    cr_expect(!jwt_known_is_right(d.known, digest));
    jwt_known_remember(d.known, digest);
    cr_expect(jwt_known_is_right(d.known, digest));
    digest[31]++;
    cr_expect(!jwt_known_is_right(d.known, digest));
    jwt_known_remember(d.known, digest);
    cr_expect(jwt_known_is_right(d.known, digest));
    digest[31]--;
    cr_expect(!jwt_known_is_right(d.known, digest)); /* the other has its place */
    jwt_known_free(d.known);
}
