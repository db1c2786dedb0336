/* wrong.c -- modules that no edge takes: one thing of each is not as it should be, by a -D flag. */
#include "usher_module.h"

static void on_done(struct usher_exchange *x, const void *compiled)
{
    (void)x;
    (void)compiled;
}

static const struct usher_setting settings[] = {
    { .name = "realm", .type = USHER_TYPE_TEXT, .meaning = "whose" },
};

#ifndef NAME
# define NAME "wrong"
#endif
#ifndef MAJOR
# define MAJOR USHER_ABI_MAJOR
#endif
#ifndef MINOR
# define MINOR USHER_ABI_MINOR
#endif
#ifndef SIZE
# define SIZE sizeof(struct usher_module)
#endif

#ifndef WITHOUT_SYMBOL
USHER_MODULE(wrong) = {
    .abi_major = MAJOR,
    .abi_minor = MINOR,
    .size = SIZE,
    .name = NAME,
    .version = "1.0",
    .summary = "not as it should be",
# ifdef WITHOUT_COMPILE
    USHER_SETTINGS(settings),
# endif
# ifndef WITHOUT_HOOK
    .on_done = on_done,
# endif
};
#endif
