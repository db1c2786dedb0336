/* basic_auth.h -- the parts of basic_auth: what clients say, how passwords are judged, who has been. */
#ifndef BASIC_AUTH_H
#define BASIC_AUTH_H

#include "usher_module.h"

#define BASIC_AUTH_USER_MAX 128
#define BASIC_AUTH_PASSWORD_MAX 256
#define BASIC_AUTH_HASH_MAX 191
/* Passwords judged at once for one tenant's settings: the threads that do it are everybody's. */
#define BASIC_AUTH_JUDGING_MOST 2

/* --- credentials.c --- */

/* Ended with NULs, and holding none. */
struct basic_auth_login {
    char user[BASIC_AUTH_USER_MAX + 1];
    char password[BASIC_AUTH_PASSWORD_MAX + 1];
};

/* Of the value of Authorization. False: not of the scheme Basic, or not well formed; *login is empty then. */
bool basic_auth_read(const struct usher_host *host, struct usher_text value,
                     struct basic_auth_login *login);
/* May this be what crypt(3) is to judge by, in a bounded time and memory? */
bool basic_auth_is_hash(struct usher_text hash);
/* Takes as long as the hash says: not for a loop. */
bool basic_auth_judge(const struct usher_host *host, const char *password, const char *hash);
/* Forgets it, in a way that is not optimised away. */
void basic_auth_wipe(void *bytes, size_t len);

/* --- verified.c --- */

/* Somebody whose password was right; no password can be read from it. */
struct basic_auth_verified {
    uint8_t user[32];      /* digest of the name */
    uint8_t hash[32];      /* digest of the hash that judged the password */
    uint8_t proof[32];     /* digest of name, password and the above */
    uint64_t confirmed_ms; /* when Redis said that hash last */
};

/* What all exchanges of one tenant's settings share. Any thread. */
struct basic_auth_shared;

struct basic_auth_shared *basic_auth_shared_new(void);
void basic_auth_shared_free(struct basic_auth_shared *s);

/* A copy of what is known of that user; false: nothing. */
bool basic_auth_find(struct basic_auth_shared *s, const uint8_t user[32],
                     struct basic_auth_verified *found);
/* In the place of the same user's, or of the one of its set who was confirmed longest ago. */
void basic_auth_remember(struct basic_auth_shared *s, const struct basic_auth_verified *v);

/* A hash to judge by where there is none: the last one seen, so that it takes as long as any. */
void basic_auth_decoy(struct basic_auth_shared *s, char to[BASIC_AUTH_HASH_MAX + 1]);
void basic_auth_set_decoy(struct basic_auth_shared *s, const char *hash);

#define BASIC_AUTH_NO_SLOT UINT32_MAX

/* The slot of one more that is judged; BASIC_AUTH_NO_SLOT: too many are. */
uint32_t basic_auth_begin_judging(struct basic_auth_shared *s, uint64_t now_ms);
/* Its answer is here; it took so long. */
void basic_auth_end_judging(struct basic_auth_shared *s, uint32_t slot, uint64_t took_ms);
/* Nobody waits for it any more. It may run all the same: its slot is taken for as long as the last one took. */
void basic_auth_leave_judging(struct basic_auth_shared *s, uint32_t slot, uint64_t now_ms);

#endif
