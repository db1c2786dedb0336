/* credentials.c -- what a client says of itself, and crypt(3) that judges it.
 *
 * Owns:    nothing.
 * Thread:  any
 * Used by: basic_auth.c.
 * Not here: who has been judged already (verified.c). */
#include <crypt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "basic_auth.h"

#define SCHEME "Basic "
#define CREDENTIALS_MAX (BASIC_AUTH_USER_MAX + 1 + BASIC_AUTH_PASSWORD_MAX)
#define BCRYPT_COST_MOST 14       /* about a second */
#define SHA_ROUNDS_MOST 1000000ul /* likewise */
#define YESCRYPT_COST_MOST 'B'    /* 64 MiB, while it is computed */

void basic_auth_wipe(void *bytes, size_t len)
{
    explicit_bzero(bytes, len);
}

/* The name goes into a header and a log: no control characters, no spaces that would be lost at its ends. */
static bool is_user(const char *user, size_t len)
{
    if (len == 0 || len > BASIC_AUTH_USER_MAX || user[0] == ' ' || user[len - 1] == ' ')
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)user[i] < ' ' || user[i] == 0x7f)
            return false;
    return true;
}

static bool split(const char *said, size_t len, struct basic_auth_login *login)
{
    const char *colon = memchr(said, ':', len);
    size_t user_len, password_len;

    if (colon == NULL || memchr(said, '\0', len) != NULL)
        return false;
    user_len = (size_t)(colon - said);
    password_len = len - user_len - 1;
    if (!is_user(said, user_len) || password_len > BASIC_AUTH_PASSWORD_MAX)
        return false;
    memcpy(login->user, said, user_len);
    memcpy(login->password, colon + 1, password_len);
    return true;
}

bool basic_auth_read(const struct usher_host *host, struct usher_text value,
                     struct basic_auth_login *login)
{
    const size_t scheme = sizeof(SCHEME) - 1;
    char said[CREDENTIALS_MAX + 1];
    size_t len;
    bool good;

    memset(login, 0, sizeof(*login));
    if (value.len <= scheme || strncasecmp(value.ptr, SCHEME, scheme) != 0)
        return false;
    value = (struct usher_text){ value.ptr + scheme, value.len - scheme };
    while (value.len > 0 && value.ptr[0] == ' ')
        value = (struct usher_text){ value.ptr + 1, value.len - 1 };
    len = usher_decode_base64(host, value, false, said, sizeof(said));
    good = len <= sizeof(said) && split(said, len, login);
    basic_auth_wipe(said, sizeof(said));
    return good;
}

/* --- hashes --- */

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* $2b$12$ and 53 letters more; a and y are older names of the same. */
static bool is_bcrypt(const char *hash)
{
    return starts(hash, "$2") && hash[2] != '\0' && strchr("aby", hash[2]) != NULL &&
           hash[3] == '$' && is_digit(hash[4]) && is_digit(hash[5]) && hash[6] == '$' &&
           (hash[4] - '0') * 10 + hash[5] - '0' <= BCRYPT_COST_MOST && strlen(hash) == 60;
}

/* $y$j9T$ and so on: 9 (4 MiB and more) is the cost, T the size of a block. */
static bool is_yescrypt(const char *hash)
{
    return starts(hash, "$y$j") && hash[4] >= '.' && hash[4] <= YESCRYPT_COST_MOST &&
           hash[5] != '\0' && hash[5] <= 'T' && hash[6] == '$';
}

static bool is_sha(const char *hash)
{
    if (!starts(hash, "$5$") && !starts(hash, "$6$"))
        return false;
    if (!starts(hash + 3, "rounds="))
        return true;
    return is_digit(hash[10]) && strtoul(hash + 10, NULL, 10) <= SHA_ROUNDS_MOST;
}

bool basic_auth_is_hash(struct usher_text hash)
{
    char text[BASIC_AUTH_HASH_MAX + 1] = "";

    if (hash.len == 0 || hash.len > BASIC_AUTH_HASH_MAX || memchr(hash.ptr, '\0', hash.len) != NULL)
        return false;
    memcpy(text, hash.ptr, hash.len);
    return is_bcrypt(text) || is_yescrypt(text) || is_sha(text);
}

bool basic_auth_judge(const struct usher_host *host, const char *password, const char *hash)
{
    void *room = NULL;
    int size = 0;
    const char *made = crypt_ra(password, hash, &room, &size);
    bool good = made != NULL && usher_equal(host, usher_text(made), usher_text(hash));

    if (room != NULL)
        basic_auth_wipe(room, (size_t)size);
    free(room);
    return good;
}
