/* test_unit_basic_auth.c -- what clients say, which hashes are taken, who is remembered. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "basic_auth.h"
#include "proxy/module_run.h"

static bool read_login(const char *value, struct basic_auth_login *login)
{
    return basic_auth_read(&modules_host, usher_text(value), login);
}

/* RFC 7617 2 and 2.1 */
Test(basic_auth, credentials_are_read_as_the_rfc_says)
{
    struct basic_auth_login login;

    cr_assert(read_login("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", &login));
    cr_expect_str_eq(login.user, "Aladdin");
    cr_expect_str_eq(login.password, "open sesame");
    cr_assert(read_login("basic  dGVzdDoxMjPCow==", &login));
    cr_expect_str_eq(login.user, "test");
    cr_expect_str_eq(login.password, "123\xc2\xa3");
    cr_assert(read_login("BASIC YTpiOmM=", &login)); /* a:b:c */
    cr_expect_str_eq(login.user, "a");
    cr_expect_str_eq(login.password, "b:c");
    cr_assert(read_login("Basic YTo=", &login)); /* no password */
    cr_expect_str_eq(login.password, "");
}

Test(basic_auth, credentials_that_are_not_well_formed_are_none)
{
    static const char *const wrong[] = {
        "",
        "Basic",
        "Basic ",
        "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        "BasicQWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ",
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==, x",
        "Basic YQ==",     /* a */
        "Basic OnB3",     /* :pw */
        "Basic YQBiOmM=", /* a NUL in the name */
        "Basic YTpiAGM=", /* and in the password */
        "Basic YQpiOmM=", /* a line's end in the name */
        "Basic IGE6Yg==", /* a space before it */
        "Basic YSA6Yg==", /* and behind */
    };
    struct basic_auth_login login;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_expect(!read_login(wrong[i], &login), "\"%s\"", wrong[i]);
        cr_expect_str_empty(login.user);
        cr_expect_str_empty(login.password);
    }
    cr_expect(!basic_auth_read(&modules_host, (struct usher_text){ NULL, 0 }, &login));
}

/* `before`, so many times YWFh (aaa), `after`. */
static const char *threes(char value[1200], const char *before, unsigned count, const char *after)
{
    int at = snprintf(value, 1200, "%s", before);

    for (unsigned i = 0; i < count; i++)
        at += snprintf(value + at, 1200 - (size_t)at, "YWFh");
    snprintf(value + at, 1200 - (size_t)at, "%s", after);
    return value;
}

Test(basic_auth, credentials_are_bounded)
{
    char value[1200];
    struct basic_auth_login login;

    for (unsigned n = 1; n < 250; n++) {
        cr_expect_eq(read_login(threes(value, "Basic ", n, "Ojpi"), &login), /* ::b */
                     3 * n <= BASIC_AUTH_USER_MAX, "%u", n);
        cr_expect_eq(read_login(threes(value, "Basic YTph", n, ""), &login), /* a:a */
                     3 * n + 1 <= BASIC_AUTH_PASSWORD_MAX, "%u", n);
    }
}

static const char bcrypt_a[] = "$2b$05$XuyXWNfo/slpIJTIcxRiQ.aTL/KTuMHLpCCoWWTA1nsfYCVpCDfZG";
static const char bcrypt_y[] = "$2y$05$d1lCz5DMrWO6pj42YXeG5.HDoUrs5UXG1mn9ngaZVtvGqpIIAmbE2";
static const char yescrypt[] =
    "$y$j9T$DNXZtPiqifiPyfhlGdhu90$Cm4mq4xfEIXVxoiPY0gV3uQJ9FofhVC4Lvw5SNoSBy7";
static const char sha512[] =
    "$6$JtGzucs4fpXdGKPR$KcyU/rSbB/7GX7YQongFUmdc8Zqe6HKd1kBcetIjBeKinJP4s9"
    "MgvV/wtBXZvH5tPM5B4PK4FuWdXcNh4zn4V1";

Test(basic_auth, hashes_of_mkpasswd_htpasswd_and_openssl_judge_passwords)
{
    static const char *const hashes[] = { bcrypt_a, bcrypt_y, yescrypt, sha512 };

    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
        cr_expect(basic_auth_is_hash(usher_text(hashes[i])), "%s", hashes[i]);
        cr_expect(basic_auth_judge(&modules_host, "secret", hashes[i]), "%s", hashes[i]);
        cr_expect(!basic_auth_judge(&modules_host, "secret2", hashes[i]), "%s", hashes[i]);
        cr_expect(!basic_auth_judge(&modules_host, "", hashes[i]), "%s", hashes[i]);
    }
}

