/* test_name_state.c -- addresses of a name, written by one thread and read by another. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>

#include "routing/name_state.h"

static struct address at(const char *text)
{
    const char *expected;
    struct address a;

    cr_assert(address_parse(str_from(text), 1, &a, &expected), "%s", text);
    return a;
}

Test(name_state, addresses_go_round)
{
    static struct name_state n;
    struct address both[] = { at("10.0.0.5:1"), at("[2001:db8::5]:1") }, got;
    struct address turned[] = { both[1], both[0] };
    char text[ADDRESS_TEXT_SIZE];

    cr_assert(!name_pick(&n, 0, htons(80), &got));
    cr_assert(name_put(&n, both, 2));
    cr_assert(!name_put(&n, both, 2));
    cr_assert(!name_put(&n, turned, 2), "the order says nothing");
    cr_assert(name_pick(&n, 2, htons(80), &got));
    cr_expect_str_eq(address_text(&got, text), "10.0.0.5:80");
    cr_assert(name_pick(&n, 3, htons(80), &got));
    cr_expect_str_eq(address_text(&got, text), "[2001:db8::5]:80");
    cr_assert(name_put(&n, both, 1));
    cr_assert(name_pick(&n, 3, htons(80), &got));
    cr_expect_str_eq(address_text(&got, text), "10.0.0.5:80");
}

static struct name_state shared;
static atomic_bool done;

/* Each address that is ever put has the same four groups twice. */
static void *write_on(void *arg)
{
    char text[64];

    (void)arg;
    for (unsigned i = 1; i < 20000; i++) {
        struct address a;

        snprintf(text, sizeof(text), "[%x:1:2:3:%x:1:2:3]:1", i, i);
        a = at(text);
        name_put(&shared, &a, 1);
    }
    atomic_store(&done, true);
    return NULL;
}

Test(name_state, no_half_of_an_address_is_read)
{
    pthread_t writer;
    struct address got;

    pthread_create(&writer, NULL, write_on, NULL);
    while (!atomic_load(&done))
        if (name_pick(&shared, 0, 0, &got))
            cr_assert_eq(memcmp(&got.v6.sin6_addr, (char *)&got.v6.sin6_addr + 8, 8), 0);
    pthread_join(writer, NULL);
}
