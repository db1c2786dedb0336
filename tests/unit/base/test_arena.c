/* test_arena.c -- pieces of every size, that stay where they are and what they are. */
#include "base/arena.h"

#include <criterion/criterion.h>
#include <stdint.h>

Test(arena, pieces_are_apart_aligned_and_zero)
{
    struct arena a = { 0 };
    char *pieces[600];

    for (size_t i = 0; i < 600; i++) {
        size_t bytes = i * i % 3000 + 1;

        pieces[i] = arena_alloc(&a, bytes);
        cr_assert_eq((uintptr_t)pieces[i] % 16, 0);
        for (size_t k = 0; k < bytes; k++)
            cr_assert_eq(pieces[i][k], 0);
        memset(pieces[i], (int)(i % 251 + 1), bytes);
    }
    for (size_t i = 0; i < 600; i++)
        for (size_t k = 0; k < i * i % 3000 + 1; k++)
            cr_assert_eq(pieces[i][k], (char)(i % 251 + 1));
    arena_free(&a);
    cr_expect_null(a.last);
}

Test(arena, one_piece_larger_than_any_block)
{
    struct arena a = { 0 };
    char *before = arena_alloc(&a, 10), *large = arena_alloc(&a, 3 * 1024 * 1024);

    memset(large, 'x', 3 * 1024 * 1024);
    cr_expect_eq(before[9], 0);
    arena_free(&a);
}

Test(arena, texts_and_lists)
{
    struct arena a = { 0 };
    uint32_t room = 0, *numbers = NULL;
    struct str text = arena_copy(&a, STR("abc")), none = arena_copy(&a, (struct str){ NULL, 0 });

    cr_expect_str_eq(text.ptr, "abc");
    cr_expect_eq(none.len, 0);
    cr_expect_not_null(none.ptr);
    for (uint32_t i = 0; i < 1000; i++) {
        numbers = arena_grown(&a, numbers, i, &room, sizeof(*numbers));
        numbers[i] = i;
    }
    for (uint32_t i = 0; i < 1000; i++)
        cr_assert_eq(numbers[i], i);
    arena_free(&a);
}