Test(basic_auth, what_takes_too_long_or_is_weak_is_no_hash)
{
    static const char *const wrong[] = {
        "",
        "secret",
        "$",
        "$2b$",
        "$2b$05",
        "$2x$05$XuyXWNfo/slpIJTIcxRiQ.aTL/KTuMHLpCCoWWTA1nsfYCVpCDfZG",
        "$2b$15$XuyXWNfo/slpIJTIcxRiQ.aTL/KTuMHLpCCoWWTA1nsfYCVpCDfZG",
        "$2b$31$XuyXWNfo/slpIJTIcxRiQ.aTL/KTuMHLpCCoWWTA1nsfYCVpCDfZG",
        "$2b$05$XuyXWNfo",
        "$y$jCT$DNXZtPiqifiPyfhlGdhu90$Cm4mq4xfEIXVxoiPY0gV3uQJ9FofhVC4Lvw5SNoSBy7",
        "$y$j9z$DNXZtPiqifiPyfhlGdhu90$Cm4mq4xfEIXVxoiPY0gV3uQJ9FofhVC4Lvw5SNoSBy7",
        "$y$j9T.$x$x",
        "$y$",
        "$6$rounds=999999999$x$x",
        "$6$rounds=x$x$x",
        "$1$28772684$iEwNOgGugqO9.bIz5sk8k/",
        "$apr1$x$x",
        "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        "rqXexS6ZhobKA", /* DES */
        "*0",
    };
    char hash[1000];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_expect(!basic_auth_is_hash(usher_text(wrong[i])), "%s", wrong[i]);
    memset(hash, 'a', sizeof(hash));
    memcpy(hash, "$6$", 3);
    cr_expect(!basic_auth_is_hash((struct usher_text){ hash, sizeof(hash) }));
    cr_expect(!basic_auth_is_hash((struct usher_text){ bcrypt_a, sizeof(bcrypt_a) })); /* a NUL */
}

/* What crypt(3) says of a hash that it cannot use is no hash that a password could have. */
Test(basic_auth, a_failure_of_crypt_lets_nobody_in)
{
    cr_expect(!basic_auth_judge(&modules_host, "x", "*0"));
    cr_expect(!basic_auth_judge(&modules_host, "x", "*1"));
    cr_expect(!basic_auth_judge(&modules_host, "x", ""));
    cr_expect(!basic_auth_judge(&modules_host, "x", "$6$rounds=1$a$b"));
}

Test(basic_auth, who_is_remembered_is_found_and_the_oldest_go)
{
    struct basic_auth_shared *s = basic_auth_shared_new();
    struct basic_auth_verified v = { .confirmed_ms = 1 }, found;
    unsigned kept = 0;

    cr_expect(!basic_auth_find(s, v.user, &found));
    for (unsigned i = 0; i < 1000; i++) {
        memset(v.user, 0, sizeof(v.user));
        memcpy(v.user, &i, sizeof(i));
        memset(v.proof, (int)i, sizeof(v.proof));
        v.confirmed_ms = i + 1;
        basic_auth_remember(s, &v);
        basic_auth_remember(s, &v); /* takes no second place */
        cr_assert(basic_auth_find(s, v.user, &found));
        cr_expect_eq(memcmp(&found, &v, sizeof(v)), 0);
    }
    for (unsigned i = 0; i < 1000; i++) {
        memset(v.user, 0, sizeof(v.user));
        memcpy(v.user, &i, sizeof(i));
        kept += basic_auth_find(s, v.user, &found);
        cr_expect_eq(basic_auth_find(s, v.user, &found), i >= 1000 - 256, "%u", i);
    }
    cr_expect_eq(kept, 256);
    basic_auth_shared_free(s);
}

Test(basic_auth, not_too_many_passwords_are_judged_at_once)
{
    struct basic_auth_shared *s = basic_auth_shared_new();
    uint32_t slots[BASIC_AUTH_JUDGING_MOST];

    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < BASIC_AUTH_JUDGING_MOST; i++) {
            slots[i] = basic_auth_begin_judging(s, 1000);
            cr_expect_lt(slots[i], BASIC_AUTH_JUDGING_MOST);
            cr_expect(i == 0 || slots[i] != slots[i - 1]);
        }
        cr_expect_eq(basic_auth_begin_judging(s, 1000), BASIC_AUTH_NO_SLOT);
        cr_expect_eq(basic_auth_begin_judging(s, 999999), BASIC_AUTH_NO_SLOT);
        for (unsigned i = 0; i < BASIC_AUTH_JUDGING_MOST; i++)
            basic_auth_end_judging(s, slots[i], 70);
    }
    basic_auth_shared_free(s);
}

/* Its client has left, but it may run all the same. */
Test(basic_auth, a_judgement_that_nobody_waits_for_takes_its_slot_as_long_as_it_may_run)
{
    struct basic_auth_shared *s = basic_auth_shared_new();
    uint32_t slot = basic_auth_begin_judging(s, 1000);

    basic_auth_end_judging(s, slot, 70);
    for (unsigned i = 0; i < BASIC_AUTH_JUDGING_MOST; i++)
        basic_auth_leave_judging(s, basic_auth_begin_judging(s, 1000), 1000);
    cr_expect_eq(basic_auth_begin_judging(s, 1069), BASIC_AUTH_NO_SLOT);
    cr_expect_neq(basic_auth_begin_judging(s, 1070), BASIC_AUTH_NO_SLOT);
    basic_auth_shared_free(s);
}

/* A decoy is a hash like any: it costs the same, and nobody's password fits it. */
Test(basic_auth, the_first_decoy_is_a_hash_and_later_ones_are_the_last_seen)
{
    struct basic_auth_shared *s = basic_auth_shared_new();
    char hash[BASIC_AUTH_HASH_MAX + 1];

    basic_auth_decoy(s, hash);
    cr_expect(basic_auth_is_hash(usher_text(hash)));
    basic_auth_set_decoy(s, sha512);
    basic_auth_set_decoy(s, bcrypt_a);
    basic_auth_decoy(s, hash);
    cr_expect_str_eq(hash, bcrypt_a);
    basic_auth_shared_free(s);
}
